"""What a render costs as it gets longer: time and memory for 60, 240 and 960 frames.

    python tests/benchmarks/render_cost.py [FRAMES ...]

One drawn character, one drawn dance (looped), the renderer `cutout` at 512x768. Each length
is rendered in a process of its own, so that its peak memory is its own. Times are CPU
seconds, which depend less than the clock on what else the machine does; those per frame
begin after the first frame, when the figure has been cut out. Memory should be flat within
10 %, and so should be the time per frame.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from animcli.pipeline.executor import Executor
from animcli.pipeline.project import find_project
from animcli.presets import Preset
from animcli.stages.demo import TRUTH, DrawDance, DrawFigure
from animcli.stages.render import RenderStage
from animcli.weights.store import WeightsStore, default_root

LENGTHS = (60, 240, 960)


def executor(folder: Path) -> Executor:
    """A project in a folder, with the weights of this machine."""
    return Executor(find_project(folder), WeightsStore(default_root(os.environ)))


def render_of(truth: Path, frames: int) -> RenderStage:
    """The render that is measured."""
    preset = Preset("cost", renderer="cutout")
    return RenderStage(
        DrawFigure(), truth, preset, frames=frames, loop=True, rate=Fraction(24)
    )


def measure(folder: Path, truth: Path, frames: int) -> dict[str, float]:
    """What rendering takes in this process; its inputs are there already."""
    at, render = executor(folder), render_of(truth, frames)
    before, started = peak(), time.process_time()
    first: list[float] = []

    def progress(what: str, done: int, of: int) -> None:
        if what == "rendering" and not first:
            first.append(time.process_time())

    made = replace(at, progress=progress).make(render)
    ended = time.process_time()
    return {
        "frames": frames,
        "clock": made.record.seconds,
        "prepare": first[0] - started,
        "frame": (ended - first[0]) / (frames - 1),
        "before": before,
        "peak": peak(),
        "disk": made.record.length / 2**20,
    }


def peak() -> float:
    """The most memory that this process has had so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each length, print a table."""
    if sys.argv[1:2] == ["one"]:
        folder, truth, frames = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
        print(json.dumps(measure(folder, truth, frames)))
        return
    lengths = [int(word) for word in sys.argv[1:]] or list(LENGTHS)
    print("frames  clock s  prepare s  ms/frame  peak MiB  (before MiB)  disk MiB")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        at = executor(folder)
        truth = at.make(DrawDance()).path / TRUTH
        for source in render_of(truth, 1).inputs().values():
            if not isinstance(source, Path):
                at.make(source)
        for frames in lengths:
            command = [
                sys.executable,
                __file__,
                "one",
                str(folder),
                str(truth),
                str(frames),
            ]
            told = subprocess.run(command, capture_output=True, text=True, check=True)
            cost = json.loads(told.stdout.splitlines()[-1])
            print(
                f"{frames:6d}  {cost['clock']:7.1f}  {cost['prepare']:9.2f}  "
                f"{1000 * cost['frame']:8.1f}  {cost['peak']:8.0f}  "
                f"{cost['before']:12.0f}  {cost['disk']:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
