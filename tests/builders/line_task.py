"""The smallest training task."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from animcli.training.processes import ALONE, Processes
from animcli.training.trainer import Evaluation, Trainer, TrainerSettings

SHORT = TrainerSettings(
    updates=12, learning_rate=0.1, warmup=2, save_every=5, evaluate_every=4, bfloat16=False
)


@dataclass(frozen=True)
class Numbers(Dataset[Tensor]):
    """Batch number -> eight points around it."""

    def __getitem__(self, number: int) -> Tensor:
        drawn = torch.randn(8, 3, generator=torch.Generator().manual_seed(number))
        return drawn + number / 8


class Line:
    """A linear layer learns to double, from noisy points."""

    samples = 8

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(3, 3)

    @property
    def dataset(self) -> Dataset[Any]:
        return Numbers()

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        x = batch + torch.randn(8, 3, generator=rng)
        return (self.model(x) - 2 * x).square().mean()

    def evaluate(self) -> Evaluation:
        x = torch.ones(1, 3)
        error = (self.model(x) - 2).square().mean()
        return Evaluation({"error": float(error)})


def trainer_of(
    task: Line,
    folder: Path,
    settings: TrainerSettings = SHORT,
    progress: Callable[[str, int, int], None] = lambda task, done, total: None,
    processes: Processes = ALONE,
    **changes: Any,
) -> Trainer:
    """A trainer that draws nothing. changes: other settings."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = replace(settings, **changes)
    return Trainer(task, chosen, folder, progress, lambda *shown: None, processes)
