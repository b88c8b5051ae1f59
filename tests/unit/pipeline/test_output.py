"""Results appear whole where they were asked for, and never over something else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders.stages import Shout, WriteWord, executor, shouted

from animcli import files
from animcli.errors import OutputError, StorageError, UsageError
from animcli.pipeline import output
from animcli.pipeline.executor import Executor
from animcli.pipeline.output import Published, Step, check_places, check_steps, publish
from animcli.pipeline.record import Artifact

WORD = WriteWord("hop")


def give(folder: Path, step: Step, *, force: bool = False) -> Published:
    """What a command does with one step."""
    at = executor(folder)
    check_steps([step])
    check_places(at, [step], force=force)
    return publish(at, step, force=force, command=["anim", "say", "hop"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.txt"


def test_a_result_is_a_copy_of_the_artifact(tmp_path: Path, out: Path) -> None:
    delivered = give(tmp_path, Step(WORD, out))
    assert delivered.path == out
    assert out.read_text() == "hop"
    out.write_text("edited by the user")
    assert delivered.artifact.path.read_text() == "hop"
    assert {path.name for path in tmp_path.iterdir()} == {".anim", "out.txt"}


def test_without_a_place_the_artifact_is_the_result(tmp_path: Path) -> None:
    delivered = give(tmp_path, Step(WORD))
    assert delivered.path == delivered.artifact.path


def test_what_exists_is_refused_before_any_work(tmp_path: Path, out: Path) -> None:
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"out\.txt exists already") as refusal:
        give(tmp_path, Step(WORD, out))
    assert refusal.value.exit_code == 8
    assert "--force" in refusal.value.hint
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_a_picture_replaces_that_of_another_plan_but_nothing_of_the_users(
    tmp_path: Path, out: Path
) -> None:
    give(tmp_path, Step(WORD, out, replaces=True))
    with pytest.raises(OutputError):
        give(tmp_path, Step(WriteWord("skip"), out))
    give(tmp_path, Step(WriteWord("skip"), out, replaces=True))
    assert out.read_text() == "skip"
    out.write_text("edited by the user")
    with pytest.raises(OutputError, match=r"out\.txt exists already"):
        give(tmp_path, Step(WORD, out, replaces=True))
    assert out.read_text() == "edited by the user"


def test_what_exists_is_replaced_by_force(tmp_path: Path, out: Path) -> None:
    out.write_text("mine")
    give(tmp_path, Step(WORD, out), force=True)
    assert out.read_text() == "hop"


def test_the_same_plan_may_replace_its_result(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("one")
    step = Step(Shout(source), tmp_path / "shouts")
    give(tmp_path, step)
    source.write_text("two")
    give(tmp_path, step)
    assert shouted(tmp_path / "shouts") == ["TWO!"]


def test_another_plan_may_not(tmp_path: Path, out: Path) -> None:
    give(tmp_path, Step(WORD, out))
    with pytest.raises(OutputError):
        give(tmp_path, Step(WriteWord("skip"), out))
    assert out.read_text() == "hop"


def test_another_plan_with_the_same_result_changes_nothing(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text("hop")
    out = tmp_path / "shouts"
    give(tmp_path, Step(Shout(tmp_path / "one"), out))
    before = (out / "word-000.txt").stat() if (out / "word-000.txt").exists() else None
    give(tmp_path, Step(Shout(tmp_path / "other"), out))
    assert shouted(out) == ["HOP!"]
    assert before is None or (out / "word-000.txt").stat() == before


def test_an_edited_result_is_the_users(tmp_path: Path, out: Path) -> None:
    give(tmp_path, Step(WORD, out))
    out.write_text("edited")
    with pytest.raises(OutputError):
        give(tmp_path, Step(WORD, out))
    assert out.read_text() == "edited"


def test_after_a_move_of_the_project_its_results_are_still_its_own(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    give(here, Step(WORD, here / "out.txt"))
    here.rename(there)
    give(there, Step(WORD, there / "out.txt"))


def test_clearing_the_cache_keeps_what_results_are_ours(tmp_path: Path, out: Path) -> None:
    give(tmp_path, Step(WORD, out))
    executor(tmp_path).store.clear()
    give(tmp_path, Step(WORD, out))


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_a_result_never_replaces_its_own_input(tmp_path: Path, link: str) -> None:
    source = tmp_path / "source.txt"
    source.write_text("one")
    out = source if link == "same" else tmp_path / "out"
    if link == "symlink":
        out.symlink_to(source)
    elif link == "hardlink":
        out.hardlink_to(source)
    with pytest.raises(UsageError, match="would replace its own input") as refusal:
        give(tmp_path, Step(Shout(source), out), force=True)
    assert refusal.value.exit_code == 2
    assert source.read_text() == "one"


def test_two_results_cannot_have_one_name(tmp_path: Path, out: Path) -> None:
    steps = [Step(WORD, out), Step(WriteWord("skip"), out)]
    with pytest.raises(UsageError, match="two results"):
        check_steps(steps)


def test_a_folder_that_is_not_there_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder") as refusal:
        give(tmp_path, Step(WORD, tmp_path / "nowhere" / "out.txt"))
    assert refusal.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_says_how_to_make_it_again(tmp_path: Path) -> None:
    out = tmp_path / "shouts"
    delivered = give(tmp_path, Step(Shout(WORD), out, manifest=True))
    manifest = json.loads((tmp_path / "shouts.json").read_text())
    assert manifest["command"] == ["anim", "say", "hop"]
    assert manifest["result"] == {"name": "shouts", "sha256": delivered.artifact.digest}
    word, shout = manifest["stages"]
    assert word["settings"] == {"word": "hop"}
    assert shout["settings"] == {"mark": "!"}
    assert shout["inputs"] == {"text": word["made"]}
    assert shout["versions"].keys() == {"numpy"}
    assert shout["seconds"] >= 0


def test_a_file_that_only_looks_like_a_manifest_is_kept(tmp_path: Path, out: Path) -> None:
    (tmp_path / "out.txt.json").write_text('{"mine": 1}')
    with pytest.raises(OutputError, match=r"out\.txt\.json exists already"):
        give(tmp_path, Step(WORD, out, manifest=True))


def test_a_second_delivery_to_another_place_makes_nothing(tmp_path: Path) -> None:
    first = give(tmp_path, Step(WORD, tmp_path / "1.txt"))
    again = give(tmp_path, Step(WORD, tmp_path / "2.txt"))
    assert replace(again.artifact) == first.artifact
    assert (tmp_path / "2.txt").read_text() == "hop"


def test_of_two_that_want_one_name_one_wins_and_the_other_is_told(
    tmp_path: Path, out: Path
) -> None:
    """Both looked when nothing was there, as two processes do."""
    steps = [Step(WriteWord(word), out) for word in ("hop", "skip")]
    at = [executor(tmp_path), executor(tmp_path)]
    for each, step in zip(at, steps, strict=True):
        check_places(each, [step], force=False)
    publish(at[0], steps[0], force=False, command=["anim"])
    with pytest.raises(OutputError, match="exists already"):
        publish(at[1], steps[1], force=False, command=["anim"])
    assert out.read_text() == "hop"


@pytest.mark.parametrize("folder", [False, True])
def test_what_the_user_puts_there_while_it_is_copied_stays(
    tmp_path: Path, folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other projects and other programs know nothing of our locks."""
    out = tmp_path / "out"
    stage = Shout(WORD) if folder else WORD
    real = files.put_folder_in_place if folder else files.put_in_place
    at = executor(tmp_path)
    at.make(stage)

    def late(part: Path, path: Path, **how: bool) -> None:
        if path == out:
            out.write_text("mine")
        real(part, path, **how)

    for module in (files, output) if folder else (files,):
        monkeypatch.setattr(module, real.__name__, late)
    with pytest.raises(OutputError, match="exists already"):
        publish(at, Step(stage, out), force=False, command=["anim"])
    assert out.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {".anim", "out"}


def test_a_result_of_ours_that_the_user_edits_meanwhile_stays(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(tmp_path, Step(WORD, out))
    known = output.write_output_record

    def late(*said: Any, **how: Any) -> None:
        known(*said, **how)
        out.write_text("edited at the last moment")

    monkeypatch.setattr(output, "write_output_record", late)
    monkeypatch.setattr(output, "_check_ours", lambda *_: None)
    with pytest.raises(OutputError, match="exists already"):
        publish(
            executor(tmp_path), Step(WriteWord("skip"), out), force=False, command=["anim"]
        )
    assert out.read_text() == "edited at the last moment"


@pytest.mark.parametrize("link", [False, True])
def test_a_manifest_of_the_users_that_comes_meanwhile_is_kept(
    tmp_path: Path, out: Path, link: bool
) -> None:
    at, step = executor(tmp_path), Step(WORD, out, manifest=True)
    check_places(at, [step], force=False)
    manifest = tmp_path / "out.txt.json"
    manifest.symlink_to("nowhere") if link else manifest.write_text('{"mine": 1}')
    with pytest.raises(OutputError, match=r"out\.txt\.json exists already"):
        publish(at, step, force=False, command=["anim"])
    assert manifest.is_symlink() == link
    with pytest.raises(OutputError, match=r"out\.txt\.json exists already"):
        check_places(at, [step], force=False)


def test_a_name_that_is_too_long_is_told_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / ("v" * 252 + ".txt")
    with pytest.raises(StorageError, match="File name too long"):
        give(tmp_path, Step(WORD, out))
    longest = tmp_path / ("v" * 251 + ".txt")
    assert give(tmp_path, Step(WORD, longest)).path.read_text() == "hop"
    with pytest.raises(StorageError, match="File name too long"):  # its manifest's
        give(tmp_path, Step(WriteWord("skip"), longest.with_name("w" * 251), manifest=True))


def test_what_is_cleared_before_it_is_copied_is_made_again(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, put = iter([True]), output._put

    def late(at: Executor, artifact: Artifact, *rest: Any, **how: Any) -> None:
        if next(once, False):
            at.store.clear()
        put(at, artifact, *rest, **how)

    monkeypatch.setattr(output, "_put", late)
    give(tmp_path, Step(WORD, out))
    assert out.read_text() == "hop"
