"""A child process that does jobs, seen from the slot that started it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

TAIL: Final = 4096
"""Bytes of a dead child's log that are looked at for its last words."""

Put = Callable[[dict[str, Any]], None]


class Child:
    """One `animcli.batch.worker`, with a thread that reads its events.

    Events go to `put` as they come; the last is {"event": "died", "code", "said"}.
    Lines that are no events are dropped: what prints to a child's standard output by
    mistake can't confuse its driver.
    """

    def __init__(
        self, runner: str, environment: Mapping[str, str], log: Path, put: Put
    ) -> None:
        """runner: `module:function` that does the jobs. log: for its standard error."""
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "animcli.batch.worker", runner],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the driver, which tells us
            )
        self._put = put
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def give(self, request: Mapping[str, Any]) -> None:
        """Send a request; a child that died meanwhile says so by its event."""
        with suppress(BrokenPipeError, OSError, ValueError):
            stdin: IO[bytes] | None = self._process.stdin
            if stdin is not None:
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()

    def terminate(self) -> None:
        """Ask it to stop between two units of work."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it and whatever it started, as it stands."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            self._process.kill()

    def end(self) -> None:
        """No more jobs: it ends by itself once it is idle."""
        with suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def wait(self, timeout: float) -> bool:
        """Wait for its last event; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _pump(self) -> None:
        stdout = self._process.stdout
        if stdout is not None:
            for line in stdout:
                event = parse_event(line)
                if event is not None:
                    self._put(event)
            stdout.close()
        code = self._process.wait()
        self.end()
        self._put({"event": "died", "code": code, "said": last_words(self._log)})


def parse_event(line: bytes) -> dict[str, Any] | None:
    """The event in a line, or None where it is something else."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and isinstance(event.get("event"), str):
        return event
    return None


def last_words(log: Path) -> str:
    """The last line of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


Events = queue.Queue[tuple[str, dict[str, Any]]]
"""(name of the slot, event)."""
