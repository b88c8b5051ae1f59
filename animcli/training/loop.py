"""The one training loop: every stage brings its networks, its batches and its loss.

A batch is a function of its number alone and every random number of it is drawn from a
generator seeded by (seed, number). A run that was stopped therefore goes on with the same
losses as one that was not, and only what learns, its averages and the optimiser's moments
have to be kept. Several processes take turns with the numbers.
"""

import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import ProjectError
from animcli.settings import key
from animcli.training.processes import ALONE, Processes

N = TypeVar("N", bound=nn.Module)

Arrays = Mapping[str, NDArray[np.generic]]


class Checkpoint(Protocol):
    """Where a run is kept. Each save is whole or absent."""

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """What was saved last, or None."""

    def save(self, arrays: Arrays) -> None:
        """Replace what was saved by `arrays`."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns."""

    updates: int = key(20_000, "Updates in all.", low=1)
    learning_rate: float = key(1e-3, "After the warm-up.", low=0)
    warmup: int = key(100, "Updates over which the learning rate rises.", low=0)
    decay: int = key(
        0, "Last updates, over which it falls to 0 along half a cosine.", low=0
    )
    seed: int = key(12580, "Where all chance comes from; the authors' seed.", low=0)
    weight_decay: float = key(1e-2, "Of AdamW.", low=0)
    beta2: float = key(
        0.99, "How long AdamW remembers squares of gradients.", low=0, high=0.99999
    )
    ema: float = key(
        0.999,
        "How much of the averaged weights stays at an update; 0 keeps no average.",
        low=0,
        high=1,
    )
    clip: float = key(1.0, "Largest norm of all gradients together.", low=0)
    bfloat16: bool = key(True, "Whether to multiply in bfloat16.")
    save_every: int = key(200, "Updates between two saves.", low=1)
    show_every: int = key(500, "Updates between two looks at validation.", low=1)

    def rate(self, step: int) -> float:
        """The learning rate of update `step`."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.updates - step) / max(1, self.decay)
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, left)) if self.decay else 1.0
        return self.learning_rate * rise * fall

    def keep(self, step: int) -> float:
        """How much of the averaged weights stays at update `step`: little at first, so
        that they don't remember the beginning."""
        return min(self.ema, (1 + step) / (10 + step))


@dataclass(frozen=True, eq=False)
class Judgement:
    """What validation found.

    figures: by name. rows: of pictures `(b, 3, h, w)` in -1..1, to be shown below each
    other.
    """

    figures: dict[str, float]
    rows: tuple[Tensor, ...]


class Course(Protocol):
    """What one stage of training teaches, and how its pupil is examined."""

    @property
    def network(self) -> nn.Module:
        """The pupil."""

    @property
    def average(self) -> nn.Module:
        """A copy of it, to follow it; or itself, where no average is wanted."""

    @property
    def samples(self) -> int:
        """Pictures of an update."""

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        """The loss of the batch with this number, a scalar."""

    def judge(self) -> Judgement:
        """How good the averaged weights are."""


@dataclass(frozen=True)
class Progress:
    """One update: its number (from 1), its loss, and the seconds it took."""

    step: int
    loss: float
    seconds: float


def follower(network: N) -> N:
    """A copy for the averages of what learns; what doesn't learn, the two share."""
    shared: dict[int, object] = {
        id(each): each for each in network.parameters() if not each.requires_grad
    }
    return copy.deepcopy(network, shared).requires_grad_(False)


def train(
    course: Course, schedule: Schedule, checkpoint: Checkpoint, processes: Processes = ALONE
) -> Iterator[Progress]:
    """Update the course's network until the schedule ends, yielding after each update.

    Its average, a copy, follows slowly, and is the one to use afterwards. Goes on from
    `checkpoint`, and saves there before it yields; of several processes the first does.
    Only parameters with `requires_grad` learn.

    Raises ProjectError where `checkpoint` is of another network.
    """
    network = course.network
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        learning, schedule.learning_rate, (0.9, schedule.beta2), 1e-8, schedule.weight_decay
    )
    start = _restore(course, optimiser, learning, checkpoint.load())
    device = learning[0].device.type
    random = torch.Generator()
    for step in range(start, schedule.updates):
        began = time.perf_counter()
        batch = step * processes.count + processes.index
        random.manual_seed(schedule.seed * 1_000_003 + batch)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast(device, torch.bfloat16, enabled=schedule.bfloat16):
            value = course.loss(batch, random)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        processes.average_gradients(learning)
        nn.utils.clip_grad_norm_(learning, schedule.clip)
        optimiser.step()
        _follow(course.average, network, schedule.keep(step))
        done = step + 1
        saves = done % schedule.save_every == 0 or done == schedule.updates
        if saves and processes.index == 0:
            checkpoint.save(_state(course, optimiser, learning, done))
        yield Progress(done, value.item(), time.perf_counter() - began)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        if slow is not fast:
            slow.lerp_(fast, 1 - keep)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


def _kept(course: Course) -> dict[str, Tensor]:
    """What of the networks has to be kept: all but what doesn't learn."""
    network, average = course.network, course.average
    still = {name for name, p in network.named_parameters() if not p.requires_grad}
    modules = {"network": network}
    if average is not network:
        modules["average"] = average
    return {
        f"{which}.{name}": tensor
        for which, module in modules.items()
        for name, tensor in module.state_dict().items()
        if name not in still
    }


def _state(
    course: Course,
    optimiser: torch.optim.Optimizer,
    learning: list[nn.Parameter],
    step: int,
) -> dict[str, NDArray[np.generic]]:
    """All that a run needs to go on, as arrays by name."""
    state: dict[str, NDArray[np.generic]] = {"step": np.array(step)}
    for name, tensor in _kept(course).items():
        state[name] = tensor.cpu().numpy()
    for index, parameter in enumerate(learning):
        for moment, tensor in optimiser.state[parameter].items():
            state[f"optimiser.{index}.{moment}"] = tensor.cpu().numpy()
    return state


@torch.no_grad()
def _restore(
    course: Course,
    optimiser: torch.optim.Optimizer,
    learning: list[nn.Parameter],
    state: dict[str, NDArray[np.generic]] | None,
) -> int:
    """Put a saved run back; gives the updates that it had done."""
    if state is None:
        return 0
    for name, tensor in _kept(course).items():
        if name not in state or state[name].shape != tensor.shape:
            raise ProjectError(
                f"what was trained here before is another network (first: {name})",
                "go on with the settings it had, or train in another folder",
            )
        tensor.copy_(torch.from_numpy(np.asarray(state[name])))
    for index, parameter in enumerate(learning):
        saved = _part(state, f"optimiser.{index}.")
        optimiser.state[parameter] = {
            # AdamW counts its steps on the processor.
            moment: tensor.to(parameter.device) if tensor.ndim else tensor
            for moment, tensor in saved.items()
        }
    return int(state["step"])


def _part(state: Arrays, start: str) -> dict[str, Tensor]:
    """What is saved under names that begin with `start`, without it."""
    return {
        name.removeprefix(start): torch.from_numpy(np.asarray(array))
        for name, array in state.items()
        if name.startswith(start)
    }
