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
from typing import ClassVar, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceUNet
from animcli.networks.unet import MAGIC_ANIMATE, Descent, Residuals, Sight, UNet, UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import PredictWindow, StartStep, Window, key_frames
from animcli.rendering.cost import Decoder, frame_decoder
from animcli.rendering.guidance import Guidance, Views
from animcli.rendering.loading import AtWork, FrameFeatures, load_network, load_text_encoder
from animcli.rendering.memory import APART, Thrift, WindowCalls
from animcli.rendering.pipeline import Workplace, render_clip
from animcli.rendering.renderer import Checkpoint, Drive, FrameSource, RenderRequest, Report
from animcli.rendering.schedulers import MAGIC_ANIMATE as SCHEDULE
from animcli.rendering.vae import to_unit

TOKENS: Final = 77
START_OF_TEXT: Final = 49406
END_OF_TEXT: Final = 49407
"""Of CLIP's vocabulary; an empty prompt is a start, and ends in all other places."""

ControlPicture = Callable[[int], NDArray[np.uint8]]
"""Frame -> the DensePose picture (h, w, 3) to follow there."""


@dataclass(frozen=True)
class MagicAnimate:
    """The renderer; other shapes than the published ones are for networks of one's own."""

    drive: ClassVar[Drive] = Drive.DENSEPOSE
    weights: ClassVar[tuple[str, ...]] = ("magic-animate", "sd15", "sd-vae-ft-mse")

    unet: UNetConfig = MAGIC_ANIMATE
    condition_widths: tuple[int, ...] = (16, 32, 96, 256)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, report: Report
    ) -> FrameSource:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        vae = request.weights["sd-vae-ft-mse"]
        return render_clip(request, checkpoint, report, self.unet, SCHEDULE, self.look, vae)

    def resident(self) -> list[nn.Module]:
        """The networks that are in memory while it denoises, besides the autoencoder."""
        spatial = self.spatial
        return [
            UNet(self.unet),
            ReferenceUNet(spatial),
            ControlNet(spatial, self.condition_widths),
        ]

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StartStep:
        """How a window of `clip` (f, c, h, w) is predicted; all is on the meta device."""
        unet, encoder, controlnet = networks
        picture = np.zeros((preset.height, preset.width, 3), np.uint8)
        return predictor(
            cast(UNet, unet),
            cast(ReferenceUNet, encoder),
            cast(ControlNet, controlnet),
            clip.new_empty(1, TOKENS, self.unet.context),
            clip[:1],
            lambda frame: picture,
            Guidance.of(preset),
            preset.steps,
        )

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of what is denoised at once: all that aren't filled in afterwards."""
        return [len(key_frames(frames, preset.latent_spacing))]

    def decoder(self, preset: Preset, frames: int, device: str) -> Decoder:
        """Frames are decoded one by one."""
        return frame_decoder(preset, device)

    @property
    def spatial(self) -> UNetConfig:
        """The shape of the networks that look at single pictures."""
        return replace(self.unet, motion=None, across_frames=False)

    def look(self, place: Workplace) -> StartStep:
        """Load the networks, and be ready to predict."""
        request, device, dtype = place.request, place.device, place.dtype
        control = request.control
        if control is None:
            raise ValueError("MagicAnimate follows a DensePose video, got none")
        own, base = request.weights["magic-animate"], request.weights["sd15"]
        file = "diffusion_pytorch_model.safetensors"
        spatial = self.spatial
        what, parts = "loading networks", 4

        place.report(what, 0, parts)
        text_encoder = load_text_encoder(base / "text_encoder", device, dtype)
        text = empty_prompt(text_encoder)
        del text_encoder

        place.report(what, 1, parts)
        encoder = load_network(
            lambda: ReferenceUNet(spatial),
            {"": own / "appearance_encoder" / file},
            place.home,
            dtype,
        )
        place.report(what, 2, parts)
        controlnet = load_network(
            lambda: ControlNet(spatial, self.condition_widths),
            {"": own / "densepose_controlnet" / file},
            place.home,
            dtype,
        )
        place.report(what, 3, parts)
        files = {
            "motion_modules": own / "temporal_attention.safetensors",
            "": base / "unet" / file,
        }
        unet = load_network(lambda: UNet(self.unet), files, device, dtype)
        place.ready(unet)
        place.report(what, 4, parts)
        return predictor(
            unet,
            encoder,
            controlnet,
            text,
            place.encode(request.reference).to(dtype),
            lambda frame: next(iter(control(range(frame, frame + 1)))),
            place.guidance,
            request.preset.steps,
            place.thrift(self.unet),
            place.at_work,
        )


@torch.inference_mode()
def empty_prompt(
    text_encoder: nn.Module, start: int = START_OF_TEXT, end: int = END_OF_TEXT
) -> Tensor:
    """What the text encoder says of no text, (1, 77, width)."""
    device = next(text_encoder.parameters()).device
    words = torch.tensor([[start] + [end] * (TOKENS - 1)], device=device)
    return text_encoder(words).last_hidden_state


def predictor(
    unet: UNet,
    encoder: ReferenceUNet,
    controlnet: ControlNet,
    text: Tensor,
    reference: Tensor,
    picture: ControlPicture,
    guidance: Guidance,
    steps: int,
    thrift: Thrift = APART,
    at_work: AtWork = nullcontext,
) -> StartStep:
    """How to predict a window; what doesn't change over the windows of a step is done once.

    reference: latents (1, 4, h, w). What is shown of it is for the last row of a call only,
        and from the middle on: the way down is the same for both halves of guidance.
    """
    with torch.inference_mode():
        with at_work(encoder):
            encoder_sight = encoder.see(text)
        with at_work(controlnet):
            control_sight = controlnet.see(text)
        plain = unet.see(text)
    controlnet.controlnet_cond_embedding.to(text.device)  # small: it stays on the device

    conditions = conditions_of(controlnet, picture, text)
    calls = WindowCalls(unet, guidance, thrift)

    def start_step(step: int, timestep: Tensor, latents: Tensor) -> PredictWindow:
        guided, time = guidance.works_at(step, steps), timestep.to(text.device)
        with at_work(encoder):
            features = encoder(reference, time, encoder_sight)
        # Differs from Animate Anyone: the way down doesn't look at the reference.
        shown = unet.see(text, {p: x for p, x in features.items() if p[:4] != "down"})
        views = Views(plain, shown, shown)
        residuals = FrameResiduals(
            controlnet, control_sight, time, latents, conditions, text, at_work
        )

        def predict(part: Tensor, window: Window) -> Tensor:
            steer = residuals.of(window.frames)
            clip = part.to(text)

            @cache
            def half() -> Descent:
                whole = clip.transpose(0, 1)[None]  # (1, c, f, h, w)
                return unet.halfway(whole, time, plain, residuals=steer)

            def ask(clips: Tensor, sight: Sight) -> Tensor:
                return unet.rest(half(), sight, rows=len(clips))

            return calls.predict(clip, ask, guided=guided, views=views)

        return predict

    return start_step


def conditions_of(
    controlnet: ControlNet, picture: ControlPicture, like: Tensor
) -> FrameFeatures:
    """What the ControlNet makes of each frame's picture: the same at every step.

    like: has the device and dtype that it works in.
    """

    @torch.inference_mode()
    def look(frame: int) -> Tensor:
        return controlnet.look_at(to_unit(picture(frame))[:, :, None].to(like))[0]

    return FrameFeatures(look)


class FrameResiduals:
    """What the ControlNet adds to each frame in one step, worked out when first wanted.

    Only those of the last window are kept, of which the next wants a few again.
    """

    def __init__(
        self,
        controlnet: ControlNet,
        sight: Sight,
        timestep: Tensor,
        latents: Tensor,
        conditions: FrameFeatures,
        like: Tensor,
        at_work: AtWork = nullcontext,
    ) -> None:
        """`latents` (frames, c, h, w) are the whole clip's; `like` has device and dtype.

        conditions: what the ControlNet makes of each frame's picture.
        """
        self._controlnet = controlnet
        self._sight = sight
        self._timestep = timestep
        self._latents = latents
        self._conditions = conditions
        self._like = like
        self._at_work = at_work
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
        with self._at_work(self._controlnet):
            return self._controlnet.steer(clip, self._timestep, self._sight, condition)
