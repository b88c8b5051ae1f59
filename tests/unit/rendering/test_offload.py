"""Networks that aren't at work may leave the device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import SPATIAL, TINY_MAGIC, random, write_tiny_weights
from builders.tiny_renders import render, request
from torch import nn

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.rendering.context import uniform_windows
from animcli.rendering.guidance import Guidance
from animcli.rendering.loading import on_device
from animcli.rendering.magic_animate import predictor
from animcli.rendering.pipeline import DenoisingContext, denoise
from animcli.rendering.renderer import Offload
from animcli.rendering.schedulers import MAGIC_ANIMATE_SCHEDULE, Scheduler
from animcli.rendering.vae import Autoencoder

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

CPU, FAR = torch.device("cpu"), torch.device("meta")


def test_a_visit_ends_at_home_even_after_a_failure() -> None:
    network = nn.Linear(2, 3)
    at_home = network.weight.data_ptr()
    seen: list[torch.device] = []
    with pytest.raises(ZeroDivisionError), on_device(FAR, network):  # noqa: PT012
        seen.append(network.weight.device)
        1 / 0  # noqa: B018
    assert seen == [FAR]
    assert network.weight.data_ptr() == at_home  # nothing came back: it never left
    assert network.weight.device == network.bias.device == CPU


def test_a_visit_leaves_weights_that_do_not_learn_as_such() -> None:
    network = nn.Linear(2, 3).requires_grad_(False)
    with on_device(FAR, network):
        assert not network.weight.requires_grad
    assert not network.weight.requires_grad


@pytest.mark.parametrize(
    ("device", "offload", "there"),
    [
        (FAR, "networks", FAR),
        (FAR, "auto", CPU),
        (FAR, "none", CPU),
        (CPU, "networks", CPU),
        (CPU, "none", CPU),
    ],
)
def test_networks_travel_where_there_is_somewhere_to_go_and_it_was_asked_for(
    device: torch.device, offload: Offload, there: torch.device, tmp_path: Path
) -> None:
    asked = replace(request(write_tiny_weights(tmp_path), 2), offload=offload)
    network = nn.Linear(2, 3)
    place = DenoisingContext(
        asked, Autoencoder(network), device, torch.float32, lambda what, done, of: None
    )
    with place.on_device(network):
        assert network.weight.device == there
    assert network.weight.device == CPU
    assert place.home == (CPU if offload == "networks" else device)


class Roll:
    """Which networks are at work, and which were when something was computed."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.calls: set[tuple[str, frozenset[str]]] = set()

    @contextmanager
    def on_device(self, network: nn.Module) -> Iterator[None]:
        self.here.add(type(network).__name__)
        yield
        self.here.remove(type(network).__name__)

    def watch(self, network: nn.Module) -> nn.Module:
        name = type(network).__name__

        def note(module: nn.Module, given: object) -> None:
            self.calls.add((name, frozenset(self.here)))

        network.get_submodule("conv_in").register_forward_pre_hook(note)
        return network


def test_magic_animates_other_networks_visit_one_by_one_and_never_beside_the_unet() -> None:
    torch.manual_seed(0)
    roll = Roll()
    unet, encoder, controlnet = (
        roll.watch(random(network).eval().requires_grad_(False))
        for network in (
            UNet(TINY_MAGIC.unet),
            ReferenceNet(SPATIAL),
            ControlNet(SPATIAL, (4, 4, 4, 4)),
        )
    )
    step_fn = predictor(
        unet,
        encoder,
        controlnet,
        torch.randn(1, 3, 8),
        torch.randn(1, 4, 8, 8),
        lambda frame: np.full((64, 64, 3), frame, np.uint8),
        Guidance(2.0),
        2,
        on_device=roll.on_device,
    )
    windows = uniform_windows(9, 6, 2)
    with torch.inference_mode():
        list(
            denoise(
                torch.randn(9, 4, 8, 8),
                Scheduler("ddim", MAGIC_ANIMATE_SCHEDULE, 2),
                step_fn,
                lambda step: windows,
            )
        )
    assert roll.calls == {
        ("UNet", frozenset()),
        ("ReferenceNet", frozenset({"ReferenceNet"})),
        ("ControlNet", frozenset({"ControlNet"})),
    }


def test_offloading_changes_no_bit(tmp_path: Path) -> None:
    asked = request(write_tiny_weights(tmp_path), 3)
    assert np.array_equal(render(replace(asked, offload="networks")), render(asked))


def test_animate_anyones_guider_never_leaves_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits: list[str] = []
    usual = DenoisingContext.on_device

    def watched(
        context: DenoisingContext, network: nn.Module
    ) -> AbstractContextManager[object]:
        visits.append(type(network).__name__)
        return usual(context, network)

    monkeypatch.setattr(DenoisingContext, "on_device", watched)
    render(replace(request(write_tiny_weights(tmp_path), 3), offload="networks"))
    assert set(visits) == {"AutoencoderKL"}  # the other networks are gone after their use
