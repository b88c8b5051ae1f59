"""The one training loop: every stage brings its networks, its batches and its loss.

A batch is a function of the step alone and every random number of a step is drawn from a
generator seeded by (seed, step). A run that was stopped therefore goes on with the same
losses as one that was not, and only the networks, their averages and the optimiser's
moments have to be kept.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Arrays = Mapping[str, NDArray[np.generic]]
Loss = Callable[[int, torch.Generator], Tensor]
"""(step, random numbers of this step) -> the loss of the step's batch, a scalar."""


class Checkpoint(Protocol):
    """Where a run is kept. Each save is whole or absent."""

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """What was saved last, or None."""

    def save(self, arrays: Arrays) -> None:
        """Replace what was saved by `arrays`."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns.

    steps: updates in all.
    learning_rate: after `warmup` updates; it then stays, or falls to 0 along a half cosine
        over the last `decay` updates.
    ema: how much of the averaged weights stays at an update; 0 keeps no average.
    betas: how long the optimiser remembers gradients and their squares.
    clip: largest norm of all gradients together.
    save_every: updates between two saves.
    """

    steps: int
    learning_rate: float
    seed: int = 12580  # the authors' seed
    warmup: int = 100
    decay: int = 0
    weight_decay: float = 1e-2
    ema: float = 0.997
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    bfloat16: bool = False
    save_every: int = 200

    def rate(self, step: int) -> float:
        """The learning rate of update `step`."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1, self.decay)
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, left)) if self.decay else 1.0
        return self.learning_rate * rise * fall

    def keep(self, step: int) -> float:
        """How much of the averaged weights stays at update `step`: little at first, so
        that they don't remember the beginning."""
        return min(self.ema, (1 + step) / (10 + step))


@dataclass(frozen=True)
class Progress:
    """One update: its number (from 1), its loss, and the seconds it took."""

    step: int
    loss: float
    seconds: float


def train(
    network: nn.Module,
    average: nn.Module | None,
    loss: Loss,
    schedule: Schedule,
    checkpoint: Checkpoint,
) -> Iterator[Progress]:
    """Update `network` until the schedule ends, yielding after each update.

    average: a copy of the network that follows it slowly; the one to use afterwards.
    Goes on from `checkpoint`, and saves there. Only parameters with `requires_grad` learn.
    """
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        learning, schedule.learning_rate, schedule.betas, 1e-8, schedule.weight_decay
    )
    start = _restore(network, average, optimiser, learning, checkpoint.load())
    random = torch.Generator()
    for step in range(start, schedule.steps):
        began = time.perf_counter()
        random.manual_seed(schedule.seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bfloat16):
            value = loss(step, random)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(learning, schedule.clip)
        optimiser.step()
        if average is not None:
            _follow(average, network, schedule.keep(step))
        done = step + 1
        if done % schedule.save_every == 0 or done == schedule.steps:
            checkpoint.save(_state(network, average, optimiser, learning, done))
        yield Progress(done, value.item(), time.perf_counter() - began)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


def _state(
    network: nn.Module,
    average: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    learning: list[nn.Parameter],
    step: int,
) -> dict[str, NDArray[np.generic]]:
    """All that a run needs to go on, as arrays by name."""
    state: dict[str, NDArray[np.generic]] = {"step": np.array(step)}
    for name, module in (("network", network), ("average", average)):
        if module is not None:
            for key, tensor in module.state_dict().items():
                state[f"{name}.{key}"] = tensor.numpy()
    for index, parameter in enumerate(learning):
        for moment, tensor in optimiser.state[parameter].items():
            state[f"optimiser.{index}.{moment}"] = tensor.numpy()
    return state


def _restore(
    network: nn.Module,
    average: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    learning: list[nn.Parameter],
    state: dict[str, NDArray[np.generic]] | None,
) -> int:
    """Put a saved run back; gives the updates that it had done."""
    if state is None:
        return 0
    for name, module in (("network", network), ("average", average)):
        if module is not None:
            part = name + "."
            module.load_state_dict(
                {
                    key.removeprefix(part): torch.from_numpy(array)
                    for key, array in state.items()
                    if key.startswith(part)
                }
            )
    for index, parameter in enumerate(learning):
        part = f"optimiser.{index}."
        optimiser.state[parameter] = {
            key.removeprefix(part): torch.from_numpy(array)
            for key, array in state.items()
            if key.startswith(part)
        }
    return int(state["step"])
