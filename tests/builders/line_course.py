"""The smallest course, and a checkpoint in memory."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.training.loop import Judgement, Schedule, train

Arrays = dict[str, NDArray[np.generic]]


class Line:
    """A course: a linear layer learns to double, from numbers drawn at each step."""

    samples = 8

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Linear(3, 3)
        self.average: nn.Module = copy.deepcopy(self.network)

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        x = torch.randn(8, 3, generator=random) + step
        return (self.network(x) - 2 * x).square().mean()

    def judge(self) -> Judgement:
        return Judgement({}, ())


class Kept:
    """A checkpoint in memory."""

    def __init__(self) -> None:
        self.arrays: Arrays | None = None

    def load(self) -> Arrays | None:
        return self.arrays

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.arrays = {name: np.array(array) for name, array in arrays.items()}


SHORT = Schedule(updates=12, learning_rate=0.1, warmup=2, save_every=5, bfloat16=False)


def losses(course: Line, kept: Kept, most: int = 12) -> list[float]:
    found = []
    for progress in train(course, SHORT, kept):
        found.append(progress.loss)
        if progress.step == most:
            break
    return found
