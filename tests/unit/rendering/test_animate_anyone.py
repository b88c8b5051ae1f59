"""A picture and a motion become frames, with tiny random networks and the real path."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import TINY, write_tiny_weights
from builders.tiny_renders import PRESET, SIZE, Kept, render, request
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from animcli.errors import DeviceError, PresetError, WeightsError
from animcli.rendering import animate_anyone, kept, pipeline
from animcli.rendering.loading import load_autoencoder
from animcli.rendering.renderer import FrameFn, RenderRequest
from animcli.rendering.vae import Autoencoder, to_shown

CPU = torch.device("cpu")

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


STOPPED = replace(PRESET, windows="moving", sampler="dpmpp-2m")


@pytest.fixture(scope="module")
def unbroken(weights: dict[str, Path]) -> NDArray[np.uint8]:
    return render(request(weights, 10, STOPPED))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_render_that_was_stopped_goes_on_with_the_same_bits(
    weights: dict[str, Path], unbroken: NDArray[np.uint8], stop: int
) -> None:
    asked, kept = request(weights, 10, STOPPED), Kept(saves=stop)
    with pytest.raises(KeyboardInterrupt):
        render(asked, kept)
    assert np.array_equal(render(asked, kept), unbroken)


def test_frames_can_be_had_in_any_order(weights: dict[str, Path]) -> None:
    asked = request(weights, 6)
    source = TINY.prepare(asked, Kept(), lambda what, done, total: None)
    whole = list(source(range(6)))
    assert np.array_equal(next(iter(source(range(4, 5)))), whole[4])


@pytest.fixture(scope="module")
def usual(weights: dict[str, Path]) -> NDArray[np.uint8]:
    return render(request(weights, 17))


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
    weights: dict[str, Path], usual: NDArray[np.uint8], change: dict[str, object]
) -> None:
    other = render(request(weights, 17, replace(PRESET, **change)))
    assert not np.array_equal(usual, other)


def test_frames_differ_where_the_pose_does(weights: dict[str, Path]) -> None:
    asked = request(weights, 2)
    still = replace(asked.motion, points=np.repeat(asked.motion.points[:1], 2, axis=0))
    followed, stood = render(asked), render(replace(asked, motion=still))
    assert not np.array_equal(followed[1], stood[1])


def test_a_drawn_control_is_followed_instead_of_the_motion(
    weights: dict[str, Path],
) -> None:
    from animcli.rendering.animate_anyone import pose_pictures

    asked = request(weights, 3)
    picture = pose_pictures(asked)

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


@pytest.fixture
def poisoned(weights: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same weights, with one number in the UNet that isn't one."""
    folder = tmp_path / "animate-anyone"
    shutil.copytree(weights["animate-anyone"], folder)
    file = folder / "denoising_unet.safetensors"
    tensors = load_file(file)
    tensors["conv_out.bias"] = torch.full_like(tensors["conv_out.bias"], torch.nan)
    save_file(tensors, file)
    return weights | {"animate-anyone": folder}


def test_numbers_that_overflow_end_the_render_before_anything_is_kept_of_them(
    poisoned: dict[str, Path],
) -> None:
    kept = Kept()
    with pytest.raises(DeviceError, match="overflowed at step 1 of 3") as caught:
        render(request(poisoned, 2), kept)
    assert kept.arrays is None
    assert "--dtype float32" in caught.value.hint


def test_a_decoder_that_overflows_makes_no_black_frame() -> None:
    with pytest.raises(DeviceError, match="autoencoder's numbers overflowed"):
        to_shown(torch.tensor([0.0, torch.inf]))


def test_progress_ends_where_it_says(weights: dict[str, Path]) -> None:
    said: list[tuple[str, int, int]] = []
    asked = request(weights, 3)
    TINY.prepare(asked, Kept(), lambda what, done, total: said.append((what, done, total)))
    assert ("denoising", 3, 3) in said
    assert all(0 <= done <= total for _, done, total in said)


def picture_source(seed: int) -> FrameFn:
    """Frames of noise, always the same."""

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        for index in span:
            rng = np.random.default_rng([seed, index])
            yield rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)

    return frames


def started(weights: dict[str, Path], strength: float, frames: int = 3) -> RenderRequest:
    preset = replace(PRESET, steps=4, strength=strength)
    return replace(request(weights, frames, preset), start=picture_source(1))


def test_frames_to_start_from_decide_the_more_the_fewer_steps_are_done(
    weights: dict[str, Path],
) -> None:
    noise = replace(started(weights, 1.0), start=None)
    assert np.array_equal(render(started(weights, 1.0)), render(noise))
    others = replace(started(weights, 0.5), start=picture_source(2))
    assert not np.array_equal(render(started(weights, 0.5)), render(others))


def test_no_step_at_all_gives_the_frames_as_the_autoencoder_has_them(
    weights: dict[str, Path],
) -> None:
    vae = Autoencoder(load_autoencoder(weights["sd-vae-ft-mse"], CPU, torch.float32))
    asked = started(weights, 0.0)
    assert asked.start is not None
    expected = [vae.picture(vae.encode(frame)[0]) for frame in asked.start(range(3))]
    # One level, where a value lies between two: latents are summed with a weight of 1.
    assert np.abs(render(asked).astype(int) - np.stack(expected)).max() <= 1


@pytest.mark.parametrize(("strength", "steps"), [(0.25, 1), (0.5, 2), (0.75, 3)])
def test_only_a_part_of_the_steps_is_done(
    weights: dict[str, Path], strength: float, steps: int
) -> None:
    kept, said = Kept(), []
    asked = started(weights, strength)
    TINY.prepare(asked, kept, lambda what, done, of: said.append((what, done, of)))
    assert [done for what, done, _ in said if what == "denoising"] == list(
        range(4 - steps, 5)
    )


def test_key_frames_are_started_from_their_own_frames(weights: dict[str, Path]) -> None:
    asked = started(weights, 0.5, frames=5)
    asked = replace(asked, preset=replace(asked.preset, keyframe_interval=2))
    seen: list[int] = []
    source = asked.start
    assert source is not None

    def watched(span: range) -> Iterator[NDArray[np.uint8]]:
        seen.extend(span)
        return source(span)

    render(replace(asked, start=watched))
    assert seen == [0, 2, 4]


def test_clip_sees_the_picture_as_it_was_given(weights: dict[str, Path]) -> None:
    asked = request(weights, 2)
    same = replace(asked, original=asked.reference)
    assert np.array_equal(render(same), render(asked))
    wider = np.hstack([asked.reference, asked.reference[:, :40]])
    assert not np.array_equal(render(replace(asked, original=wider)), render(asked))


def test_no_room_for_the_autoencoder_is_told_with_what_to_do(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr(pipeline, "load_autoencoder", full)
    with pytest.raises(DeviceError, match="out of memory while loading the autoencoder"):
        render(request(weights, 2))


@pytest.fixture
def in_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and references stay from render to render, as in a slot of a batch."""
    monkeypatch.setattr(kept, "_kept", kept.Kept())


def test_the_next_render_of_a_character_loads_neither_clip_nor_its_reference_network(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = request(weights, 4), request(weights, 6, replace(PRESET, seed=3))
    stranger = replace(other, reference=255 - other.reference)
    expected = [render(each) for each in (first, other, stranger)]
    monkeypatch.setattr(kept, "_kept", kept.Kept())
    looked: list[str] = []
    for name in ("load_image_encoder", "reference_features"):
        whole = getattr(animate_anyone, name)
        monkeypatch.setattr(
            animate_anyone,
            name,
            lambda *given, name=name, whole=whole: looked.append(name) or whole(*given),
        )
    for each, frames in zip((first, other, stranger), expected, strict=True):
        kept.keep_weights()
        assert np.array_equal(render(each), frames)
    assert looked == ["load_image_encoder", "reference_features"] * 2  # not for `other`


@pytest.mark.usefixtures("in_a_slot")
def test_of_references_only_the_last_few_stay() -> None:
    made: list[int] = []

    def work_out(number: int) -> dict[str, torch.Tensor]:
        made.append(number)
        return {"is": torch.tensor(number)}

    for number in (*range(kept.MOST_REFERENCES), 0, kept.MOST_REFERENCES, 0, 1):
        found = kept.kept_by_content([torch.tensor(number)], lambda n=number: work_out(n))
        assert int(found["is"]) == number
    assert made == [*range(kept.MOST_REFERENCES), kept.MOST_REFERENCES, 1]


@pytest.mark.usefixtures("in_a_slot")
def test_when_memory_ends_weights_that_wait_for_another_render_go_first(
    weights: dict[str, Path],
) -> None:
    def files() -> set[str]:
        assert kept._kept is not None
        return {Path(key[0]).parent.name for key in kept._kept.tensors}

    kept.keep_weights()
    render(request(weights, 3))
    assert {"clip-image-encoder", "sd-vae-ft-mse"} <= files()
    vae = load_autoencoder(weights["sd-vae-ft-mse"], CPU, torch.float32)
    assert kept.let_go()
    assert files() == {"sd-vae-ft-mse"}  # which somebody has
    assert not kept.let_go()
    del vae
    assert kept.let_go()
