"""Animate Anyone: a character follows a skeleton.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, in the open reproduction of Moore
Threads, whose weights are public. Differs: predictions of overlapping windows are averaged
without guidance as well; the reference is shown to the conditional half only, which is all
that ever looked at it; features of the reference are never rounded to float16.

CLIP, the reference network and the UNet are needed one after another, and only one of them
is in memory at a time; the autoencoder stays, to decode.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from animcli.networks.controlnet import PoseGuider
from animcli.networks.reference_net import ReferenceUNet, unused_parts
from animcli.networks.unet import ANIMATE_ANYONE, Sight, UNet, UNetConfig
from animcli.pose.draw import draw_pose
from animcli.presets import Preset
from animcli.rendering.context import Window, key_frames
from animcli.rendering.cost import Decoder, frame_decoder
from animcli.rendering.guidance import Guidance, Views
from animcli.rendering.loading import (
    AtWork,
    FrameFeatures,
    free_memory,
    load_image_encoder,
    load_network,
)
from animcli.rendering.pipeline import PredictWindow, StartStep, Workplace, render_clip
from animcli.rendering.renderer import Checkpoint, Drive, FrameSource, RenderRequest, Report
from animcli.rendering.schedulers import ANIMATE_ANYONE as SCHEDULE
from animcli.rendering.vae import to_unit

CLIP_SIDE: Final = 224
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP learnt from (Radford et al., arXiv:2103.00020)."""


@dataclass(frozen=True)
class AnimateAnyone:
    """The renderer; other shapes than the published ones are for networks of one's own."""

    drive: ClassVar[Drive] = Drive.SKELETON
    weights: ClassVar[tuple[str, ...]] = (
        "animate-anyone",
        "sd-vae-ft-mse",
        "clip-image-encoder",
    )

    unet: UNetConfig = ANIMATE_ANYONE
    guider_widths: tuple[int, ...] = (16, 32, 96, 256)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, report: Report
    ) -> FrameSource:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        return render_clip(request, checkpoint, report, self.unet, SCHEDULE, self.look)

    def resident(self) -> list[nn.Module]:
        """The network that is in memory while it denoises, besides the autoencoder."""
        return [UNet(self.unet)]

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of what is denoised at once: all that aren't filled in afterwards."""
        return [len(key_frames(frames, preset.latent_spacing))]

    def decoder(self, preset: Preset, frames: int, device: str) -> Decoder:
        """Frames are decoded one by one."""
        return frame_decoder(preset)

    def look(self, place: Workplace) -> StartStep:
        """Look at the reference and the motion, and be ready to predict."""
        request, device, dtype = place.request, place.device, place.dtype
        folder, what, parts = (
            request.weights["animate-anyone"],
            "looking at the reference",
            4,
        )

        place.report(what, 0, parts)
        clip = load_image_encoder(request.weights["clip-image-encoder"], device, dtype)
        token = describe(clip, request.reference)
        del clip

        place.report(what, 1, parts)
        reference_unet = load_network(
            lambda: ReferenceUNet(replace(self.unet, motion=None)),
            {"": folder / "reference_unet.safetensors"},
            device,
            dtype,
            unused=unused_parts(self.unet),
        )
        features = show(reference_unet, place.encode(request.reference), token)
        del reference_unet
        free_memory(device)

        place.report(what, 2, parts)
        guider = load_network(
            lambda: PoseGuider(self.unet.widths[0], self.guider_widths),
            {"": folder / "pose_guider.safetensors"},
            place.home,
            dtype,
        )
        pose = pose_features(guider, drawn(request), device, dtype, place.at_work)

        place.report(what, 3, parts)
        files = {
            "motion_modules": folder / "motion_module.safetensors",
            "": folder / "denoising_unet.safetensors",
        }
        unet = load_network(lambda: UNet(self.unet), files, device, dtype)
        place.ready(unet)
        place.report(what, 4, parts)
        return predictor(
            unet,
            token,
            features,
            pose,
            place.guidance,
            request.preset.steps,
            together=place.together(self.unet, unet, place.autoencoder.network),
        )


def drawn(request: RenderRequest) -> Callable[[int], NDArray[np.uint8]]:
    """Frame -> the skeleton picture (h, w, 3) to follow there."""
    motion, control = request.motion, request.control
    if control is not None:
        return lambda frame: next(iter(control(range(frame, frame + 1))))
    if motion is None:
        raise ValueError("Animate Anyone follows a motion or a drawn one, got neither")
    threshold = motion.draw_threshold
    return lambda frame: draw_pose(
        motion.points[frame], motion.scores[frame], request.size, threshold=threshold
    )


def pose_features(
    guider: nn.Module,
    picture: Callable[[int], NDArray[np.uint8]],
    device: torch.device,
    dtype: torch.dtype,
    at_work: AtWork = nullcontext,
) -> FrameFeatures:
    """What the guider says of each frame's skeleton, (widths[0], h, w), worked out once."""

    @torch.inference_mode()
    def guide(frame: int) -> Tensor:
        pixels = to_unit(picture(frame))[:, :, None].to(device, dtype)
        with at_work(guider):
            return guider(pixels)[0, :, 0].cpu()

    return FrameFeatures(guide)


@torch.inference_mode()
def describe(clip: nn.Module, picture: NDArray[np.uint8]) -> Tensor:
    """CLIP's one token (1, 1, width) for a picture (h, w, 3), squashed to a square."""
    like = next(clip.parameters())
    small = Image.fromarray(picture).resize(
        (CLIP_SIDE, CLIP_SIDE), Image.Resampling.BICUBIC
    )
    pixels = to_unit(np.asarray(small))
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_DEVIATION))
    pixels = ((pixels - mean) / deviation).to(like)
    return clip(pixel_values=pixels).image_embeds[:, None]


@torch.inference_mode()
def show(network: ReferenceUNet, latents: Tensor, token: Tensor) -> dict[str, Tensor]:
    """What the transformers may look at in the reference, whose latents are clean."""
    clean = torch.zeros((), dtype=torch.long, device=latents.device)
    return network(latents, clean, network.see(token))


def predictor(
    unet: UNet,
    token: Tensor,
    features: dict[str, Tensor],
    pose: FrameFeatures,
    guidance: Guidance,
    steps: int,
    *,
    together: bool,
) -> StartStep:
    """How to predict a window; what doesn't change over windows and steps is done here.

    together: both halves of guidance in one call.
    """
    nothing = torch.zeros_like(token)
    with torch.inference_mode():
        both = unet.see(torch.cat([nothing, token]), features) if together else None
        views = Views(unet.see(nothing), unet.see(token, features), both)

    def start_step(step: int, timestep: Tensor, latents: Tensor) -> PredictWindow:
        guided = guidance.works_at(step, steps)
        time = timestep.to(token.device)

        def predict(part: Tensor, window: Window) -> Tensor:
            hint = pose.stack(window.frames).transpose(0, 1)[None].to(token)

            def ask(clips: Tensor, sight: Sight) -> Tensor:
                return unet(clips, time, sight, pose=hint)

            return guidance.predict(part.to(token), views, ask, guided=guided)

        return predict

    return start_step
