"""Jobs without animcli for tests of the driver: a worker's function that obeys.

A job's words are an act and what it takes; `make PATH` writes a file after the others have
been given their chance, so that what is made can be compared.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animcli.batch.worker import Tell


def work(request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Do a request as `animcli.cli.batch_job.work` would."""
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
    done = line[0] == "make" and Path(line[1]).exists()
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
    Path(path).write_text(path)
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


def slow(path: str, seconds: str) -> dict[str, Any]:
    log(f"begin-{path}")
    time.sleep(float(seconds))
    return make(path)


ACTS = {
    "make": make, "fail": fail, "once": once, "segfault": segfault, "leave": leave,
    "killed": killed, "garbage": garbage, "deaf": deaf, "slow": slow,
}  # fmt: skip
