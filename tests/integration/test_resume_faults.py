"""Whichever operation on the disk goes wrong, the same command puts it right afterwards.

The first, second, third ... operation fails, until a run meets no fault any more. So every
point at which a run can break has been tried.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from builders.faults import Fault
from builders.stages import Shout, WriteWord, executor, shouted

from animcli import files
from animcli.errors import StorageError
from animcli.pipeline.output import Step, check_places, publish

WORDS = "one two"
WANTED = ["ONE!", "TWO!"]


def command(folder: Path) -> None:
    """A small chain, delivered as a folder and as a file with its manifest."""
    word = WriteWord(WORDS)
    steps = [Step(Shout(word), folder / "shouts"), Step(word, folder / "word.txt", True)]
    at = executor(folder)
    check_places(at, steps, force=False)
    for step in steps:
        publish(at, step, force=False, command=["anim"])


def check_result(folder: Path) -> None:
    """Everything is as if nothing had ever gone wrong."""
    assert shouted(folder / "shouts") == WANTED
    assert (folder / "word.txt").read_text() == WORDS
    assert (folder / "word.txt.json").is_file()
    store = executor(folder).store
    assert [line.state for line in store.verify()] == ["whole", "whole"]
    assert {line.state for line in store.ls()} == {"whole"}
    visible = {path.name for path in folder.iterdir()}
    assert visible == {".anim", "shouts", "word.txt", "word.txt.json"}


def refused(folder: Path, how: str, n: int) -> bool:
    """Whether the system got to refuse the n-th operation.

    The command ends with an error then, unless what was refused came after the artifact had
    its place: flushing the folder that it is in.
    """
    fault, usual = Fault("any", n, how), files.about_to
    files.about_to = fault
    try:
        with suppress(StorageError):
            command(folder)
    finally:
        files.about_to = usual
    return fault.left <= 0


def killed(folder: Path, how: str, n: int) -> bool:
    """Whether the process ended at the n-th operation."""
    child = os.fork()
    if child == 0:
        files.about_to = Fault("any", n, how)
        command(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


# Python 3.12 warns about any fork while there are threads; the child only writes files.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("how", "broken"),
    [("ENOSPC", refused), ("kill", killed), ("torn", killed)],
)
def test_after_any_fault_the_same_command_finishes(
    tmp_path: Path, how: str, broken: Callable[[Path, str, int], bool]
) -> None:
    faults = 0
    while True:
        folder = tmp_path / f"{faults}"
        folder.mkdir()
        met = broken(folder, how, faults + 1)
        command(folder)
        check_result(folder)
        if not met:
            break
        faults += 1
    assert faults > 40  # operations of a run; fewer would mean that some pass unseen


# Python 3.12 warns about any fork while there are threads; the child only writes files.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_project_may_be_killed_again_and_again(tmp_path: Path) -> None:
    """Killed again and again in one project, a little later each time."""
    kills = 0
    # From nothing, the first artifact takes 23 operations; a run must be given as many.
    while killed(tmp_path, "torn", 24 + kills % 7):
        kills += 1
        assert kills < 20
    command(tmp_path)
    check_result(tmp_path)
    assert kills > 1
