"""Whole renders on a second device, which never meets tensors of the first."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import tiny_renders
from builders.far_device import FAR, FarTensor, two_devices
from builders.tiny_ip_adapter import write_tiny_ip_adapter
from builders.tiny_systems import NAMES, draw, system
from builders.tiny_wan import (
    wan_2_request,
    wan_request,
    write_tiny_wan,
    write_tiny_wan_2,
)
from numpy.typing import NDArray

from animcli.pose.person_mask import Mask
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset
from animcli.registry import RENDERERS
from animcli.rendering import cinemo, context, pipeline
from animcli.rendering.context import ContextWindow
from animcli.rendering.newest import ip_adapter, wan_animate, wan_renderer
from animcli.rendering.newest.wan_animate import WanAnimate
from animcli.rendering.newest.wan_animate_2 import WanAnimate2
from animcli.rendering.renderer import RenderRequest

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implement:DeprecationWarning",
    "ignore:_compile flag:DeprecationWarning",
    "ignore:.*torch.jit.script:DeprecationWarning",
    "ignore:flex_attention called without:UserWarning",
)


Drawn = Callable[..., NDArray[np.uint8]]
"""(request, and a checkpoint if there is one) -> its frames."""


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`cuda` is the second device."""
    with two_devices() as open_device:
        for module in (pipeline, cinemo):
            monkeypatch.setattr(module, "open_device", open_device)
        yield


@pytest.mark.usefixtures("far")
def test_mixing_devices_raises_as_cuda_does() -> None:
    here, there = torch.ones(3), torch.ones(3).to(FAR)
    assert isinstance(there, FarTensor)
    assert there.device == FAR
    assert (there + 1).device == (there * torch.tensor(2.0)).device == FAR
    assert torch.equal((there + there).cpu(), here + here)
    assert torch.zeros_like(there).device == torch.zeros(2, device=FAR).device == FAR
    assert there[[0, 2]].device == FAR
    for mixed in (
        lambda: here + there,
        lambda: torch.cat([here, there]),
        lambda: torch.nn.functional.linear(there[None], torch.ones(2, 3)),
        lambda: here[torch.tensor([0]).to(FAR)],
    ):
        with pytest.raises(RuntimeError, match=r"same device|on the CPU"):
            mixed()
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()


def render(name: str, folder: Path, **changes: object) -> tuple[RenderRequest, Drawn]:
    """A request, and what renders it."""
    preset_changes = {
        key: value for key, value in changes.items() if key in Preset.__dataclass_fields__
    }
    rest = {key: value for key, value in changes.items() if key not in preset_changes}
    usual = {"steps": 2, "dtype": "float32"}
    frames = 7 if name == "cinemo" else 11
    renderer, asked = system(name, folder, frames, **{**usual, **preset_changes})
    return replace(asked, **rest), partial(draw, renderer)


CASES = [
    ("animate-anyone", {"cfg_batch": "on", "sampler": "dpmpp-2m"}),
    ("animate-anyone", {"sampler": "unipc", "guidance_rescale": 0.7, "windows": "moving"}),
    ("animate-anyone", {"keyframe_interval": 2, "sampler": "lcm", "guidance_stop": 0.4}),
    ("animate-anyone", {"deep_interval": 2, "deep_branch": 1, "guidance_interval": 2}),
    ("tiny", {"cfg_batch": "on", "noise": "shared"}),
    ("magic-animate", {"cfg_batch": "on", "sampler": "euler"}),
    ("cinemo", {"decoder": "temporal", "prompt": "hop"}),
    ("cinemo", {"decoder": "frame", "prompt": "hop", "cfg_batch": "on"}),
]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_whole_render_never_mixes_devices_and_gives_the_same_frames(
    name: str, changes: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn = render(name, tmp_path, **changes)
    expected = drawn(asked)
    found = far_frames(monkeypatch, replace(asked, device="cuda"), drawn)
    # A kernel may be another one for a tensor that says it is elsewhere.
    np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=1)


def far_frames(
    monkeypatch: pytest.MonkeyPatch, asked: RenderRequest, drawn: Drawn
) -> NDArray[np.uint8]:
    """The frames of a request on the second device; all windows were predicted there."""
    devices: set[torch.device] = set()
    gather = context.gather

    def watched(latents: torch.Tensor, window: ContextWindow) -> torch.Tensor:
        devices.add(latents.device)
        return gather(latents, window)

    monkeypatch.setattr(pipeline, "gather", watched)
    with two_devices() as open_device:
        for module in (pipeline, cinemo, wan_renderer):
            monkeypatch.setattr(module, "open_device", open_device)
        frames = drawn(asked)
    assert devices == {FAR}
    return frames


def test_a_motion_is_taken_on_the_second_device_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn = render("cinemo", tmp_path, prompt="hop")
    clip = np.random.default_rng(3).integers(0, 256, (7, *asked.reference.shape), np.uint8)
    asked = replace(asked, control=lambda span: iter(clip[span.start : span.stop]))
    expected = drawn(asked)
    found = far_frames(monkeypatch, replace(asked, device="cuda"), drawn)
    np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=1)


WAN = ("wan-animate", "wan-animate-replace")
LIBRARY = ("ipa-controlnet", "ipa-controlnet-video", "animatediff", *WAN, "wan-animate-2")
"""Renderers whose networks are diffusers'."""

HALF = dict.fromkeys((*WAN, "wan-animate-2"), (6.0, 255))
"""Levels of 255 that frames in a card's usual precision differ by, on average and at most.
Wan's is bfloat16, whose 8 bits some pixel of random networks shows in full."""


def library_render(name: str, folder: Path) -> tuple[RenderRequest, Drawn]:
    """The same for a renderer whose networks are diffusers'."""
    if name in WAN:
        asked = wan_request(write_tiny_wan(folder), 33, steps=2)
        replaces = name == "wan-animate-replace"
        weights = {**asked.weights, "blazepose": folder}
        return replace(asked, weights=weights), partial(draw, WanAnimate(replaces))
    if name == "wan-animate-2":
        return wan_2_request(write_tiny_wan_2(folder), 13), partial(draw, WanAnimate2())
    asked = tiny_renders.request(write_tiny_ip_adapter(folder), 6)
    preset = replace(
        asked.preset, renderer=name, steps=2, window=4, overlap=1, guidance=3.0,
        prompt="dancing", cfg_batch="on", dtype="float32",
    )  # fmt: skip
    made = {
        "ipa-controlnet": ip_adapter.controlnet,
        "ipa-controlnet-video": ip_adapter.controlnet_video,
        "animatediff": ip_adapter.animatediff,
    }[name]
    return replace(asked, preset=preset), partial(draw, made())


class MiddleMask:
    """A person in the middle of every frame, in the place of `PersonMasks`."""

    def __init__(self, motion: PoseSequence, folder: Path) -> None:
        pass

    def __call__(self, frame: int, picture: NDArray[np.uint8]) -> Mask:
        mask = np.zeros(picture.shape[:2], bool)
        mask[20:60, 10 + frame : 40 + frame] = True
        return mask


@pytest.fixture(autouse=True)
def middle_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wan_animate, "PersonMasks", MiddleMask)


def test_every_renderer_that_denoises_is_rendered_here() -> None:
    all_of_them = {name for name in RENDERERS if RENDERERS[name].denoises}
    assert all_of_them == {*NAMES, *LIBRARY}


Rendered = Callable[[str], tuple[RenderRequest, Drawn, NDArray[np.uint8]]]
"""Name of a renderer -> a request, what renders it, and its frames on the CPU."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Each is rendered on the CPU once, for all that render it on the other device."""

    @cache
    def of(name: str) -> tuple[RenderRequest, Drawn, NDArray[np.uint8]]:
        make = library_render if name in LIBRARY else render
        asked, drawn = make(name, tmp_path_factory.mktemp(name))
        return asked, drawn, drawn(asked)

    return of


@pytest.mark.parametrize("name", [*NAMES, *LIBRARY])
def test_in_the_usual_precision_of_a_card_nothing_is_mixed_and_frames_are_alike(
    name: str, rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn, expected = rendered(name)
    usual = replace(asked, device="cuda", preset=replace(asked.preset, dtype="auto"))
    apart = np.abs(far_frames(monkeypatch, usual, drawn) - expected.astype(int))
    mean, most = HALF.get(name, (1.5, 32))
    assert 0 < apart.mean() <= mean
    assert apart.max() <= most


@pytest.mark.parametrize("name", [*NAMES, *LIBRARY])
def test_networks_come_and_go_without_mixing_devices(
    name: str, rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn, expected = rendered(name)
    away = replace(asked, device="cuda", offload="networks")
    found = far_frames(monkeypatch, away, drawn).astype(int)
    np.testing.assert_allclose(found, expected.astype(int), rtol=0, atol=1)


def test_a_render_that_was_stopped_there_goes_on_with_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn = render("animate-anyone", tmp_path, sampler="dpmpp-2m", steps=3)
    asked = replace(asked, device="cuda")
    whole = far_frames(monkeypatch, asked, drawn)
    kept = tiny_renders.Kept(saves=2)
    with two_devices() as open_device:
        monkeypatch.setattr(pipeline, "open_device", open_device)
        with pytest.raises(KeyboardInterrupt):
            drawn(asked, kept)
        assert kept.arrays is not None
        assert int(kept.arrays["done"]) == 2
        assert np.array_equal(drawn(asked, kept), whole)
