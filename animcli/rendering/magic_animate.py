"""MagicAnimate: a character follows a DensePose video.

Source: Xu et al., "MagicAnimate", arXiv:2311.16498, and the authors' code. Differs: any
length, guidance and size; the reference is looked at for the conditional half only, which
is all that ever looked at it; its features are never rounded to float16; ControlNet's
residuals are worked out for each frame when a window first wants it, not for windows of
their own, which changes nothing, since it looks at each frame by itself.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import MAGIC_ANIMATE_UNET, Descent, KVCache, Residuals, UNet
from animcli.networks.unet_blocks import Deep, UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn, keyframes
from animcli.rendering.cost import DecoderCost, frame_decoder
from animcli.rendering.features import FeatureCache
from animcli.rendering.guidance import CFGInputs, Guidance
from animcli.rendering.loading import (
    CLIP_TOKENS,
    OnDevice,
    load_network,
    load_text_encoder,
)
from animcli.rendering.memory import CFG_BATCH_OFF, MemoryPlan, WindowCalls
from animcli.rendering.pipeline import DenoisingContext, render_clip
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)
from animcli.rendering.reuse import NO_REUSE, Reuse
from animcli.rendering.schedulers import MAGIC_ANIMATE_SCHEDULE as SCHEDULE
from animcli.rendering.vae import to_unit

START_OF_TEXT: Final = 49406
END_OF_TEXT: Final = 49407
"""Of CLIP's vocabulary; an empty prompt is a start, and ends in all other places."""

ControlPicture = Callable[[int], NDArray[np.uint8]]
"""Frame -> the DensePose picture (h, w, 3) to follow there."""


@dataclass(frozen=True)
class MagicAnimate:
    """The renderer; other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = MAGIC_ANIMATE_UNET
    condition_channels: tuple[int, ...] = (16, 32, 96, 256)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        vae = request.weights["sd-vae-ft-mse"]
        return render_clip(
            request,
            checkpoint,
            progress,
            self.unet,
            SCHEDULE,
            self.prepare_conditioning,
            vae,
        )

    def resident(self) -> list[nn.Module]:
        """The networks that are in memory while it denoises, besides the autoencoder."""
        spatial = self.spatial
        return [
            UNet(self.unet),
            ReferenceNet(spatial),
            ControlNet(spatial, self.condition_channels),
        ]

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StepFn:
        """Make the denoising function for a window of `clip` (f, c, h, w) on the meta
        device.
        """
        unet, encoder, controlnet = networks
        picture = np.zeros((preset.height, preset.width, 3), np.uint8)
        return predictor(
            cast(UNet, unet),
            cast(ReferenceNet, encoder),
            cast(ControlNet, controlnet),
            clip.new_empty(1, CLIP_TOKENS, self.unet.context_dim),
            clip[:1],
            lambda frame: picture,
            Guidance.of(preset),
            preset.steps,
            reuse=Reuse.of(preset, self.unet),
        )

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of what is denoised at once: all that aren't filled in afterwards."""
        return [len(keyframes(frames, preset.keyframe_interval))]

    def decoder(self, preset: Preset, frames: int, device: str) -> DecoderCost:
        """Frames are decoded one by one."""
        return frame_decoder(preset, device)

    @property
    def spatial(self) -> UNetConfig:
        """The shape of the networks that look at single pictures."""
        return replace(self.unet, motion=None, across_frames=False)

    def prepare_conditioning(self, context: DenoisingContext) -> StepFn:
        """Load the networks, and be ready to predict."""
        request, device, dtype = context.request, context.device, context.dtype
        control = request.control
        if control is None:
            raise ValueError("MagicAnimate follows a DensePose video, got none")
        own, base = request.weights["magic-animate"], request.weights["sd15"]
        file = "diffusion_pytorch_model.safetensors"
        spatial = self.spatial
        what, parts = "loading networks", 4

        context.progress(what, 0, parts)
        text_encoder = load_text_encoder(
            base / "text_encoder", device, dtype, request.loras
        )
        text = encode_empty_prompt(text_encoder)
        del text_encoder

        context.progress(what, 1, parts)
        encoder = load_network(
            lambda: ReferenceNet(spatial),
            {"": own / "appearance_encoder" / file},
            context.home,
            dtype,
        )
        context.progress(what, 2, parts)
        controlnet = load_network(
            lambda: ControlNet(spatial, self.condition_channels),
            {"": own / "densepose_controlnet" / file},
            context.home,
            dtype,
        )
        context.progress(what, 3, parts)
        files = {
            "motion_modules": own / "temporal_attention.safetensors",
            "": base / "unet" / file,
        }
        unet = load_network(
            lambda: UNet(self.unet), files, device, dtype, loras=request.loras
        )
        context.compile_network(unet)
        context.progress(what, 4, parts)
        return predictor(
            unet,
            encoder,
            controlnet,
            text,
            context.encode(request.reference).to(dtype),
            lambda frame: next(iter(control(range(frame, frame + 1)))),
            context.guidance,
            request.preset.steps,
            context.memory_plan(self.unet),
            context.on_device,
            context.reuse(self.unet),
        )


@torch.inference_mode()
def encode_empty_prompt(
    text_encoder: nn.Module, start: int = START_OF_TEXT, end: int = END_OF_TEXT
) -> Tensor:
    """Encode the empty prompt, (1, 77, width)."""
    device = next(text_encoder.parameters()).device
    words = torch.tensor([[start] + [end] * (CLIP_TOKENS - 1)], device=device)
    return text_encoder(words).last_hidden_state


def predictor(
    unet: UNet,
    encoder: ReferenceNet,
    controlnet: ControlNet,
    text: Tensor,
    reference: Tensor,
    picture: ControlPicture,
    guidance: Guidance,
    steps: int,
    memory_plan: MemoryPlan = CFG_BATCH_OFF,
    on_device: OnDevice = nullcontext,
    reuse: Reuse = NO_REUSE,
) -> StepFn:
    """Make the denoising function; what doesn't change over the windows of a step is done
    once.

    reference: latents (1, 4, h, w). What is shown of it is for the last row of a call only,
        and from the middle on: the way down is the same for both halves of guidance.
    """
    with torch.inference_mode():
        with on_device(encoder):
            encoder_kv = encoder.cache_kv(text)
        with on_device(controlnet):
            control_kv = controlnet.cache_kv(text)
        uncond = unet.cache_kv(text)
    controlnet.controlnet_cond_embedding.to(text.device)  # small: it stays on the device

    conditions = conditions_of(controlnet, picture, text)
    calls = WindowCalls(unet, guidance, memory_plan, reuse)

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        guided, time = guidance.works_at(step, steps), timestep.to(text.device)
        with on_device(encoder):
            features = encoder(reference, time, encoder_kv)
        # Differs from Animate Anyone: the way down doesn't look at the reference.
        cond = unet.cache_kv(text, {p: x for p, x in features.items() if p[:4] != "down"})
        inputs = CFGInputs(uncond, cond, cond)
        residuals = ResidualCache(
            controlnet, control_kv, time, latents, conditions, text, on_device=on_device
        )

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            steer = residuals.of(window.frames)
            clip = part.to(text)

            @cache
            def half(most: int | None) -> Descent:
                whole = clip.transpose(0, 1)[None]  # (1, c, f, h, w)
                return unet.halfway(whole, time, uncond, residuals=steer, most=most)

            def model(clips: Tensor, kv_cache: KVCache, deep: Deep | None) -> Tensor:
                most = None if deep is None else deep.shallow
                return unet.rest(half(most), kv_cache, rows=len(clips), deep=deep)

            return calls.predict(
                clip, model, step=step, window=window, guided=guided, inputs=inputs
            )

        return predict

    return step_fn


def conditions_of(
    controlnet: ControlNet, picture: ControlPicture, like: Tensor
) -> FeatureCache:
    """Features that the ControlNet makes of each frame's picture: the same at every step.

    like: has the device and dtype that it works in.
    """

    @torch.inference_mode()
    def look(frame: int) -> Tensor:
        return controlnet.look_at(to_unit(picture(frame))[:, :, None].to(like))[0]

    return FeatureCache(look)


class ResidualCache:
    """ControlNet residuals of each frame in one step, computed when first wanted.

    Only those of the last window are kept, of which the next wants a few again.
    """

    def __init__(
        self,
        controlnet: ControlNet,
        kv_cache: KVCache,
        timestep: Tensor,
        latents: Tensor,
        conditions: FeatureCache,
        like: Tensor,
        *,
        on_device: OnDevice = nullcontext,
    ) -> None:
        """`latents` (frames, c, h, w) are the whole clip's; `like` has device and dtype.

        conditions: what the ControlNet makes of each frame's picture.
        """
        self._controlnet = controlnet
        self._kv_cache = kv_cache
        self._timestep = timestep
        self._latents = latents
        self._conditions = conditions
        self._like = like
        self._on_device = on_device
        self._kept: dict[int, list[Tensor]] = {}

    def of(self, frames: Sequence[int]) -> Residuals:
        """The residuals of a window's frames, (1, c, f, h, w) each."""
        kept = {frame: self._kept[frame] for frame in frames if frame in self._kept}
        lacking = [frame for frame in dict.fromkeys(frames) if frame not in kept]
        if lacking:
            said = self._ask(lacking)
            maps = [*said.skips, said.middle]
            for place, frame in enumerate(lacking):
                kept[frame] = [each[:, :, place] for each in maps]
        self._kept = kept
        *skips, middle = (
            torch.stack(each, dim=2)
            for each in zip(*(kept[frame] for frame in frames), strict=True)
        )
        return Residuals(skips, middle)

    def _ask(self, frames: Sequence[int]) -> Residuals:
        clip = self._latents[list(frames)].transpose(0, 1)[None].to(self._like)
        condition = self._conditions.stack(frames, self._like)
        with self._on_device(self._controlnet):
            return self._controlnet.steer(clip, self._timestep, self._kv_cache, condition)
