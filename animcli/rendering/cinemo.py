"""Cinemo: a picture moves by itself, as words say, or as another clip does.

Source: Ma et al., "Cinemo: Consistent and Controllable Image Animation with Motion
Diffusion Models", arXiv:2407.15642, and the authors' code (maxin-cn/Cinemo at 7cd7f27).
What is denoised is how each frame differs from the first one, in latents. Differs: any
length and size, one noise for each frame, any sampler; what docs/renderers.md lists.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Final, NamedTuple

import torch
from torch import Tensor, nn

from animcli.networks.levels import Sight, UNetConfig
from animcli.networks.motion_unet import CINEMO, MOTION_WAVES, MotionUNet
from animcli.presets import Preset
from animcli.rendering.cinemo_clip import CHUNK, decoded, open_autoencoder
from animcli.rendering.cinemo_noise import refine
from animcli.rendering.cinemo_parts import Chapter, chapter_of, cut_parts
from animcli.rendering.cinemo_text import read_prompts
from animcli.rendering.denoise import PredictWindow, StartStep, clean_latents
from animcli.rendering.device import dtype_on, enough_memory, open_device
from animcli.rendering.diffusion import REMEDY, Workplace
from animcli.rendering.estimate import Decoder, clip_decoder, frame_decoder
from animcli.rendering.guidance import Guidance, Views
from animcli.rendering.inversion import Inversion
from animcli.rendering.latents import Autoencoder
from animcli.rendering.loading import load_network
from animcli.rendering.noise import clip_noise
from animcli.rendering.renderer import (
    Checkpoint,
    Drive,
    FrameSource,
    RenderRequest,
    Report,
)
from animcli.rendering.sampling import CINEMO as SCHEDULE
from animcli.rendering.sampling import Solver, make_scheduler
from animcli.rendering.windows import Window, windows_of

STILLEST: Final = 100
"""The authors' page turns its slider from 1 to 20 into 100 minus that."""


@dataclass(frozen=True)
class Cinemo:
    """The renderer; other shapes than the published ones are for networks of one's own."""

    drive: ClassVar[Drive] = Drive.PROMPT
    weights: ClassVar[tuple[str, ...]] = ("cinemo",)

    unet: UNetConfig = CINEMO
    motion_waves: int = MOTION_WAVES

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, report: Report
    ) -> FrameSource:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        preset, folder = request.preset, request.weights["cinemo"]
        device = open_device(request.device)
        dtype = dtype_on(device, preset.dtype)
        vae = open_autoencoder(folder, preset.decoder, device)
        place = Workplace(request, Autoencoder(vae), device, dtype, report)
        networks = cache(lambda: self.open_networks(place))
        with enough_memory("denoising", REMEDY):
            latents = Animation(place, networks, checkpoint).latents()
        return decoded(vae, preset.decoder, latents, place.at_work)

    def resident(self) -> list[nn.Module]:
        """The network that is in memory while it denoises, besides the autoencoder."""
        return [MotionUNet(self.unet, self.motion_waves)]

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of the parts that are denoised one after another."""
        return [len(part) for part in cut_parts(frames, preset.window, preset.lengthen)]

    def decoder(self, preset: Preset, frames: int, device: str) -> Decoder:
        """One by one, or many at once; always in float32."""
        if preset.decoder == "frame":
            return frame_decoder(replace(preset, dtype="float32"))
        return clip_decoder(preset, min(frames, CHUNK), device)

    def open_networks(self, place: Workplace) -> "Told":
        """The network, told what to do; the text encoder isn't kept."""
        request, device, dtype = place.request, place.device, place.dtype
        preset, folder = request.preset, request.weights["cinemo"]
        what, parts = "loading networks", 2
        place.report(what, 0, parts)
        prompts = (preset.negative_prompt, preset.prompt, preset.source_prompt)
        texts = read_prompts(folder, prompts, device, dtype)
        place.report(what, 1, parts)
        unet = load_network(
            lambda: MotionUNet(self.unet, self.motion_waves),
            {"": folder / "unet" / "diffusion_pytorch_model.safetensors"},
            device,
            dtype,
        )
        place.report(what, 2, parts)
        place.ready(unet)
        together = place.together(self.unet, unet, place.autoencoder.network)
        return tell(unet, texts, motion_id(preset), preset.window, together=together)


class Told(NamedTuple):
    """The network, and what stays the same over parts, windows and steps.

    motion: what it hears of how much motion there is, (1, time_width).
    views: what it sees of the negative prompt, and of the prompt.
    source: what it sees of the words about the clip whose motion is taken.
    """

    unet: MotionUNet
    motion: Tensor
    views: Views
    source: Sight


@torch.inference_mode()
def tell(
    unet: MotionUNet, texts: Tensor, motion: float, frames: int, *, together: bool
) -> Told:
    """Tell the network what holds for the whole render.

    texts: of the negative prompt, the prompt, the words about the source: (3, m, width).
    motion: the number that says how much there is of it.
    frames: residuals in a window.
    """
    plain, shown, source = (unet.see_clip(text[None], frames) for text in texts)
    both = unet.see_clip(texts[:2], frames) if together else None
    heard = unet.add_embedding(torch.tensor([motion], device=texts.device))
    return Told(unet, heard, Views(plain, shown, both), source)


def motion_id(preset: Preset) -> float:
    """The number that the network hears for how much motion there is.

    That of the published weights falls as motion grows: it seems to be a hundred times the
    mean likeness of neighbouring frames.
    """
    if preset.motion_id is not None:
        return preset.motion_id
    return float(STILLEST - preset.motion_strength)


def predictor(told: Told, first: Tensor, guidance: Guidance, steps: int) -> StartStep:
    """How to predict a window of residuals, the first frame being `first` (c, h, w)."""
    given = first[None, :, None].to(told.motion)  # (1, c, 1, h, w)

    def start_step(step: int, timestep: Tensor, latents: Tensor) -> PredictWindow:
        guided, time = guidance.works_at(step, steps), timestep.to(given.device)

        def predict(part: Tensor, window: Window) -> Tensor:
            def ask(clips: Tensor, sight: Sight) -> Tensor:
                rows = given.expand(len(clips), -1, -1, -1, -1)
                return told.unet(clips, time, sight, first=rows, motion=told.motion)

            return guidance.predict(part.to(given), told.views, ask, guided=guided)

        return predict

    return start_step


@dataclass(frozen=True, eq=False)
class Animation:
    """All parts of one clip, each a run of the loop; see `cinemo_parts`.

    networks: called when there is a step left to do.
    """

    place: Workplace
    networks: Callable[[], Told]
    checkpoint: Checkpoint

    def latents(self) -> Tensor:
        """The latents (frames, c, h, w) of the whole clip; the first is the picture."""
        request, preset = self.place.request, self.place.request.preset
        kept = self.checkpoint.load()
        clip = self.picture() if kept is None else torch.from_numpy(kept["clip"])
        parts = cut_parts(request.frames, preset.window, preset.lengthen)
        runs = 1 if request.control is None else 2  # of the loop, for each part
        for number, part in enumerate(parts):
            last = runs * (number + 1) - 1
            if last < chapter_of(kept):  # what it made is in the clip
                continue
            clip = torch.cat([clip, self.made(clip, part, last, runs * len(parts))])
        return clip[: request.frames]

    def picture(self) -> Tensor:
        """The latents (1, c, h, w) of the first frame."""
        return self.place.encode(self.place.request.reference).float().cpu()

    def made(self, clip: Tensor, part: range, chapter: int, chapters: int) -> Tensor:
        """The frames (part, c, h, w) that go on from the last of `clip`."""
        preset, first = self.place.request.preset, clip[-1]
        signal = make_scheduler("ddim", SCHEDULE).alphas_cumprod[preset.refine_timestep]

        def start() -> Tensor:
            if self.place.request.control is not None:
                noise = self.inverted(clip, part, chapter - 1, chapters)
            else:
                shape = (len(first), *first.shape[1:])
                noise = clip_noise(preset.noise, part.stop, shape, preset.seed)
                noise = noise[part.start :]
            return refine(noise, first, float(signal), preset.refine)

        residuals = clean_latents(
            start,
            Solver(preset.sampler, SCHEDULE, preset.steps, preset.seed),
            lambda: predictor(self.networks(), first, self.place.guidance, preset.steps),
            windows_of(preset, len(part)),
            Chapter(self.checkpoint, chapter, {"clip": clip.numpy()}),
            self.counting(chapter, chapters),
        )
        return first + residuals

    def inverted(self, clip: Tensor, part: range, chapter: int, chapters: int) -> Tensor:
        """The noise (part, c, h, w) from which the network would make the other clip."""
        preset = self.place.request.preset
        first, *others = (self.shown(i) for i in range(part.start - 1, part.stop))

        def start() -> StartStep:
            told = self.networks()
            told = told._replace(views=replace(told.views, shown=told.source))
            return predictor(told, first, Guidance(1), preset.steps)

        return clean_latents(
            lambda: torch.stack(others) - first,
            Inversion(SCHEDULE, preset.steps),
            start,
            windows_of(preset, len(part)),
            Chapter(self.checkpoint, chapter, {"clip": clip.numpy()}),
            self.counting(chapter, chapters),
        )

    def shown(self, frame: int) -> Tensor:
        """The latents (c, h, w) of a frame of the other clip; beyond it, of its last."""
        request = self.place.request
        if request.control is None:
            raise ValueError("there is no clip to take the motion from")
        at = min(frame, request.frames - 1)
        (picture,) = request.control(range(at, at + 1))
        return self.place.encode(picture)[0].float().cpu()

    def counting(self, chapter: int, chapters: int) -> Report:
        """The report of one run, as a share of all."""
        report = self.place.report
        return lambda what, done, of: report(what, chapter * of + done, chapters * of)
