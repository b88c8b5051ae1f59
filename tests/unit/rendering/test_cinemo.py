"""A picture and words become frames, with tiny random networks and the real path."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_cinemo import TINY_CINEMO, write_tiny_cinemo
from builders.tiny_renders import Kept
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
    AutoencoderKLTemporalDecoder,
)
from numpy.typing import NDArray

from animcli.errors import DeviceError, UsageError
from animcli.networks.unet import MotionUNet
from animcli.presets import Preset
from animcli.rendering import cinemo, vae
from animcli.rendering.guidance import Guidance
from animcli.rendering.renderer import RenderRequest
from animcli.rendering.vae import Autoencoder

SIZE = (40, 32)  # multiples of 8, and of no more
PRESET = Preset(
    "tiny", renderer="cinemo", width=SIZE[0], height=SIZE[1], steps=2, window=5,
    overlap=2, windows="moving", guidance=2.0, prompt="people walking",
    decoder="frame", refine=0.5, extend="continue",
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_cinemo(tmp_path_factory.mktemp("weights"))


def request(
    weights: dict[str, Path], frames: int = 6, preset: Preset = PRESET, clip: bool = False
) -> RenderRequest:
    """A picture of noise; `clip` has the motion of a spot that wanders over grey."""
    picture = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)

    def wandering(span: range) -> Iterator[NDArray[np.uint8]]:
        for index in span:
            frame = np.full_like(picture, 90)
            frame[10:20, 2 * index : 2 * index + 10] = 250
            yield frame

    return RenderRequest(
        reference=picture,
        reference_alpha=None,
        reference_pose=None,
        motion=None,
        control=wandering if clip else None,
        frames=frames,
        size=SIZE,
        preset=preset,
        weights=weights,
        device="cpu",
    )


Unbroken = tuple[RenderRequest, NDArray[np.uint8]]
"""A request, and its frames where nobody stops it."""


def render(asked: RenderRequest, kept: Kept | None = None) -> NDArray[np.uint8]:
    source = TINY_CINEMO.prepare(asked, kept or Kept(), lambda what, done, total: None)
    return np.stack(list(source(range(asked.frames))))


def test_a_picture_moves(weights: dict[str, Path]) -> None:
    frames = render(request(weights))
    assert frames.shape == (6, SIZE[1], SIZE[0], 3)
    assert frames.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) == 6


@pytest.mark.parametrize("extend", ["continue", "overlap"])
@pytest.mark.parametrize("decoder", ["temporal", "frame"])
def test_a_longer_clip_has_its_frames_in_any_order(
    weights: dict[str, Path], extend: str, decoder: str
) -> None:
    asked = request(weights, 17, replace(PRESET, extend=extend, decoder=decoder))
    source = TINY_CINEMO.prepare(asked, Kept(), lambda what, done, total: None)
    whole = list(source(range(17)))
    assert len({frame.tobytes() for frame in whole}) == 17
    for index in (15, 3, 16):
        assert np.array_equal(next(iter(source(range(index, index + 1)))), whole[index])


def test_a_longer_clip_begins_like_a_shorter_one(weights: dict[str, Path]) -> None:
    longer = render(request(weights, 9))
    assert np.array_equal(render(request(weights, 4)), longer[:4])
    assert np.array_equal(render(request(weights, 1)), longer[:1])


@pytest.fixture(scope="module")
def unbroken(weights: dict[str, Path]) -> Callable[[bool], Unbroken]:
    """By whether it has the motion of a clip."""

    @cache
    def of(clip: bool) -> Unbroken:
        asked = request(weights, 11, replace(PRESET, sampler="dpmpp-2m"), clip=clip)
        return asked, render(asked)

    return of


@pytest.mark.parametrize(
    ("clip", "stop"),  # two parts of two steps, and as many back
    [*((False, save) for save in range(1, 5)), *((True, save) for save in range(1, 9))],
)
def test_a_render_that_was_stopped_goes_on_with_the_same_bits(
    unbroken: Callable[[bool], Unbroken], clip: bool, stop: int
) -> None:
    asked, whole = unbroken(clip)
    kept = Kept(saves=stop)
    with pytest.raises(KeyboardInterrupt):
        render(asked, kept)
    assert np.array_equal(render(asked, kept), whole)


@pytest.fixture(scope="module")
def usual(weights: dict[str, Path]) -> NDArray[np.uint8]:
    return render(request(weights, 8))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43},
        {"guidance": 1.0},
        {"guidance_stop": 0.4},
        {"guidance_rescale": 0.7},
        {"noise": "shared"},
        {"sampler": "unipc"},
        {"steps": 3},
        {"window": 6},
        {"dtype": "bfloat16"},
        {"prompt": "a dog"},
        {"negative_prompt": "low quality"},
        {"motion_strength": 20},
        {"motion_bucket": 8.0},
        {"refine": 0.25},
        {"refine_timestep": 300},
        {"extend": "overlap"},
        {"decoder": "temporal"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_key_of_the_preset_is_heard(
    weights: dict[str, Path], usual: NDArray[np.uint8], change: dict[str, object]
) -> None:
    other = render(request(weights, 8, replace(PRESET, **change)))
    assert not np.array_equal(usual, other)


@pytest.mark.parametrize(
    "change", [{"overlap": 4}, {"windows": "uniform"}], ids=["overlap", "windows"]
)
def test_keys_about_windows_are_heard_where_they_overlap(
    weights: dict[str, Path], change: dict[str, object]
) -> None:
    overlapping = replace(PRESET, extend="overlap")
    usual = render(request(weights, 12, overlapping))
    other = render(request(weights, 12, replace(overlapping, **change)))
    assert not np.array_equal(usual, other)


def test_a_strength_is_a_hundred_less_the_number_that_the_network_hears(
    weights: dict[str, Path],
) -> None:
    strength = render(request(weights, 3, replace(PRESET, motion_strength=15)))
    number = render(request(weights, 3, replace(PRESET, motion_bucket=85.0)))
    assert np.array_equal(strength, number)


def test_the_motion_of_a_clip_is_taken(weights: dict[str, Path]) -> None:
    preset = replace(PRESET, guidance=1.0, prompt="", steps=4)
    taken = render(request(weights, 6, preset, clip=True))
    assert not np.array_equal(taken, render(request(weights, 6, preset)))
    other = replace(preset, source_prompt="a spot")
    assert not np.array_equal(taken, render(request(weights, 6, other, clip=True)))


def test_a_prompt_that_clip_cannot_read_to_its_end_is_refused(
    weights: dict[str, Path],
) -> None:
    preset = replace(PRESET, prompt="a very " * 40)
    with pytest.raises(UsageError, match=r"tokens, CLIP reads 75"):
        render(request(weights, 2, preset))


def test_progress_counts_all_parts(weights: dict[str, Path]) -> None:
    said: list[tuple[str, int, int]] = []
    asked = request(weights, 11, clip=True)
    TINY_CINEMO.prepare(asked, Kept(), lambda *line: said.append(line))
    done = [done for what, done, _ in said if what == "denoising"]
    assert done == [0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8]  # and before each first step
    assert {total for what, _, total in said if what == "denoising"} == {8}


@pytest.mark.parametrize("words", ["", "a dog"])
def test_guidance_that_changes_nothing_is_left_out_with_the_same_bits(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    alike = replace(PRESET, prompt=words, negative_prompt=words, guidance=7.5)
    asked = request(weights, preset=alike)
    calls: list[int] = []
    forward = MotionUNet.forward

    def counted(self: MotionUNet, *given: object, **more: object) -> torch.Tensor:
        calls.append(1)
        return forward(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(MotionUNet, "forward", counted)
    without = render(asked)
    once = len(calls)
    plain = Guidance(alike.guidance)
    monkeypatch.setattr(Guidance, "of", classmethod(lambda cls, preset: plain))
    with_it = render(asked)
    assert len(calls) - once == 2 * once
    assert np.array_equal(without, with_it)


class Cramped:
    """A decoder over time that fits no more than some frames at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fits: int) -> None:
        self.lengths: list[int] = []
        whole = AutoencoderKLTemporalDecoder.decode

        def decode(network: object, latents: torch.Tensor, num_frames: int) -> object:
            self.lengths.append(num_frames)
            if num_frames > fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(network, latents, num_frames=num_frames)

        monkeypatch.setattr(AutoencoderKLTemporalDecoder, "decode", decode)


@pytest.fixture
def long(weights: dict[str, Path]) -> RenderRequest:
    preset = replace(PRESET, window=15, steps=1, decoder="temporal", prompt="hop")
    return request(weights, 16, preset)


def test_a_decoder_without_memory_takes_fewer_frames_and_no_step_is_lost(
    long: RenderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    cramped, kept = Cramped(monkeypatch, fits=4), Kept()
    frames = render(replace(long, note=said.append), kept)
    assert frames.shape == (16, SIZE[1], SIZE[0], 3)
    assert cramped.lengths == [14, 7, 4, 4, 4, 4]
    assert len(said) == 2
    assert kept.arrays is not None
    assert int(kept.arrays["done"]) == 1  # the steps are still there
    cramped.lengths.clear()
    assert np.array_equal(render(long, kept), frames)  # which goes on with what fitted
    assert cramped.lengths == [4, 4, 4, 4]


def test_not_even_one_frame_is_an_error_with_a_way_out(
    long: RenderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    with monkeypatch.context() as patch:
        Cramped(patch, fits=0)
        with pytest.raises(DeviceError, match="out of memory while decoding") as caught:
            render(long, kept)
    assert "the same command goes on" in caught.value.hint
    monkeypatch.setattr(MotionUNet, "forward", None)  # not a step is made again
    assert render(long, kept).shape == (16, SIZE[1], SIZE[0], 3)


def test_a_picture_is_encoded_in_full_and_decoded_in_half_precision(
    weights: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    used: list[tuple[str, torch.dtype]] = []

    class Watched(Autoencoder):
        def encode(self, picture: NDArray[np.uint8]) -> torch.Tensor:
            used.append(("encode", next(self.network.parameters()).dtype))
            return super().encode(picture)

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            used.append(("decode", next(self.network.parameters()).dtype))
            return super().decode(latents)

    monkeypatch.setattr(cinemo, "Autoencoder", Watched)
    monkeypatch.setattr(vae, "Autoencoder", Watched)
    monkeypatch.setattr(cinemo, "vae_dtype", lambda device, dtype: torch.bfloat16)
    render(request(weights, 2))
    half = [("decode", torch.bfloat16)] * 2
    assert used == [("encode", torch.float32), *half]
    assert caplog.records == []  # of which nobody needs to be warned
