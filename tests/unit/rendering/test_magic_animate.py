"""A picture and a DensePose video become frames, with tiny random networks."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.tiny_networks import TINY_MAGIC, write_tiny_magic_weights
from numpy.typing import NDArray

from animcli.errors import PresetError
from animcli.presets import Preset
from animcli.rendering.renderer import RenderRequest

SIZE = (64, 72)
PRESET = Preset(
    "tiny", renderer="animate-anyone", width=SIZE[0], height=SIZE[1], steps=2, window=6,
    overlap=2, guidance=7.5, noise="tiled",
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_magic_weights(tmp_path_factory.mktemp("weights"))


class NoCheckpoint:
    """Keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        return None


def request(
    weights: Mapping[str, Path], frames: int, preset: Preset = PRESET
) -> RenderRequest:
    pictures = np.random.default_rng(2).integers(
        0, 256, (frames, SIZE[1], SIZE[0], 3), np.uint8
    )

    def control(span: range) -> Iterator[NDArray[np.uint8]]:
        yield from (pictures[index] for index in span)

    return RenderRequest(
        reference=np.random.default_rng(1).integers(
            0, 256, (SIZE[1], SIZE[0], 3), np.uint8
        ),
        reference_alpha=None,
        reference_pose=None,
        motion=None,
        control=control,
        frames=frames,
        size=SIZE,
        preset=preset,
        weights=weights,
        device="cpu",
    )


def render(asked: RenderRequest) -> NDArray[np.uint8]:
    source = TINY_MAGIC.prepare(asked, NoCheckpoint(), lambda what, done, total: None)
    return np.stack(list(source(range(asked.frames))))


def test_a_clip_of_any_length_is_rendered(weights: dict[str, Path]) -> None:
    frames = render(request(weights, 17))  # upstream wants multiples of 16
    assert frames.shape == (17, SIZE[1], SIZE[0], 3)
    assert len({frame.tobytes() for frame in frames}) == 17


def test_it_works_without_guidance(weights: dict[str, Path]) -> None:
    usual = render(request(weights, 7))
    without = render(request(weights, 7, replace(PRESET, guidance=1.0)))
    assert not np.array_equal(usual, without)


def test_frames_follow_the_control(weights: dict[str, Path]) -> None:
    asked = request(weights, 3)

    def negative(span: range) -> Iterator[NDArray[np.uint8]]:
        return (255 - picture for picture in asked.control(span))

    assert not np.array_equal(render(asked)[0], render(replace(asked, control=negative))[0])


def test_a_window_longer_than_the_motion_modules_know_is_refused(
    weights: dict[str, Path],
) -> None:
    with pytest.raises(PresetError, match=r"window 13.*at most 12"):
        render(request(weights, 14, replace(PRESET, window=13)))
