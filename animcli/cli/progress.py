"""How far the work is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S: Final = 30.0
LINE_EVERY_PART: Final = 10
LINE_AFTER_S: Final = 2.0
"""A plain line for each tenth of the work, but none within two seconds of the last, and at
least one in thirty seconds."""


class Meter(Protocol):
    """Shows how much of something is done."""

    def show(self, what: str, done: int, of: int) -> None:
        """`done` of `of` (0 where the end isn't known) of `what`."""

    def end(self) -> None:
        """Leave the screen to others."""


@dataclass(frozen=True)
class Start:
    """When something began, and how much of it was done then.

    at: seconds by the same clock as `now` later.
    """

    at: float
    done: int

    def pace(self, done: int, of: int, now: float) -> str:
        """How fast it is since then, and how long the rest takes; empty while unknown.

        Parts that take more than a second are given by their time, others by their rate.
        """
        spent, made = now - self.at, done - self.done
        if spent <= 0 or made <= 0:
            return ""
        each = spent / made
        rate = f"{1 / each:.1f}/s" if each <= 1 else f"{duration(each)} each"
        left = f", {duration(each * (of - done))} left" if of > done else ""
        return rate + left


@dataclass
class Lines:
    """Plain lines, for logs: each tenth of the work, or when thirty seconds went by.

    say: prints a line.
    clock: seconds; only differences count.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    what: str = ""
    start: Start = Start(0, 0)
    tenth: int = 0
    said: float = 0.0

    def show(self, what: str, done: int, of: int) -> None:
        """Say it, if it is time."""
        now = self.clock()
        if what != self.what:
            self.what, self.start, self.said = what, Start(now, done), now
            self.tenth = LINE_EVERY_PART * done // of if of else 0
        tenth = LINE_EVERY_PART * done // of if of else 0
        wait = LINE_AFTER_S if tenth > self.tenth else LINE_EVERY_S
        if now - self.said < wait:
            return
        self.tenth, self.said = tenth, now
        share = f" of {of} ({100 * done // of} %)" if of else ""
        pace = self.start.pace(done, of, now)
        self.say(f"{what}: {done}{share}{', ' if pace else ''}{pace}")

    def end(self) -> None:
        """Lines leave nothing behind."""


@dataclass
class Bar:
    """A bar with count, rate and time left, redrawn in place."""

    clock: Callable[[], float] = time.monotonic
    what: str = ""
    start: Start = Start(0, 0)
    live: "Progress | None" = field(default=None)

    def show(self, what: str, done: int, of: int) -> None:
        """Redraw the bar; another `what` begins another one."""
        now = self.clock()
        if what != self.what:
            self.end()
        if self.live is None:
            self.what, self.start, self.live = what, Start(now, done), _bar()
            self.live.add_task(what, total=of or None, completed=done, pace="")
            self.live.start()
        task, pace = self.live.tasks[0], self.start.pace(done, of, now)
        self.live.update(task.id, completed=done, total=of or None, pace=pace)

    def end(self) -> None:
        """Stop redrawing; what is drawn goes away."""
        if self.live is not None:
            self.live.stop()
        self.what, self.live = "", None


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", style="dim"),
        console=Console(file=sys.stderr),
        transient=True,
    )


def duration(seconds: float) -> str:
    """Seconds in words that fit in a line."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
