"""Whole renders on a second device, which never meets tensors of the first."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_cinemo
import test_magic_animate
import torch
from builders import tiny_renders
from builders.far_device import FAR, FarTensor, two_devices
from builders.tiny_cinemo import write_tiny_cinemo
from builders.tiny_networks import write_tiny_magic_weights, write_tiny_weights
from numpy.typing import NDArray

from animcli.presets import Preset
from animcli.rendering import cinemo, context, pipeline
from animcli.rendering.context import ContextWindow
from animcli.rendering.renderer import Offload, RenderRequest

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


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


def render(name: str, folder: Path, **changes: object) -> tuple[RenderRequest, object]:
    """A request, and what renders it."""
    preset_changes = {
        key: value for key, value in changes.items() if key in Preset.__dataclass_fields__
    }
    rest = {key: value for key, value in changes.items() if key not in preset_changes}
    if name == "animate-anyone":
        asked, draw = (
            tiny_renders.request(write_tiny_weights(folder), 11),
            tiny_renders.render,
        )
    elif name == "magic-animate":
        weights = write_tiny_magic_weights(folder)
        asked, draw = test_magic_animate.request(weights, 11), test_magic_animate.render
    else:
        asked, draw = test_cinemo.request(write_tiny_cinemo(folder), 7), test_cinemo.render
    preset = replace(asked.preset, **{"steps": 2, "dtype": "float32", **preset_changes})
    return replace(asked, preset=preset, **rest), draw


CASES = [
    ("animate-anyone", {"cfg_batch": "off"}),
    ("animate-anyone", {"cfg_batch": "on", "sampler": "dpmpp-2m"}),
    ("animate-anyone", {"sampler": "unipc", "guidance_rescale": 0.7, "windows": "moving"}),
    ("animate-anyone", {"keyframe_interval": 2, "sampler": "lcm", "guidance_stop": 0.4}),
    ("magic-animate", {"cfg_batch": "off"}),
    ("magic-animate", {"cfg_batch": "on", "sampler": "euler"}),
    ("cinemo", {"decoder": "temporal", "prompt": "hop"}),
    ("cinemo", {"decoder": "frame", "prompt": "hop", "cfg_batch": "on"}),
]


@pytest.mark.parametrize("offload", ["none", "networks"])
@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_whole_render_never_mixes_devices_and_gives_the_same_frames(
    name: str, changes: dict[str, object], offload: Offload, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked, draw = render(name, tmp_path, **changes)
    expected = draw(asked)
    found = far_frames(monkeypatch, replace(asked, device="cuda", offload=offload), draw)
    # A kernel may be another one for a tensor that says it is elsewhere.
    np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=1)


def far_frames(
    monkeypatch: pytest.MonkeyPatch, asked: RenderRequest, draw: object
) -> NDArray[np.uint8]:
    """The frames of a request on the second device; all windows were predicted there."""
    devices: set[torch.device] = set()
    gather = context.gather

    def watched(latents: torch.Tensor, window: ContextWindow) -> torch.Tensor:
        devices.add(latents.device)
        return gather(latents, window)

    monkeypatch.setattr(pipeline, "gather", watched)
    with two_devices() as open_device:
        for module in (pipeline, cinemo):
            monkeypatch.setattr(module, "open_device", open_device)
        frames = draw(asked)
    assert devices == {FAR}
    return frames


def test_a_motion_is_taken_on_the_second_device_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, draw = render("cinemo", tmp_path, prompt="hop")
    clip = np.random.default_rng(3).integers(0, 256, (7, *asked.reference.shape), np.uint8)
    asked = replace(asked, control=lambda span: iter(clip[span.start : span.stop]))
    expected = draw(asked)
    found = far_frames(monkeypatch, replace(asked, device="cuda"), draw)
    np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=1)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_render_that_was_stopped_there_goes_on_with_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    asked, draw = render("animate-anyone", tmp_path, sampler="dpmpp-2m", steps=3)
    asked = replace(asked, device="cuda")
    whole = far_frames(monkeypatch, asked, draw)
    kept = tiny_renders.Kept(saves=stop)
    with two_devices() as open_device:
        monkeypatch.setattr(pipeline, "open_device", open_device)
        with pytest.raises(KeyboardInterrupt):
            tiny_renders.render(asked, kept)
        assert kept.arrays is not None
        assert int(kept.arrays["done"]) == stop
        assert np.array_equal(tiny_renders.render(asked, kept), whole)
