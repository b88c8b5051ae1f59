"""Ctrl-C and SIGTERM: the first asks the work to stop where nothing is lost.

A stage asks `check_cancelled` between two units of work (some frames, a denoising step). A
second signal doesn't wait for that.

A process that a signal asked to end dies of that signal when it has cleaned up. The shell
shows 128 and its number all the same, and only so a loop of the shell ends with it.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

EXIT_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""128 and the number of the signal, as shells have it."""


class Stopped(BaseException):
    """A signal ends the run; no `except Exception` holds it up."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass
class Stop:
    """State of a request to stop: that there is one, and its exit code.

    announce: told once, with the exit code, that the work ends after the unit in hand.
    """

    announce: Callable[[int], None] = lambda exit_code: None
    exit_code: int = 0
    working: bool = field(default=False)

    def check_cancelled(self) -> None:
        """Raise Stopped if a signal came since the last time."""
        if self.exit_code:
            raise Stopped(self.exit_code)

    @contextmanager
    def between_segments(self) -> Iterator[None]:
        """A stretch of work that asks `check_cancelled` often; elsewhere a signal ends at
        once.
        """
        self.working = True
        try:
            yield
        finally:
            self.working = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask the work to stop; the second time, end the process as it stands."""
        if self.exit_code:
            die_of(self.exit_code)  # every write is whole or absent, so nothing is torn
        self.exit_code = EXIT_CODES[signal.Signals(number)]
        if not self.working:
            raise Stopped(self.exit_code)
        self.announce(self.exit_code)


@contextmanager
def listening(stop: Stop) -> Iterator[None]:
    """Send the signals that ask for an end to `stop`.

    Once one came the process is on its way out, and a late second one changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    before = {number: signal.signal(number, stop.on_signal) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if stop.exit_code else handler)


def die_of(exit_code: int) -> None:
    """End the process by the signal that an exit code stands for."""
    number = exit_code - 128
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(exit_code)  # where the signal is blocked, or means nothing to the system


class LastAct:
    """End of the process, once all that libraries left to do was done.

    exit_code: 130 or 143, where it is to end by that signal.
    """

    exit_code = 0

    def __init__(self) -> None:
        atexit.register(self)  # the first to be registered is the last to be called

    def __call__(self) -> None:
        """Flush what was said, and end by the signal if one asked for it."""
        if self.exit_code in EXIT_CODES.values():
            sys.stdout.flush()
            sys.stderr.flush()
            die_of(self.exit_code)
