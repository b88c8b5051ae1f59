"""Unfinished work outlives the disk that it was done on, if it was copied to another."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.stages import Shout, WriteWord, shouted

from animcli.cli.main import parse_line
from animcli.pipeline.executor import Executor
from animcli.pipeline.project import Project, find_project
from animcli.pipeline.work_copy import WorkCopy
from animcli.weights.store import WeightsStore

TEXT = WriteWord("one two three four")


class Gone(BaseException):
    """The machine goes away."""


def on_machine(folder: Path, copies: Path, warned: list[str] | None = None) -> Executor:
    """A machine with a disk of its own, on which there is nothing yet."""
    folder.mkdir(exist_ok=True)
    warn = (warned if warned is not None else []).append
    project = find_project(folder, None, copies)
    return Executor(project, WeightsStore(folder / "no-weights"), warn=warn)


def goes_at(number: int) -> Callable[[int], None]:
    def after_unit(done: int) -> None:
        if done == number:
            raise Gone

    return after_unit


def test_another_machine_goes_on_from_the_last_unit_that_was_copied(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    with pytest.raises(Gone):
        on_machine(tmp_path / "a", copies).make(Shout(TEXT, after_unit=goes_at(2)))
    shutil.rmtree(tmp_path / "a")
    done: list[int] = []
    made = on_machine(tmp_path / "b", copies).make(Shout(TEXT, after_unit=done.append))
    assert done == [2, 3]  # unit 2 was done, and not copied yet
    assert shouted(made.path) == ["ONE!", "TWO!", "THREE!", "FOUR!"]
    assert list(copies.iterdir()) == []


def test_a_machine_that_comes_back_takes_the_later_work(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    for machine, last in (("a", 1), ("b", 3)):
        with pytest.raises(Gone):
            on_machine(tmp_path / machine, copies).make(
                Shout(TEXT, after_unit=goes_at(last))
            )
    done: list[int] = []
    on_machine(tmp_path / "a", copies).make(Shout(TEXT, after_unit=done.append))
    assert done == [3]


def test_a_copy_that_can_t_be_written_is_told_once_and_stops_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "copies").write_text("a file")
    warned: list[str] = []
    made = on_machine(tmp_path / "a", tmp_path / "copies", warned).make(Shout(TEXT))
    assert shouted(made.path) == ["ONE!", "TWO!", "THREE!", "FOUR!"]
    assert [line.partition(" (")[0] for line in warned] == [
        f"--checkpoint-to: {tmp_path / 'copies'} can't be written"
    ]


def test_only_what_changed_is_copied_and_what_is_gone_goes(tmp_path: Path) -> None:
    work, copy = tmp_path / "work", tmp_path / "copy"
    (work / "entry").mkdir(parents=True)
    (work / "entry" / "first").write_text("1")
    (work / "steps").write_text("step 1")
    keeper = WorkCopy(work, copy, warn=pytest.fail)
    keeper.update()
    kept = (copy / "entry" / "first").stat().st_ino
    (work / "steps").write_text("step 2, longer")
    (work / ".part-half").write_text("ha")
    keeper.update()
    assert (copy / "steps").read_text() == "step 2, longer"
    assert (copy / "entry" / "first").stat().st_ino == kept
    assert not (copy / ".part-half").exists()
    (work / "entry" / "first").unlink()
    keeper.update()
    assert sorted(x.name for x in copy.rglob("*") if x.is_file()) == ["steps"]


def test_work_here_that_is_as_late_as_the_copy_stays(tmp_path: Path) -> None:
    work, copy = tmp_path / "work", tmp_path / "copy"
    for folder, text in ((work, "here"), (copy, "there")):
        folder.mkdir()
        (folder / "steps").write_text(text)
        os.utime(folder / "steps", ns=(10**18, 10**18))
    WorkCopy(work, copy, warn=pytest.fail).restore()
    assert (work / "steps").read_text() == "here"
    os.utime(copy / "steps", ns=(10**18 + 1, 10**18 + 1))
    WorkCopy(work, copy, warn=pytest.fail).restore()
    assert (work / "steps").read_text() == "there"


def test_slots_copy_to_where_the_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from animcli.cli.batch.run import places_of

    line = parse_line(["--checkpoint-to", "there", "doctor"])
    assert line.options.checkpoint_to == Path("there")
    monkeypatch.setenv("ANIM_CHECKPOINT_TO", "elsewhere")
    assert parse_line(["doctor"]).options.checkpoint_to == Path("elsewhere")
    project = Project(Path("/p"), Path("/p/.anim"), Path("/there"))
    assert places_of(project)["ANIM_CHECKPOINT_TO"] == "/there"
    assert "ANIM_CHECKPOINT_TO" not in places_of(Project(Path("/p"), Path("/p/.anim")))
