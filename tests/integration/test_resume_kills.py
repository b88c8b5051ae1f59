"""After `kill -9` at any moment the same command makes the same frames."""

import random
import shutil
import signal
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

import pytest
from builders.resume import Runner, decoded


def killed_until_done(runs: Runner, folder: Path, faults: Iterable[str]) -> int:
    """Give the command again and again; how often it was killed."""
    for kills, fault in enumerate(faults):
        status = runs.run(folder, fault)
        if status == 0:
            return kills
        assert status == signal.SIGKILL
    raise AssertionError("it never ended")


def test_a_kill_now_and_then_changes_nothing(
    runs: Runner, project: Path, unbroken: str
) -> None:
    faults = ["any:9:kill", "any:23:torn", "any:40:kill", "any:12:torn", ""]
    assert killed_until_done(runs, project, faults) == 4
    assert decoded(project / "out.mp4") == unbroken
    assert not list((project / ".anim" / "work").iterdir())


def test_every_run_gets_further_than_the_one_before(runs: Runner, project: Path) -> None:
    """Killed at the n-th operation each time, a run that lost more than a unit of work
    would never end; the largest unit takes 14 (a stage's end and the next one's start)."""
    assert killed_until_done(runs, project, repeat("any:20:kill", 20)) > 3


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
