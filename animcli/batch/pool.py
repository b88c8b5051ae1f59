"""Pool of slots that predict the windows of one long render.

Latents go to the slots and predictions come back as files in the work folder of the render,
on the file system that all of them share. A slot that is lost costs the units that it had:
they go to another, and it is prepared anew.
"""

import itertools
import queue
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from animcli.batch.engine import Engine
from animcli.errors import DeviceError

if TYPE_CHECKING:  # torch takes seconds
    from torch import Tensor

    from animcli.rendering.split import Unit

MOST_LOSSES: Final = 20
"""Slots that may be lost in one render before it is given up."""


@dataclass
class Pool:
    """Predicts by slots; they are started with the first step.

    request: of the render, `help`, as `animcli.cli.batch.job.run_request` reads it.
    folder: for latents and predictions; made, and gone when the pool is closed.
    check_cancelled: called while slots work.
    """

    engine: Engine
    request: Mapping[str, Any]
    folder: Path
    check_cancelled: Callable[[], None] = lambda: None
    losses: int = 0
    _started: bool = False
    _: KW_ONLY
    _free: set[str] = field(default_factory=set)
    _has: dict[str, int] = field(default_factory=dict)
    _ready: set[str] = field(default_factory=set)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _asked: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def predict(self, step: int, seen: "Tensor", units: "Sequence[Unit]") -> "list[Tensor]":
        """Predictions for the units, in their order."""
        import numpy as np
        import torch

        if not self._started:
            self._started = True
            self.folder.mkdir(parents=True, exist_ok=True)
            self.engine.start()
        path = self.folder / f"latents-{step}.npy"
        np.save(path, seen.cpu().numpy())
        left, said = deque(range(len(units))), dict[int, Path]()
        began = time.perf_counter()
        while len(said) < len(units):
            self.check_cancelled()
            for slot in sorted(self._free):
                if not left:
                    break
                self._give(slot, step, path, units, self._next(slot, left))
            self._take(left, said)
        self.seconds += time.perf_counter() - began
        tensors = [torch.from_numpy(np.load(said[n])) for n in range(len(units))]
        for file in (path, *said.values()):
            file.unlink(missing_ok=True)
        return tensors

    def _next(self, slot: str, left: "deque[int]") -> int:
        """A unit for a slot: one whose window it had in the last step, if there is one."""
        names = sorted(self._ready)
        own = [n for n in left if n % len(names) == names.index(slot)]
        number = own[0] if own else left[0]
        left.remove(number)
        return number

    def _give(
        self, slot: str, step: int, latents: Path, units: "Sequence[Unit]", number: int
    ) -> None:
        unit, request = units[number], next(self._numbers)
        self._free.discard(slot)
        self._has[slot], self._asked[slot] = number, request
        said = self.folder / f"said-{step}-{number}-{request}.npy"
        half = None if unit.half is None else unit.half.value
        self.engine.give(
            slot,
            {
                "id": request, "do": "predict", "folder": self.request["folder"],
                "step": step, "latents": str(latents), "window": unit.window,
                "half": half, "said": str(said),
            },
        )  # fmt: skip

    def _take(self, left: "deque[int]", said: dict[int, Path]) -> None:
        try:
            slot, event = self.engine.events.get(timeout=0.2)
        except queue.Empty:
            return
        kind = event["event"]
        if kind == "ready":
            self._asked[slot] = next(self._numbers)
            self.engine.give(slot, {"id": self._asked[slot], **self.request})
        elif kind == "end" and event["id"] == self._asked.get(slot):
            if event["exit_code"] != 0:
                answer = event["answer"]
                raise DeviceError(f"{slot}: {answer.get('error')}", answer.get("hint", ""))
            number = self._has.pop(slot, None)
            if number is not None:
                said[number] = Path(event["answer"]["said"])
            self._ready.add(slot)
            self._free.add(slot)
        elif kind in ("died", "gone"):
            self._lost(slot, left, kind, event)

    def _lost(
        self, slot: str, left: "deque[int]", kind: str, event: Mapping[str, Any]
    ) -> None:
        self.losses += 1
        self._free.discard(slot)
        self._ready.discard(slot)
        number = self._has.pop(slot, None)
        if number is not None:
            left.append(number)
        if self.losses > MOST_LOSSES:
            raise DeviceError(
                f"{self.losses} slots were lost, the last by: {event.get('said', '')}",
                "the same command goes on from the last step",
            )
        if kind == "died":
            self.engine.renew(slot)

    def close(self) -> None:
        """End the slots and remove what went to and fro."""
        if self._started:
            self.engine.close()
        with suppress(OSError):
            shutil.rmtree(self.folder)
