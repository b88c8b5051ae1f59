"""Jobs without animcli for tests of the driver: a worker's function that obeys.

A job's words are an act and what it takes; `make PATH` writes a file after the others have
been given their chance, so that what is made can be compared. As a program this file drives
a batch of them:

    python tests/batch_fakes.py FOLDER JOBS
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animcli.batch.driver import Counts, Driver
from animcli.batch.engine import Here, Seat
from animcli.batch.jobs import Job
from animcli.batch.journal import Journal, read_journal, standings
from animcli.batch.queue import Ended
from animcli.batch.worker import TellProgress


def work(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
    """Do a request as `animcli.cli.batch.job.run_request` would."""
    os.chdir(request["folder"])
    if request["do"] == "ask":
        return {"exit_code": 0, "jobs": [asked(line) for line in request["lines"]]}
    if request["do"] == "make":
        act, *rest = request["stage"].split()
    else:
        act, *rest = request["words"]
    return ACTS[act](*rest)


def asked(line: list[str]) -> dict[str, Any]:
    """A job is done if its file is there; `shared KEY` needs a stage that others need."""
    done = line[0] in ("make", "slow") and Path(line[1]).exists()
    stages = []
    if "shared" in line:
        key = line[line.index("shared") + 1]
        at = Path(key.split()[1])
        stages = [{"name": "extract", "key": key, "done": at.exists()}]
    cost = float(line[line.index("cost") + 1]) if "cost" in line else 0.0
    return {"done": done, "stages": stages, "cost": cost}


def log(word: str) -> None:
    """Append to the list of what was done, in one write."""
    with Path("log").open("a") as file:
        file.write(f"{word} {os.getpid()} {os.environ.get('SLOT', '')}\n")


def make(path: str, *rest: str) -> dict[str, Any]:
    log(path)
    part = Path(f"{path}.{os.getpid()}.part")
    part.write_text(path * 1000)
    part.replace(path)  # whole or absent, as results are
    return {"exit_code": 0, "outcome": "ran"}


def fail(code: str, *rest: str) -> dict[str, Any]:
    log(f"fail-{code}")
    return {"exit_code": int(code), "error": f"{code} for {rest}", "hint": "try"}


def once(path: str, act: str, *rest: str) -> dict[str, Any]:
    """Do an act the first time, and make the file after that."""
    mark = Path(f"{path}.tried")
    if mark.exists():
        return make(path)
    mark.touch()
    return ACTS[act](*rest)


def segfault() -> dict[str, Any]:
    log("segfault")
    ctypes.string_at(0)
    raise AssertionError


def leave(code: str) -> dict[str, Any]:
    log("leave")
    os._exit(int(code))


def killed() -> dict[str, Any]:
    log("killed")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def garbage(path: str) -> dict[str, Any]:
    """Print to the standard output what looks like events and what doesn't."""
    os.write(1, b'\x00\xff{"event": "end", "id": 0, "exit_code": 0}\nno event\n')
    sys.stdout.write('{"event": "died", "code": 1}\n')
    return make(path)


def deaf(seconds: str) -> dict[str, Any]:
    """Work on for a while whatever signals say."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    log("deaf")
    time.sleep(float(seconds))
    return {"exit_code": 0}


def slow(path: str, seconds: str, *rest: str) -> dict[str, Any]:
    log(f"begin-{path}")
    time.sleep(float(seconds))
    return make(path)


ACTS = {
    "make": make, "fail": fail, "once": once, "segfault": segfault, "leave": leave,
    "killed": killed, "garbage": garbage, "deaf": deaf, "slow": slow,
}  # fmt: skip


class Silence:
    """Watch of a batch that tells nobody."""

    def note(self, line: str) -> None: ...
    def job_ended(self, job: Job, how: Ended, outcome: str, slot: str) -> None: ...
    def slot(self, slot: str, what: str, done: int, of: int) -> None: ...
    def counted(self, counts: Counts) -> None: ...


def drive(folder: Path, count: int) -> int:
    """Work a batch off whose jobs share two stages; the exit code."""
    shared = [f"slow stage-{number} 0.3" for number in range(2)]
    jobs = [
        Job(n, f"job-{n}", ("slow", f"made-{n}", "0.2", "shared", shared[n % 2]), ())
        for n in range(count)
    ]
    at = standings(read_journal(folder / "batch.jsonl"))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(128 + number))
    driver = Driver(
        Here("batch_fakes:work", [Seat()] * 2, folder / "logs"),
        Journal(folder / "batch.jsonl"), Silence(), folder, folder,
        recorded=frozenset(name for name, each in at.items() if each.state == "done"),
        stopping=lambda: stopped[0] if stopped else 0,
    )  # fmt: skip
    return driver.run(jobs)


if __name__ == "__main__":
    sys.exit(drive(Path(sys.argv[1]).absolute(), int(sys.argv[2])))
