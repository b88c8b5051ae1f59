"""Trainer: the training loop, with AdamW, a learning rate schedule, EMA and checkpoints.

A batch is a function of its number alone, and every random number of its loss is drawn from
a generator seeded by (seed, number). A run that was stopped therefore goes on with the same
losses as one that was not, and only what is trained, its EMA and the optimizer's state have
to be kept. Several processes take turns with the numbers.

Each stage of a run has a folder: a checkpoint, a curve (JSON lines), and pictures of it and
of the evaluation.
"""

import json
import math
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from animcli.errors import ProjectError
from animcli.files import atomic_path
from animcli.settings import setting
from animcli.training.processes import ALONE, Processes

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.jsonl"

UNREADABLE: Final = (
    AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    pickle.UnpicklingError,
)  # fmt: skip
"""Errors of torch for files that are damaged, or of something else."""

Progress = Callable[[str, int, int], None]
"""(task, done, of how much), for the progress line."""

Curve = list[dict[str, float]]


@dataclass(frozen=True)
class TrainerSettings:
    """Length, optimizer and bookkeeping of one stage."""

    updates: int = setting(20_000, "Updates in all.", low=1)
    minutes: float = setting(
        0.0, "Minutes after which a session saves and ends; 0 is no limit.", low=0
    )
    learning_rate: float = setting(1e-3, "Learning rate after the warm-up.", low=0)
    warmup: int = setting(100, "Updates over which the learning rate rises.", low=0)
    decay: int = setting(
        0, "Last updates, over which it falls to 0 along half a cosine.", low=0
    )
    seed: int = setting(12580, "Seed of all randomness; the authors' seed.", low=0)
    _: KW_ONLY
    weight_decay: float = setting(1e-2, "Weight decay of AdamW.", low=0)
    beta2: float = setting(0.99, "Second beta of AdamW.", low=0, high=0.99999)
    ema_decay: float = setting(
        0.999, "Decay of the exponential moving average; 0 keeps none.", low=0, high=1
    )
    clip_norm: float = setting(1.0, "Largest norm of all gradients together.", low=0)
    bfloat16: bool = setting(True, "Autocast to bfloat16.")
    workers: int = setting(
        0, "Processes that read and prepare batches; 0 is the training one.", low=0, high=64
    )
    save_every: int = setting(200, "Updates between two checkpoints.", low=1)
    evaluate_every: int = setting(500, "Updates between two evaluations.", low=1)

    def rate(self, step: int) -> float:
        """Learning rate of update `step`, as a share of the full one."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.updates - step) / max(1, self.decay)
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, left)) if self.decay else 1.0
        return rise * fall

    def decay_at(self, step: int) -> float:
        """EMA decay at update `step`: small at first, to forget the initial weights."""
        return min(self.ema_decay, (1 + step) / (10 + step))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures by name, and rows of pictures `(b, 3, h, w)` in -1..1 for the sheet."""

    figures: dict[str, float]
    rows: tuple[Tensor, ...] = ()


class TrainingTask(Protocol):
    """Model of one stage, its batches, loss and evaluation."""

    @property
    def model(self) -> nn.Module:
        """The network; only parameters with `requires_grad` are trained."""

    @property
    def samples(self) -> int:
        """Pictures of an update."""

    @property
    def dataset(self) -> Dataset[Any]:
        """Batch number -> batch, any picklable value; the same for the same number."""

    def loss(self, batch: Any, rng: torch.Generator) -> Tensor:
        """Loss of a batch, a scalar."""

    def evaluate(self) -> Evaluation:
        """Evaluate the model as it is now; called with the EMA weights in its place."""


@dataclass(eq=False)
class Trainer:
    """Trains one task in one folder, and goes on from there.

    show: draws the curve and the rows of an evaluation into the folder.
    Only the first of several processes writes files and reports.

    Raises ProjectError for a checkpoint that is damaged, or of another network.
    """

    task: TrainingTask
    settings: TrainerSettings
    folder: Path
    progress: Progress
    show: Callable[[Path, Curve, Evaluation], None]
    processes: Processes = ALONE
    step: int = field(default=0, init=False)
    trained: dict[str, nn.Parameter] = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    scheduler: LambdaLR = field(init=False)
    ema: AveragedModel | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        settings = self.settings
        self.trained = {
            name: p for name, p in self.task.model.named_parameters() if p.requires_grad
        }
        self.optimizer = torch.optim.AdamW(
            self.trained.values(),
            settings.learning_rate,
            (0.9, settings.beta2),
            1e-8,
            settings.weight_decay,
        )
        self.scheduler = LambdaLR(self.optimizer, settings.rate)
        if settings.ema_decay:  # of what is trained alone, in as much memory again
            self.ema = AveragedModel(self._parameters, multi_avg_fn=self._average)
        self._load()

    def fit(self) -> bool:
        """Train until the schedule or the session ends, with a checkpoint at its end.

        Returns whether the schedule has ended. All processes end at the same update.
        """
        settings, first = self.settings, self.processes.index == 0
        curve = read_curve(self.folder / CURVE, self.step) if first else []
        losses, seconds = list[float](), 0.0
        began = time.perf_counter()
        for loss, spent in self.updates():
            losses.append(loss)
            seconds += spent
            ends = self.step == settings.updates or self._is_late(began)
            if first:
                self.progress(f"training {self.folder.name}", self.step, settings.updates)
                if self.step % settings.evaluate_every == 0 or ends:
                    row = {"updates": self.step, **self._rates(losses, seconds)}
                    self._evaluate(curve, row)
                    losses, seconds = [], 0.0
                if self.step % settings.save_every == 0 or ends:
                    self.save()
            if ends:
                break
        self.processes.wait()
        return self.step >= settings.updates

    def updates(self) -> Iterator[tuple[float, float]]:
        """Do one update after another: the loss and the seconds of each."""
        device = next(iter(self.trained.values())).device.type
        count, index = self.processes.count, self.processes.index
        numbers = range(self.step * count + index, self.settings.updates * count, count)
        loader = DataLoader(
            self.task.dataset,
            batch_size=None,
            sampler=numbers,
            num_workers=self.settings.workers,
        )
        rng = torch.Generator()
        began = time.perf_counter()
        for number, batch in zip(numbers, loader, strict=True):
            rng.manual_seed(self.settings.seed * 1_000_003 + number)
            with torch.autocast(device, torch.bfloat16, enabled=self.settings.bfloat16):
                loss = self.task.loss(batch, rng)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            parameters = list(self.trained.values())
            self.processes.average_gradients(parameters)
            nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm)
            self.optimizer.step()
            self.scheduler.step()
            if self.ema is not None:
                self.ema.update_parameters(self._parameters)
            self.step += 1
            now = time.perf_counter()
            yield loss.item(), now - began
            began = time.perf_counter()

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The model with its EMA in the place of the weights, where there is one."""
        if self.ema is None or not self.ema.n_averaged:
            yield self.task.model
            return
        self._swap()
        try:
            yield self.task.model
        finally:
            self._swap()

    def save(self) -> None:
        """Replace the folder's checkpoint by the present state, whole or not at all."""
        state = {
            "step": self.step,
            "model": {name: p.detach() for name, p in self.trained.items()},
            "ema": None if self.ema is None else self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }
        with atomic_path(self.folder / CHECKPOINT) as part:
            torch.save(state, part)

    def _load(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        try:
            self._restore(torch.load(path, map_location="cpu", weights_only=True))
        except UNREADABLE as error:
            raise ProjectError(
                f"{path} can't be read: {str(error).partition(chr(10))[0]}",
                "remove it to train this stage anew",
            ) from error

    @torch.no_grad()
    def _restore(self, state: dict[str, Any]) -> None:
        kept: dict[str, Tensor] = state["model"]
        for name in sorted(self.trained.keys() | kept.keys()):
            ours, theirs = self.trained.get(name), kept.get(name)
            if ours is None or theirs is None or ours.shape != theirs.shape:
                raise ProjectError(
                    f"{self.folder / CHECKPOINT} is of another network (first: {name})",
                    "go on with the settings it had, or train in another folder",
                )
        for name, parameter in self.trained.items():
            parameter.copy_(kept[name])
        self.step = state["step"]
        if self.ema is not None and state["ema"] is not None:
            self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        # The settings of now: they may have been changed on purpose.
        settings, groups = self.settings, self.optimizer.param_groups
        rate = settings.learning_rate
        self.scheduler.load_state_dict(
            {
                **state["scheduler"],
                "base_lrs": [rate] * len(groups),
                "_last_lr": [rate * settings.rate(self.step)] * len(groups),
            }
        )
        for group in groups:
            group["initial_lr"] = rate
            group["lr"] = rate * settings.rate(self.step)
            group["betas"] = (0.9, settings.beta2)
            group["weight_decay"] = settings.weight_decay

    @property
    def _parameters(self) -> nn.ParameterList:
        return nn.ParameterList(self.trained.values())

    def _average(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int
    ) -> None:
        torch._foreach_lerp_(
            list(averaged), list(current), 1 - self.settings.decay_at(int(count))
        )

    @torch.no_grad()
    def _swap(self) -> None:
        assert self.ema is not None
        for average, parameter in zip(
            self.ema.module.parameters(), self.trained.values(), strict=True
        ):
            now = parameter.data
            parameter.data, average.data = average.data, now

    def _rates(self, losses: Sequence[float], seconds: float) -> dict[str, float]:
        each = self.task.samples * self.processes.count
        return {
            "samples": self.step * each,
            "samples_per_second": len(losses) * each / seconds,
            "loss": sum(losses) / len(losses),
        }

    def _evaluate(self, curve: Curve, row: dict[str, float]) -> None:
        with self.averaged(), torch.no_grad():
            found = self.task.evaluate()
        curve.append({**row, **found.figures})
        with (self.folder / CURVE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(curve[-1]) + "\n")
        self.show(self.folder, curve, found)

    def _is_late(self, began: float) -> bool:
        limit = self.settings.minutes * 60
        late = time.perf_counter() - began > limit
        return bool(limit) and self.processes.any(late)


def read_curve(path: Path, step: int) -> Curve:
    """Rows of a stopped run up to update `step`; what comes after is cut off the file."""
    if not path.is_file():
        return []
    rows: Curve = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:  # torn by a kill
            break
    kept = [row for row in rows if row["updates"] <= step]
    with atomic_path(path) as part:
        part.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return kept
