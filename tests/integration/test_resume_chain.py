"""Stopped by a signal or joined by a second process, a run ends with the same frames."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders.resume import RUNNER, Runner, decoded, environment


def started(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The same chain in a process of its own, which says when a unit of work is done."""
    return subprocess.Popen(
        [sys.executable, str(RUNNER), "once", str(folder), *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_ends_the_run_after_the_unit_in_hand(
    project: Path, runs: Runner, unbroken: str, number: signal.Signals, code: int
) -> None:
    with started(project, "wait") as process:
        assert process.stdout
        for line in process.stdout:
            if json.loads(line)["what"] == "rendering":  # the first frame is there
                process.send_signal(number)
                break
        rest = process.stdout.read()
        assert process.wait() == code
    assert "encoding" not in rest
    segments = list(project.glob(".anim/work/*/entry/render/frames-*"))
    assert len(segments) == 1
    kept = segments[0].stat().st_mtime_ns
    assert runs.run(project) == 0
    assert decoded(project / "out.mp4") == unbroken
    (again,) = project.glob(f".anim/store/*/render/{segments[0].name}")
    assert again.stat().st_mtime_ns == kept


def test_two_processes_at_once_are_both_right(project: Path, unbroken: str) -> None:
    with started(project) as one, started(project) as two:
        one.communicate()
        two.communicate()
        assert (one.returncode, two.returncode) == (0, 0)
    assert decoded(project / "out.mp4") == unbroken
    assert not list((project / ".anim" / "work").iterdir())
