"""Bridge between a batch's driver and Ray: `python -m animcli.batch.ray_bridge CONFIG`.

Lines in are acts on slots, lines out are the events of slots. Each slot is an actor without
retries, for the queue decides about those. An actor keeps a child process and hands its
events over when asked. One whose node goes away is told as `gone`, and another one takes
its place once there is room for it.
"""

import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayError

POLL_S: Final = 0.2
STORE_BYTES: Final = 200 << 20
"""Of shared memory: paths are sent, no pixels."""


class RaySlot:
    """Actor: a child process, and the events that it has sent."""

    def __init__(self, runner: str, log: str, paths: list[str], threads: int) -> None:
        self._runner, self._log, self._threads = runner, Path(log), threads
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._paths = paths
        self._generation = 0
        self._child: Any = None
        self.renew()

    def renew(self) -> None:
        """Start the child anew."""
        from animcli.batch.child import Child

        self.kill()
        self._generation += 1
        generation = self._generation
        own = dict(os.environ)
        own["PYTHONPATH"] = os.pathsep.join(self._paths)
        if self._threads:
            own["OMP_NUM_THREADS"] = str(self._threads)  # Ray sets 1 where nothing is said
        else:
            own.pop("OMP_NUM_THREADS", None)

        def put(event: dict[str, Any]) -> None:
            with self._lock:
                if generation == self._generation:
                    self._events.append(event)

        self._child = Child(self._runner, own, self._log, put)

    def give(self, request: dict[str, Any]) -> None:
        """Send a request to the child."""
        self._child.give(request)

    def terminate(self) -> None:
        """Ask the child to stop."""
        self._child.terminate()

    def kill(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()

    def poll(self) -> list[dict[str, Any]]:
        """Events since the last time."""
        with self._lock:
            events, self._events = self._events, []
        return events


@dataclass
class Held:
    """An actor as the bridge sees it. asked: its answer that is awaited."""

    name: str
    actor: Any
    asked: Any = None


@dataclass
class Bridge:
    """All slots of a batch."""

    config: dict[str, Any]
    held: dict[str, Held] = field(default_factory=dict)
    removed: int = 0
    number: int = 0

    def tell(self, slot: str, event: dict[str, Any]) -> None:
        """Write an event."""
        sys.stdout.write(json.dumps({"slot": slot, **event}) + "\n")
        sys.stdout.flush()

    @property
    def gpus(self) -> float:
        """The share of a GPU that a slot asks for; 0 where the cluster has none."""
        there = ray.cluster_resources().get("GPU", 0)
        return float(self.config["gpus"]) if there else 0.0

    def wanted(self) -> int:
        """Number of slots that there should be."""
        if self.config["slots"] is not None:
            return int(self.config["slots"]) - self.removed
        there = ray.cluster_resources().get("GPU", 0)
        most = int(there / self.gpus) if self.gpus else 1
        return max(1, most) - self.removed

    def fill(self) -> None:
        """Start actors for the slots that are missing."""
        while len(self.held) < self.wanted():
            name = f"slot-{self.number}"
            self.number += 1
            threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
            options = {
                "num_cpus": 1, "num_gpus": self.gpus, "max_restarts": 0,
                "max_task_retries": 0, "max_concurrency": 1,
            }  # fmt: skip
            log = str(Path(self.config["logs"]) / f"{name}.log")
            make = ray.remote(RaySlot).options(**options)
            paths = self.config["paths"]
            actor = make.remote(self.config["runner"], log, paths, threads)
            self.held[name] = Held(name, actor)
            self.tell(name, {"event": "starting"})

    def act(self, line: str) -> None:
        """Do what a line asks for."""
        said = json.loads(line)
        held = self.held.get(said["slot"])
        if held is None:
            return
        with suppress(RayError):
            if said["act"] == "remove":
                self.removed += 1
                self._drop(held)
            elif said["act"] == "give":
                held.actor.give.remote(said["request"])
            else:
                getattr(held.actor, said["act"]).remote()

    def _drop(self, held: Held) -> None:
        self.held.pop(held.name, None)
        with suppress(RayError):
            ray.kill(held.actor, no_restart=True)

    def poll(self) -> None:
        """Ask every actor for its events, and take those that have answered."""
        for held in self.held.values():
            if held.asked is None:
                held.asked = held.actor.poll.remote()
        waiting = [held.asked for held in self.held.values()]
        if not waiting:
            return
        ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=POLL_S)
        done = set(ready)
        for held in list(self.held.values()):
            if held.asked in done:
                try:
                    events = ray.get(held.asked)
                except RayError as error:
                    self._gone(held, type(error).__name__)
                    continue
                held.asked = None
                for event in events:
                    self.tell(held.name, event)

    def _gone(self, held: Held, why: str) -> None:
        self._drop(held)
        self.fill()  # so that the driver never sees a batch without any slot
        self.tell(held.name, {"event": "gone", "said": f"its worker is gone ({why})"})


def main() -> int:
    """Serve until standard input ends."""
    config = json.loads(sys.argv[1])
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = events
    local = config["address"] == "local"
    own: dict[str, Any] = {"object_store_memory": STORE_BYTES} if local else {}
    if local and config["slots"] is not None:
        own["num_cpus"] = max(int(config["slots"]), os.cpu_count() or 1)
    ray.init(
        address=config["address"],
        include_dashboard=False if local else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        **own,
    )
    bridge = Bridge(config)
    lines: list[str] = []
    ended = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            lines.append(line)
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    while not ended.is_set():
        bridge.fill()
        while lines:
            bridge.act(lines.pop(0))
        bridge.poll()
        time.sleep(0.02)
    for held in list(bridge.held.values()):
        bridge._drop(held)
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
