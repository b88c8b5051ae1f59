"""Queue of a batch: which task a slot gets next, and what a failure means for it.

Retries are ours and not an engine's: an engine's run out within seconds when a machine goes
away. Every decision is made here, from facts alone, and nothing is started or waited for.
"""

import heapq
import signal
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Any, Final

from animcli.batch.jobs import Job

BROKEN_S: Final = 60.0
"""Two jobs that fail alike on one slot within this time speak against the slot."""

STOPPED: Final = (130, 143)


class TaskKind(Enum):
    """Kind of request to a slot; the first goes first."""

    ASK = 0
    MAKE = 1
    """One stage that several jobs need."""
    RUN = 2


class Failure(Enum):
    """Classes of failures, which decide about another attempt."""

    WRONG = "wrong"
    """Usage, input, preset or weights: the same again would fail the same way."""
    BUG = "bug"
    """An exception that nobody foresaw; a device in a bad state raises such ones, too."""
    MEMORY = "memory"
    DISK = "disk"
    LOST = "lost"
    """The process was killed or crashed, or its machine went away."""


@dataclass(frozen=True)
class Ended:
    """End of an attempt.

    exit_code: of the job; None where the process died before it could say.
    signal: that ended the process, 0 for none.
    """

    exit_code: int | None
    error: str = ""
    hint: str = ""
    seconds: float = 0.0
    peak_mb: int = 0
    signal: int = 0
    _: KW_ONLY
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failure(self) -> Failure | None:
        """Its class, None for success."""
        if self.exit_code == 0:
            return None
        if self.exit_code is None or self.exit_code in STOPPED:
            return Failure.LOST
        classes = {1: Failure.BUG, 6: Failure.MEMORY, 7: Failure.DISK}
        return classes.get(self.exit_code, Failure.WRONG)


def died(code: int, said: str) -> Ended:
    """The end of a job whose process died with a return code (negative: a signal)."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number in signal.valid_signals():
        how = f"its process was ended by {signal.Signals(number).name}"
        hint = "the system may be short of memory" if number == signal.SIGKILL else ""
        return Ended(None, how, hint, signal=number)
    last = f": {said}" if said else ""
    return Ended(None, f"its process ended with exit code {code}{last}", "")


@dataclass
class SlotTask:
    """Something to be done by a slot.

    request: as a worker reads it, without `id`. cost: larger goes earlier.
    waits: tasks that come first. alone: only while no other slot works.
    """

    number: int
    kind: TaskKind
    name: str
    request: dict[str, Any]
    job: Job | None = None
    cost: float = 0.0
    _: KW_ONLY
    waits: set[int] = field(default_factory=set)
    users: list[int] = field(default_factory=list)
    alone: bool = False
    lost: int = 0
    tried: dict[Failure, int] = field(default_factory=dict)
    avoided: set[str] = field(default_factory=set)
    attempts: int = 0


@dataclass(frozen=True)
class Decision:
    """Consequence of an attempt.

    again: the task is queued once more; otherwise it has ended.
    slot_out: the slot is broken. fresh_child: its process is replaced first.
    pause: nothing can be written; wait for room.
    """

    again: bool = False
    slot_out: bool = False
    fresh_child: bool = False
    pause: bool = False


@dataclass
class Queue:
    """Tasks that wait for a slot, and those that wait for other tasks.

    retries: how often a task is begun again after it was lost.
    lower_memory: variables that a job gets for its second attempt after it ran out of
        memory.
    """

    retries: int = 3
    lower_memory: Mapping[str, str] = field(default_factory=dict)
    tasks: dict[int, SlotTask] = field(default_factory=dict)
    running: dict[str, SlotTask] = field(default_factory=dict)
    _ready: list[tuple[bool, int, float, int]] = field(default_factory=list)
    _blamed: dict[str, list[tuple[float, str, str]]] = field(default_factory=dict)

    def add(self, task: SlotTask) -> None:
        """Queue a task; it starts once all that it waits for has ended."""
        self.tasks[task.number] = task
        task.waits = {number for number in task.waits if number in self.tasks}
        for number in task.waits:
            self.tasks[number].users.append(task.number)
        if not task.waits:
            self._push(task)

    def _push(self, task: SlotTask) -> None:
        place = (task.alone, task.kind.value, -task.cost, task.number)
        heapq.heappush(self._ready, place)

    def give(self, slot: str, slots: Collection[str]) -> SlotTask | None:
        """The task that `slot`, which is free, does next; None if there is none for it.

        slots: names of all that are up, `slot` among them.
        """
        if any(task.alone for task in self.running.values()):
            return None
        passed, found = [], None
        while self._ready:
            place = heapq.heappop(self._ready)
            task = self.tasks.get(place[-1])
            if task is None or task in self.running.values():
                continue
            elsewhere = task.avoided.issuperset([slot]) and not task.avoided.issuperset(
                slots
            )
            if elsewhere or (task.alone and self.running):
                passed.append(place)
                continue
            found = task
            break
        for place in passed:
            heapq.heappush(self._ready, place)
        if found is not None:
            found.attempts += 1
            self.running[slot] = found
        return found

    def put_back(self, slot: str) -> None:
        """Queue what a slot was given, as if it never had been."""
        task = self.running.pop(slot)
        task.attempts -= 1
        self._push(task)

    def ended(
        self, slot: str, how: Ended, now: float, slots: Collection[str], *, full: bool
    ) -> Decision:
        """Take note of how the task of a slot ended.

        now: seconds by any clock. full: whether the disk has no room left.
        """
        task, failure = self.running.pop(slot), how.failure
        if failure is None:
            self._finish(task)
            return Decision()
        task.tried[failure] = task.tried.get(failure, 0) + 1
        times, out = task.tried[failure], False
        if failure not in (Failure.WRONG, Failure.DISK):
            out = self._is_broken(slot, task, how, now) and len(slots) > 1
        again = {
            Failure.WRONG: False,
            Failure.BUG: times <= 1,
            Failure.MEMORY: times <= 1,
            Failure.DISK: full,
            Failure.LOST: times <= self.retries,
        }[failure]
        if not again:
            self._finish(task)
            return Decision(slot_out=out, fresh_child=failure is not Failure.WRONG)
        if failure is not Failure.DISK:
            task.avoided.add(slot)
        if failure is Failure.MEMORY or (failure is Failure.LOST and times > 1):
            task.alone = True
            task.avoided.clear()
        if failure is Failure.MEMORY and task.job is not None:
            task.request["variables"] = dict(self.lower_memory)
        self._push(task)
        return Decision(True, out, failure is not Failure.DISK, failure is Failure.DISK)

    def drop(self, number: int) -> SlotTask:
        """Take a waiting task out; what waits for it no longer does."""
        task = self.tasks[number]
        self._finish(task)
        return task

    def users_of(self, task: SlotTask) -> list[SlotTask]:
        """The jobs that a shared stage is made for."""
        return [self.tasks[number] for number in task.users if number in self.tasks]

    def _finish(self, task: SlotTask) -> None:
        del self.tasks[task.number]
        for number in task.users:
            user = self.tasks.get(number)
            if user is not None and task.number in user.waits:
                user.waits.discard(task.number)
                if not user.waits:
                    self._push(user)

    def _is_broken(self, slot: str, task: SlotTask, how: Ended, now: float) -> bool:
        """True if another job failed alike on this slot a moment ago."""
        like = f"{how.exit_code} {how.signal} {how.error[:80]}"
        blamed = [x for x in self._blamed.get(slot, []) if now - x[0] <= BROKEN_S]
        self._blamed[slot] = [*blamed, (now, task.name, like)]
        return any(name != task.name and other == like for _, name, other in blamed)
