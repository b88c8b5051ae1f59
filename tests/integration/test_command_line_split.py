"""`anim render --slots`: the command line, real networks, and ends in the middle."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from batch_stand_ins import digests, environment, listening, prepare

from animcli.cli.main import main

TESTS = Path(__file__).resolve().parents[1]
FRAMES = 60  # a segment of 48, and another
WORDS = (
    "render ref.png --motion first --preset tiny --size 64x64 --steps 2 --no-retarget "
    f"--frames {FRAMES} --codec png -o out/dance --quiet"
).split()
LIMIT_S = 900
SLOTS = ["--slots", "2", "--engine"]

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray isn't here: pip install 'animcli[ray]'"
)


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    (folder / "out").mkdir(exist_ok=True)
    own = {name: x for name, x in environment().items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, str(TESTS / "batch_stand_ins.py"), *WORDS, *words], cwd=folder,
        env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process makes."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(folder, frames=FRAMES)
    process = start(folder)
    assert process.communicate(timeout=LIMIT_S)[1] == ""
    assert len(list((folder / "out" / "dance").iterdir())) == FRAMES
    return digests(folder)


def segments(folder: Path) -> set[tuple[str, int]]:
    """Whole segments of rendered frames below a folder, by name and time."""
    found = folder.rglob("render/frames-*.frames")
    return {(x.name, x.stat().st_mtime_ns) for x in found}


@pytest.mark.slow  # three renders over slots, a minute; test_batch_split has stand-ins
def test_a_render_killed_while_slots_decode_goes_on_with_the_same_frames(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    prepare(tmp_path, frames=FRAMES)
    killed = start(tmp_path, *SLOTS, "here")
    until = time.monotonic() + LIMIT_S
    while not (kept := segments(tmp_path / ".anim" / "work")):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    below = psutil.Process(killed.pid).children()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(below) == 2
    assert not psutil.wait_procs(below, timeout=LIMIT_S)[1]  # no slot outlives its driver
    assert not any((tmp_path / "out").iterdir())
    again = start(tmp_path, *SLOTS, "here")
    _, said = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said
    assert digests(tmp_path) == whole
    assert kept < segments(tmp_path / ".anim" / "store")  # it wasn't decoded again
    left = (tmp_path / ".anim" / "batch" / "split").iterdir()  # nothing of the killed one
    assert {each.name for each in left} == {"slot-0.log", "slot-1.log"}


def niceness(process: int) -> set[int]:
    """Of the children of Ray's slots."""
    with suppress(psutil.Error):
        family = psutil.Process(process).children(recursive=True)
        workers = [x for x in family if "animcli.batch.worker" in x.cmdline()]
        return {each.nice() for each in workers}
    return set()


@needs_ray
@pytest.mark.slow  # Ray takes ten seconds and nine processes to start
def test_slots_of_ray_make_the_frames_of_one_process_on_the_loopback(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    prepare(tmp_path, frames=FRAMES)
    process = start(tmp_path, *SLOTS, "ray")
    seen, nice = set[str](), set[int]()
    until = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        seen |= listening(process.pid)
        nice |= niceness(process.pid)
        time.sleep(0.5)
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, said
    assert digests(tmp_path) == whole
    assert nice == {os.nice(0)}  # Ray's own habit is 15, behind all others
    assert "127.0.0.1" in seen
    assert seen <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_an_engine_without_slots_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["render", "ref.png", "--motion", "a.pose", "--engine", "ray"]) == 2
    assert "--engine ray: it gives slots, and none were asked" in capsys.readouterr().err
