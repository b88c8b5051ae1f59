"""Child process of a slot: takes jobs from standard input and keeps networks loaded.

    python -m animcli.batch.worker MODULE:FUNCTION

Each line in is a request with an `id`; lines out are events, one JSON object each:

    {"event": "ready", ...}                       once, what this process is
    {"event": "progress", "id": 7, "what": "denoising", "done": 3, "of": 25}
    {"event": "said", "id": 7, "note": "..."}     or a stage that was made or found
    {"event": "end", "id": 7, "exit_code": 0, "answer": {...}, "seconds": 9.1, ...}

FUNCTION does the work: (request, tell) -> the answer, with its `exit_code`. Standard output
belongs to the events alone; what libraries print goes to standard error. SIGTERM stops the
job in hand between two units of work. When standard input ends, nobody wants the results
any more, so that an orphan never holds a device for longer than a unit of work. One that
waits for long forgets its weights, and loads them again when it is asked.
"""

import importlib
import json
import os
import platform
import queue
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any, Final, Protocol, TypeAlias


class TellProgress(Protocol):
    """Tells how a job is going."""

    def __call__(self, what: str, done: int, of: int, **facts: object) -> None:
        """`done` of `of` of `what`; or, where there are facts, these alone and at once."""


Work: TypeAlias = Callable[[Mapping[str, Any], TellProgress], dict[str, Any]]

PROGRESS_EVERY_S: Final = 0.5

IDLE_S: Final = 300.0
"""Seconds without a request after which the device's memory is given back."""

COMPARED: Final = ("animcli", "torch", "diffusers", "transformers", "numpy", "av")
"""Packages whose versions must be equal in all slots: they are part of cache keys."""


def main() -> int:
    """Serve until standard input ends; the exit code."""
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints, prints to the log
    sys.stdout = sys.stderr
    lock = threading.Lock()

    def send(event: str, **facts: object) -> None:
        with lock:
            try:
                events.write(json.dumps({"event": event, **facts}) + "\n")
            except BrokenPipeError:
                os._exit(0)  # the reader went away

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver is told, and tells us
    module, _, function = sys.argv[1].partition(":")
    requests: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, requests, busy), daemon=True).start()
    work: Work = getattr(importlib.import_module(module), function)
    send("ready", **describe_process())
    while (request := next_request(requests)) is not None:
        busy.set()
        end = _do(work, request, send)
        busy.clear()
        send("end", id=request["id"], **end)
        if end["exit_code"] in (130, 143):
            break
    return 0


class Throttle:
    """Progress of a job: what begins at once, then the newest value every half a second.

    A value that comes sooner waits until its time has come, in a thread of its own, so that
    the last one is told even where the next takes minutes.
    """

    def __init__(self, send: Callable[[str, int, int], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._doing, self._said = "", 0.0
        self._held: tuple[str, int, int] | None = None
        self._later: threading.Timer | None = None

    def tell(self, what: str, done: int, of: int) -> None:
        """Send a value, or hold it until half a second has passed since the last."""
        with self._lock:
            wait = self._said + PROGRESS_EVERY_S - time.monotonic()
            if what != self._doing:
                self._flush()
            self._held = (what, done, of)
            if what != self._doing or wait <= 0:
                self._flush()
            elif self._later is None:
                self._later = threading.Timer(wait, self._when_due)
                self._later.daemon = True
                self._later.start()

    def close(self) -> None:
        """Send what is held, so that none of it comes afterwards."""
        with self._lock:
            self._flush()

    def _when_due(self) -> None:
        with self._lock:
            if self._later is threading.current_thread():
                self._flush()

    def _flush(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._held is not None:
            self._doing, self._said = self._held[0], time.monotonic()
            self._send(*self._held)
            self._held = None


def next_request(
    requests: "queue.Queue[Mapping[str, Any] | None]", idle_s: float = IDLE_S
) -> Mapping[str, Any] | None:
    """The next request, or None at the end; a device isn't held for a long wait."""
    with suppress(queue.Empty):
        return requests.get(timeout=idle_s)
    give_back()
    return requests.get()


def give_back() -> None:
    """Forget weights that renders left on the device for the next one."""
    kept = sys.modules.get("animcli.rendering.kept")
    if kept is not None and kept.let_go():
        import torch

        from animcli.rendering.loading import best_device, free_memory

        free_memory(torch.device(best_device()))


def _do(
    work: Work, request: Mapping[str, Any], send: Callable[..., None]
) -> dict[str, Any]:
    """The facts of an end event."""
    started, number = time.perf_counter(), request["id"]
    progress = Throttle(
        lambda what, done, of: send("progress", id=number, what=what, done=done, of=of)
    )

    def tell(what: str, done: int, of: int, **facts: object) -> None:
        if facts:
            progress.close()  # a stage that is done makes no progress afterwards
            send("said", id=number, **facts)
        else:
            progress.tell(what, done, of)

    answer = work(request, tell)
    progress.close()
    return {
        "exit_code": answer.pop("exit_code"),
        "answer": answer,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "memory_mb": own_memory_mb(),
    }


def _listen(
    stream: IO[str],
    requests: "queue.Queue[Mapping[str, Any] | None]",
    busy: threading.Event,
) -> None:
    """Hand requests on; at the end of the stream ask the job in hand to stop."""
    for line in stream:
        try:
            request = json.loads(line)
        except ValueError:
            continue
        requests.put(request)
    requests.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def describe_process() -> dict[str, object]:
    """Description of this process: host, versions, the device it was given."""
    versions = {"python": platform.python_version()}
    for package in COMPARED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "versions": versions,
        "device": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }


def own_memory_mb() -> int:
    """Resident memory of this process, 0 where that can't be told."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123  # once a job
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
