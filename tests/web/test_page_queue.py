"""The queue of the page: in order, kept as a batch file, and never lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from animcli.batch.child import Events
from animcli.batch.jobfile import read_job_file
from animcli.batch.jobs import read_jobs
from animcli.cli.batch.keys import batch_commands
from animcli.cli.main import COMMANDS
from animcli.errors import UsageError
from animcli.web.queue import Entry, JobQueue


class Seats:
    """An engine that only writes down what it is asked for."""

    def __init__(self, slots: int = 1) -> None:
        self.events = Events()
        self.slots = slots
        self.acts: list[tuple[str, str]] = []
        self.given: list[Mapping[str, Any]] = []

    def start(self) -> None:
        self.acts.append(("start", ""))

    def give(self, slot: str, request: Mapping[str, Any]) -> None:
        self.given.append(request)

    def renew(self, slot: str) -> None:
        self.acts.append(("renew", slot))

    def terminate(self, slot: str) -> None:
        self.acts.append(("terminate", slot))

    def kill(self, slot: str) -> None:
        self.acts.append(("kill", slot))

    def remove(self, slot: str) -> None: ...

    def close(self) -> None: ...


def made(folder: Path, seats: Seats) -> tuple[JobQueue, list[str]]:
    heard: list[str] = []

    def changed(entry: Entry | None) -> None:
        heard.append("list" if entry is None else f"{entry.job.name} {entry.state}")

    commands = batch_commands(COMMANDS, folder)
    for name in ("a", "b", "c"):
        (folder / f"{name}.png").write_bytes(b"x")
    return JobQueue(folder, seats, commands, {}, changed, lambda: 100.0), heard


def row(name: str) -> dict[str, object]:
    return {
        "command": "render", "reference": f"{name}.png", "preset": "cutout", "name": name,
        "output": f"{name}.mp4",
    }  # fmt: skip


def end(seats: Seats, code: int = 0, **answer: object) -> dict[str, Any]:
    return {
        "event": "end", "id": seats.given[-1]["id"], "exit_code": code, "answer": answer,
        "seconds": 1.0, "memory_mb": 50,
    }  # fmt: skip


def test_jobs_run_one_after_the_other(tmp_path: Path) -> None:
    seats = Seats()
    jobs, heard = made(tmp_path, seats)
    jobs.add(row("a"), ("anim", "render", "a"))
    jobs.add(row("b"), ())
    assert seats.acts == [("start", "")]
    assert seats.given == []
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    assert [each["words"][1] for each in seats.given] == ["a.png"]
    jobs.take("slot-0", end(seats, results=[{"path": "a.mp4"}]))
    assert [each["words"][1] for each in seats.given] == ["a.png", "b.png"]
    assert jobs.entries["a"].results == [{"path": "a.mp4"}]
    assert "a done" in heard


def test_the_file_is_a_batch_of_what_is_left(tmp_path: Path) -> None:
    seats = Seats()
    jobs, _ = made(tmp_path, seats)
    for name in ("a", "b", "c"):
        jobs.add(row(name), ())
    jobs.move("c", 0)
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    jobs.take("slot-0", end(seats))
    reading = read_jobs(read_job_file(jobs.path), jobs.commands)
    assert reading.problems == []
    assert [job.name for job in reading.jobs] == ["a", "b"]
    assert reading.jobs[0].words == jobs.entries["a"].job.words


def test_after_a_crash_the_jobs_are_there_and_wait_for_a_word(tmp_path: Path) -> None:
    jobs, _ = made(tmp_path, Seats())
    jobs.add(row("a"), ())
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    seats = Seats()
    again, _ = made(tmp_path, seats)
    again.load()
    assert [each.state for each in again.entries.values()] == ["stopped"]
    again.turn()
    assert seats.given == []
    again.take("slot-0", {"event": "ready", "pid": 2})
    again.go_on("a")
    assert seats.given[0]["words"] == list(jobs.entries["a"].job.words)


def test_stop_asks_once_and_ends_the_second_time(tmp_path: Path) -> None:
    seats = Seats()
    jobs, _ = made(tmp_path, seats)
    jobs.add(row("a"), ())
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    jobs.stop("a")
    assert jobs.entries["a"].state == "stopping"
    jobs.stop("a")
    assert seats.acts[1:] == [("terminate", "slot-0"), ("kill", "slot-0")]
    jobs.take("slot-0", {"event": "died", "code": -9, "said": ""})
    assert (jobs.entries["a"].state, jobs.entries["a"].error) == ("stopped", "")
    jobs.take("slot-0", {"event": "ready", "pid": 2})
    jobs.go_on("a")
    jobs.take("slot-0", end(seats))
    assert jobs.entries["a"].state == "done"


def test_a_child_that_dies_by_itself_is_told_and_replaced(tmp_path: Path) -> None:
    seats = Seats()
    jobs, _ = made(tmp_path, seats)
    jobs.add(row("a"), ())
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    jobs.take("slot-0", {"event": "died", "code": -9, "said": ""})
    assert jobs.entries["a"].state == "failed"
    assert "SIGKILL" in jobs.entries["a"].error
    assert ("renew", "slot-0") in seats.acts


def test_errors_are_the_command_lines(tmp_path: Path) -> None:
    seats = Seats()
    jobs, _ = made(tmp_path, seats)
    jobs.add(row("a"), ())
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    jobs.take("slot-0", end(seats, 3, error="a.png: found 0 persons", hint="another"))
    entry = jobs.entries["a"]
    assert (entry.state, entry.error, entry.hint, entry.exit_code) == (
        "failed", "a.png: found 0 persons", "another", 3,
    )  # fmt: skip


def test_what_runs_is_not_taken_out(tmp_path: Path) -> None:
    jobs, _ = made(tmp_path, Seats())
    jobs.add(row("a"), ())
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    with pytest.raises(UsageError, match="a is running"):
        jobs.remove("a")


def test_while_paused_nothing_begins(tmp_path: Path) -> None:
    seats = Seats()
    jobs, _ = made(tmp_path, seats)
    jobs.pause(True)
    jobs.add(row("a"), ())
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    assert seats.given == []
    jobs.pause(False)
    jobs.take("slot-0", {"event": "ready", "pid": 1})
    assert len(seats.given) == 1


def test_the_same_job_again_is_one_job(tmp_path: Path) -> None:
    jobs, _ = made(tmp_path, Seats())
    jobs.add(row("a"), ())
    jobs.add(row("a"), ())
    assert list(jobs.entries) == ["a"]


def test_a_job_that_is_held_is_in_the_file_only(tmp_path: Path) -> None:
    seats = Seats()
    jobs, _ = made(tmp_path, seats)
    jobs.add(row("a"), (), held=True)
    assert seats.acts == []
    assert '"name": "a"' in jobs.path.read_text()
