"""Jobs of the page, one after the other on each device, kept as a batch file.

`anim batch studio/queue.jsonl` does what is left of them just as well: a line of the file
is a job, and a job's words are those that the batch makes of the line.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from animcli.batch.engine import Engine
from animcli.batch.jobfile import JobFile, Row, read_job_file
from animcli.batch.jobs import Job, Problem, Reading
from animcli.batch.queue import died
from animcli.batch.schema import JobCommand
from animcli.errors import ProjectError, UsageError
from animcli.files import make_folder, write_file

QUEUE_FILE: Final = "queue.jsonl"
LOG: Final = 200
"""Lines that are kept of what a job says."""

State: TypeAlias = Literal["waiting", "running", "stopping", "stopped", "failed", "done"]
UNFINISHED: Final = ("waiting", "running", "stopping", "stopped", "failed")


@dataclass
class Entry:
    """A job, and how it is going.

    row: as it stands in the batch file. shown: the words that the user knows.
    outlook: what is known of what it will take, or of how far an earlier run came.
    """

    job: Job
    row: Mapping[str, object]
    shown: tuple[str, ...]
    state: State = "waiting"
    outlook: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    stages: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    error: str = ""
    hint: str = ""
    exit_code: int | None = None
    began: float = 0.0
    seconds: float = 0.0
    memory_mb: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """As the page reads it."""
        own = (
            "state", "outlook", "progress", "stages", "error", "hint", "exit_code",
            "began", "seconds", "memory_mb", "results",
        )  # fmt: skip
        facts = {name: getattr(self, name) for name in own}
        return {
            "name": self.job.name,
            "words": list(self.shown),
            "command": self.job.words[0],
            "log": self.log[-LOG:],
            **facts,
        }


@dataclass
class JobQueue:
    """Gives jobs to slots.

    folder: of the results; the batch file lies there, and words are said there.
    changed: told of an entry, or of None where the list itself is another.
    """

    folder: Path
    engine: Engine
    commands: Mapping[str, JobCommand]
    places: Mapping[str, str]
    changed: Callable[[Entry | None], None]
    clock: Callable[[], float] = time.time
    _: KW_ONLY
    paused: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    _slots: dict[str, Entry | None] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)
    _ids: dict[int, str] = field(default_factory=dict)
    _number: int = 0
    _started: bool = False
    _closing: bool = False

    @property
    def path(self) -> Path:
        """The batch file."""
        return self.folder / QUEUE_FILE

    def load(self) -> None:
        """Take up what an earlier run of the page left; nothing starts by itself.

        Raises ProjectError for a file that can't be understood.
        """
        if not self.path.is_file():
            return
        for row in read_job_file(self.path).rows:
            job, _ = self._read(row.values)
            if job is not None:
                words = tuple(str(x) for x in job.words)
                self.entries[job.name] = Entry(job, row.values, words, "stopped")

    def _read(self, row: Mapping[str, object]) -> tuple[Job | None, list[Problem]]:
        """The job of a row, as `anim batch` would read it."""
        reading = Reading(JobFile(QUEUE_FILE, self.folder, Row({}, 0)), self.commands)
        reading.add(Row(row, 1))
        reading.finish()
        return (reading.jobs[0] if reading.jobs else None), reading.problems

    def add(
        self, row: Mapping[str, object], shown: tuple[str, ...], *, held: bool = False
    ) -> Entry:
        """Queue a job; one that is queued already goes on. Raises UsageError.

        held: only put it into the batch file.
        """
        job, problems = self._read(row)
        if problems or job is None:
            problem = problems[0] if problems else Problem(0, "", "this is no job")
            raise UsageError(problem.message, problem.hint)
        entry = self.entries.get(job.name)
        if entry is None or entry.state not in ("waiting", "running", "stopping"):
            self.entries.pop(job.name, None)
            state: State = "stopped" if held else "waiting"
            entry = self.entries[job.name] = Entry(job, row, shown, state)
            self.save()
            self.changed(None)
        self.turn()
        return entry

    def add_line(self, name: str, words: tuple[str, ...], shown: tuple[str, ...]) -> Entry:
        """Queue a line that is no job of a batch; it isn't in the batch file."""
        entry = self.entries.get(name)
        if entry is None or entry.state not in ("waiting", "running", "stopping"):
            self.entries.pop(name, None)
            entry = self.entries[name] = Entry(Job(0, name, words, ()), {}, shown)
            self.changed(None)
        self.turn()
        return entry

    def move(self, name: str, place: int) -> None:
        """Put a job at a place in the list."""
        names = [each for each in self.entries if each != name]
        names.insert(max(0, min(place, len(names))), name)
        self.entries = {each: self.entries[each] for each in names}
        self.save()
        self.changed(None)

    def go_on(self, name: str) -> None:
        """Queue a job again that was stopped or failed."""
        entry = self.entries[name]
        if entry.state in ("stopped", "failed"):
            entry.state, entry.error, entry.hint = "waiting", "", ""
            self.changed(entry)
        self.turn()

    def stop(self, name: str) -> None:
        """Ask a job to stop where nothing is lost; the second time, end it."""
        entry = self.entries[name]
        slot = next((s for s, each in self._slots.items() if each is entry), None)
        if entry.state == "waiting":
            entry.state = "stopped"
        elif slot is not None and entry.state == "running":
            entry.state = "stopping"
            entry.log.append("stopping where nothing is lost; once more stops at once")
            self.engine.terminate(slot)
        elif slot is not None:
            self.engine.kill(slot)
        self.changed(entry)

    def remove(self, name: str) -> None:
        """Take a job out of the list; one that runs must be stopped before.

        Raises UsageError.
        """
        if self.entries[name].state in ("running", "stopping"):
            raise UsageError(f"{name} is running", "stop it first")
        del self.entries[name]
        self.save()
        self.changed(None)

    def pause(self, paused: bool) -> None:
        """Begin no job after those that run, or begin again."""
        self.paused = paused
        self.changed(None)
        self.turn()

    def turn(self) -> None:
        """Give the next jobs to slots that are free."""
        if self._closing or self.paused:
            return
        waiting = [each for each in self.entries.values() if each.state == "waiting"]
        if waiting and not self._started:
            self._started = True
            make_folder(self.folder)
            self.engine.start()
        for slot in [slot for slot, has in self._slots.items() if has is None]:
            if not waiting:
                return
            self._give(slot, waiting.pop(0))

    def _give(self, slot: str, entry: Entry) -> None:
        self._number += 1
        self._slots[slot], self._ids[self._number] = entry, slot
        entry.state, entry.began, entry.exit_code = "running", self.clock(), None
        entry.progress, entry.stages, entry.results = {}, [], []
        request = {"do": "run", "words": list(entry.job.words), "places": self.places}
        folder = {"folder": str(self.folder)}
        self.engine.give(slot, {"id": self._number, **request, **folder})
        self.changed(entry)

    def take(self, slot: str, event: Mapping[str, Any]) -> None:
        """Take note of what a slot says."""
        kind, entry = event["event"], self._slots.get(slot)
        if kind == "ready":
            self._slots[slot], self._pids[slot] = None, int(event["pid"])
            self.turn()
        elif kind in ("died", "gone"):
            self._slots.pop(slot, None)
            if entry is not None:
                self._lost(entry, event)
            if kind == "died" and not self._closing:
                self.engine.renew(slot)
        elif entry is None or self._ids.get(event.get("id", 0)) != slot:
            return
        elif kind == "progress":
            entry.progress = {name: event[name] for name in ("what", "done", "of")}
            entry.memory_mb = memory_mb(self._pids.get(slot, 0))
            self.changed(entry)
        elif kind == "said":
            if "note" in event:
                entry.log.append(str(event["note"]))
            if "stage" in event:
                entry.stages.append({n: event[n] for n in ("stage", "outcome", "seconds")})
            self.changed(entry)
        elif kind == "end":
            self._slots[slot] = None
            self._ended(entry, event)
            if event["exit_code"] in (130, 143):
                self._slots.pop(slot)  # the child ends, and says so
            self.turn()

    def _ended(self, entry: Entry, event: Mapping[str, Any]) -> None:
        answer, code = event["answer"], event["exit_code"]
        entry.exit_code, entry.seconds = code, float(event["seconds"])
        entry.memory_mb = max(entry.memory_mb, int(event.get("memory_mb", 0)))
        entry.error, entry.hint = answer.get("error", ""), answer.get("hint", "")
        entry.results = [x for x in answer.get("results", []) if isinstance(x, dict)]
        entry.progress = {}
        stopped = code in (130, 143)
        entry.state = "done" if code == 0 else "stopped" if stopped else "failed"
        if stopped:
            entry.error, entry.hint = "", ""
        self.save()
        self.changed(entry)

    def _lost(self, entry: Entry, event: Mapping[str, Any]) -> None:
        """The child of a job is gone: because somebody wanted that, or not."""
        if entry.state in ("stopping", "stopped"):
            entry.state = "stopped"
        else:
            how = died(int(event.get("code", 1)), str(event.get("said", "")))
            entry.state, entry.error, entry.hint = "failed", how.error, how.hint
        entry.seconds = self.clock() - entry.began
        entry.progress = {}
        self.changed(entry)

    def save(self) -> None:
        """Write the batch file: whatever isn't done, in order."""
        entries = self.entries.values()
        left = [dict(x.row) for x in entries if x.state in UNFINISHED and x.row]
        lines = [json.dumps(row, ensure_ascii=False) for row in left]
        make_folder(self.folder)
        write_file(self.path, "".join(f"{line}\n" for line in lines).encode())

    def close(self) -> list[str]:
        """Ask what runs to stop; names of those jobs."""
        self._closing = True
        running = [
            (slot, each) for slot, each in self._slots.items()
            if each is not None and each.state in ("running", "stopping")
        ]  # fmt: skip
        for slot, each in running:
            each.state = "stopping"
            self.engine.terminate(slot)
        return [each.job.name for _, each in running]

    @property
    def running(self) -> bool:
        """True while a job is at work."""
        return any(each is not None for each in self._slots.values())


def check_name(queue: JobQueue, name: str) -> str:
    """The name of a job that there is. Raises ProjectError."""
    if name not in queue.entries:
        raise ProjectError(f"there is no job {name}", "another tab may have removed it")
    return name


def memory_mb(pid: int) -> int:
    """Resident memory of a process; 0 where that can't be told."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
