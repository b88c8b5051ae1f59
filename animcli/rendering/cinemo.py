"""Cinemo: a picture moves by itself, as words say, or as another clip does.

Source: Ma et al., "Cinemo: Consistent and Controllable Image Animation with Motion
Diffusion Models", arXiv:2407.15642, and the authors' code (maxin-cn/Cinemo at 7cd7f27).
What is denoised is how each frame differs from the first one, in latents. Differs: any
length and size, one noise for each frame, any sampler; what docs/renderers.md lists.

Cinemo makes 15 frames after a given one. What is longer either goes on from the last frame
of what is there, part after part, or is one part whose overlapping windows all start from
the same first frame. Parts run one after another, each from one checkpoint to the next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Final, Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import UsageError
from animcli.networks.unet import CINEMO, MOTION_WAVES, MotionUNet, Sight, UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import PredictWindow, StartStep, Window, windows_of
from animcli.rendering.cost import Decoder, clip_decoder, frame_decoder
from animcli.rendering.guidance import Guidance, Views
from animcli.rendering.loading import (
    dtype_on,
    enough_memory,
    load_network,
    load_text_encoder,
    open_device,
    use_tensor_cores,
    vae_dtype,
)
from animcli.rendering.memory import APART, Thrift, WindowCalls
from animcli.rendering.noise import clip_noise, refine
from animcli.rendering.pipeline import REMEDY, Workplace, clean_latents
from animcli.rendering.renderer import Checkpoint, Drive, FrameSource, RenderRequest, Report
from animcli.rendering.schedulers import CINEMO as SCHEDULE
from animcli.rendering.schedulers import Inversion, Solver, make_scheduler
from animcli.rendering.vae import CHUNK, Autoencoder, decoded, open_autoencoder

TOKENS: Final = 77
"""That CLIP reads at once, a start and an end among them."""


@torch.inference_mode()
def read_prompts(
    folder: Path, prompts: Sequence[str], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What CLIP says of prompts, (prompts, tokens, width), after its last norm.

    folder: with `tokenizer` and `text_encoder`; both are gone from memory afterwards.

    Raises UsageError for a prompt that CLIP can't read to its end.
    """
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    encoder = load_text_encoder(folder / "text_encoder", device, dtype)
    tokenizer = CLIPTokenizer.from_pretrained(
        str(folder / "tokenizer"), local_files_only=True
    )
    for prompt in prompts:
        length = len(tokenizer(prompt).input_ids)
        if length > TOKENS:
            raise UsageError(
                f"the prompt has {length - 2} tokens, CLIP reads {TOKENS - 2}: {prompt!r}",
                "say it in fewer words",
            )
    words = tokenizer(
        list(prompts), padding="max_length", max_length=TOKENS, return_tensors="pt"
    )
    return encoder(words.input_ids.to(device)).last_hidden_state


Lengthen = Literal["continue", "overlap"]

Arrays = Mapping[str, NDArray[np.generic]]


def cut_parts(frames: int, window: int, lengthen: Lengthen) -> list[range]:
    """The frames that each part makes, from the frame before it; frame 0 is given.

    Parts are whole windows, and may go beyond `frames`: the network knows no shorter ones,
    and a longer clip begins like a shorter one.
    """
    if lengthen == "overlap":
        return [range(1, 1 + max(frames - 1, window))]
    return [range(start, start + window) for start in range(1, max(frames, 2), window)]


@dataclass(frozen=True, eq=False)
class Chapter:
    """The checkpoint of one of several runs of the loop, within that of all.

    number: of the run, from 0.
    before: what the runs before it left, kept along.
    """

    whole: Checkpoint
    number: int
    before: Arrays

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """What this run saved last, or None."""
        kept = self.whole.load()
        return kept if kept is not None and chapter_of(kept) == self.number else None

    def save(self, arrays: Arrays) -> None:
        """Replace what was saved, by whichever run."""
        number = np.asarray(self.number)
        self.whole.save({**self.before, **arrays, "chapter": number})


def chapter_of(kept: Arrays | None) -> int:
    """The run that a checkpoint was saved by; the first if there is none."""
    return 0 if kept is None else int(kept["chapter"])


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
        use_tensor_cores(device, dtype)
        with enough_memory("loading the autoencoder", REMEDY):
            vae = open_autoencoder(folder, preset.decoder, device)
        place = Workplace(request, Autoencoder(vae), device, dtype, report)
        networks = cache(lambda: self.open_networks(place))
        with enough_memory("denoising", REMEDY):
            latents = Animation(place, networks, checkpoint).latents()
        vae.to(vae_dtype(device, dtype))  # as upstream decodes; it encodes in float32
        return decoded(
            vae, preset.decoder, latents, checkpoint, place.at_work, request.note
        )

    def resident(self) -> list[nn.Module]:
        """The network that is in memory while it denoises, besides the autoencoder."""
        return [MotionUNet(self.unet, self.motion_waves)]

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StartStep:
        """How a window of `clip` (f, c, h, w) is predicted; all is on the meta device."""
        texts = clip.new_empty(3, TOKENS, self.unet.context)
        told = tell(cast(MotionUNet, networks[0]), texts, motion_id(preset), len(clip))
        return predictor(told, clip[0], Guidance.of(preset), preset.steps)

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of the parts that are denoised one after another."""
        return [len(part) for part in cut_parts(frames, preset.window, preset.lengthen)]

    def decoder(self, preset: Preset, frames: int, device: str) -> Decoder:
        """One by one, or many at once."""
        if preset.decoder == "frame":
            return frame_decoder(preset, device)
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
        return tell(unet, texts, motion_id(preset), preset.window, place.thrift(self.unet))


class Told(NamedTuple):
    """The network, and what stays the same over parts, windows and steps.

    motion: what it hears of how much motion there is, (1, time_width).
    views: what it sees of the negative prompt, and of the prompt.
    source: what it sees of the words about the clip whose motion is taken.
    thrift: how its calls share the memory.
    """

    unet: MotionUNet
    motion: Tensor
    views: Views
    source: Sight
    thrift: Thrift


@torch.inference_mode()
def tell(
    unet: MotionUNet, texts: Tensor, motion: float, frames: int, thrift: Thrift = APART
) -> Told:
    """Tell the network what holds for the whole render.

    texts: of the negative prompt, the prompt, the words about the source: (3, m, width).
    motion: the number that says how much there is of it.
    frames: residuals in a window.
    """
    plain, shown, source = (unet.see_clip(text[None], frames) for text in texts)
    both = unet.see_clip(texts[:2], frames) if thrift.together else None
    heard = unet.add_embedding(torch.tensor([motion], device=texts.device))
    return Told(unet, heard, Views(plain, shown, both), source, thrift)


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
    calls = WindowCalls(told.unet, guidance, told.thrift)

    def start_step(step: int, timestep: Tensor, latents: Tensor) -> PredictWindow:
        guided, time = guidance.works_at(step, steps), timestep.to(given.device)

        def predict(part: Tensor, window: Window) -> Tensor:
            def ask(clips: Tensor, sight: Sight) -> Tensor:
                rows = given.expand(len(clips), -1, -1, -1, -1)
                return told.unet(clips, time, sight, first=rows, motion=told.motion)

            return calls.predict(part.to(given), ask, guided=guided, views=told.views)

        return predict

    return start_step


@dataclass(frozen=True, eq=False)
class Animation:
    """All parts of one clip, each a run of the loop; see `cut_parts`.

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
            self.place.device,
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
            self.place.device,
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
