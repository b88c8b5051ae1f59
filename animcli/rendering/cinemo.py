"""Cinemo: a picture moves by itself, as words say, or as another clip does.

Source: Ma et al., "Cinemo: Consistent and Controllable Image Animation with Motion
Diffusion Models", arXiv:2407.15642, and the authors' code (maxin-cn/Cinemo at 7cd7f27).
What is denoised is how each frame differs from the first one, in latents. Differs: any
length and size, one noise for each frame, any sampler; what docs/models/cinemo.md lists.

Cinemo makes 15 frames after a given one. What is longer either goes on from the last frame
of what is there, part after part, or is one part whose overlapping windows all start from
the same first frame. Parts run one after another, each from one checkpoint to the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import UsageError
from animcli.networks.unet import CINEMO_UNET, MOTION_EMBED_DIM, KVCache, MotionUNet
from animcli.networks.unet_blocks import Deep, UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn, context_windows
from animcli.rendering.cost import DecoderCost, clip_decoder, frame_decoder
from animcli.rendering.guidance import CFGInputs, Guidance
from animcli.rendering.loading import (
    CLIP_TOKENS,
    dtype_on,
    enough_memory,
    load_network,
    load_text_encoder,
    memory_remedy,
    open_device,
    use_tensor_cores,
    vae_dtype,
)
from animcli.rendering.memory import CFG_BATCH_OFF, MemoryPlan, WindowCalls
from animcli.rendering.noise import clip_noise, refine_noise
from animcli.rendering.pipeline import DenoisingContext, sample
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)
from animcli.rendering.reuse import NO_REUSE, Reuse
from animcli.rendering.schedulers import CINEMO_SCHEDULE as SCHEDULE
from animcli.rendering.schedulers import Arrays, DDIMInversion, Scheduler, make_scheduler
from animcli.rendering.vae import (
    DECODED_TOGETHER,
    Autoencoder,
    decode_frames,
    open_autoencoder,
)
from animcli.weights.lora import Lora


@torch.inference_mode()
def encode_prompts(
    folder: Path,
    prompts: Sequence[str],
    device: torch.device,
    dtype: torch.dtype,
    loras: Sequence[Lora] = (),
) -> Tensor:
    """Encode prompts with CLIP, (prompts, tokens, width), after its last norm.

    folder: with `tokenizer` and `text_encoder`; both are gone from memory afterwards.

    Raises UsageError for a prompt that CLIP can't read to its end.
    """
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    encoder = load_text_encoder(folder / "text_encoder", device, dtype, loras)
    tokenizer = CLIPTokenizer.from_pretrained(
        str(folder / "tokenizer"), local_files_only=True
    )
    for prompt in prompts:
        length = len(tokenizer(prompt).input_ids)
        if length > CLIP_TOKENS:
            raise UsageError(
                f"the prompt has {length - 2} tokens, CLIP reads {CLIP_TOKENS - 2}: "
                f"{prompt!r}",
                "say it in fewer words",
            )
    words = tokenizer(
        list(prompts), padding="max_length", max_length=CLIP_TOKENS, return_tensors="pt"
    )
    return encoder(words.input_ids.to(device)).last_hidden_state


Extend = Literal["continue", "overlap"]


def cut_parts(frames: int, window: int, extend: Extend) -> list[range]:
    """The frames that each part makes, from the frame before it; frame 0 is given.

    Parts are whole windows, and may go beyond `frames`: the network knows no shorter ones,
    and a longer clip begins like a shorter one.
    """
    if extend == "overlap":
        return [range(1, 1 + max(frames - 1, window))]
    return [range(start, start + window) for start in range(1, max(frames, 2), window)]


@dataclass(frozen=True, eq=False)
class SegmentCheckpoint:
    """The checkpoint of one of several runs of the loop, within that of all.

    number: of the run, from 0.
    before: what the runs before it left, kept along.
    """

    whole: Checkpoint
    number: int
    before: Arrays

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """Arrays that this run saved last, or None."""
        kept = self.whole.load()
        return kept if kept is not None and segment_of(kept) == self.number else None

    def save(self, arrays: Arrays) -> None:
        """Replace what was saved, by whichever run."""
        number = np.asarray(self.number)
        self.whole.save({**self.before, **arrays, "segment": number})

    def beside(self, name: str) -> Checkpoint:
        """Another checkpoint, of all runs."""
        return self.whole.beside(name)


def segment_of(kept: Arrays | None) -> int:
    """The run that a checkpoint was saved by; the first if there is none."""
    return 0 if kept is None else int(kept["segment"])


STILLEST: Final = 100
"""The authors' page turns its slider from 1 to 20 into 100 minus that."""


@dataclass(frozen=True)
class Cinemo:
    """The renderer; other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = CINEMO_UNET
    motion_embed_dim: int = MOTION_EMBED_DIM

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        preset, folder = request.preset, request.weights["cinemo"]
        device = open_device(request.device)
        dtype = dtype_on(device, preset.dtype)
        use_tensor_cores(device, dtype)
        remedy = memory_remedy(device, dtype)
        with enough_memory("loading the autoencoder", remedy):
            vae = open_autoencoder(folder, preset.decoder, device)
        context = DenoisingContext(request, Autoencoder(vae), device, dtype, progress)
        networks = cache(lambda: self.open_networks(context))
        with enough_memory("denoising", remedy):
            latents = ClipSampler(
                context, networks, checkpoint, context.reuse(self.unet)
            ).latents()
        # As upstream decodes; it encodes in float32. The library's own `to` warns of it.
        nn.Module.to(vae, vae_dtype(device, dtype))
        return decode_frames(
            vae, preset.decoder, latents, checkpoint, context.on_device, request.note
        )

    def resident(self) -> list[nn.Module]:
        """The network that is in memory while it denoises, besides the autoencoder."""
        return [MotionUNet(self.unet, self.motion_embed_dim)]

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StepFn:
        """Make the denoising function for a window of `clip` (f, c, h, w) on the meta
        device.
        """
        texts = clip.new_empty(3, CLIP_TOKENS, self.unet.context_dim)
        conditioning = encode_conditioning(
            cast(MotionUNet, networks[0]), texts, bucket_of(preset), len(clip)
        )
        reuse = Reuse.of(preset, self.unet)
        return predictor(conditioning, clip[0], Guidance.of(preset), preset.steps, reuse)

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of the parts that are denoised one after another."""
        return [len(part) for part in cut_parts(frames, preset.window, preset.extend)]

    def decoder(self, preset: Preset, frames: int, device: str) -> DecoderCost:
        """One by one, or many at once."""
        if preset.decoder == "frame":
            return frame_decoder(preset, device)
        return clip_decoder(preset, min(frames, DECODED_TOGETHER), device)

    def open_networks(self, context: DenoisingContext) -> "CinemoConditioning":
        """The network, told what to do; the text encoder isn't kept."""
        request, device, dtype = context.request, context.device, context.dtype
        preset, folder = request.preset, request.weights["cinemo"]
        what, parts = "loading networks", 2
        context.progress(what, 0, parts)
        prompts = (preset.negative_prompt, preset.prompt, preset.source_prompt)
        texts = encode_prompts(folder, prompts, device, dtype, request.loras)
        context.progress(what, 1, parts)
        unet = load_network(
            lambda: MotionUNet(self.unet, self.motion_embed_dim),
            {"": folder / "unet" / "diffusion_pytorch_model.safetensors"},
            device,
            dtype,
            loras=request.loras,
        )
        context.progress(what, 2, parts)
        context.compile_network(unet)
        return encode_conditioning(
            unet, texts, bucket_of(preset), preset.window, context.memory_plan(self.unet)
        )


class CinemoConditioning(NamedTuple):
    """The network, and what stays the same over parts, windows and steps.

    motion: what it hears of how much motion there is, (1, time_width).
    inputs: what it sees of the negative prompt, and of the prompt.
    source: what it sees of the words about the clip whose motion is taken.
    memory_plan: how its calls share the memory.
    """

    unet: MotionUNet
    motion: Tensor
    inputs: CFGInputs[KVCache]
    source: KVCache
    memory_plan: MemoryPlan


@torch.inference_mode()
def encode_conditioning(
    unet: MotionUNet,
    texts: Tensor,
    motion: float,
    frames: int,
    memory_plan: MemoryPlan = CFG_BATCH_OFF,
) -> CinemoConditioning:
    """Tell the network what holds for the whole render.

    texts: of the negative prompt, the prompt, the words about the source: (3, m, width).
    motion: the number that says how much there is of it.
    frames: residuals in a window.
    """
    uncond, cond, source = (unet.cache_clip_kv(text[None], frames) for text in texts)
    batched = unet.cache_clip_kv(texts[:2], frames) if memory_plan.cfg_batch else None
    motion_embedding = unet.add_embedding(torch.tensor([motion], device=texts.device))
    return CinemoConditioning(
        unet, motion_embedding, CFGInputs(uncond, cond, batched), source, memory_plan
    )


def bucket_of(preset: Preset) -> float:
    """The number that the network hears for how much motion there is.

    That of the published weights falls as motion grows: it seems to be a hundred times the
    mean SSIM of neighbouring frames.
    """
    if preset.motion_bucket is not None:
        return preset.motion_bucket
    return float(STILLEST - preset.motion_strength)


def predictor(
    conditioning: CinemoConditioning,
    first: Tensor,
    guidance: Guidance,
    steps: int,
    reuse: Reuse = NO_REUSE,
) -> StepFn:
    """Make the denoising function of residuals, the first frame being `first` (c, h, w)."""
    given = first[None, :, None].to(conditioning.motion)  # (1, c, 1, h, w)
    calls = WindowCalls(conditioning.unet, guidance, conditioning.memory_plan, reuse)

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        guided, time = guidance.works_at(step, steps), timestep.to(given.device)

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            def model(clips: Tensor, kv_cache: KVCache, deep: Deep | None) -> Tensor:
                return conditioning.unet(
                    clips,
                    time,
                    kv_cache,
                    first=given.expand(len(clips), -1, -1, -1, -1),
                    motion=conditioning.motion,
                    deep=deep,
                )

            return calls.predict(
                part.to(given),
                model,
                step=step,
                window=window,
                guided=guided,
                inputs=conditioning.inputs,
            )

        return predict

    return step_fn


@dataclass(frozen=True, eq=False)
class ClipSampler:
    """All parts of one clip, each a run of the loop; see `cut_parts`.

    networks: called when there is a step left to do.
    reuse: what steps take from those before them.
    """

    context: DenoisingContext
    networks: Callable[[], CinemoConditioning]
    checkpoint: Checkpoint
    reuse: Reuse = NO_REUSE

    def latents(self) -> Tensor:
        """The latents (frames, c, h, w) of the whole clip; the first is the picture."""
        request, preset = self.context.request, self.context.request.preset
        kept = self.checkpoint.load()
        clip = self.picture() if kept is None else torch.from_numpy(kept["clip"])
        parts = cut_parts(request.frames, preset.window, preset.extend)
        runs = 1 if request.control is None else 2  # of the loop, for each part
        for number, part in enumerate(parts):
            last = runs * (number + 1) - 1
            if last < segment_of(kept):  # what it made is in the clip
                continue
            clip = torch.cat([clip, self.made(clip, part, last, runs * len(parts))])
        return clip[: request.frames]

    def picture(self) -> Tensor:
        """The latents (1, c, h, w) of the first frame."""
        return self.context.encode(self.context.request.reference).float().cpu()

    def made(self, clip: Tensor, part: range, segment: int, segments: int) -> Tensor:
        """The frames (part, c, h, w) that go on from the last of `clip`."""
        preset, first = self.context.request.preset, clip[-1]
        signal = make_scheduler("ddim", SCHEDULE).alphas_cumprod[preset.refine_timestep]

        def start() -> Tensor:
            if self.context.request.control is not None:
                noise = self.inverted(clip, part, segment - 1, segments)
            else:
                shape = (len(first), *first.shape[1:])
                noise = clip_noise(preset.noise, part.stop, shape, preset.seed)
                noise = noise[part.start :]
            return refine_noise(noise, first, float(signal), preset.refine)

        solver = Scheduler(preset.sampler, SCHEDULE, preset.steps, preset.seed)
        residuals = sample(
            start,
            solver,
            lambda: predictor(
                self.networks(), first, self.context.guidance, preset.steps, self.reuse
            ),
            context_windows(preset, len(part)),
            SegmentCheckpoint(self.checkpoint, segment, {"clip": clip.numpy()}),
            self.counting(segment, segments),
            self.context.device,
            reuse=self.reuse,
            watch=self.context.watch(solver, self.checkpoint, first),
        )
        return first + residuals

    def inverted(self, clip: Tensor, part: range, segment: int, segments: int) -> Tensor:
        """The noise (part, c, h, w) from which the network would make the other clip."""
        preset = self.context.request.preset
        first, *others = (self.shown(i) for i in range(part.start - 1, part.stop))

        def start() -> StepFn:
            conditioning = self.networks()
            conditioning = conditioning._replace(
                inputs=replace(conditioning.inputs, cond=conditioning.source)
            )
            return predictor(conditioning, first, Guidance(1), preset.steps)

        return sample(
            lambda: torch.stack(others) - first,
            DDIMInversion(SCHEDULE, preset.steps),
            start,
            context_windows(preset, len(part)),
            SegmentCheckpoint(self.checkpoint, segment, {"clip": clip.numpy()}),
            self.counting(segment, segments),
            self.context.device,
        )

    def shown(self, frame: int) -> Tensor:
        """The latents (c, h, w) of a frame of the other clip; beyond it, of its last."""
        request = self.context.request
        if request.control is None:
            raise ValueError("there is no clip to take the motion from")
        at = min(frame, request.frames - 1)
        (picture,) = request.control(range(at, at + 1))
        return self.context.encode(picture)[0].float().cpu()

    def counting(self, segment: int, segments: int) -> Progress:
        """The report of one run, as a share of all."""
        progress = self.context.progress
        return lambda what, done, of: progress(what, segment * of + done, segments * of)
