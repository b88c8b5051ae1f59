"""The loop: rates, averages, and going on after a kill."""

import copy
from collections.abc import Mapping

import numpy as np
import pytest
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


@pytest.mark.parametrize("killed_after", [1, 5, 7, 11])
def test_a_killed_run_goes_on_with_the_same_losses(killed_after: int) -> None:
    whole_course, whole = Line(), losses(Line(), Kept())
    for _ in train(whole_course, SHORT, Kept()):
        pass
    kept = Kept()
    first = losses(Line(), kept, killed_after)
    again = Line()
    second = losses(again, kept)
    assert first == whole[:killed_after]
    assert second == whole[killed_after // 5 * 5 :]  # what came after the last save
    for there, here in zip(
        (*whole_course.network.parameters(), *whole_course.average.parameters()),
        (*again.network.parameters(), *again.average.parameters()),
        strict=True,
    ):
        torch.testing.assert_close(there, here, rtol=0, atol=0)


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(updates=100, learning_rate=1.0, warmup=4, decay=20)
    rates = [schedule.rate(step) for step in (0, 1, 3, 50, 80, 90, 100)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 1, 1, 1, 0.5, 0], atol=1e-12)


def test_averages_forget_the_beginning() -> None:
    schedule = Schedule(ema=0.99)
    assert schedule.keep(0) == 0.1
    assert schedule.keep(10_000) == 0.99
