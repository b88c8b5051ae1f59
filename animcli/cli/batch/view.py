"""Progress of a batch, for people and for scripts: live, ahead of time, and afterwards."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from animcli.batch.child import Child
from animcli.batch.driver import Counts, Driver
from animcli.batch.jobs import Job
from animcli.batch.journal import Standing
from animcli.batch.queue import Ended
from animcli.cli.console import LINE_EVERY_S, Console, duration, shown
from animcli.errors import BatchError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

ASKED_AT_ONCE: Final = 500


@dataclass
class BatchView:
    """A line for the batch and one for each slot on a terminal; plain lines elsewhere."""

    console: Console
    folder: Path
    seconds: list[float] = field(default_factory=list)
    _live: "Progress | None" = None
    _lines: "dict[str, TaskID]" = field(default_factory=dict)
    _counts: Counts = field(default_factory=Counts)
    _: KW_ONLY
    _said: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if sys.stderr.isatty() and not self.console.quiet:
            self._live = live_bars()
            self._live.start()

    def note(self, line: str) -> None:
        """Something that was handled."""
        self.console.warn(line)

    def slot(self, slot: str, what: str, done: int, of: int) -> None:
        """Task of a slot."""
        if self._live is None:
            return
        if slot not in self._lines:
            self._lines[slot] = self._live.add_task(slot)
        self._live.update(
            self._lines[slot], description=f"{slot} {what}", completed=done,
            total=of or None,
        )  # fmt: skip

    def counted(self, counts: Counts) -> None:
        """Counts of jobs by state."""
        self._counts = counts
        decided = counts.jobs - counts.left
        done = counts.done + counts.fresh
        text = f"{done} done, {counts.failed} failed, {counts.running} running"
        if self._live is not None:
            if "" not in self._lines:
                self._lines[""] = self._live.add_task("batch")
            self._live.update(
                self._lines[""], description=text + self._left(), completed=decided,
                total=counts.jobs or None,
            )  # fmt: skip
        elif time.monotonic() - self._said > LINE_EVERY_S:
            self._said = time.monotonic()
            self.console.say(f"{text}, {counts.left} left{self._left()}")

    def _left(self) -> str:
        """The time that the rest takes if it goes on as the last jobs did."""
        if not self.seconds or not self._counts.running:
            return ""
        recent = self.seconds[-50:]
        each = sum(recent) / len(recent) / self._counts.running
        return f", {duration(each * self._counts.left)} left"

    def job_ended(self, job: Job, how: Ended, outcome: str, slot: str) -> None:
        """A job was done, was done before, or failed for good."""
        paths = [str(self.folder / result) for result in job.results]
        data: dict[str, Any] = {
            "job": job.name,
            "state": "failed" if how.exit_code != 0 else "done",
            "outcome": outcome if how.exit_code == 0 else None,
            "paths": paths,
            "seconds": how.seconds,
            "slot": slot,
        }
        if how.exit_code != 0:
            data |= {"exit_code": how.exit_code, "error": how.error, "hint": how.hint}
            self.console.say(f"{job.name}: failed: {how.error}")
        elif outcome == "fresh":
            self.console.detail(f"{job.name}: done already")
        else:
            self.seconds.append(how.seconds)
            self.console.say(f"{job.name}: {duration(how.seconds)} on {slot}")
        if self.console.as_json:
            self.console.stream(data)
        elif how.exit_code == 0:
            self.console.result([shown(Path(path)) for path in paths], [])

    def close(self) -> None:
        """Leave the screen to others."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, driver: Driver) -> None:
        """The jobs that failed, with their reasons, and how many of each kind there are."""
        counts = driver.counts
        for job, how in driver.failed:
            self.console.say(f"failed: {job.name}: {how.error}")
            if how.hint:
                self.console.say(f"        {how.hint}")
        self.console.say(
            f"{counts.done} done, {counts.fresh} done before, {counts.failed} failed, "
            f"{counts.left} left"
        )
        if self.console.as_json:
            self.console.stream(
                {
                    "done": counts.done,
                    "fresh": counts.fresh,
                    "failed": counts.failed,
                    "left": counts.left,
                }
            )


def live_bars() -> "Progress":
    """Bars that are redrawn in place, on standard error."""
    from rich.console import Console as Screen
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        console=Screen(file=sys.stderr), transient=True,
    )  # fmt: skip


def show_forecast(
    console: Console,
    jobs: Sequence[Job],
    runner: str,
    environment: Mapping[str, str],
    line: Sequence[str],
    places: Mapping[str, str],
    folder: Path,
) -> int:
    """Say of each job what would happen; the exit code.

    A process of its own is asked, as a slot would be: it loads what that takes (torch for
    renderers that denoise), and this one nothing.
    """
    import queue

    events: queue.Queue[dict[str, Any]] = queue.Queue()
    states: dict[str, int] = {}
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        child = Child(runner, environment, Path(scratch) / "log", events.put)
        try:
            for start in range(0, len(jobs), ASKED_AT_ONCE):
                chunk = jobs[start : start + ASKED_AT_ONCE]
                lines = [[*line, *job.words] for job in chunk]
                child.give(
                    {"id": start, "do": "ask", "lines": lines, "folder": str(folder),
                     "places": dict(places)}
                )  # fmt: skip
                for job, outlook in zip(chunk, answer_of(events), strict=True):
                    state = show_outlook(console, job, outlook)
                    states[state] = states.get(state, 0) + 1
                    bad += state == "fails"
        finally:
            child.kill()
            child.wait(5.0)
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    console.say(f"{len(jobs)} jobs: {counted}")
    return BatchError.exit_code if bad else 0


def answer_of(events: Any) -> list[Mapping[str, Any]]:
    """The answer to a question, once it is there. Raises BatchError if nobody answers."""
    while True:
        event = events.get()
        if event["event"] == "end":
            jobs: list[Mapping[str, Any]] = event["answer"]["jobs"]
            return jobs
        if event["event"] == "died":
            raise BatchError(f"the process that was asked died: {event['said']}")


def show_outlook(console: Console, job: Job, outlook: Mapping[str, Any]) -> str:
    """A line of the dry run; the state."""
    if outlook.get("error"):
        state, more = "fails", outlook["error"]
    elif outlook["lacks"]:
        state, more = "lacks weights", f"anim weights pull {' '.join(outlook['lacks'])}"
    else:
        state, more = outlook["state"], "; ".join(outlook["outlook"])
    where = f" -> {job.results[0]}" if job.results else ""
    text = f"{job.name}  {state}{where}" + (f"  ({more})" if more else "")
    console.result([text], [])
    if console.as_json:
        console.stream(
            {
                "job": job.name,
                "state": state,
                "words": list(job.words),
                "paths": list(job.results),
                **{
                    k: v
                    for k, v in outlook.items()
                    if k in ("key", "lacks", "cost", "error")
                },
            }
        )
    return state


def tell_status(
    console: Console, names: Sequence[str], known: Mapping[str, Standing]
) -> None:
    """State of each job by the journal, failures with their reasons, and the counts."""
    counts = dict.fromkeys(("done", "failed", "running", "stopped", "left"), 0)
    for name in names:
        at = known.get(name)
        state = "left" if at is None else at.state
        counts[state] += 1
        if console.as_json:
            facts = {} if at is None else vars(at)
            console.stream({"job": name, **facts, "state": state})
        elif at is not None and (state != "done" or console.verbosity):
            more = at.error or at.progress
            place = f" on {at.slot}" if state == "running" else ""
            console.result([f"{name}  {state}{place}{f': {more}' if more else ''}"], [])
    if console.as_json:
        console.stream(counts)
    else:
        text = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        console.result([text or "nothing was begun"], [])
