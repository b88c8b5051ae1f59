"""Journal of a batch: what happened to each job, a line of JSON each, flushed to the disk.

It is a report and not the truth: a job is done when the cache says so. Lines are only ever
appended; a line that a crash tore is ignored.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from animcli.errors import StorageError
from animcli.files import FULL, disk_errors, make_folder

JOURNAL_SUFFIX: Final = ".jsonl"
BATCH_FOLDER: Final = "batch"

EventName = Literal["begin", "start", "step", "end", "slot", "finish"]


@dataclass
class Journal:
    """A journal that is written to.

    Lines for which the disk has no room are kept until it has some: a batch waits for room
    as well, and goes on.

    clock: seconds since 1970.
    """

    path: Path
    clock: Callable[[], float] = time.time
    _file: int = field(default=-1, init=False)
    _late: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        with disk_errors(self.path):
            make_folder(self.path.parent)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                os.write(self._file, b"\n")  # so that a torn line spoils no other

    def write(self, event: EventName, **facts: object) -> None:
        """Append a line; it is on the disk when this returns, unless that is full."""
        line = {"time": round(self.clock(), 3), "event": event, **facts}
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogateescape")
        self._late += data + b"\n"
        self._write_late()

    def _write_late(self) -> None:
        with disk_errors(self.path):
            try:
                while self._late:
                    self._late = self._late[os.write(self._file, self._late) :]
                os.fsync(self._file)
            except OSError as error:
                if error.errno not in FULL:
                    raise

    def close(self) -> None:
        """Give the file back, after what is late if there is room now."""
        with suppress(StorageError):
            self._write_late()
        with suppress(OSError):
            os.close(self._file)
        self._file = -1


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal, in order; torn ones are left out."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event


def journals_of(cache: Path, name: str) -> list[Path]:
    """Journals of a batch: of the whole, and of its slices."""
    folder = cache / BATCH_FOLDER
    found = [
        folder / f"{name}{JOURNAL_SUFFIX}",
        *folder.glob(f"{name}.*of*{JOURNAL_SUFFIX}"),
    ]
    return sorted(path for path in found if path.is_file())


@dataclass
class Standing:
    """State of a job, by the journal.

    state: `done`, `failed`, `running` or `stopped`.
    """

    state: str
    seconds: float = 0.0
    exit_code: int | None = None
    error: str = ""
    hint: str = ""
    slot: str = ""
    _: KW_ONLY
    host: str = ""
    attempts: int = 0
    progress: str = ""
    made: int = 0


def standings(events: Iterable[Mapping[str, Any]]) -> dict[str, Standing]:
    """Name of each job that was begun -> where it stands after these events."""
    jobs: dict[str, Standing] = {}
    for event in events:
        name = event.get("job")
        if event["event"] in ("begin", "finish"):  # who ran before runs no longer
            for each in jobs.values():
                if each.state == "running":
                    each.state = "stopped"
        if not isinstance(name, str):
            continue
        at = jobs.setdefault(name, Standing("stopped"))
        if event["event"] == "start":
            at.state, at.error, at.progress = "running", "", ""
            at.slot, at.host = str(event.get("slot", "")), str(event.get("host", ""))
            at.attempts += 1
        elif event["event"] == "step":
            at.progress = str(event.get("progress", ""))
        elif event["event"] == "end":
            code = event.get("exit_code")
            at.exit_code = code
            at.seconds = float(event.get("seconds", 0))
            at.error, at.hint = str(event.get("error", "")), str(event.get("hint", ""))
            if code == 0:
                at.state = "done"
                at.made += event.get("outcome") == "ran"
            else:
                at.state = "failed" if event.get("final") else "stopped"
    return jobs
