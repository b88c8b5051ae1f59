"""IP-Adapter, ControlNet and AnimateDiff: our loop over diffusers' networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.tiny_ip_adapter import write_tiny_ip_adapter
from builders.tiny_renders import SIZE, Kept, request
from PIL import Image

from animcli.pose.draw import draw_pose
from animcli.presets import Preset
from animcli.rendering.animate_anyone import encode_image
from animcli.rendering.cinemo import encode_prompts
from animcli.rendering.loading import load_autoencoder, load_image_encoder
from animcli.rendering.newest import ip_adapter
from animcli.rendering.newest.ip_adapter import ADAPTER, IPAdapter, add_ip_adapter
from animcli.rendering.noise import clip_noise
from animcli.rendering.pipeline import DenoisingContext
from animcli.rendering.preview import kept_pictures, look_at
from animcli.rendering.renderer import Preview, RenderRequest
from animcli.rendering.schedulers import make_scheduler
from animcli.video.images import read_picture

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")
CPU = torch.device("cpu")
FRAMES = 4
SKELETON = Preset(
    "tiny", renderer="ipa-controlnet-video", width=SIZE[0], height=SIZE[1], steps=3,
    window=FRAMES, overlap=1, guidance=3.0, prompt="dancing", negative_prompt="still",
    cfg_batch="on", reference_scale=0.6, pose_scale=0.8,
)  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_ip_adapter(tmp_path_factory.mktemp("weights"))


def asked_for(
    weights: dict[str, Path], frames: int = FRAMES, **changes: Any
) -> RenderRequest:
    return request(weights, frames, replace(SKELETON, **changes))


def latents(
    renderer: IPAdapter, asked: RenderRequest, kept: Kept | None = None
) -> torch.Tensor:
    """What the loop ends with, (frames, c, h, w)."""
    kept = kept or Kept()
    renderer.prepare(asked, kept, lambda what, done, total: None)
    assert kept.arrays is not None
    return torch.from_numpy(kept.arrays["latents"])


def told(asked: RenderRequest, renderer: IPAdapter) -> dict[str, Any]:
    """What the library's pipelines are called with."""
    preset, folders = asked.preset, asked.weights
    words = (preset.negative_prompt, preset.prompt)
    without, with_words = encode_prompts(folders["sd15"], words, CPU, torch.float32)
    encoder = load_image_encoder(
        folders["ip-adapter"] / "image_encoder", CPU, torch.float32
    )
    picture = encode_image(encoder, asked.reference)
    return {
        "prompt_embeds": with_words[None],
        "negative_prompt_embeds": without[None],
        "ip_adapter_image_embeds": [torch.cat([torch.zeros_like(picture), picture])],
        "num_inference_steps": preset.steps,
        "guidance_scale": preset.guidance,
        "output_type": "latent",
        "return_dict": False,
        "width": SIZE[0],
        "height": SIZE[1],
    }


def parts(asked: RenderRequest, renderer: IPAdapter) -> dict[str, Any]:
    """The components of the library's pipelines, but for the networks of one kind."""
    unet = renderer.open_unet(asked.weights, torch.float32)
    add_ip_adapter(
        unet, asked.weights["ip-adapter"] / ADAPTER, asked.preset.reference_scale
    )
    scheduler = make_scheduler("ddim", renderer.schedule)
    vae = load_autoencoder(asked.weights["sd-vae-ft-mse"], CPU, torch.float32)
    return {
        "unet": unet,
        "scheduler": scheduler,
        "vae": vae,
        "text_encoder": None,
        "tokenizer": None,
    }


def skeletons(asked: RenderRequest) -> list[Image.Image]:
    motion = asked.motion
    assert motion is not None
    return [
        Image.fromarray(draw_pose(points, scores, SIZE, threshold=motion.draw_threshold))
        for points, scores in zip(motion.points, motion.scores, strict=True)
    ]


def noise_of(asked: RenderRequest) -> torch.Tensor:
    shape = (4, SIZE[1] // 8, SIZE[0] // 8)
    return clip_noise(asked.preset.noise, asked.frames, shape, asked.preset.seed)


def open_controlnet(asked: RenderRequest) -> torch.nn.Module:
    from diffusers.models.controlnets.controlnet import ControlNetModel

    folder = asked.weights["controlnet-openpose"]
    return ip_adapter.open_frozen(ControlNetModel, folder, CPU, torch.float32)


def test_the_video_baseline_equals_the_pipelines_own_call(weights: dict[str, Path]) -> None:
    from diffusers.pipelines.animatediff.pipeline_animatediff_controlnet import (
        AnimateDiffControlNetPipeline,
    )

    renderer, asked = ip_adapter.controlnet_video(), asked_for(weights)
    pipeline = AnimateDiffControlNetPipeline(
        **parts(asked, renderer), motion_adapter=None, controlnet=open_controlnet(asked)
    )
    pipeline.set_progress_bar_config(disable=True)
    (theirs,) = pipeline(
        **told(asked, renderer),
        conditioning_frames=skeletons(asked),
        num_frames=FRAMES,
        latents=noise_of(asked).transpose(0, 1)[None],
        controlnet_conditioning_scale=asked.preset.pose_scale,
    )
    assert torch.equal(latents(renderer, asked), theirs[0].transpose(0, 1))


def test_animatediff_equals_the_pipelines_own_call(weights: dict[str, Path]) -> None:
    from diffusers.pipelines.animatediff.pipeline_animatediff import AnimateDiffPipeline

    renderer = ip_adapter.animatediff()
    asked = replace(asked_for(weights, renderer="animatediff"), motion=None)
    pipeline = AnimateDiffPipeline(**parts(asked, renderer), motion_adapter=None)
    pipeline.set_progress_bar_config(disable=True)
    (theirs,) = pipeline(
        **told(asked, renderer),
        num_frames=FRAMES,
        latents=noise_of(asked).transpose(0, 1)[None],
    )
    assert torch.equal(latents(renderer, asked), theirs[0].transpose(0, 1))


def test_a_frame_alone_equals_the_pipelines_own_call(weights: dict[str, Path]) -> None:
    from diffusers.pipelines.controlnet.pipeline_controlnet import (
        StableDiffusionControlNetPipeline,
    )

    renderer = ip_adapter.controlnet()
    asked = asked_for(weights, 2, renderer="ipa-controlnet", window=1, overlap=0)
    pipeline = StableDiffusionControlNetPipeline(
        **parts(asked, renderer),
        controlnet=open_controlnet(asked),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    ours = latents(renderer, asked)
    for frame in range(2):
        theirs, _ = pipeline(
            **told(asked, renderer),
            image=skeletons(asked)[frame],
            latents=noise_of(asked)[frame : frame + 1],
            controlnet_conditioning_scale=asked.preset.pose_scale,
        )
        assert torch.equal(ours[frame], theirs[0])


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_render_in_windows_goes_on_to_the_same_latents(
    weights: dict[str, Path], stop: int
) -> None:
    renderer, asked = ip_adapter.controlnet_video(), asked_for(weights, 9, sampler="unipc")
    unbroken = latents(renderer, asked)
    kept = Kept(stop)
    with pytest.raises(KeyboardInterrupt):
        latents(renderer, asked, kept)
    assert torch.equal(latents(renderer, asked, kept), unbroken)
    assert len({frame.numpy().tobytes() for frame in unbroken}) == 9


@pytest.fixture(scope="module")
def usual(weights: dict[str, Path]) -> torch.Tensor:
    return latents(ip_adapter.controlnet_video(), asked_for(weights))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "walking"}, {"negative_prompt": "blurred"}, {"reference_scale": 0.1},
        {"pose_scale": 0.1}, {"seed": 7}, {"guidance": 1.5},
    ],
)  # fmt: skip
def test_every_key_changes_the_result(
    weights: dict[str, Path], usual: torch.Tensor, changes: dict[str, Any]
) -> None:
    renderer = ip_adapter.controlnet_video()
    assert not torch.equal(latents(renderer, asked_for(weights, **changes)), usual)


def test_the_reference_and_the_motion_change_the_result(
    weights: dict[str, Path], usual: torch.Tensor
) -> None:
    renderer, asked = ip_adapter.controlnet_video(), asked_for(weights)
    other = replace(asked, reference=255 - asked.reference)
    assert not torch.equal(latents(renderer, other), usual)
    assert asked.motion is not None
    moved = replace(asked.motion, points=asked.motion.points[::-1].copy())
    assert not torch.equal(latents(renderer, replace(asked, motion=moved)), usual)


def test_frames_come_out_at_the_size_of_the_result(weights: dict[str, Path]) -> None:
    source = ip_adapter.controlnet_video().prepare(
        asked_for(weights), Kept(), lambda what, done, total: None
    )
    frames = np.stack(list(source(range(FRAMES))))
    assert frames.shape == (FRAMES, SIZE[1], SIZE[0], 3)


def test_a_preview_has_colours_although_no_picture_is_encoded(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    asked, path = asked_for(weights), tmp_path / "out.preview.png"
    plain = latents(ip_adapter.controlnet_video(), asked)
    shown = replace(asked, preview=Preview(path))
    assert torch.equal(latents(ip_adapter.controlnet_video(), shown), plain)
    height, width = SIZE[1] // 8, SIZE[0] // 8
    assert read_picture(path).pixels.shape == (height, min(8, FRAMES) * width, 3)


def test_the_reference_is_encoded_once_somebody_looks_at_what_is_denoised(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = DenoisingContext.encode

    def counted(context: DenoisingContext, picture: Any) -> torch.Tensor:
        encoded.append(1)
        return encode(context, picture)

    monkeypatch.setattr(DenoisingContext, "encode", counted)
    kept = Kept(saves=1)
    with pytest.raises(KeyboardInterrupt):
        latents(ip_adapter.controlnet_video(), asked_for(weights), kept)
    assert encoded == []
    assert look_at(kept) == []  # nothing to see yet, but asked for
    whole = latents(ip_adapter.controlnet_video(), asked_for(weights), kept)
    assert encoded == [1]
    assert kept.arrays is not None
    shapes = {each.shape for each in look_at(kept)}
    assert (
        shapes
        == {(SIZE[1] // 8, SIZE[0] // 8, 3)}
        == {each.shape for each in kept_pictures(kept.arrays)}
    )
    assert torch.equal(latents(ip_adapter.controlnet_video(), asked_for(weights)), whole)
    assert encoded == [1]  # nobody looked at that one


def test_networks_of_the_published_shape_have_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        unet, controlnet = ip_adapter.controlnet_video().resident()
        (alone,) = (ip_adapter.controlnet().resident()[0],)
    spatial = sum(x.numel() for x in alone.parameters())
    assert sum(x.numel() for x in controlnet.parameters()) == pytest.approx(
        361.3e6, rel=1e-3
    )
    motion = sum(x.numel() for x in unet.parameters()) - spatial
    assert motion == pytest.approx(417.1e6, rel=1e-3)
