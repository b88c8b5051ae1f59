"""A course from its start to its end, and what can be seen of it on the way.

Each stage has a folder: a checkpoint, a curve (JSON lines), and pictures of it and of
validation. What was stopped goes on from there.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from animcli.training.loop import Checkpoint, Course, Judgement, Schedule, train
from animcli.training.processes import ALONE, Processes

Report = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, of how much)."""

Show = Callable[[Path, list[dict[str, float]], Judgement], None]
"""(folder of the stage, its curve so far, what validation found) -> pictures there."""


@dataclass(frozen=True)
class School:
    """What all courses share.

    open_checkpoint: file -> where arrays are kept in it.
    show: draws what can be seen.
    """

    open_checkpoint: Callable[[Path], Checkpoint]
    report: Report
    show: Show
    processes: Processes = ALONE

    def teach(self, course: Course, schedule: Schedule, home: Path) -> None:
        """Train until the schedule ends, in the folder `home` of a stage."""
        first = self.processes.index == 0
        checkpoint = self.open_checkpoint(home / "checkpoint.npz")
        curve: list[dict[str, float]] = []
        recent: list[float] = []
        seconds = 0.0
        for progress in train(course, schedule, checkpoint, self.processes):
            if not first:
                continue
            if not curve:
                curve = _curve_before(home / "curve.jsonl", progress.step)
            recent.append(progress.loss)
            seconds += progress.seconds
            self.report(f"training {home.name}", progress.step, schedule.updates)
            last = progress.step == schedule.updates
            if progress.step % schedule.show_every == 0 or last:
                found = course.judge()
                each = course.samples * self.processes.count
                row = {
                    "updates": progress.step,
                    "samples": progress.step * each,
                    "samples_per_second": len(recent) * each / seconds,
                    "loss": sum(recent) / len(recent),
                    **found.figures,
                }
                curve.append(row)
                with (home / "curve.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                self.show(home, curve, found)
                recent, seconds = [], 0.0
        self.processes.wait()


def keep_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a file of weights, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    on_disk = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    save_file(on_disk, part)
    part.replace(path)


def _curve_before(path: Path, step: int) -> list[dict[str, float]]:
    """What a stopped run wrote before `step`, the rest of which comes again."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, float]] = [json.loads(line) for line in lines]
    kept = [row for row in rows if row["updates"] < step]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return kept
