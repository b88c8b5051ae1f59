"""Steps are kept while the next one runs, in order, and a stop comes up in the loop."""

import threading
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.rendering.context import ContextWindow, DenoiseFn
from animcli.rendering.pipeline import Keeping

WINDOW = ContextWindow((0,), (1.0,))


class Slow:
    """A checkpoint that waits to be let through, and may end the run."""

    def __init__(self, stops_at: int = -1) -> None:
        self.go = threading.Semaphore(0)
        self.saved: list[int] = []
        self.stops_at = stops_at

    def load(self) -> None:
        return None

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        assert self.go.acquire(timeout=10)
        self.saved.append(int(arrays["done"]))
        if self.saved[-1] == self.stops_at:
            raise KeyboardInterrupt


def arrays(done: int) -> dict[str, NDArray[np.generic]]:
    return {"done": np.asarray(done)}


def test_the_loop_goes_on_while_a_step_is_written_and_the_end_waits() -> None:
    slow = Slow()
    with Keeping(slow, beside=True) as keep:
        keep.save(arrays(1))
        assert slow.saved == []  # the loop is here, the save isn't through
        slow.go.release(2)
        keep.save(arrays(2))
    assert slow.saved == [1, 2]


def test_a_save_never_overtakes_the_one_before() -> None:
    slow = Slow()
    threading.Timer(0.05, slow.go.release, [3]).start()
    with Keeping(slow, beside=True) as keep:
        for done in (1, 2, 3):
            keep.save(arrays(done))
    assert slow.saved == [1, 2, 3]


def test_a_wish_to_stop_comes_up_at_the_next_window_after_the_step_was_kept() -> None:
    slow = Slow(stops_at=1)

    def start(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        return lambda part, window: part

    part = torch.zeros(1, 4, 2, 2)
    with pytest.raises(KeyboardInterrupt), Keeping(slow, beside=True) as keep:  # noqa: PT012
        predict = keep.watched(start)(0, torch.tensor(1), part)
        assert predict(part, WINDOW) is part
        keep.save(arrays(1))
        assert predict(part, WINDOW) is part  # still being written
        slow.go.release()
        for _ in range(1000):
            predict(part, WINDOW)
            threading.Event().wait(0.01)
    assert slow.saved == [1]


def test_a_stop_with_the_last_step_comes_up_at_the_end() -> None:
    slow = Slow(stops_at=1)
    slow.go.release()
    with pytest.raises(KeyboardInterrupt), Keeping(slow, beside=True) as keep:
        keep.save(arrays(1))
    assert slow.saved == [1]


def test_on_a_cpu_a_save_is_through_when_it_returns() -> None:
    slow = Slow()
    slow.go.release()
    with Keeping(slow, beside=False) as keep:
        keep.save(arrays(1))
        assert slow.saved == [1]
