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


@dataclass
class Lines:
    """Plain lines, for logs: each tenth of the work, or when thirty seconds went by.

    say: prints a line.
    clock: seconds; only differences count.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    what: str = ""
    begun: float = 0.0
    first: int = 0
    tenth: int = 0
    said: float = 0.0

    def show(self, what: str, done: int, of: int) -> None:
        """Say it, if it is time."""
        now = self.clock()
        if what != self.what:
            self.what, self.begun, self.first, self.said = what, now, done, now
            self.tenth = LINE_EVERY_PART * done // of if of else 0
        tenth = LINE_EVERY_PART * done // of if of else 0
        wait = LINE_AFTER_S if tenth > self.tenth else LINE_EVERY_S
        if now - self.said < wait:
            return
        self.tenth, self.said = tenth, now
        share = f" of {of} ({100 * done // of} %)" if of else ""
        self.say(f"{what}: {done}{share}{self._pace(done, of, now)}")

    def _pace(self, done: int, of: int, now: float) -> str:
        spent, made = now - self.begun, done - self.first
        if spent <= 0 or made <= 0:
            return ""
        left = f", {duration(spent * (of - done) / made)} left" if of > done else ""
        return f", {made / spent:.1f}/s{left}"

    def end(self) -> None:
        """Lines leave nothing behind."""


@dataclass
class Bar:
    """A bar with count, rate and time left, redrawn in place."""

    what: str = ""
    live: "Progress | None" = field(default=None)

    def show(self, what: str, done: int, of: int) -> None:
        """Redraw the bar; another `what` begins another one."""
        if what != self.what:
            self.end()
        if self.live is None:
            self.what, self.live = what, _bar()
            self.live.add_task(what, total=of or None, completed=done)
            self.live.start()
        task = self.live.tasks[0]
        self.live.update(task.id, completed=done, total=of or None)

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
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units in a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )


def duration(seconds: float) -> str:
    """Seconds in words that fit in a line."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
