"""Engines: where slots come from; and `here`, whose slots are child processes of this one.

A slot does one task after the other, in a child process.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Protocol

from animcli.batch.child import Child, Events
from animcli.errors import DeviceError

_ENDING_S: Final = 5.0

DEVICE_NAME: Final = re.compile(r"\d+|(GPU|MIG)-.+")
"""Names of devices in `CUDA_VISIBLE_DEVICES`."""


class Engine(Protocol):
    """Gives slots; tells by `events` what happens to them.

    Beside a worker's own events there are {"event": "died", "code", "said"} when a slot's
    child died, and {"event": "gone", "said"} when the slot itself did.
    """

    events: Events

    def start(self) -> None:
        """Begin to bring slots up; each says `ready` when it can work."""

    def give(self, slot: str, request: Mapping[str, Any]) -> None:
        """Send a request to a slot; what it has already comes first."""

    def renew(self, slot: str) -> None:
        """Replace a slot's child, which may be dead; it says `ready` again."""

    def terminate(self, slot: str) -> None:
        """Ask what a slot does to stop between two units of work."""

    def kill(self, slot: str) -> None:
        """End a slot's child as it stands."""

    def remove(self, slot: str) -> None:
        """Take a slot out for good."""

    def close(self) -> None:
        """End all slots, and wait until they have ended."""


@dataclass(frozen=True)
class Seat:
    """Resources of one slot: a GPU (its number or name), or some threads."""

    gpu: str = ""
    threads: int = 0

    def environment(self) -> dict[str, str]:
        """Variables of the child."""
        own = dict(os.environ)
        if self.gpu:
            own["CUDA_VISIBLE_DEVICES"] = self.gpu
        if self.threads:
            own["OMP_NUM_THREADS"] = str(self.threads)
        return own


def seats(slots: int | None, per_gpu: int = 1) -> list[Seat]:
    """Seats of this machine: one for each visible GPU, or one that has the CPU.

    slots: so many instead; on a CPU they share its cores. per_gpu: slots on each GPU.
    """
    gpus = [gpu for gpu in visible_gpus() for _ in range(per_gpu)]
    if gpus:
        return [Seat(gpu) for gpu in gpus[: slots or len(gpus)]]
    if slots is None or slots == 1 or "OMP_NUM_THREADS" in os.environ:
        return [Seat()] * (slots or 1)
    return [Seat(threads=max(1, (os.cpu_count() or 1) // slots))] * slots


def seats_on(devices: Sequence[str]) -> list[Seat]:
    """Seats on named devices: `cuda:0`, `cuda:1`, or `cpu` as often as it is named.

    Raises DeviceError for a GPU that this process doesn't see.
    """
    if devices[0] == "cpu":
        each = max(1, (os.cpu_count() or 1) // len(devices))
        return [Seat(threads=0 if "OMP_NUM_THREADS" in os.environ else each)] * len(devices)
    gpus = visible_gpus()
    numbers = [int(name.partition(":")[2]) for name in devices]
    for name, number in zip(devices, numbers, strict=True):
        if number >= len(gpus):
            raise DeviceError(
                f"no device {name}: there are {len(gpus)}", "`anim doctor` names them"
            )
    return [Seat(gpus[number]) for number in numbers]


def visible_gpus() -> list[str]:
    """CUDA devices that this process may use, without loading torch.

    Each as `CUDA_VISIBLE_DEVICES` names it: by number, or a part of a card (MIG) by name,
    since a process sees one such part at most.
    """
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:  # CUDA reads it up to the first word that is no device
        names = (name.strip() for name in said.split(","))
        return list(takewhile(DEVICE_NAME.fullmatch, names))
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        told = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    found: list[str] = []
    for line in told.stdout.splitlines():
        if card := re.match(r"GPU (\d+):", line):
            found.append(card[1])
        elif part := re.search(r"\(UUID: (MIG-[^)]+)\)", line):
            if found[-1].isdigit():  # its card, which is none by itself
                found.pop()
            found.append(part[1])
    return found


@dataclass
class Here:
    """Slots of this machine.

    runner: `module:function` that does the jobs. logs: folder for what children print.
    """

    runner: str
    seats: list[Seat]
    logs: Path
    events: Events = field(default_factory=Events)
    _children: dict[str, Child] = field(default_factory=dict)
    _generation: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start a child for each seat."""
        for number in range(len(self.seats)):
            self.renew(f"slot-{number}")

    def renew(self, slot: str) -> None:
        """Start a slot's child anew; of the old one nothing is heard any more."""
        self._let_go(slot)
        seat = self.seats[int(slot.rpartition("-")[2])]
        generation = self._generation[slot]

        def put(event: dict[str, Any]) -> None:
            if self._generation[slot] == generation:
                self.events.put((slot, event))

        log = self.logs / f"{slot}.log"
        self._children[slot] = Child(self.runner, seat.environment(), log, put)

    def give(self, slot: str, request: Mapping[str, Any]) -> None:
        """Send a request to a child."""
        self._children[slot].give(request)

    def terminate(self, slot: str) -> None:
        """Ask a child to stop."""
        self._children[slot].terminate()

    def kill(self, slot: str) -> None:
        """End a child."""
        self._children[slot].kill()

    def remove(self, slot: str) -> None:
        """End a slot."""
        self._let_go(slot)

    def close(self) -> None:
        """End all children. Whatever they do is kept whole, so this needs no patience."""
        for slot in list(self._children):
            self._let_go(slot)

    def _let_go(self, slot: str) -> None:
        self._generation[slot] = self._generation.get(slot, 0) + 1
        if (old := self._children.pop(slot, None)) is not None:
            old.kill()
            old.wait(_ENDING_S)
