"""After `kill -9` at any moment the same command makes the same frames."""

import random
import shutil
import signal
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
from resume_builders import Runner, decoded, runner
from resume_runner import prepare


@pytest.fixture(scope="module")
def runs() -> Iterator[Runner]:
    with runner() as started:
        yield started


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    prepare(folder / "project")
    return folder / "project"


@pytest.fixture(scope="module")
def unbroken(runs: Runner, material: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("unbroken") / "project"
    shutil.copytree(material, folder)
    assert runs.run(folder) == 0
    return decoded(folder / "out.mp4")


def killed_until_done(runs: Runner, folder: Path, faults: Iterable[str]) -> int:
    """Give the command again and again; how often it was killed."""
    for kills, fault in enumerate(faults):
        status = runs.run(folder, fault)
        if status == 0:
            return kills
        assert status == signal.SIGKILL
    raise AssertionError("it never ended")


def test_a_kill_now_and_then_changes_nothing(
    runs: Runner, material: Path, unbroken: str, tmp_path: Path
) -> None:
    shutil.copytree(material, tmp_path / "project")
    faults = ["any:9:kill", "any:23:torn", "any:40:kill", "any:12:torn", ""]
    assert killed_until_done(runs, tmp_path / "project", faults) == 4
    assert decoded(tmp_path / "project" / "out.mp4") == unbroken
    assert not list((tmp_path / "project" / ".anim" / "work").iterdir())


def test_every_run_gets_further_than_the_one_before(
    runs: Runner, material: Path, tmp_path: Path
) -> None:
    """Killed at the n-th operation each time, a run that lost more than a unit of work
    would never end; the largest unit takes 14 (a stage's end and the next one's start)."""
    shutil.copytree(material, tmp_path / "project")

    assert killed_until_done(runs, tmp_path / "project", repeat("any:20:kill", 20)) > 3


@pytest.mark.slow  # minutes: every run starts an encoder
def test_fifty_random_kills_change_nothing(
    runs: Runner, material: Path, unbroken: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    kills = rounds = 0
    while kills < 50:
        folder = tmp_path / f"{rounds}"
        shutil.copytree(material, folder)
        while status := runs.run(folder, kill_after=chance.uniform(0.02, 1.5)):
            assert status == signal.SIGKILL
            kills += 1
        assert decoded(folder / "out.mp4") == unbroken
        rounds += 1
