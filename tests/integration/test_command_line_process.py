"""The command line as a process: signals, pipes, full disks, and how fast it answers."""

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from builders.poses import random_pose
from builders.unprivileged import run_unprivileged

from animcli.pose.io_pose import write_pose
from animcli.weights.catalog import load_catalog

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
    ("number", "what"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")],
)
def test_a_signal_ends_the_work_where_it_can_go_on(
    number: signal.Signals, what: str, working: "subprocess.Popen[str]"
) -> None:
    working.send_signal(number)
    _, said = working.communicate(timeout=60)
    assert working.returncode == -number
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
    assert working.wait(timeout=60) == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_ends_the_process_by_itself(
    number: signal.Signals, tmp_path: Path, environment: dict[str, str]
) -> None:
    """From the first line of ours on: a traceback or an exit of 0 is what was seen. Before
    it, on a busy machine, the signal is Python's own.
    """
    write_pose(tmp_path / "dance.pose", random_pose(4000, Fraction(24), (640, 640)))
    ours = 0
    for delay in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8):
        with subprocess.Popen(
            [*ANIM, "inspect", "dance.pose"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(delay)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        if delay < 0.3 and "KeyboardInterrupt" in said and "animcli" not in said:
            continue
        ours += 1
        assert process.returncode == -number, (delay, said)
        assert "Traceback" not in said, (delay, said)
    assert ours >= 3


def test_a_loop_of_the_shell_ends_with_the_command_that_was_stopped(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    write_pose(tmp_path / "dance.pose", random_pose(4000, Fraction(24), (640, 640)))
    loop = (
        f"for n in 1 2 3; do echo $n >> begun; {shlex.join(ANIM)} inspect dance.pose; done"
    )
    with subprocess.Popen(
        ["bash", "-c", f"{loop}; echo on >> begun"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as shell:
        while not list(tmp_path.glob(".anim/work/*/entry/*/frames-*")):
            assert shell.poll() is None
            time.sleep(0.02)  # for a finished segment to appear
        os.killpg(shell.pid, signal.SIGINT)
        assert shell.wait(timeout=60) == -signal.SIGINT
    assert (tmp_path / "begun").read_text() == "1\n"


def test_a_mistake_is_an_exit_of_2_even_where_nobody_can_be_told(
    environment: dict[str, str],
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*ANIM, "rendr"],
            stdout=subprocess.PIPE,
            stderr=full,
            env=environment,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.fixture
def dance(tmp_path: Path) -> Path:
    """A project in which a motion was looked at once."""
    write_pose(tmp_path / "dance.pose", random_pose(8, Fraction(24), (64, 64)))
    return tmp_path


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose motion was looked at by somebody without rights; tests copy it."""
    folder = tmp_path_factory.mktemp("inspected")
    write_pose(folder / "dance.pose", random_pose(8, Fraction(24), (64, 64)))
    own = {name: x for name, x in os.environ.items() if not name.startswith("ANIM_")}
    anim = run_unprivileged("inspect", "dance.pose", cwd=folder, environment=own)
    assert anim.returncode == 0, anim.stderr
    return folder


@pytest.mark.parametrize(
    ("words", "shut"),
    [
        ("inspect dance.pose", ".anim/store"),
        ("inspect dance.pose", "*/record.json"),
        ("cache list", ".anim"),
        ("cache verify", ".anim/store/*"),
        ("cache clear", ".anim/store"),
    ],
)
def test_a_cache_of_somebody_else_is_told(
    words: str, shut: str, inspected: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """As after one run with sudo, or in a container."""
    dance = Path(shutil.copytree(inspected, tmp_path / "dance"))
    for path in [*dance.glob(shut), *dance.glob(f".anim/store/{shut}")]:
        path.chmod(0)
    done = run_unprivileged(*words.split(), cwd=dance, environment=environment)
    for path in [dance / ".anim", *dance.glob(".anim/*"), *dance.glob(".anim/store/*")]:
        path.chmod(0o700)  # so that the folder can be removed
    assert "Traceback" not in done.stderr
    assert done.returncode == 7, done.stderr
    assert "Permission denied" in done.stderr


def test_a_project_that_nobody_may_enter_is_told(
    dance: Path, environment: dict[str, str]
) -> None:
    (dance / "shut" / "x").mkdir(parents=True)
    (dance / "shut").chmod(0)
    words = ("-p", "shut/x", "inspect", "dance.pose")
    done = run_unprivileged(*words, cwd=dance, environment=environment)
    (dance / "shut").chmod(0o700)
    assert (done.returncode, done.stderr.count("\n")) == (7, 2)


@pytest.mark.parametrize(
    ("words", "shut"),
    [
        ("weights list", "weights/dwpose"),
        ("weights verify dwpose", "weights"),
        ("weights verify dwpose", "weights/dwpose/*.onnx"),
    ],
)
def test_weights_of_somebody_else_are_told(
    words: str, shut: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "weights" / "dwpose"
    folder.mkdir(parents=True)
    for file in load_catalog()["dwpose"].files:
        (folder / file.name).write_bytes(b"onnx")
    for path in tmp_path.glob(shut):
        path.chmod(0)
    done = run_unprivileged(*words.split(), cwd=tmp_path, environment=environment)
    for path in (folder.parent, folder):
        path.chmod(0o700)
    assert "Traceback" not in done.stderr
    assert done.returncode == 5, done.stderr
    assert "permission denied" in done.stderr + done.stdout


@pytest.mark.parametrize("umask", [0o000, 0o002])
def test_the_cache_is_the_owners_under_any_umask(
    umask: int, dance: Path, environment: dict[str, str]
) -> None:
    for _ in range(2):  # the second run looks at what the first one made
        subprocess.run(
            [*ANIM, "inspect", "dance.pose", "--force"],
            cwd=dance,
            env=environment,
            check=True,
            capture_output=True,
            umask=umask,
        )
    folders = [path for path in (dance / ".anim").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in [dance / ".anim", *folders]} == {0o700}
    assert (dance / ".anim" / ".gitignore").read_text() == "*\n"


def test_the_line_of_a_table_that_isnt_known_is_told(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "anim.toml").write_text("# mine\n[render]\nsteps = 3\n")
    done = run_unprivileged("cache", "list", cwd=tmp_path, environment=environment)
    assert done.returncode == 4
    assert "anim.toml:2: unknown key 'render'" in done.stderr
