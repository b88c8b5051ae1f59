"""Time of a step, and of a decoding, split over slots, beside the bound, as Markdown.

    python tests/benchmarks/split_speed.py [SECONDS]

The render is a small one; its latents are compared, bit for bit, with those of one process;
each unit (a window, or one half of its guidance, or four frames to decode) sleeps for so
many seconds (1) on top, in the place of a card's work. The first step, in which slots load
what they need, isn't counted. U units on G slots can't take less than ceil(U / G) of them.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from split_stand_ins import decode, latents  # noqa: E402

from animcli.batch.engine import Here, Seat  # noqa: E402
from animcli.batch.pool import FRAMES_A_UNIT, Pool  # noqa: E402
from animcli.rendering.split import Unit, predicting  # noqa: E402
from animcli.stages.frames import SEGMENT  # noqa: E402


@dataclass
class Timed(Pool):
    """A pool that keeps units and seconds of each step."""

    steps: list[tuple[int, float]] = field(default_factory=list, kw_only=True)

    def predict(self, step: int, seen: Tensor, units: Sequence[Unit]) -> list[Tensor]:
        """Predictions for the units, in their order."""
        began = time.perf_counter()
        said = super().predict(step, seen, units)
        self.steps.append((len(units), time.perf_counter() - began))
        return said


def steps_on(slots: int, folder: Path, expected: Tensor) -> list[tuple[int, float]]:
    """Units and seconds of all steps but the first, and of decoding 48 frames."""
    engine = Here("split_stand_ins:work", [Seat()] * slots, folder / "logs")
    request = {"do": "help", "folder": str(folder)}
    pool = Timed(engine, request, folder / "exchange")
    try:
        with predicting(pool):
            made = latents()
        clip = expected.repeat(3, 1, 1, 1)[:SEGMENT]
        began = time.perf_counter()
        frames = list(pool.decode(clip))
        seconds = time.perf_counter() - began
    finally:
        pool.close()
    assert torch.equal(made, expected)
    pairs = zip(frames, decode(clip), strict=True)
    assert all((frame == own).all() for frame, own in pairs)
    return [*pool.steps[1:], (SEGMENT // FRAMES_A_UNIT, seconds)]


def main(cost: float) -> None:
    """Print the table."""
    expected = latents()
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    os.environ |= {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "SPLIT_COST_S": str(cost)}
    print("| slots | units | seconds | times as fast | at best |\n" + "|---" * 5 + "|")
    alone: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for slots in (1, 2, 4):
            folder = Path(scratch) / str(slots)
            folder.mkdir()
            for units, seconds in steps_on(slots, folder, expected):
                once = alone.setdefault(units, seconds)
                print(
                    f"| {slots} | {units} | {seconds:.2f} | {once / seconds:.2f} "
                    f"| {units / ceil(units / slots):.2f} |"
                )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
