"""Wan-Animate: our loop, segment after segment, over diffusers' networks."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.tiny_renders import Kept
from builders.tiny_wan import FOOTAGE, footage, wan_request, write_tiny_wan
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import DeviceError, PresetError, UsageError, WeightsError
from animcli.pose.draw import draw_wan_pose
from animcli.pose.face import cut_face, face_boxes
from animcli.pose.person_mask import MaskShape, PersonMasks
from animcli.presets import Preset
from animcli.rendering import kept
from animcli.rendering.newest import wan_animate, wan_parts, wan_renderer
from animcli.rendering.newest.wan_memory import WanShape, refuse_cpu
from animcli.rendering.newest.wan_parts import (
    encode_clip_image,
    fit_wan_colours,
    latent_statistics,
    open_part,
    open_wan_vae,
)
from animcli.rendering.preview import by_colours, kept_pictures, look_at
from animcli.rendering.renderer import Preview, RenderRequest
from animcli.rendering.schedulers import FlowSchedule, make_scheduler
from animcli.video.images import read_picture

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")
CPU = torch.device("cpu")
FRAMES = 33  # two segments of 17, of which one frame is carried


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_wan(tmp_path_factory.mktemp("weights"))


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def frames_of(asked: RenderRequest, kept: Kept | None = None) -> NDArray[np.uint8]:
    source = wan_animate.animate().prepare(asked, kept or Kept(), silent)
    return np.stack(list(source(range(asked.frames))))


def theirs(asked: RenderRequest, **more: Any) -> Any:
    """What the library's pipeline makes of the same request."""
    from diffusers.models.transformers.transformer_wan_animate import (
        WanAnimateTransformer3DModel,
    )
    from diffusers.pipelines.wan.pipeline_wan_animate import WanAnimatePipeline

    folder, preset, motion = asked.weights["wan-animate"], asked.preset, asked.motion
    pipeline = WanAnimatePipeline(
        tokenizer=None,
        text_encoder=None,
        image_processor=None,
        image_encoder=None,
        vae=open_wan_vae(folder, CPU),
        scheduler=make_scheduler(preset.sampler, FlowSchedule(preset.shift)),
        transformer=open_part(
            WanAnimateTransformer3DModel, folder, "transformer", torch.float32, CPU
        ),
    )
    pipeline.set_progress_bar_config(disable=True)
    pixels = pipeline.vae_image_processor.preprocess(
        Image.fromarray(asked.reference), height=asked.size[1], width=asked.size[0]
    )
    features = encode_clip_image(folder, pixels, CPU, torch.float32)
    pipeline.encode_image = lambda image, device: features  # the authors' way, not its own
    assert motion is not None
    assert asked.source_motion is not None
    assert asked.prompt_embeds is not None
    boxes = face_boxes(asked.source_motion)
    assert boxes is not None
    words = torch.from_numpy(asked.prompt_embeds)
    return pipeline(
        image=Image.fromarray(asked.reference),
        pose_video=[
            Image.fromarray(
                draw_wan_pose(p, s, asked.size, threshold=motion.draw_threshold)
            )
            for p, s in zip(motion.points, motion.scores, strict=True)
        ],
        face_video=[
            Image.fromarray(cut_face(frame, box))
            for frame, box in zip(footage(range(asked.frames)), boxes, strict=True)
        ],
        height=asked.size[1],
        width=asked.size[0],
        segment_frame_length=preset.segment,
        num_inference_steps=preset.steps,
        prev_segment_conditioning_frames=preset.carry,
        guidance_scale=preset.guidance,
        generator=torch.Generator().manual_seed(preset.seed),
        prompt_embeds=words[1:],
        negative_prompt_embeds=words[:1],
        return_dict=False,
        **more,
    )[0]


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"guidance": 2.0, "sampler": "dpmpp-2m", "carry": 5},
    ],
    ids=["", "guidance, five carried"],
)  # fmt: skip
def test_two_segments_equal_the_pipelines_own_call(
    weights: dict[str, Path], changes: dict[str, Any]
) -> None:
    asked, kept = wan_request(weights, FRAMES, **changes), Kept()
    ours = frames_of(asked, kept)
    frames = theirs(asked)[0]
    assert np.array_equal(ours, (frames * 255).round().astype(np.uint8))
    assert kept.arrays is not None
    last = torch.from_numpy(kept.arrays["latents"]).transpose(0, 1)[None]
    vae = open_wan_vae(asked.weights["wan-animate"], CPU)
    mean, deviation = (
        torch.tensor(x).view(1, -1, 1, 1, 1)
        for x in (vae.config.latents_mean, vae.config.latents_std)
    )
    assert torch.equal(last / (1.0 / deviation) + mean, theirs(asked, output_type="latent"))


@pytest.fixture(scope="module")
def unbroken(weights: dict[str, Path]) -> NDArray[np.uint8]:
    """Two segments of two steps each, which nobody stopped."""
    return frames_of(wan_request(weights, FRAMES, steps=2))


def test_a_stop_at_any_step_of_any_segment_ends_in_the_same_frames(
    weights: dict[str, Path], unbroken: NDArray[np.uint8]
) -> None:
    asked = wan_request(weights, FRAMES, steps=2)
    for stop in range(1, 5):
        kept = Kept(stop)
        with pytest.raises(KeyboardInterrupt):
            frames_of(asked, kept)
        assert np.array_equal(frames_of(asked, kept), unbroken)


def test_a_render_stopped_at_every_step_in_turn_ends_in_the_same_frames(
    weights: dict[str, Path], unbroken: NDArray[np.uint8]
) -> None:
    asked, kept = wan_request(weights, FRAMES, steps=2), Kept()
    stops = 0
    while True:
        kept.saves = 1
        try:
            ended = frames_of(asked, kept)
        except KeyboardInterrupt:
            stops += 1
        else:
            break
    assert stops == 4
    assert np.array_equal(ended, unbroken)


def test_each_step_keeps_what_its_segment_would_look_like(
    weights: dict[str, Path], unbroken: NDArray[np.uint8], tmp_path: Path
) -> None:
    asked, seen = wan_request(weights, FRAMES, steps=2), []
    for stop in range(1, 5):
        kept = Kept(stop)
        path = tmp_path / f"{stop}.png"
        with pytest.raises(KeyboardInterrupt):
            frames_of(replace(asked, preview=Preview(path)), kept)
        assert kept.arrays is not None
        frames = kept_pictures(kept.arrays)
        assert len(frames) == 5  # latents of 17 frames, without the reference's
        strip = np.concatenate(frames, axis=1)
        assert np.array_equal(read_picture(path).pixels, strip)
        assert strip.shape[0] == asked.size[1] // 8
        seen.append(strip)
    assert len({each.tobytes() for each in seen}) == 4
    shown = frames_of(replace(asked, preview=Preview(tmp_path / "all.png")))
    assert np.array_equal(shown, unbroken)


def test_colours_are_fitted_once_somebody_looks(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []
    fit = wan_renderer.fit_wan_colours

    def counted(vae: Any, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        fitted.append(1)
        return fit(vae, picture)

    monkeypatch.setattr(wan_renderer, "fit_wan_colours", counted)
    asked, kept = wan_request(weights, 17, steps=2), Kept(1)
    with pytest.raises(KeyboardInterrupt):
        frames_of(asked, kept)
    assert look_at(kept) == []
    assert fitted == []
    frames_of(asked, kept)
    assert fitted == [1]
    assert len(look_at(kept)) == 5


def test_frames_without_memory_are_decoded_in_tiles_and_pictures_encoded_whole(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, said, tiled = wan_request(weights, 17, steps=2), list[str](), list[bool]()
    whole = frames_of(asked)  # small enough for one tile
    decode = wan_parts.decode_latents
    room = [False]

    def cramped(vae: Any, latents: torch.Tensor) -> torch.Tensor:
        tiled.append(vae.use_tiling)
        if not vae.use_tiling or not room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return decode(vae, latents)

    monkeypatch.setattr(wan_parts, "decode_latents", cramped)
    kept = Kept()
    with pytest.raises(DeviceError, match="out of memory while decoding") as caught:
        frames_of(replace(asked, note=said.append), kept)
    assert "no step is lost" in caught.value.hint
    assert tiled == [False, True]
    assert said == ["memory ended: frames are decoded in tiles from here on"]
    room[0] = True
    monkeypatch.setattr(wan_animate, "predictor", None)  # not a step is made again
    assert np.array_equal(frames_of(asked, kept), whole)
    assert tiled[2:] == [True] * 2  # for its last frames, and for all


def test_a_picture_has_its_own_colours_again(weights: dict[str, Path]) -> None:
    vae = open_wan_vae(weights["wan-animate"], CPU)
    picture = np.zeros((96, 64, 3), np.uint8)
    picture[:48], picture[48:, :32] = (200, 40, 40), (30, 60, 220)
    colours = fit_wan_colours(vae, picture)
    assert colours.shape == (17, 3)
    latents = vae.encode(
        torch.tensor(picture / 127.5 - 1).float().permute(2, 0, 1)[None, :, None]
    )
    mean, deviation = latent_statistics(vae, torch.zeros(1))
    clean = ((latents.latent_dist.mode() - mean) / deviation)[0].transpose(0, 1)
    seen = by_colours(clean.detach().numpy(), colours)
    small = picture.reshape(12, 8, 8, 8, 3).mean(axis=(1, 3))
    alike = small.mean(axis=(0, 1))
    assert ((seen - small) ** 2).mean() < ((alike - small) ** 2).mean()


Segment = Callable[..., NDArray[np.uint8]]
"""Changes of the preset -> the frames of one segment."""


@pytest.fixture(scope="module")
def segment(weights: dict[str, Path]) -> Segment:
    """Each is rendered once, for all tests that compare with it."""
    return cache(lambda **changes: frames_of(wan_request(weights, 17, **changes)))


def test_a_longer_clip_begins_like_a_shorter_one(
    weights: dict[str, Path], segment: Segment
) -> None:
    longer = frames_of(wan_request(weights, FRAMES))
    assert np.array_equal(segment(), longer[:17])


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": 255 - wan_request({}, 2).reference},
        {
            "motion": replace(
                wan_request({}, 17).motion, scores=np.zeros((17, 134), np.float32)
            )
        },
        {"footage": lambda span: footage(range(span.start + 50, span.stop + 50))},
        {"prompt_embeds": np.ones((2, 512, 32), np.float32)},
        {"preset": wan_request({}, 17, seed=9).preset},
        {"preset": wan_request({}, 17, shift=2.0).preset},
    ],
    ids=["reference", "motion", "face", "words", "seed", "shift"],
)
def test_every_input_counts(
    weights: dict[str, Path], segment: Segment, changes: dict[str, Any]
) -> None:
    asked = replace(wan_request(weights, 17), **changes)
    assert not np.array_equal(frames_of(asked), segment())


def test_without_a_face_it_is_said_and_the_face_is_black(weights: dict[str, Path]) -> None:
    notes: list[str] = []
    asked = wan_request(weights, 17)
    faceless = replace(asked, footage=None, source_motion=None, note=notes.append)
    black = replace(
        asked, footage=lambda span: (np.zeros((80, 60, 3), np.uint8) for _ in span)
    )
    assert np.array_equal(frames_of(faceless), frames_of(black))
    assert notes == [wan_animate.FACE_UNSEEN]


@pytest.mark.parametrize("offload", ["networks", "blocks", "layers"])
def test_what_leaves_the_device_changes_no_bit(
    weights: dict[str, Path], segment: Segment, offload: Any
) -> None:
    asked = wan_request(weights, 17, steps=2)
    found = frames_of(replace(asked, offload=offload))
    assert np.array_equal(found, segment(steps=2))


def test_a_single_frame_a_size_and_a_sampler_are_refused(weights: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no single frame"):
        frames_of(wan_request(weights, 1))
    with pytest.raises(PresetError, match="multiples of 16"):
        frames_of(wan_request(weights, 17, width=72))
    with pytest.raises(PresetError, match="ddim"):
        frames_of(wan_request(weights, 17, sampler="ddim"))


def test_a_folder_without_a_part_is_named(weights: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    whole = weights["wan-animate"] / "transformer" / "config.json"
    (tmp_path / "transformer" / "config.json").write_bytes(whole.read_bytes())
    with pytest.raises(WeightsError, match="has no vae"):
        frames_of(wan_request({"wan-animate": tmp_path}, 17))


def test_a_cpu_is_refused_with_the_hours_it_would_take() -> None:
    preset = Preset(
        "wan", renderer="wan-animate", width=512, height=768, steps=20, guidance=1
    )
    with pytest.raises(DeviceError, match=r"\d hours a call .* days for a segment of 77"):
        refuse_cpu(WanShape(), preset)


def test_the_work_of_a_step_is_that_of_the_table() -> None:
    for width, height, flops in (
        (480, 832, 1.66e15), (512, 768, 1.62e15), (640, 800, 2.45e15), (720, 1280, 6.49e15),
    ):  # fmt: skip
        preset = Preset("wan", renderer="wan-animate", width=width, height=height)
        assert WanShape().step_flops(preset) == pytest.approx(flops, rel=0.01)
    assert WanShape().parameters == pytest.approx(17.275e9, rel=1e-3)


def test_crops_come_from_the_video_at_its_own_size(weights: dict[str, Path]) -> None:
    asked = wan_request(weights, 17)
    assert asked.source_motion is not None
    assert asked.source_motion.size == FOOTAGE != asked.size


def test_replacing_a_person_equals_the_pipelines_own_call(
    weights: dict[str, Path], blazepose_models: Path
) -> None:
    both = {**weights, "blazepose": blazepose_models}
    asked = wan_request(both, FRAMES, steps=2)
    motion, control, preset = asked.motion, asked.control, asked.preset
    assert motion is not None
    assert control is not None
    source = wan_animate.replace_person().prepare(asked, Kept(), silent)
    ours = np.stack(list(source(range(FRAMES))))
    person, shape = PersonMasks(motion, blazepose_models), MaskShape(preset.mask_grow)
    pictures = list(control(range(FRAMES)))
    masks = [shape.widen(person(i, picture)) for i, picture in enumerate(pictures)]
    assert 0 < np.mean(masks) < 1
    frames = theirs(
        asked,
        mode="replace",
        background_video=[
            Image.fromarray(np.where(mask[..., None], np.uint8(0), picture))
            for picture, mask in zip(pictures, masks, strict=True)
        ],
        mask_video=[Image.fromarray(mask.astype(np.uint8) * 255) for mask in masks],
    )[0]
    assert np.array_equal(ours, (frames * 255).round().astype(np.uint8))
    assert not np.array_equal(ours, frames_of(asked))


def test_renders_of_one_process_encode_a_picture_once(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(kind: Any, folder: Path, part: str, *where: Any) -> Any:
        opened.append(part)
        return open_part(kind, folder, part, *where)

    monkeypatch.setattr(wan_parts, "open_part", counted)
    monkeypatch.setattr(kept, "_kept", None)
    kept.keep_weights()
    folder = weights["wan-animate"]
    one, other = torch.rand(2, 1, 3, 8, 8)
    states = [
        wan_parts.encode_clip_image(folder, pixels, CPU, torch.float32)
        for pixels in (one, one, other)
    ]
    assert opened == ["image_encoder"] * 2
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
