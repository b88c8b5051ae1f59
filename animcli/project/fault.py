"""Faults on demand, so that tests can show what a bad disk or a kill leaves behind.

`ANIM_FAULT=write:3:ENOSPC` lets the third write of the process go wrong with that error,
`replace:1:kill` ends the process where it would rename, `write:2:torn` ends it after half
of the bytes. The operation `any` counts all of them.
"""

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

VARIABLE = "ANIM_FAULT"


@dataclass
class Fault:
    """The one operation that goes wrong, and how; counts down to it."""

    operation: str
    left: int
    how: str

    def strike(self, operation: str, tear: Callable[[], object]) -> None:
        """Let `operation` go wrong if it is the one; `tear` does half of it."""
        if self.operation not in (operation, "any"):
            return
        self.left -= 1
        if self.left != 0:
            return
        if self.how == "torn":
            tear()
        if self.how in ("torn", "kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self.how)
        raise OSError(number, os.strerror(number))


def planned_fault(text: str | None) -> Fault | None:
    """The fault that `operation:n:how` describes, or None."""
    if not text:
        return None
    operation, count, how = text.split(":")
    return Fault(operation, int(count), how)


planned: Fault | None = planned_fault(os.environ.get(VARIABLE))


def strike(operation: str, tear: Callable[[], object] = lambda: None) -> None:
    """Called before every operation that changes the disk."""
    if planned is not None:
        planned.strike(operation, tear)
