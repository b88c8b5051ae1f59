"""From a request to frames: the denoising loop and what else diffusion renderers share.

The latents of the whole clip rest in host memory; a window at a time is on the device.
They are kept after every step, with what the sampler remembers and the seconds that the
steps took so far, and a stopped render goes on from there with the same bits.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import DeviceError, PresetError
from animcli.networks.unet_blocks import UNetConfig
from animcli.presets import Preset
from animcli.rendering import split
from animcli.rendering.compiling import compile_blocks
from animcli.rendering.context import (
    Blend,
    ContextWindow,
    DenoiseFn,
    StepFn,
    WindowsFn,
    context_windows,
    gather,
    interpolate,
    keyframes,
    select_frames,
)
from animcli.rendering.cost import window_bytes
from animcli.rendering.guidance import Guidance
from animcli.rendering.kept import let_go
from animcli.rendering.loading import (
    USABLE,
    dtype_on,
    enough_memory,
    free_memory,
    free_on,
    load_autoencoder,
    memory_remedy,
    on_device,
    open_device,
    use_tensor_cores,
    vae_dtype,
)
from animcli.rendering.memory import MemoryPlan
from animcli.rendering.noise import clip_noise
from animcli.rendering.preview import COLOURS, Watch, fit_colours, is_watched
from animcli.rendering.renderer import Checkpoint, FrameFn, Progress, RenderRequest
from animcli.rendering.reuse import NO_REUSE, Reuse, Sources
from animcli.rendering.schedulers import CPU, Arrays, NoiseSchedule, Scheduler
from animcli.rendering.vae import VAE_SCALE, Autoencoder, decode_frames

STEP_OVERFLOW: Final = (
    "--dtype float32 has room for larger numbers; where it doesn't help either, a file is "
    "damaged: anim weights verify"
)


class SchedulerProtocol(Protocol):
    """One run from noise to clean latents, or back; `Scheduler` says what each part
    does.
    """

    @property
    def timesteps(self) -> Tensor: ...  # noqa: D102

    @property
    def init_noise_sigma(self) -> float: ...  # noqa: D102

    def scale_model_input(self, latents: Tensor, step: int) -> Tensor: ...  # noqa: D102

    def step(self, prediction: Tensor, step: int, latents: Tensor) -> Tensor: ...  # noqa: D102

    def state_dict(self) -> dict[str, NDArray[np.generic]]: ...  # noqa: D102

    def load_state_dict(  # noqa: D102
        self, arrays: Arrays, step: int, device: torch.device
    ) -> None: ...


PredictAll = Callable[[int, Tensor, Sequence[ContextWindow]], Iterable[Tensor]]
"""(step, latents of the whole clip, windows) -> their predictions, in order."""


def one_by_one(step_fn: StepFn, timesteps: Tensor) -> PredictAll:
    """Prediction of all windows of a step, one after another."""

    def predict_all(
        step: int, seen: Tensor, windows: Sequence[ContextWindow]
    ) -> Iterator[Tensor]:
        predict = step_fn(step, timesteps[step], seen)
        return (predict(gather(seen, window), window) for window in windows)

    return predict_all


def denoise(
    latents: Tensor,
    scheduler: SchedulerProtocol,
    step_fn: StepFn,
    cut: WindowsFn,
    done: int = 0,
) -> Iterator[Tensor]:
    """The latents (frames, c, h, w) after each step from `done` on; the last are clean.

    It stops between any two steps when it isn't asked for more.

    Raises DeviceError where a prediction isn't finite, before anything is kept of it.
    """
    predict_all = one_by_one(step_fn, scheduler.timesteps)
    return denoise_by(latents, scheduler, predict_all, cut, done)


def denoise_by(
    latents: Tensor,
    scheduler: SchedulerProtocol,
    predict_all: PredictAll,
    cut: WindowsFn,
    done: int = 0,
    watch: Watch | None = None,
) -> Iterator[Tensor]:
    """The same by whoever predicts all windows of a step.

    watch: told what is predicted.
    """
    for step in range(done, len(scheduler.timesteps)):
        seen = scheduler.scale_model_input(latents, step)
        blend, windows = Blend(latents), cut(step)
        for window, said in zip(windows, predict_all(step, seen, windows), strict=True):
            blend.add(window, said.to(device=latents.device, dtype=latents.dtype))
        prediction = blend.mean()
        if not torch.isfinite(prediction).all():
            raise DeviceError(
                f"the network's numbers overflowed at step {step + 1} of "
                f"{len(scheduler.timesteps)}",
                STEP_OVERFLOW,
            )
        if watch is not None:
            watch(step, seen, prediction)
        latents = scheduler.step(prediction, step, latents)
        yield latents


def sample(
    noise: Callable[[], Tensor],
    scheduler: SchedulerProtocol,
    step_fn: Callable[[], StepFn],
    cut: WindowsFn,
    checkpoint: Checkpoint,
    progress: Progress,
    device: torch.device = CPU,
    begin: int = 0,
    guidance: Guidance | None = None,
    reuse: Reuse = NO_REUSE,
    watch: Watch | None = None,
) -> Tensor:
    """Denoise a clip, going on from the checkpoint: clean latents (frames, c, h, w).

    `noise` (of variance 1) and `step_fn` are only called if there are steps left: what
    they load is large. Latents are on `device` meanwhile; if that is a GPU, each step is
    kept while the next one runs.
    begin: steps that are left out; then `noise` gives the latents as they are before the
        first of the others, and they are used as they are.
    guidance: where its halves may be predicted apart.
    reuse: as `step_fn` works; what it takes to go on with it is kept as well.
    watch: told what is predicted; its arrays are kept with every step.
    """
    cut = reuse.cut(cut)
    kept, steps, seconds = checkpoint.load(), len(scheduler.timesteps), 0.0
    if kept is None and begin:
        done, latents = begin, noise()
    elif kept is None:
        done, latents = 0, noise() * scheduler.init_noise_sigma
    else:
        done, seconds = int(kept["done"]), float(kept["seconds"])
        latents = torch.from_numpy(np.asarray(kept["latents"]))
        scheduler.load_state_dict(kept, done, device)
    if done == steps:
        return latents
    with torch.inference_mode(), Keeping(checkpoint, beside=device.type != "cpu") as keep:
        others = split.elsewhere()
        if others is None:
            predict_all = one_by_one(keep.watched(step_fn()), scheduler.timesteps)
        else:
            predict_all = split.predicted_elsewhere(others, guidance, steps)
        sources = Sources(reuse, predict_all) if reuse.is_on else None
        if sources is not None and kept is not None:
            progress("working out again what is reused", done, steps)
            sources.recall(kept, done, cut, device)
        latents = latents.to(device)
        progress("denoising", done, steps)  # so that the first step's time is known
        begun = time.perf_counter() - seconds
        predicted = sources or predict_all
        for less_noisy in denoise_by(latents, scheduler, predicted, cut, done, watch):
            latents, done = less_noisy, done + 1
            spent = time.perf_counter() - begun
            arrays = {
                "done": np.asarray(done),
                "begun": np.asarray(begin),
                "seconds": np.asarray(spent),
                "latents": latents.cpu().numpy(),
            }
            if sources is not None and done < steps:
                arrays |= sources.memory(done)
            if watch is not None:
                arrays |= watch.arrays()
            keep.save(arrays | scheduler.state_dict())
            progress("denoising", done, steps)
    return latents.cpu()


class Keeping:
    """Saves to a checkpoint, beside the loop if that is wanted: one at a time, in order.

    What a save raises, a wish to stop among it, comes up at the next window.
    """

    def __init__(self, checkpoint: Checkpoint, *, beside: bool) -> None:
        self._checkpoint = checkpoint
        self._thread = ThreadPoolExecutor(1) if beside else None
        self._last: Future[None] | None = None

    def __enter__(self) -> "Keeping":
        return self

    def __exit__(self, *failed: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        if failed[0] is None and self._last is not None:
            self._last.result()

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Save, or begin to, once the save before has ended."""
        if self._thread is None:
            self._checkpoint.save(arrays)
            return
        if self._last is not None:
            self._last.result()
        self._last = self._thread.submit(self._checkpoint.save, arrays)

    def watched(self, step_fn: StepFn) -> StepFn:
        """The same, but that it ends at the next window once a save has failed."""

        def start(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
            predict = step_fn(step, timestep, latents)

            def watch(part: Tensor, window: ContextWindow) -> Tensor:
                if self._last is not None and self._last.done():
                    self._last.result()
                return predict(part, window)

            return watch

        return start


@dataclass(frozen=True, eq=False)
class DenoisingContext:
    """Request, device and autoencoder that a renderer prepares its conditioning with."""

    request: RenderRequest
    autoencoder: Autoencoder
    device: torch.device
    dtype: torch.dtype
    progress: Progress
    colours: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    """From latents to RGB, once the first picture was encoded; see `preview`."""

    @property
    def guidance(self) -> Guidance:
        """The preset's guidance."""
        return Guidance.of(self.request.preset)

    @property
    def home(self) -> torch.device:
        """Device that networks rest on between uses; see `on_device`."""
        away = self.request.offload == "networks"
        return torch.device("cpu") if away else self.device

    def on_device(self, network: nn.Module) -> AbstractContextManager[object]:
        """A stretch in which the network is on the device; after it, it needn't be."""
        if self.home == self.device:
            return nullcontext()
        return on_device(self.device, network)

    def encode(self, picture: NDArray[np.uint8]) -> Tensor:
        """The latents (1, 4, h / 8, w / 8) of a picture (h, w, 3)."""
        with self.on_device(self.autoencoder.network):
            latents = self.autoencoder.encode(picture)
        if COLOURS not in self.colours:
            self.colours[COLOURS] = fit_colours(latents[0].float().cpu().numpy(), picture)
        return latents

    def encode_all(self, frames: FrameFn) -> Tensor:
        """The latents (frames, 4, h / 8, w / 8) float32 of all frames, one by one."""
        count, found = self.request.frames, []
        with self.on_device(self.autoencoder.network):
            for index, picture in enumerate(frames(range(count))):
                self.progress("encoding what to start from", index, count)
                found.append(self.autoencoder.encode(picture).float().cpu())
        return torch.cat(found)

    def memory_plan(self, config: UNetConfig) -> MemoryPlan:
        """Plan for what is free on the device, now that the networks are there.

        Both halves of guidance in one call are no gain on a CPU.
        """
        free_memory(self.device)
        preset, free = self.request.preset, free_on(self.device)
        cfg_batch, in_parts = preset.cfg_batch == "on", False
        if free is not None:
            window = window_bytes(preset, self.request.frames, config, self.device.type)
            if 2 * window > USABLE * free and let_go():
                free_memory(self.device)
                free = free_on(self.device) or free
            if preset.cfg_batch == "auto":
                cfg_batch = 2 * window <= USABLE * free
            in_parts = (2 if cfg_batch else 1) * window > USABLE * free
        return MemoryPlan(cfg_batch, in_parts, preset.compiled, self.request.note)

    def reuse(self, config: UNetConfig) -> Reuse:
        """Features that steps take from those before them."""
        preset = self.request.preset
        begin = 0 if self.request.start is None else preset.skipped_steps
        return Reuse.of(preset, config, begin)

    def watch(
        self, scheduler: Scheduler, checkpoint: Checkpoint, first: Tensor | None = None
    ) -> Watch:
        """Previews of what is denoised, on top of `first` (c, h, w) if given."""
        return Watch(
            scheduler,
            self.dtype,
            self.fitted_colours,
            wanted=lambda: COLOURS in self.colours or is_watched(checkpoint),
            preview=self.request.preview,
            first=first,
        )

    def fitted_colours(self) -> NDArray[np.float32]:
        """RGB of latents, by the first picture that was encoded, or else the reference.

        IP-Adapter's renderers encode none by themselves.
        """
        if COLOURS not in self.colours:
            self.encode(self.request.reference)
        return np.asarray(self.colours[COLOURS], np.float32)

    def compile_network(self, network: nn.Module) -> None:
        """Compile the blocks of the network, if the preset wants that."""
        if self.request.preset.compiled:
            compile_blocks(network, self.device)


def render_clip(
    request: RenderRequest,
    checkpoint: Checkpoint,
    progress: Progress,
    config: UNetConfig,
    schedule: NoiseSchedule,
    prepare_conditioning: Callable[[DenoisingContext], StepFn],
    vae_folder: Path,
) -> FrameFn:
    """Denoise the whole clip, going on from `checkpoint`; decode frames as asked.

    prepare_conditioning: what a renderer does before the first step; not called if no step
        is left.
    vae_folder: of the autoencoder, in diffusers' layout.

    Raises PresetError for a window that the network can't see at once, DeviceError where
    the device isn't there or its memory ends.
    """
    preset, (width, height) = request.preset, request.size
    check_window(preset, config)
    device = open_device(request.device)
    dtype = dtype_on(device, preset.dtype)
    use_tensor_cores(device, dtype)
    remedy = memory_remedy(device, dtype)
    with enough_memory("loading the autoencoder", remedy):
        vae = load_autoencoder(vae_folder, device, vae_dtype(device, dtype))
    chosen = keyframes(request.frames, preset.keyframe_interval)
    few = select_frames(request, chosen)
    context = DenoisingContext(few, Autoencoder(vae), device, dtype, progress)
    shape = (config.in_channels, height // VAE_SCALE, width // VAE_SCALE)
    scheduler = Scheduler(preset.sampler, schedule, preset.steps, preset.seed, preset.noise)
    begin = 0 if few.start is None else preset.skipped_steps

    def decode(part: Tensor, kept: Checkpoint) -> FrameFn:
        return decode_frames(vae, "frame", part, kept, context.on_device, request.note)

    def start() -> StepFn:
        return prepare_conditioning(context)

    cut = context_windows(preset, few.frames)
    if split.is_capturing():
        own = split.Unsaved()
        prepared = split.Prepared(
            start,
            scheduler.timesteps,
            cut,
            lambda part: decode(part, own)(range(len(part))),
        )
        raise split.Captured(prepared)

    def first() -> Tensor:
        noise = clip_noise(preset.noise, few.frames, shape, preset.seed)
        if few.start is None or begin == 0:
            return noise
        clean = context.encode_all(few.start)
        return clean if begin == preset.steps else scheduler.noised(clean, noise, begin)

    with enough_memory("denoising", remedy):
        latents = sample(
            first,
            scheduler,
            start,
            cut,
            checkpoint,
            progress,
            device,
            begin,
            context.guidance if preset.cfg_batch == "off" or device.type == "cpu" else None,
            context.reuse(config),
            context.watch(scheduler, checkpoint),
        )
    latents = interpolate(latents, chosen, preset.interpolation)
    others = split.elsewhere()
    if others is None:
        return decode(latents, checkpoint)
    return lambda span: others.decode(latents[span.start : span.stop])


def check_window(preset: Preset, config: UNetConfig) -> None:
    """Raise PresetError if the motion modules don't know so long a window."""
    if config.motion is not None and preset.window > config.motion.max_frames:
        raise PresetError(
            f"window {preset.window}: the motion modules of {preset.renderer} know at most "
            f"{config.motion.max_frames} frames",
            f"--window {config.motion.max_frames}",
        )
