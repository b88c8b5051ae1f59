"""Turn noise into latents: the one denoising loop that every diffusion renderer shares.

The latents of the whole clip rest in host memory; a window at a time is on the device.
They are kept after every step, with what the sampler remembers and the seconds that the
steps took so far, and a stopped render goes on from there with the same bits.
"""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.rendering.renderer import Checkpoint, Report
from animcli.rendering.sampling import Arrays
from animcli.rendering.windows import Blend, Window, gather

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
