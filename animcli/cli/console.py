"""The only place that prints, and how far the work is.

Standard output carries the result and nothing else: the path of each file made, the lines
of a listing, or one JSON object. Progress, notes and errors go to standard error; progress
is a bar on a terminal, a line now and then elsewhere.
"""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from animcli.errors import AnimError, StorageError

if TYPE_CHECKING:
    from rich.progress import Progress


LINE_EVERY_S: Final = 30.0
LINE_EVERY_PART: Final = 10
LINE_AFTER_S: Final = 2.0
"""A plain line for each tenth of the work, but none within two seconds of the last, and at
least one in thirty seconds."""
REST_S: Final = 0.7
"""Without anything new, after which a terminal is shown that work goes on."""


class ProgressMeter(Protocol):
    """Shows how much of something is done."""

    def show(self, what: str, done: int, of: int) -> None:
        """`done` of `of` (0 where the end isn't known) of `what`."""

    def rest(self) -> None:
        """Show that work goes on, if nothing else is shown soon."""

    def end(self) -> None:
        """Leave the screen to others."""


@dataclass(frozen=True)
class Start:
    """Start of a task, and how much of it was done then.

    at: seconds by the same clock as `now` later.
    """

    at: float
    done: int

    def pace(self, done: int, of: int, now: float) -> str:
        """Rate since then, and time that the rest takes; empty while unknown.

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
class ProgressLines:
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

    def rest(self) -> None:
        """A log isn't looked at while it is written."""

    def end(self) -> None:
        """Lines leave nothing behind."""


@dataclass
class ProgressBar:
    """A bar with spinner, count, time spent, rate and time left, redrawn in place.

    Where nothing is counted, the spinner and the time spent.
    """

    clock: Callable[[], float] = time.monotonic
    what: str = ""
    start: Start = Start(0, 0)
    live: "Progress | None" = field(default=None)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _timer: threading.Timer | None = field(default=None, init=False)

    def show(self, what: str, done: int, of: int) -> None:
        """Redraw the bar; another `what` begins another one."""
        with self._lock:
            now = self.clock()
            if what != self.what or self.live is None:
                self.end()
                self.what, self.start, self.live = what, Start(now, done), _bar(of > 0)
                self.live.add_task(what, total=of or None, completed=done, pace="")
                self.live.start()
            task, pace = self.live.tasks[0], self.start.pace(done, of, now)
            self.live.update(task.id, completed=done, total=of or None, pace=pace)

    def rest(self) -> None:
        """Let go of the screen, but for a spinner if nothing else comes soon."""
        with self._lock:
            self.end()
            self._timer = threading.Timer(REST_S, self._wait)
            self._timer.daemon = True
            self._timer.start()

    def _wait(self) -> None:
        with self._lock:
            if threading.current_thread() is self._timer:  # nothing came meanwhile
                self.show("working", 0, 0)

    def end(self) -> None:
        """Stop redrawing; what is drawn goes away."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self.live is not None:
                self.live.stop()
            self.what, self.live, self._timer = "", None, None


def _bar(counted: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    count = (BarColumn(), MofNCompleteColumn()) if counted else ()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *count,
        TimeElapsedColumn(),
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


JSON_SCHEMA: Final = 2
"""Version of the JSON object; raised when a key goes or changes its meaning."""

RED, YELLOW, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"


@dataclass
class Console:
    """Output for the user on standard error, and for scripts on standard output.

    quiet: nothing on standard error but errors.
    verbosity: 1 tells about stages that were done already, 2 about where things are kept.
    as_json: one object at the end instead of lines.
    streamed: the objects were printed as they came, and none is left for the end.
    """

    quiet: bool = False
    verbosity: int = 0
    as_json: bool = False
    streamed: bool = False
    results: list[object] = field(default_factory=list)
    stages: list[dict[str, object]] = field(default_factory=list)
    _: KW_ONLY
    warnings: list[str] = field(default_factory=list)
    error: dict[str, object] | None = None
    meter: ProgressMeter = field(init=False)

    def __post_init__(self) -> None:
        self.meter = (
            ProgressBar()
            if sys.stderr.isatty() and not self.quiet
            else ProgressLines(self.say)
        )

    def say(self, line: str) -> None:
        """A line of progress."""
        if not self.quiet:
            self.meter.end()
            _print(sys.stderr, line)
            self.meter.rest()

    def detail(self, line: str, level: int = 1) -> None:
        """A line for those who asked for more with -v."""
        if self.verbosity >= level:
            self.say(line)

    def warn(self, line: str) -> None:
        """Something that was handled and that the user should know of."""
        if line in self.warnings:
            return
        self.warnings.append(line)
        self.say(f"{_paint('note:', YELLOW)} {line}")

    def consents(self, question: str) -> bool:
        """Ask a yes-or-no question; without a terminal nobody is asked, so nobody
        says yes.
        """
        if self.quiet or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        self.meter.end()
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def progress(self, what: str, done: int, of: int) -> None:
        """Show how far the work is."""
        if not self.quiet:
            self.meter.show(what, done, of)

    def stage_done(self, name: str, cached: bool, seconds: float) -> None:
        """A stage was made now, or found in the cache."""
        outcome = "cached" if cached else "ran"
        self.stages.append(
            {"stage": name, "outcome": outcome, "seconds": round(seconds, 3)}
        )
        if cached:
            self.detail(f"{name}: done already")
        else:
            self.say(f"{name}: {duration(seconds)}")

    def result(self, lines: Sequence[str], data: Sequence[object]) -> None:
        """Print a result: as lines now, or as data in the JSON object."""
        self.meter.end()
        self.results.extend(data)
        if not self.as_json:
            for line in lines:
                _deliver(line)
        self.meter.rest()

    def flush(self) -> None:
        """Let whoever reads standard output have what was said so far."""
        with answering():
            sys.stdout.flush()

    def stream(self, data: object) -> None:
        """One object of many, printed as a line now."""
        self.streamed = True
        _deliver(json.dumps(data, ensure_ascii=False))

    def failure(self, error: AnimError) -> None:
        """Print an error and its hint."""
        self.meter.end()
        self.error = {
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        _print(sys.stderr, f"{_paint('error:', RED)} {one_line(error.message)}")
        if error.hint:
            _print(sys.stderr, f" {_paint('hint:', YELLOW)} {one_line(error.hint)}")

    def bug(self, error: BaseException) -> None:
        """Something that nobody foresaw."""
        self.meter.end()
        self.error = {"message": repr(error), "hint": "", "exit_code": 1}
        _print(sys.stderr, "".join(traceback.format_exception(error)).rstrip())
        _print(sys.stderr, f"{_paint('error:', RED)} this is a bug in animcli")
        _print(
            sys.stderr,
            f" {_paint('hint:', YELLOW)} report it with the lines above and what "
            "`anim doctor --json` prints",
        )

    def stopping(self) -> None:
        """A signal came; the unit in hand is finished first."""
        self.say("stopping where nothing is lost; once more stops at once")

    def stopped(self, exit_code: int) -> None:
        """A signal ended the run."""
        self.meter.end()
        what = "terminated" if exit_code == 143 else "interrupted"
        self.error = {"message": what, "hint": "", "exit_code": exit_code}
        _print(sys.stderr, f"{what}; the same command goes on from here")

    def close(self) -> None:
        """Hand over the JSON object, if that was asked for."""
        self.meter.end()
        if self.as_json and not self.streamed:
            answer: dict[str, object] = {
                "schema": JSON_SCHEMA,
                "results": self.results,
                "stages": self.stages,
                "warnings": self.warnings,
            }
            if self.error is not None:
                answer["error"] = self.error
            _deliver(json.dumps(answer, indent=2))


def open_streams() -> None:
    """Lead the standard streams that the caller has closed to nowhere.

    Otherwise files of ours would get their numbers, and what libraries print with it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def shown(path: Path) -> str:
    """A path as people like to read it: from the working folder where it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def one_line(text: str) -> str:
    """Text in which line breaks and other control characters are spelled out."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _paint(word: str, colour: str) -> str:
    """The word in a colour, where the user's terminal and wishes allow it."""
    if os.environ.get("NO_COLOR"):
        return word
    if os.environ.get("FORCE_COLOR") or sys.stderr.isatty():
        return f"{colour}{word}{PLAIN}"
    return word


@contextmanager
def answering() -> Iterator[None]:
    """A stretch in which standard output is written; a full disk becomes a StorageError."""
    try:
        yield
        sys.stdout.flush()  # so that it is met here and not on the way out
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"standard output: {error.strerror}") from error


def _deliver(line: str) -> None:
    with answering():
        _print(sys.stdout, line)


def _print(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
        if stream is sys.stderr:
            stream.flush()
    except OSError:
        if stream is not sys.stderr:
            raise
        # Nobody hears a complaint about that; the exit code says what went wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
