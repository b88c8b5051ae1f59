"""Runs the chain from pictures to a delivered video, and dies when told to.

One process loads everything once and forks for each run, so that a run costs a fraction of
a second. Its requests and answers are lines of JSON:

    {"folder": ..., "fault": "any:7:kill" or "", "kill_after": seconds or null}
    {"status": what waitpid says, "notes": [...]}

With the words `once FOLDER` it does a single run and prints its progress, as
`{"what": ..., "done": ...}`; Ctrl-C and SIGTERM then end it after the unit in hand. With
`wait` after it, it waits for one of them once a frame was rendered.

In the folder: `frames/` (pictures of a bright spot), `ref.png`; it makes `out.mp4`.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import animcli.pose.filtering
import animcli.pose.io_pose
import animcli.video.reader
from animcli import files
from animcli.cli.signals import Stop, Stopped, listening
from animcli.errors import AnimError
from animcli.pipeline.output import Step, check_places, publish
from animcli.pose import draw
from animcli.stages import detection, fitting, frames
from animcli.stages.encode import EncodeStage
from animcli.stages.extract import ExtractStage
from animcli.video import encode
from animcli.video.images import write_picture
from builders.faults import read_fault
from builders.stages import executor, gradient_render, register, spot_pictures

LOADED = (animcli, cv2, detection, draw, fitting, frames, np, encode)
"""What a run would import; here once, before the forks."""

PICTURES, FRAMES = 60, 110  # two chunks of detection; three segments of frames


def prepare(folder: Path) -> None:
    """What a user has: pictures of a motion, and a reference."""
    (folder / "frames").mkdir(parents=True)
    for number, picture in enumerate(spot_pictures(PICTURES)):
        write_picture(folder / "frames" / f"{number:04d}.png", picture)
        if number == 0:
            write_picture(folder / "ref.png", picture)


def steps(folder: Path) -> list[Step]:
    """The plan."""
    motion = ExtractStage(folder / "frames", "bright-spot")
    render = gradient_render(folder / "ref.png", motion, frames=FRAMES, loop=True)
    return [Step(EncodeStage(render), folder / "out.mp4", manifest=True)]


def run(folder: Path, **options: object) -> None:
    """What `anim render` does."""
    at = executor(folder, **options)
    for step in steps(folder):
        check_places(at, [step], force=False)
        publish(at, step, force=False, command=["anim", "render"])


def in_a_fork(
    work: Callable[[Path], None], folder: Path, planned: str, kill_after: float | None
) -> int:
    """The status of `work` in a process of its own."""
    child = os.fork()
    if child == 0:
        if planned:
            files.about_to = read_fault(planned)
        try:
            work(folder)
        except AnimError as error:
            os._exit(error.exit_code)
        os._exit(0)
    timer = threading.Timer(kill_after or 0, os.kill, (child, signal.SIGKILL))
    if kill_after is not None:
        timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    return status


def once(folder: Path, *, waits: bool = False) -> None:
    """A run that says how far it is and listens to signals."""
    stop = Stop()

    def progress(what: str, done: int, of: int) -> None:
        sys.stdout.write(json.dumps({"what": what, "done": done}) + "\n")
        sys.stdout.flush()
        latest = time.monotonic() + 60
        while waits and what == "rendering" and not stop.exit_code:
            assert time.monotonic() < latest, "no signal came"
            time.sleep(0.01)

    with listening(stop), stop.between_segments():
        try:
            run(folder, progress=progress, check_cancelled=stop.check_cancelled)
        except Stopped as stopped:
            sys.exit(stopped.exit_code)


def serve(work: Callable[[Path], None]) -> None:
    """Answer requests for runs of `work` until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        folder = Path(request["folder"])
        status = in_a_fork(work, folder, request["fault"], request["kill_after"])
        sys.stdout.write(json.dumps({"status": status}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    register()
    if sys.argv[1:2] == ["once"]:
        once(Path(sys.argv[2]), waits=sys.argv[3:] == ["wait"])
    else:
        serve(run)
