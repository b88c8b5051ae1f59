"""Driver of a batch: asks what is done, gives the rest to slots, keeps the journal."""

import itertools
import queue
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from animcli.batch.engine import Engine
from animcli.batch.jobs import Job
from animcli.batch.journal import Journal
from animcli.batch.queue import STOPPED, Ended, Queue, SlotTask, TaskKind, died

CHUNK: Final = 200
"""Jobs that a slot is asked about at once."""
TASKS_A_CHILD: Final = 20
GROWTH_MB: Final = 2048
"""A child is replaced after so many jobs, or when its memory has grown so much since the
first."""
STEP_EVERY_S: Final = 10.0
FULL_BYTES: Final = 64 << 20
_PAUSE_S: Final = 5.0
STARTS: Final = 3
"""Children in a row that may die before they are ready; then the slot is taken out."""
NOT_STAGES: Final = frozenset({"render", "encode"})


class BatchWatch(Protocol):
    """Receiver of the progress of a batch."""

    def note(self, line: str) -> None: ...  # noqa: D102
    def job_ended(self, job: Job, how: Ended, outcome: str, slot: str) -> None: ...  # noqa: D102
    def slot(self, slot: str, what: str, done: int, of: int) -> None: ...  # noqa: D102
    def counted(self, counts: "Counts") -> None: ...  # noqa: D102


@dataclass
class Counts:
    """Jobs of a batch by what became of them; `fresh` were done before."""

    jobs: int = 0
    done: int = 0
    fresh: int = 0
    failed: int = 0
    running: int = 0

    @property
    def left(self) -> int:
        """Jobs that aren't decided yet."""
        return self.jobs - self.done - self.fresh - self.failed


@dataclass(frozen=True)
class BatchOptions:
    """Options of a batch run.

    retries, lower_memory: as of `Queue`. max_failures: give out no more jobs after so many.
    grace: seconds that a job has to stop between units of work; then its process is ended.
    """

    retries: int = 3
    max_failures: int | None = None
    lower_memory: Mapping[str, str] = field(default_factory=dict)
    grace: float = 120.0


@dataclass
class Slot:
    """A slot as the driver sees it. state: `starting`, `free`, `busy` or `out`."""

    state: str = "starting"
    host: str = ""
    device: str = ""
    tasks: int = 0
    memory_mb: int = 0
    starts: int = 0
    _: KW_ONLY
    stepped: float = 0.0


@dataclass
class Driver:
    """One run of a batch.

    folder: where jobs are given, as a working folder. line: words in front of each job.
    places: variables that say where the project and its cache are.
    recorded: jobs that the journal holds as done.
    stopping: the exit code once somebody wants the batch to end, else 0.
    """

    engine: Engine
    journal: Journal
    watch: BatchWatch
    folder: Path
    cache: Path
    line: tuple[str, ...] = ()
    _: KW_ONLY
    places: Mapping[str, str] = field(default_factory=dict)
    options: BatchOptions = field(default_factory=BatchOptions)
    recorded: frozenset[str] = frozenset()
    stopping: Callable[[], int] = lambda: 0
    more: Callable[[], tuple[Sequence[Job], bool]] | None = None
    clock: Callable[[], float] = time.monotonic
    counts: Counts = field(default_factory=Counts)
    failed: list[tuple[Job, Ended]] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)
    _queue: Queue = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _asked: dict[int, list[Job]] = field(default_factory=dict)
    _held: list[tuple[Job, Mapping[str, Any]]] = field(default_factory=list)
    _open: set[str] = field(default_factory=set)
    _jobs: dict[str, int] = field(default_factory=dict)
    _stages: dict[str, int] = field(default_factory=dict)
    _broken: dict[str, Ended] = field(default_factory=dict)
    _versions: Mapping[str, str] = field(default_factory=dict)
    _told_to_stop: float | None = None
    _paused: bool = False

    def __post_init__(self) -> None:
        self._queue = Queue(self.options.retries, self.options.lower_memory)

    def run(self, jobs: Sequence[Job]) -> int:
        """Work all jobs off; the exit code: 0, 9 where some failed, or that of a stop."""
        self.journal.write("begin", jobs=len(jobs))
        self._ask(jobs)
        self.engine.start()
        try:
            while self._goes_on():
                self._give_out()
                self._take(0.2)
        finally:
            self.engine.close()
        code = self.stopping() or (9 if self.failed or self.counts.left else 0)
        self.journal.write("finish", exit_code=code)
        return code

    # What is to be done

    def _ask(self, jobs: Sequence[Job]) -> None:
        """Queue the question what is done of these jobs."""
        self.counts.jobs += len(jobs)
        self._open.update(job.name for job in jobs)
        size = max(1, min(CHUNK, len(jobs) // 8))
        for start in range(0, len(jobs), size):
            chunk = list(jobs[start : start + size])
            lines = [[*self.line, *job.words] for job in chunk]
            request = self._request("ask", lines=lines)
            task = SlotTask(next(self._numbers), TaskKind.ASK, "ask", request)
            self._asked[task.number] = chunk
            self._queue.add(task)

    def _request(self, do: str, **facts: object) -> dict[str, Any]:
        places = dict(self.places)
        return {"do": do, "folder": str(self.folder), "places": places, **facts}

    def _answered(self, number: int, answer: Mapping[str, Any], slot: str) -> None:
        """Queue what is to be done of the jobs that a slot was asked about."""
        jobs = self._asked.pop(number)
        told: list[Mapping[str, Any]] = answer.get("jobs") or [{} for _ in jobs]
        for job, outlook in zip(jobs, told, strict=True):
            if not (outlook.get("error") or outlook.get("done")):
                self._held.append((job, outlook))
                continue
            self._open.discard(job.name)
            if outlook.get("error"):
                how = Ended(outlook["exit_code"], outlook["error"], outlook["hint"])
                self._job_ended(job, how, slot, final=True)
            else:
                self._job_ended(job, Ended(0), slot, final=True, outcome="fresh")
        self._queue_held()

    def _queue_held(self) -> None:
        """Queue the jobs of which it is known what becomes of those before them."""
        before = -1
        while before != len(self._held):
            before, held = len(self._held), self._held
            self._held = []
            for job, outlook in held:
                if any(name in self._open for name in job.after):
                    self._held.append((job, outlook))
                else:
                    self._queue_job(job, outlook)
                    self._open.discard(job.name)

    def _queue_job(self, job: Job, outlook: Mapping[str, Any]) -> None:
        words = [*self.line, *job.words]
        request = self._request("run", words=words)
        waits = {self._jobs[name] for name in job.after if name in self._jobs}
        cost = float(outlook.get("cost") or 0)
        task = SlotTask(
            next(self._numbers), TaskKind.RUN, job.name, request, job, cost, waits=waits
        )
        for stage in outlook.get("stages", ()):
            if (how := self._broken.get(stage["key"])) is not None:
                self._job_ended(job, how, "", final=True)
                return
            if stage["key"] is None or stage["done"] or stage["name"] in NOT_STAGES:
                continue
            waits.add(self._shared(stage, words))
        self._jobs[job.name] = task.number
        self._queue.add(task)

    def _shared(self, stage: Mapping[str, Any], words: Sequence[str]) -> int:
        """The task that makes a stage, once for all jobs that need it."""
        key = stage["key"]
        if key not in self._stages or self._stages[key] not in self._queue.tasks:
            request = self._request("make", words=list(words), stage=key)
            task = SlotTask(next(self._numbers), TaskKind.MAKE, stage["name"], request)
            self._stages[key] = task.number
            self._queue.add(task)
        return self._stages[key]

    # The loop

    def _goes_on(self) -> bool:
        if self._stop_running():
            return bool(self._queue.running)
        if self.more is not None:
            jobs, open_ = self.more()
            if jobs:
                self._ask(jobs)
            if not open_:
                self.more = None
        if not any(slot.state != "out" for slot in self.slots.values()) and self.slots:
            self.watch.note("no slot is left that works; the same command goes on")
            return False
        if self._too_many():
            return bool(self._queue.running)
        return bool(self._queue.tasks) or self.more is not None

    def _too_many(self) -> bool:
        most = self.options.max_failures
        return most is not None and len(self.failed) >= most

    def _stop_running(self) -> bool:
        """True if the batch is to end; what runs was asked to stop then."""
        if not self.stopping():
            return False
        now = self.clock()
        if self._told_to_stop is None:
            self._told_to_stop = now
            for slot in self._queue.running:
                self.engine.terminate(slot)
        elif now - self._told_to_stop > self.options.grace:
            for slot in self._queue.running:
                self.engine.kill(slot)
        return True

    def _give_out(self) -> None:
        if self.stopping() or self._too_many() or (self._paused and not self._has_room()):
            return
        up = [name for name, slot in self.slots.items() if slot.state in ("free", "busy")]
        for name in up:
            slot = self.slots[name]
            if slot.state != "free":
                continue
            task = self._queue.give(name, up)
            if task is None:
                continue
            slot.state, slot.stepped = "busy", self.clock()
            if task.job is not None:
                self.journal.write(
                    "start", job=task.name, attempt=task.attempts, slot=name,
                    host=slot.host, device=slot.device,
                )  # fmt: skip
            self.engine.give(name, {"id": task.number, **task.request})
        self.counts.running = sum(
            task.job is not None for task in self._queue.running.values()
        )
        self.watch.counted(self.counts)

    def _take(self, timeout: float) -> None:
        """Handle what happened, waiting for a moment if nothing has."""
        try:
            name, event = self.engine.events.get(timeout=timeout)
            while True:
                self._handle(name, event)
                name, event = self.engine.events.get_nowait()
        except queue.Empty:
            return

    def _handle(self, name: str, event: Mapping[str, Any]) -> None:
        slot = self.slots.setdefault(name, Slot())
        kind, task = event["event"], self._queue.running.get(name)
        if slot.state == "out":
            return
        if kind == "ready":
            self._ready(name, slot, event)
        elif kind == "progress" and task is not None and event.get("id") == task.number:
            self._progress(name, slot, task, event)
        elif kind == "end" and task is not None and event.get("id") == task.number:
            answer = event.get("answer", {})
            how = Ended(
                event["exit_code"], answer.get("error", ""), answer.get("hint", ""),
                event.get("seconds", 0.0), event.get("peak_mb", 0), answer=answer,
            )  # fmt: skip
            self._ended(name, slot, task, how, int(event.get("memory_mb", 0)))
        elif kind == "died":
            self._died(name, slot, task, event)
        elif kind == "gone":
            self._out(name, slot, event.get("said") or "it went away")
            if task is not None:
                self._lost(name, slot, task, Ended(None, "its machine went away"))

    def _ready(self, name: str, slot: Slot, event: Mapping[str, Any]) -> None:
        versions = event.get("versions", {})
        if self._versions and versions != self._versions:
            differ = [k for k in versions if versions[k] != self._versions.get(k)]
            said = ", ".join(f"{k} {versions[k]}" for k in differ)
            self._out(name, slot, f"it has other versions ({said}), and so other results")
            self.engine.remove(name)
            return
        self._versions = versions
        slot.state, slot.starts, slot.tasks, slot.memory_mb = "free", 0, 0, 0
        slot.host, slot.device = event.get("host", ""), event.get("device", "")

    def _progress(
        self, name: str, slot: Slot, task: SlotTask, event: Mapping[str, Any]
    ) -> None:
        what, done, of = str(event["what"]), int(event["done"]), int(event["of"])
        self.watch.slot(name, f"{task.name}: {what}", done, of)
        if task.job is not None and self.clock() - slot.stepped >= STEP_EVERY_S:
            slot.stepped = self.clock()
            progress = f"{what} {done} of {of}" if of else f"{what} {done}"
            self.journal.write("step", job=task.name, slot=name, progress=progress)

    def _ended(
        self, name: str, slot: Slot, task: SlotTask, how: Ended, memory_mb: int
    ) -> None:
        slot.state = "free"
        slot.tasks += task.kind is TaskKind.RUN
        slot.memory_mb = slot.memory_mb or memory_mb
        if how.exit_code in STOPPED:
            self._lost(name, slot, task, how)  # its process ends, which says `died`
            slot.state = "out" if slot.state == "out" else "starting"
            return
        fresh_child = self._judge(name, slot, task, how)
        grown = memory_mb - slot.memory_mb > GROWTH_MB
        worn = fresh_child or slot.tasks >= TASKS_A_CHILD or grown
        if worn and slot.state != "out" and (self._queue.tasks or self.more is not None):
            self._renew(name, slot)

    def _died(
        self, name: str, slot: Slot, task: SlotTask | None, event: Mapping[str, Any]
    ) -> None:
        if task is not None:
            self._lost(name, slot, task, died(event["code"], event.get("said", "")))
        if slot.state == "starting" and task is None:
            slot.starts += 1
        if slot.state == "out" or self.stopping():
            return
        if slot.starts >= STARTS:
            self._out(name, slot, f"its process can't start: {event.get('said', '')}")
        else:
            self._renew(name, slot)

    def _renew(self, name: str, slot: Slot) -> None:
        slot.state = "starting"
        self.engine.renew(name)

    def _lost(self, name: str, slot: Slot, task: SlotTask, how: Ended) -> None:
        """A task whose process is no more."""
        if self.stopping():
            self._queue.put_back(name)
            if task.job is not None:
                self._record(task.job, how, name, task.attempts + 1, final=False)
            return
        self._judge(name, slot, task, how)

    def _judge(self, name: str, slot: Slot, task: SlotTask, how: Ended) -> bool:
        """Take note of an attempt's end; whether the child has to be replaced."""
        up = [each for each, other in self.slots.items() if other.state != "out"]
        users = self._queue.users_of(task) if how.exit_code != 0 else []
        verdict = self._queue.ended(
            name, how, self.clock(), up, full=how.exit_code == 7 and not self._has_room()
        )
        if task.kind is TaskKind.ASK and not verdict.again:
            self._answered(task.number, how.answer if how.exit_code == 0 else {}, name)
        elif task.kind is TaskKind.MAKE and not verdict.again and how.exit_code != 0:
            made = {number: key for key, number in self._stages.items()}
            self._broken[made[task.number]] = how  # also for jobs that are asked later
            for user in users:  # each of them would fail the same way
                if user.number in self._queue.tasks and user.job is not None:
                    self._queue.drop(user.number)
                    self._job_ended(user.job, how, name, final=True)
        elif task.job is not None:
            final = not verdict.again
            self._job_ended(task.job, how, name, final=final, attempt=task.attempts)
        if verdict.pause and not self._paused:
            self._paused = True
            self.watch.note(f"{how.error}; the batch waits until there is room")
        if verdict.slot_out:
            self._out(name, slot, f"two jobs failed alike on it ({how.error})")
            self.engine.remove(name)
        return verdict.fresh_child

    def _out(self, name: str, slot: Slot, why: str) -> None:
        slot.state = "out"
        self.watch.note(f"{name} is taken out: {why}")
        self.journal.write("slot", slot=name, host=slot.host, error=why)

    # Reports

    def _job_ended(
        self, job: Job, how: Ended, slot: str, *, final: bool, attempt: int = 1,
        outcome: str = "ran",
    ) -> None:  # fmt: skip
        if how.exit_code == 0:
            if how.answer.get("outcome") == "fresh":
                outcome = "fresh"
            self.counts.fresh += outcome == "fresh"
            self.counts.done += outcome != "fresh"
        elif final:
            self.counts.failed += 1
            self.failed.append((job, how))
        if not (outcome == "fresh" and job.name in self.recorded):
            self._record(job, how, slot, attempt, final=final, outcome=outcome)
        if final or how.exit_code == 0:
            self.watch.job_ended(job, how, outcome, slot)
        else:
            self.watch.note(f"{job.name}: {how.error or 'failed'}; it is begun again")

    def _record(
        self, job: Job, how: Ended, slot: str, attempt: int, *, final: bool,
        outcome: str = "ran",
    ) -> None:  # fmt: skip
        facts: dict[str, object] = {"exit_code": how.exit_code, "final": final}
        if how.exit_code == 0:
            facts |= {"outcome": outcome, "key": how.answer.get("key")}
        else:
            facts |= {"error": how.error, "hint": how.hint, "signal": how.signal}
        at = self.slots.get(slot, Slot())
        self.journal.write(
            "end", job=job.name, attempt=attempt, slot=slot, host=at.host,
            device=at.device, seconds=how.seconds, peak_mb=how.peak_mb, **facts,
        )  # fmt: skip

    def _has_room(self) -> bool:
        """True if something can be written to the cache's disk."""
        if room(self.cache) < FULL_BYTES:
            time.sleep(_PAUSE_S if self._paused else 0)
            return False
        self._paused = False
        return True


def room(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which may not be there yet."""
    for each in (folder, *folder.parents):
        if each.exists():
            return shutil.disk_usage(each).free
    return 0
