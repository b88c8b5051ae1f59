"""Slots of a Ray cluster: one actor each, whose child process does the jobs.

Ray itself lives in a process of its own, `animcli.batch.ray_bridge`, which this engine
talks to by lines of JSON: what Ray prints goes to a file, and this process never loads it.
"""

import ipaddress
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final

from animcli.batch.child import Events, last_words, parse_event
from animcli.errors import DeviceError, UsageError

LOCAL: Final = "local"
VARIABLES: Final[Mapping[str, str]] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}
"""Nothing is reported to the vendor, no environment is built for workers, and they are as
nice as other slots: by itself Ray gives all others of a busy machine the right of way (15).
"""
LOOPBACK: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0, all sockets of a cluster of one machine listen on 127.0.0.1; without it they
listen on the machine's address, where whoever reaches a port runs code."""
_ENDING_S: Final = 30.0


def check_address(address: str | None, *, insecure: bool) -> None:
    """Raise UsageError for a cluster elsewhere that asks for no token.

    Whoever reaches a port of Ray runs code on it (CVE-2023-48022).
    """
    if address is None or insecure or os.environ.get("RAY_AUTH_MODE") == "token":
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    if not is_own_address(address):
        raise UsageError(
            f"--address {address}: Ray runs the code of whoever reaches it, "
            "and asks for no token",
            "RAY_AUTH_MODE=token with the cluster's RAY_AUTH_TOKEN, or --insecure",
        )


def is_own_address(address: str) -> bool:
    """True if `host:port` is this machine, by an address nobody else reaches."""
    host = address.removeprefix("ray://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass
class RayEngine:
    """Slots on one machine, or on all nodes of a cluster.

    runner: `module:function` that does the jobs. logs: folder for what is printed.
    slots: how many; None is one for each GPU, or one where there is none.
    gpus: share of a GPU that a slot has to itself. address: of a cluster that runs.
    """

    runner: str
    logs: Path
    slots: int | None = None
    gpus: float = 1.0
    address: str | None = None
    events: Events = field(default_factory=Events)
    _: KW_ONLY
    _process: "subprocess.Popen[bytes] | None" = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the bridge, which brings the slots up. Raises DeviceError without Ray."""
        from importlib.util import find_spec

        if find_spec("ray") is None:
            raise DeviceError("Ray isn't here", "pip install 'animcli[ray]'")
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / "ray.log"
        config = {
            "runner": self.runner, "logs": str(self.logs), "slots": self.slots,
            "gpus": self.gpus, "address": self.address or LOCAL,
            "paths": [path for path in sys.path if path],
        }  # fmt: skip
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "animcli.batch.ray_bridge", json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=bridge_environment(self.address),
                start_new_session=True,
            )
        self._thread = threading.Thread(target=self._pump, args=(log,), daemon=True)
        self._thread.start()

    def _pump(self, log: Path) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        seen: set[str] = set()
        for line in process.stdout:
            event = parse_event(line)
            if event is not None and isinstance(event.get("slot"), str):
                seen.add(event["slot"])
                self.events.put((event.pop("slot"), event))
        process.wait()
        said = f"Ray ended: {last_words(log)}"
        for slot in seen or {"ray"}:
            self.events.put((slot, {"event": "gone", "said": said}))

    def _send(self, act: str, slot: str = "", **facts: object) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError, ValueError):
            process.stdin.write(json.dumps({"act": act, "slot": slot, **facts}).encode())
            process.stdin.write(b"\n")
            process.stdin.flush()

    def give(self, slot: str, request: Mapping[str, Any]) -> None:
        """Send a request to a slot that is free."""
        self._send("give", slot, request=dict(request))

    def renew(self, slot: str) -> None:
        """Replace a slot's child."""
        self._send("renew", slot)

    def terminate(self, slot: str) -> None:
        """Ask what a slot does to stop."""
        self._send("terminate", slot)

    def kill(self, slot: str) -> None:
        """End a slot's child."""
        self._send("kill", slot)

    def remove(self, slot: str) -> None:
        """Take a slot out for good."""
        self._send("remove", slot)

    def close(self) -> None:
        """End all slots, and the cluster if it is our own."""
        process = self._process
        if process is None:
            return
        with suppress(OSError, ValueError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._thread is not None:
            self._thread.join(_ENDING_S)
        if process.stdout is not None:
            process.stdout.close()


def bridge_environment(address: str | None) -> dict[str, str]:
    """Variables for Ray, which reads them when it is imported.

    A cluster of our own gets a token of its own and listens on the loopback only.
    """
    own = {**os.environ, **VARIABLES}
    if address is None:
        own |= {LOOPBACK: "0", "RAY_AUTH_MODE": "token"}
        own.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        own.pop("RAY_ADDRESS", None)
    return own
