"""A picture and a motion become frames, with tiny random networks and the real path."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.tiny_networks import TINY, write_tiny_weights
from builders.tiny_renders import PRESET, SIZE, Kept, render, request

from animcli.errors import DeviceError, PresetError, WeightsError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_weights(tmp_path_factory.mktemp("weights"))


def test_a_clip_of_several_windows_is_rendered(weights: dict[str, Path]) -> None:
    frames = render(request(weights, 19))
    assert frames.shape == (19, SIZE[1], SIZE[0], 3)
    assert frames.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) == 19


def test_the_same_request_gives_the_same_bits(weights: dict[str, Path]) -> None:
    asked = request(weights, 5)
    assert np.array_equal(render(asked), render(asked))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_render_that_was_stopped_goes_on_with_the_same_bits(
    weights: dict[str, Path], stop: int
) -> None:
    asked = request(weights, 10, replace(PRESET, windows="moving", sampler="dpmpp-2m"))
    kept = Kept(saves=stop)
    with pytest.raises(KeyboardInterrupt):
        render(asked, kept)
    assert np.array_equal(render(asked, kept), render(asked))


def test_frames_can_be_had_in_any_order(weights: dict[str, Path]) -> None:
    asked = request(weights, 6)
    source = TINY.prepare(asked, Kept(), lambda what, done, total: None)
    whole = list(source(range(6)))
    assert np.array_equal(next(iter(source(range(4, 5)))), whole[4])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43},
        {"guidance": 1.0},
        {"guidance_stop": 0.4},
        {"guidance_rescale": 0.7},
        {"windows": "moving"},
        {"noise": "shared"},
        {"sampler": "unipc"},
        {"steps": 2},
        {"window": 10},
        {"overlap": 4},
        {"stride": 2},
        {"dtype": "bfloat16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_key_of_the_preset_is_heard(
    weights: dict[str, Path], change: dict[str, object]
) -> None:
    usual, other = PRESET, replace(PRESET, **change)
    assert not np.array_equal(
        render(request(weights, 17, usual)), render(request(weights, 17, other))
    )


def test_frames_differ_where_the_pose_does(weights: dict[str, Path]) -> None:
    asked = request(weights, 2)
    still = replace(asked.motion, points=np.repeat(asked.motion.points[:1], 2, axis=0))
    followed, stood = render(asked), render(replace(asked, motion=still))
    assert not np.array_equal(followed[1], stood[1])


def test_a_drawn_control_is_followed_instead_of_the_motion(
    weights: dict[str, Path],
) -> None:
    from animcli.rendering.animate_anyone import drawn

    asked = request(weights, 3)
    picture = drawn(asked)

    def control(span: range):  # noqa: ANN202
        return (picture(index) for index in span)

    controlled = replace(asked, motion=None, control=control)
    assert np.array_equal(render(controlled), render(asked))


def test_a_window_longer_than_the_motion_modules_know_is_refused(
    weights: dict[str, Path],
) -> None:
    preset = replace(PRESET, window=17)
    with pytest.raises(PresetError, match=r"window 17.*at most 16"):
        render(request(weights, 20, preset))


def test_a_device_that_is_not_here_is_refused(weights: dict[str, Path]) -> None:
    with pytest.raises(DeviceError, match=r"cuda:9|CUDA"):
        render(replace(request(weights, 2), device="cuda:9"))


def test_weights_of_another_network_are_refused_by_name(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "animate-anyone"
    folder.mkdir()
    for file in weights["animate-anyone"].iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "reference_unet.safetensors").unlink()
    (folder / "reference_unet.safetensors").symlink_to(
        weights["animate-anyone"] / "pose_guider.safetensors"
    )
    asked = request(weights | {"animate-anyone": folder}, 2)
    with pytest.raises(WeightsError, match=r"reference_unet.safetensors doesn't fit"):
        render(asked)


def test_progress_ends_where_it_says(weights: dict[str, Path]) -> None:
    said: list[tuple[str, int, int]] = []
    asked = request(weights, 3)
    TINY.prepare(asked, Kept(), lambda what, done, total: said.append((what, done, total)))
    assert ("denoising", 3, 3) in said
    assert all(0 <= done <= total for _, done, total in said)
