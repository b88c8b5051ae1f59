"""The command line as a process: signals, pipes, full disks, and how fast it answers."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from builders.poses import random_pose

from animcli.pose.io_pose import write_pose

ANIM = (sys.executable, "-m", "animcli")
HEAVY = (
    "numpy",
    "torch",
    "av",
    "cv2",
    "diffusers",
    "transformers",
    "onnxruntime",
    "PIL",
    "rich",
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What the process finds in its environment: nothing about animcli but a place."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("ANIM_")
    }
    return {**kept, "ANIM_WEIGHTS": str(tmp_path / "weights"), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    "words", [["--help"], ["render", "--help"], ["weights", "pull", "-h"]]
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "animcli", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {
        line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()
    }
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_takes_less_than_a_third_of_a_second() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*ANIM, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Of the CPU, not of the clock: other tests run at the same time.
    assert min(seconds() for _ in range(3)) < 0.3


def test_who_stops_reading_is_no_error(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [*ANIM, "presets", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


@pytest.mark.parametrize(
    "words", [["--help"], ["presets", "list"], ["--json", "presets", "list"]]
)
def test_a_full_disk_behind_standard_output_is_told(
    words: list[str], environment: dict[str, str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*ANIM, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    said = b"error: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (7, said)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_lead_nowhere(
    closed: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    line = f"{shlex.join(ANIM)} init {closed}"
    subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "anim.toml").read_text().startswith("# Settings of this project.")


def test_presets_complete_behind_then() -> None:
    words = "anim retarget --to ref.png then render --preset cut"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = subprocess.run(
        [*ANIM],
        env={**os.environ, **asked, "_ANIM_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "cutout\n"


@pytest.fixture
def working(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that has been drawing for a while, and would go on for long."""
    write_pose(tmp_path / "dance.pose", random_pose(4000, Fraction(24), (640, 640)))
    with subprocess.Popen(
        [*ANIM, "inspect", "dance.pose"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and not list(
            tmp_path.glob(".anim/work/*/entry/*/frames-*")
        ):
            time.sleep(0.02)  # for a finished segment to appear
        assert process.poll() is None
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("number", "code", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_the_work_where_it_can_go_on(
    number: signal.Signals, code: int, what: str, working: "subprocess.Popen[str]"
) -> None:
    working.send_signal(number)
    _, said = working.communicate(timeout=60)
    assert working.returncode == code
    assert said.endswith(
        "stopping where nothing is lost; once more stops at once\n"
        f"{what}; the same command goes on from here\n"
    )


def test_two_signals_end_the_work_at_once(working: "subprocess.Popen[str]") -> None:
    working.send_signal(signal.SIGINT)
    assert working.stderr is not None
    while "once more" not in working.stderr.readline():
        assert working.poll() is None
    working.send_signal(signal.SIGINT)
    assert working.wait(timeout=60) == 130
