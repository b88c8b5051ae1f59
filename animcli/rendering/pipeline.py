"""From a request to frames: the denoising loop and what else diffusion renderers share.

The latents of the whole clip rest in host memory; a window at a time is on the device.
They are kept after every step, with what the sampler remembers and the seconds that the
steps took so far, and a stopped render goes on from there with the same bits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import PresetError
from animcli.networks.unet import UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import (
    Blend,
    Window,
    fill_between,
    gather,
    key_frames,
    only_frames,
    windows_of,
)
from animcli.rendering.cost import bytes_of, window_bytes
from animcli.rendering.guidance import Guidance
from animcli.rendering.loading import (
    check_compiler,
    dtype_on,
    enough_memory,
    load_autoencoder,
    memory_of,
    open_device,
    visit,
)
from animcli.rendering.noise import clip_noise
from animcli.rendering.renderer import Checkpoint, FrameSource, RenderRequest, Report
from animcli.rendering.schedulers import Arrays, Schedule, Solver
from animcli.rendering.vae import SHRINK, Autoencoder

PredictWindow = Callable[[Tensor, Window], Tensor]
"""(latents of a window (f, c, h, w), the window) -> the prediction, same shape."""

StartStep = Callable[[int, Tensor, Tensor], PredictWindow]
"""(step, timestep (), latents of the whole clip (frames, c, h, w)) -> how to predict.

What a renderer works out once per step, it works out here."""

CutWindows = Callable[[int], list[Window]]
"""step -> the windows of that step."""


class Steps(Protocol):
    """One run from noise to clean latents, or back; `Solver` says what each part does."""

    @property
    def timesteps(self) -> Tensor: ...  # noqa: D102

    @property
    def start(self) -> float: ...  # noqa: D102

    def scale(self, latents: Tensor, step: int) -> Tensor: ...  # noqa: D102

    def step(self, prediction: Tensor, step: int, latents: Tensor) -> Tensor: ...  # noqa: D102

    def memory(self) -> dict[str, NDArray[np.generic]]: ...  # noqa: D102

    def recall(self, arrays: Arrays, step: int) -> None: ...  # noqa: D102


def denoise(
    latents: Tensor, solver: Steps, start_step: StartStep, cut: CutWindows, done: int = 0
) -> Iterator[Tensor]:
    """The latents (frames, c, h, w) after each step from `done` on; the last are clean.

    It stops between any two steps when it isn't asked for more.
    """
    for step in range(done, len(solver.timesteps)):
        seen = solver.scale(latents, step)
        predict = start_step(step, solver.timesteps[step], seen)
        blend = Blend(latents)
        for window in cut(step):
            said = predict(gather(seen, window), window)
            blend.add(window, said.to(device=latents.device, dtype=latents.dtype))
        latents = solver.step(blend.mean(), step, latents)
        yield latents


def clean_latents(
    noise: Callable[[], Tensor],
    solver: Steps,
    start_step: Callable[[], StartStep],
    cut: CutWindows,
    checkpoint: Checkpoint,
    report: Report,
) -> Tensor:
    """Denoise a clip, going on from the checkpoint: clean latents (frames, c, h, w).

    `noise` (of variance 1) and `start_step` are only called if there are steps left: what
    they load is large.
    """
    kept, steps, seconds = checkpoint.load(), len(solver.timesteps), 0.0
    if kept is None:
        done, latents = 0, noise() * solver.start
    else:
        done, seconds = int(kept["done"]), float(kept["seconds"])
        latents = torch.from_numpy(np.asarray(kept["latents"]))
        solver.recall(kept, done)
    if done == steps:
        return latents
    with torch.inference_mode():
        first = start_step()
        report("denoising", done, steps)  # so that the first step's time is known
        begun = time.perf_counter() - seconds
        for less_noisy in denoise(latents, solver, first, cut, done):
            latents, done = less_noisy, done + 1
            spent = time.perf_counter() - begun
            arrays = {
                "done": np.asarray(done),
                "seconds": np.asarray(spent),
                "latents": latents.numpy(),
            }
            checkpoint.save(arrays | solver.memory())
            report("denoising", done, steps)
    return latents


REMEDY: Final = (
    "a smaller --window or --size, --dtype bfloat16, --halves apart or --offload needs less"
)

USABLE: Final = 0.8
"""Share of a device's memory that is planned with; the rest is for libraries and gaps."""


@dataclass(frozen=True, eq=False)
class Workplace:
    """What a renderer works with while it looks at a request."""

    request: RenderRequest
    autoencoder: Autoencoder
    device: torch.device
    dtype: torch.dtype
    report: Report

    @property
    def guidance(self) -> Guidance:
        """The preset's guidance."""
        return Guidance.of(self.request.preset)

    @property
    def home(self) -> torch.device:
        """Where networks are that only visit the device; see `at_work`."""
        return torch.device("cpu") if self.request.offload else self.device

    def at_work(self, network: nn.Module) -> AbstractContextManager[object]:
        """A stretch in which the network is on the device; after it, it needn't be."""
        if self.home == self.device:
            return nullcontext()
        return visit(self.device, network)

    def encode(self, picture: NDArray[np.uint8]) -> Tensor:
        """The latents (1, 4, h / 8, w / 8) of a picture (h, w, 3)."""
        with self.at_work(self.autoencoder.network):
            return self.autoencoder.encode(picture)

    def together(self, config: UNetConfig, *resident: nn.Module) -> bool:
        """Whether both halves of guidance go in one call: no gain on a processor.

        resident: the networks that are on the device meanwhile.
        """
        preset, memory = self.request.preset, memory_of(self.device)
        if preset.halves != "auto" or memory is None:
            return preset.halves == "together"
        features = window_bytes(preset, self.request.frames, config, self.device.type)
        needed = sum(bytes_of(network) for network in resident) + 2 * features
        return needed <= USABLE * memory

    def ready(self, network: nn.Module) -> None:
        """Compile the network at its first call, if the preset wants that."""
        if self.request.preset.compiled:
            check_compiler(self.device)
            network.compile()


def render_clip(
    request: RenderRequest,
    checkpoint: Checkpoint,
    report: Report,
    config: UNetConfig,
    schedule: Schedule,
    look: Callable[[Workplace], StartStep],
    vae_folder: Path,
) -> FrameSource:
    """Denoise the whole clip, going on from `checkpoint`; decode frames as asked.

    look: what a renderer does before the first step; not called if no step is left.
    vae_folder: of the autoencoder, in diffusers' layout.

    Raises PresetError for a window that the network can't see at once, DeviceError where
    the device isn't there or its memory ends.
    """
    preset, (width, height) = request.preset, request.size
    check_window(preset, config)
    device = open_device(request.device)
    dtype = dtype_on(device, preset.dtype)
    vae = load_autoencoder(vae_folder, device, dtype)
    chosen = key_frames(request.frames, preset.latent_spacing)
    few = only_frames(request, chosen)
    place = Workplace(few, Autoencoder(vae), device, dtype, report)
    shape = (config.channels, height // SHRINK, width // SHRINK)
    with enough_memory("denoising", REMEDY):
        latents = clean_latents(
            lambda: clip_noise(preset.noise, few.frames, shape, preset.seed),
            Solver(preset.sampler, schedule, preset.steps, preset.seed),
            lambda: look(place),
            windows_of(preset, few.frames),
            checkpoint,
            report,
        )
    latents = fill_between(latents, chosen, preset.latent_filling)

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        with place.at_work(vae):
            for index in span:
                with enough_memory("decoding", "a smaller --size needs less"):
                    picture = place.autoencoder.picture(latents[index])
                yield picture

    return frames


def check_window(preset: Preset, config: UNetConfig) -> None:
    """Raise PresetError if the motion modules don't know so long a window."""
    if config.motion is not None and preset.window > config.motion.positions:
        raise PresetError(
            f"window {preset.window}: the motion modules of {preset.renderer} know at most "
            f"{config.motion.positions} frames",
            f"--window {config.motion.positions}",
        )
