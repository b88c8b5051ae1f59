"""The journal keeps what happened, whatever moment it was torn at."""

import os
from pathlib import Path

from animcli.batch.journal import Journal, journals_of, read_journal, standings


def lines(path: Path) -> list[object]:
    return [event.get("job", event["event"]) for event in read_journal(path)]


def test_a_journal_torn_at_any_byte_loses_no_other_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    journal = Journal(whole, clock=lambda: 1.0)
    for job in ("a", "b\n\"'", "ümläut"):
        journal.write("end", job=job, exit_code=0)
    journal.close()
    data = whole.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    jobs = ["a", "b\n\"'", "ümläut"]
    for size in range(len(data) + 1):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(data[:size])
        again = Journal(torn)
        again.write("end", job="next", exit_code=0)
        again.close()
        kept = sum(end <= size for end in ends)
        complete = kept + (size + 1 in ends)  # all but the line's end was written
        assert lines(torn) == [*jobs[:complete], "next"], size


def test_lines_for_which_there_is_no_room_come_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.write("end", job="before", exit_code=0)
    own, full = os.dup(journal._file), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    journal.write("end", job="while", exit_code=0)
    assert lines(journal.path) == ["before"]
    os.dup2(own, journal._file)
    journal.write("end", job="after", exit_code=0)
    assert lines(journal.path) == ["before", "while", "after"]
    journal.close()
    for file in (own, full):
        os.close(file)


def test_the_last_word_about_a_job_counts() -> None:
    events = [
        {"event": "begin"},
        {"event": "start", "job": "a", "slot": "slot-0"},
        {"event": "start", "job": "b", "slot": "slot-1"},
        {"event": "start", "job": "c", "slot": "slot-2"},
        {"event": "step", "job": "c", "progress": "denoising 3 of 25"},
        {"event": "end", "job": "a", "exit_code": 3, "final": True, "error": "bad"},
        {"event": "end", "job": "b", "exit_code": None, "final": False, "error": "killed"},
    ]
    at = standings(events)
    assert {name: each.state for name, each in at.items()} == {
        "a": "failed", "b": "stopped", "c": "running",
    }  # fmt: skip
    assert at["c"].progress == "denoising 3 of 25"
    later = standings(
        [*events, {"event": "begin"}, {"event": "end", "job": "a", "exit_code": 0}]
    )
    assert (later["a"].state, later["c"].state) == ("done", "stopped")


def test_the_journals_of_slices_belong_to_the_batch(tmp_path: Path) -> None:
    names = ("jobs", "jobs.0of2", "jobs.1of2", "jobs2", "other")
    for name in names:
        (tmp_path / "batch").mkdir(exist_ok=True)
        (tmp_path / "batch" / f"{name}.jsonl").touch()
    found = [path.stem for path in journals_of(tmp_path, "jobs")]
    assert sorted(found) == ["jobs", "jobs.0of2", "jobs.1of2"]
