"""Pool of slots that predict the windows of one long render, and decode its frames.

Latents go to the slots and what they make of them comes back as files in the work folder of
the render, on the file system that all of them share. A slot that is lost costs the units
that it had: they go to another, and it is prepared anew.
"""

import itertools
import queue
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from animcli.batch.engine import Engine
from animcli.batch.queue import STOPPED
from animcli.errors import DeviceError

if TYPE_CHECKING:  # torch takes seconds
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from animcli.rendering.split import Unit

MOST_LOSSES: Final = 20
"""Slots that may be lost in one render before it is given up."""

FRAMES_A_UNIT: Final = 4
"""Frames that a slot decodes at a time: a segment of 48 is whole rounds of 2, 3, 4, 6 or 12
slots."""


@dataclass
class Pool:
    """Predicts and decodes by slots; they are started when something is first asked.

    request: of the render, `help`, as `animcli.cli.batch.job.run_request` reads it.
    folder: for latents and what comes back; made, and gone when the pool is closed.
    check_cancelled: called while slots work.
    seconds: spent on predictions.
    """

    engine: Engine
    request: Mapping[str, Any]
    folder: Path
    check_cancelled: Callable[[], None] = lambda: None
    losses: int = 0
    _started: bool = False
    _: KW_ONLY
    _up: set[str] = field(default_factory=set)
    _ready: set[str] = field(default_factory=set)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _asked: dict[str, dict[int, int | None]] = field(default_factory=dict)
    """Slot -> request -> number of its unit, in order; None where nobody wants it."""
    seconds: float = 0.0

    def predict(self, step: int, seen: "Tensor", units: "Sequence[Unit]") -> "list[Tensor]":
        """Predictions for the units, in their order."""
        import numpy as np
        import torch

        began = time.perf_counter()
        with self._latents(seen) as path:
            asked = [
                {
                    "do": "predict", "latents": str(path), "step": step,
                    "window": unit.window,
                    "half": None if unit.half is None else unit.half.value,
                }
                for unit in units
            ]  # fmt: skip
            said = [torch.from_numpy(np.load(file)) for file in self._answers(asked)]
        self.seconds += time.perf_counter() - began
        return said

    def decode(self, latents: "Tensor") -> "Iterator[NDArray[np.uint8]]":
        """The picture (h, w, 3) of each of the latents (frames, c, h, w), in order."""
        import numpy as np

        with self._latents(latents) as path:
            asked = [
                {
                    "do": "decode", "latents": str(path), "start": start,
                    "stop": min(start + FRAMES_A_UNIT, len(latents)),
                }
                for start in range(0, len(latents), FRAMES_A_UNIT)
            ]  # fmt: skip
            for file in self._answers(asked):
                yield from np.load(file)

    @contextmanager
    def _latents(self, latents: "Tensor") -> Iterator[Path]:
        """A file with latents, for as long as slots work on them."""
        import numpy as np

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"latents-{next(self._numbers)}.npy"
        np.save(path, latents.cpu().numpy())
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _answers(self, asked: Sequence[Mapping[str, Any]]) -> Iterator[Path]:
        """Files with what slots say to requests, in the order of these, each as soon as it
        is there and for as long as nobody wants the next.
        """
        if not self._started:
            self._started = True
            self.engine.start()
        left, said = deque(range(len(asked))), dict[int, Path]()
        try:
            for number in range(len(asked)):
                while True:
                    self.check_cancelled()
                    while self._take(left, said, wait=0.0):
                        pass
                    self._hand_out(asked, left)
                    if number in said:
                        break
                    self._take(left, said, wait=0.2)
                yield said[number]
                said.pop(number).unlink()
        finally:
            for slot, under_way in self._asked.items():
                self._asked[slot] = dict.fromkeys(under_way)  # of no use any more

    def _hand_out(self, asked: Sequence[Mapping[str, Any]], left: "deque[int]") -> None:
        """Give a unit to each slot that has none; and to those that have one another, which
        begins at once when that ends. The last ones are for whoever is done first.
        """
        for most in (0, 1):
            for slot in sorted(self._ready):
                if len(self._asked[slot]) <= most and len(left) > most * len(self._ready):
                    self._give(slot, asked, self._next(slot, left))

    def _next(self, slot: str, left: "deque[int]") -> int:
        """A unit for a slot: one whose window it had in the last step, if there is one."""
        names = sorted(self._ready)
        own = [n for n in left if n % len(names) == names.index(slot)]
        number = own[0] if own else left[0]
        left.remove(number)
        return number

    def _give(self, slot: str, asked: Sequence[Mapping[str, Any]], number: int) -> None:
        request = next(self._numbers)
        self._asked[slot][request] = number
        facts = {"folder": self.request["folder"], "said": str(self._file(request))}
        self.engine.give(slot, {"id": request, **facts, **asked[number]})

    def _file(self, request: int) -> Path:
        return self.folder / f"said-{request}.npy"

    def _take(self, left: "deque[int]", said: dict[int, Path], wait: float) -> bool:
        """Handle what happens next; False if nothing does for so many seconds."""
        try:
            slot, event = self.engine.events.get(block=wait > 0, timeout=wait or None)
        except queue.Empty:
            return False
        kind = event["event"]
        self._up.add(slot)
        if kind == "ready":
            request = next(self._numbers)
            self._asked[slot] = {request: None}
            self.engine.give(slot, {"id": request, **self.request})
        elif kind == "end" and event["id"] in self._asked.get(slot, {}):
            self._ended(slot, said, event)
        elif kind in ("died", "gone"):
            self._lost(slot, left, kind, event)
        return True

    def _ended(self, slot: str, said: dict[int, Path], event: Mapping[str, Any]) -> None:
        if event["exit_code"] in STOPPED:
            return  # its process ends, which says `died`
        if event["exit_code"] != 0:
            answer = event["answer"]
            raise DeviceError(f"{slot}: {answer.get('error')}", answer.get("hint", ""))
        if (number := self._asked[slot].pop(event["id"])) is not None:
            said[number] = self._file(event["id"])
        self._ready.add(slot)

    def _lost(
        self, slot: str, left: "deque[int]", kind: str, event: Mapping[str, Any]
    ) -> None:
        self.losses += 1
        self._ready.discard(slot)
        left.extend(n for n in self._asked.pop(slot, {}).values() if n is not None)
        if kind == "gone":
            self._up.discard(slot)
        if self.losses > MOST_LOSSES or not self._up:
            raise DeviceError(
                f"no slot is left; the last was lost by: {event.get('said', '')}",
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
