"""Stages are made once, from inputs that are whole, and stop where nothing is lost."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from builders.faults import Fault
from builders.stages import Shout, WriteWord, executor, shouted
from filelock import FileLock

from animcli import files
from animcli.errors import InputError, OutputError, StorageError
from animcli.pipeline.executor import Executor, StageState
from animcli.pipeline.record import Artifact, code_of
from animcli.pipeline.stage import Outcome, RunContext, Stage
from animcli.stages.extract import DensePoseStage, ExtractStage
from animcli.stages.reference import FindPose
from animcli.stages.retarget import RetargetStage

SHOUT = Shout(WriteWord("one two three"))


class Diary:
    """What a workshop said: (stage, outcome) pairs, and notes."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Outcome]] = []
        self.notes: list[str] = []

    def write(self, stage: Stage, outcome: Outcome, seconds: float) -> None:
        self.done.append((stage.name, outcome))


def make(folder: Path, stage: Stage, **options: object) -> tuple[Artifact, Diary]:
    diary = Diary()
    at = executor(folder, done=diary.write, warn=diary.notes.append, **options)
    return at.make(stage), diary


def test_inputs_are_made_first(tmp_path: Path) -> None:
    artifact, diary = make(tmp_path, SHOUT)
    assert shouted(artifact.path) == ["ONE!", "TWO!", "THREE!"]
    assert diary.done == [("write-word", Outcome.RAN), ("shout", Outcome.RAN)]


def test_the_same_stage_runs_once(tmp_path: Path) -> None:
    first, _ = make(tmp_path, SHOUT)
    again, diary = make(tmp_path, SHOUT)
    assert diary.done == [("write-word", Outcome.CACHED), ("shout", Outcome.CACHED)]
    assert again == first


@pytest.mark.parametrize(
    "other", [Shout(WriteWord("one two")), Shout(WriteWord("one two three"), "?")]
)
def test_another_setting_or_input_runs_again(tmp_path: Path, other: Shout) -> None:
    make(tmp_path, SHOUT)
    assert ("shout", Outcome.RAN) in make(tmp_path, other)[1].done


def test_other_code_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "animcli_detector" / "finder.py"
    file.parent.mkdir()
    file.write_text("STEP = 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Shout, "libraries", ("animcli_detector",))
    monkeypatch.setattr("animcli.pipeline.executor.PACKAGE_PREFIX", "animcli_")
    make(tmp_path, SHOUT)
    assert make(tmp_path, SHOUT)[1].done[-1] == ("shout", Outcome.CACHED)
    file.write_text("STEP = 2")
    code_of.cache_clear()  # as in another process
    assert make(tmp_path, SHOUT)[1].done[-1] == ("shout", Outcome.RAN)


@pytest.mark.parametrize(
    "stage",
    [
        ExtractStage(Path("dance.mp4")),
        FindPose(Path("ref.png")),
        RetargetStage(Path("dance.pose"), Path("ref.png")),
    ],
)
def test_what_finds_and_fits_motions_depends_on_our_code(stage: Stage) -> None:
    assert "animcli.pose" in stage.libraries


def test_another_revision_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, SHOUT)
    monkeypatch.setattr(Shout, "revision", 2)
    assert make(tmp_path, SHOUT)[1].done[-1] == ("shout", Outcome.RAN)


def test_a_file_of_the_user_counts_by_its_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("hop skip")
    make(tmp_path, Shout(one))
    one.rename(two)
    os.utime(two, (0, 0))
    assert make(tmp_path, Shout(two))[1].done == [("shout", Outcome.CACHED)]
    two.write_text("hop skop")
    assert make(tmp_path, Shout(two))[1].done == [("shout", Outcome.RAN)]


def test_a_moved_project_has_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    make(tmp_path / "here", SHOUT)
    shutil.move(tmp_path / "here", tmp_path / "there")
    _, diary = make(tmp_path / "there", SHOUT)
    assert {outcome for _, outcome in diary.done} == {Outcome.CACHED}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dance\.mp4: no such file or directory"):
        make(tmp_path, Shout(tmp_path / "dance.mp4"))


def test_a_file_written_while_it_is_read_makes_nothing(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a b c")
    meddle = Shout(text, after_unit=lambda number: text.write_text(f"other {number}"))
    with pytest.raises(InputError, match="was changed while it was being read"):
        make(tmp_path, meddle)
    assert not list(tmp_path.glob(".anim/work/*"))
    assert make(tmp_path, Shout(text))[1].done == [("shout", Outcome.RAN)]


def test_a_damaged_result_is_made_again_and_said_so(tmp_path: Path) -> None:
    first, _ = make(tmp_path, SHOUT)
    part = first.path / first.record.parts[0].name
    part.write_bytes(b"x")
    again, diary = make(tmp_path, SHOUT)
    assert shouted(again.path) == ["ONE!", "TWO!", "THREE!"]
    assert ("shout", Outcome.RAN) in diary.done
    assert any("damaged" in note for note in diary.notes)


def test_a_damaged_input_is_made_again_before_it_is_used(tmp_path: Path) -> None:
    word, _ = make(tmp_path, SHOUT.text)  # type: ignore[arg-type]
    word.path.write_bytes(b"something else")
    artifact, _ = make(tmp_path, SHOUT)
    assert shouted(artifact.path) == ["ONE!", "TWO!", "THREE!"]


def test_a_damaged_input_does_not_matter_when_the_result_is_there(tmp_path: Path) -> None:
    make(tmp_path, SHOUT)
    word, _ = make(tmp_path, SHOUT.text)  # type: ignore[arg-type]
    word.path.write_bytes(b"something else")
    assert make(tmp_path, SHOUT)[1].done[-1] == ("shout", Outcome.CACHED)


def test_what_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    done: list[int] = []

    def stop() -> None:
        if done == [0, 1]:
            raise KeyboardInterrupt

    watched = replace(SHOUT, after_unit=done.append)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, watched, check_cancelled=stop)
    assert [line.state for line in executor(tmp_path).dry_run(SHOUT)] == [
        StageState.DONE,
        StageState.CONTINUES,
    ]
    artifact, _ = make(tmp_path, watched)
    assert done == [0, 1, 2]
    assert shouted(artifact.path) == ["ONE!", "TWO!", "THREE!"]


def test_a_step_that_fails_before_it_has_made_anything_leaves_nothing(
    tmp_path: Path,
) -> None:
    class Refusing(WriteWord):
        def run(self, context: RunContext) -> None:
            raise InputError("this can't be read")

    at = executor(tmp_path)
    with pytest.raises(InputError):
        at.make(Refusing("one"))
    assert list(at.store.ls()) == []


def test_a_damaged_unit_of_a_stopped_run_is_done_again(tmp_path: Path) -> None:
    done: list[int] = []

    def stop() -> None:
        if len(done) == 2:
            raise KeyboardInterrupt

    watched = replace(SHOUT, after_unit=done.append)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, watched, check_cancelled=stop)
    (unit,) = tmp_path.glob(".anim/work/*/entry/shout/word-000-*")
    unit.write_bytes(b"ONE?")
    artifact, _ = make(tmp_path, watched)
    assert done == [0, 1, 0, 2]
    assert shouted(artifact.path) == ["ONE!", "TWO!", "THREE!"]
    assert len(artifact.record.parts) == 3


def test_a_forecast_does_nothing(tmp_path: Path) -> None:
    lines = executor(tmp_path).dry_run(SHOUT)
    assert [(line.stage, line.state) for line in lines] == [
        (SHOUT.text, StageState.RUNS),
        (SHOUT, StageState.WAITS),
    ]
    assert list(tmp_path.iterdir()) == []
    make(tmp_path, SHOUT)
    states = [line.state for line in executor(tmp_path).dry_run(SHOUT)]
    assert states == [StageState.DONE, StageState.DONE]


def test_without_waiting_a_busy_stage_is_refused(tmp_path: Path) -> None:
    word = WriteWord("hop")
    (line,) = executor(tmp_path).dry_run(word)
    assert line.key is not None
    lock = executor(tmp_path).store.lock_of(line.key)
    lock.parent.mkdir(parents=True)
    with (
        FileLock(lock),
        pytest.raises(OutputError, match="another anim process") as refusal,
    ):
        make(tmp_path, word, wait=False)
    assert refusal.value.exit_code == 8
    assert make(tmp_path, word, wait=False)[1].done == [("write-word", Outcome.RAN)]


def test_waiting_for_another_process_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    word = WriteWord("hop")
    (line,) = executor(tmp_path).dry_run(word)
    assert line.key is not None
    lock = executor(tmp_path).store.lock_of(line.key)
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(KeyboardInterrupt):
        make(tmp_path, word, check_cancelled=stop)


def test_where_locks_do_nothing_the_faster_process_wins(tmp_path: Path) -> None:
    """On some network disks two processes work in one folder; the first moves it away."""
    ahead = executor(tmp_path)

    def overtake(number: int) -> None:
        if number == 1:
            for held in (tmp_path / ".anim" / "locks").iterdir():
                held.unlink()  # the lock of a file that is gone keeps nobody out
            ahead.make(SHOUT)

    artifact, _ = make(tmp_path, replace(SHOUT, after_unit=overtake))
    assert shouted(artifact.path) == ["ONE!", "TWO!", "THREE!"]
    assert ahead.store.is_whole(artifact)


def test_a_full_disk_is_named_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "about_to", Fault("write", 6, "ENOSPC"))
    with pytest.raises(StorageError, match=r"No space left on device \([\d,]+ bytes free"):
        make(tmp_path, SHOUT)
    monkeypatch.undo()
    assert shouted(make(tmp_path, SHOUT)[0].path) == ["ONE!", "TWO!", "THREE!"]


def test_a_full_cache_can_be_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, SHOUT)
    monkeypatch.setattr(files, "about_to", Fault("any", 1, "EROFS"))
    assert make(tmp_path, SHOUT)[1].done[-1] == ("shout", Outcome.CACHED)


def test_records_tell_the_whole_chain(tmp_path: Path) -> None:
    at: Executor = executor(tmp_path)
    made = at.make(SHOUT)
    word, shout = at.chain(SHOUT)
    assert shout.record == made.record
    assert shout.record.cache_key.inputs == {"text": word.digest}
    assert shout.record.cache_key.settings == {"mark": "!"}


def test_a_file_that_changes_reads_as_damaged_and_is_called_changed(tmp_path: Path) -> None:
    """A video that is cut off in the middle of the work has frames that can't be read."""
    text = tmp_path / "text"
    text.write_text("a b c")

    def meddle(number: int) -> None:
        text.write_text("a")
        raise InputError("text: 1 frame of 24 could not be decoded")

    with pytest.raises(InputError, match="was changed while it was being read"):
        make(tmp_path, Shout(text, after_unit=meddle))
    assert not list(tmp_path.glob(".anim/work/*"))


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # takes no room, and minutes to read
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, Shout(huge), check_cancelled=stop)


def test_an_input_that_is_cleared_away_is_made_again(tmp_path: Path) -> None:
    once = iter([True])

    def clear(number: int) -> None:
        if number == 0 and next(once, False):
            shutil.rmtree(tmp_path / ".anim" / "store")
            raise InputError("one.txt: no such file or directory")

    artifact, _ = make(tmp_path, replace(SHOUT, after_unit=clear))
    assert shouted(artifact.path) == ["ONE!", "TWO!", "THREE!"]


def test_a_cache_that_is_cleared_all_the_time_is_told(tmp_path: Path) -> None:
    def clear(number: int) -> None:
        shutil.rmtree(tmp_path / ".anim" / "store")
        next(tmp_path.glob(".anim/work/*/entry/shout/word-*")).unlink()
        raise InputError("one.txt: no such file or directory")

    with pytest.raises(StorageError, match="is being cleared by another process"):
        make(tmp_path, replace(SHOUT, after_unit=clear))


def test_a_project_that_is_moved_makes_no_other_where_it_was(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with pytest.raises(StorageError, match="here was moved or replaced") as refusal:
        make(here, replace(SHOUT, after_unit=lambda number: here.rename(there)))
    assert refusal.value.exit_code == 7
    assert not here.exists()
    assert shouted(make(there, SHOUT)[0].path) == ["ONE!", "TWO!", "THREE!"]


@pytest.mark.parametrize("stage", [ExtractStage, DensePoseStage])
def test_a_huge_file_that_is_no_video_is_refused_before_it_is_read(
    tmp_path: Path, stage: type
) -> None:
    huge = tmp_path / "disk.mp4"
    huge.touch()
    os.truncate(huge, 100 << 30)  # without a byte on the disk; reading it takes minutes
    for ask in (executor(tmp_path).make, executor(tmp_path).dry_run):
        with pytest.raises(InputError, match="is not a video"):
            ask(stage(huge))
