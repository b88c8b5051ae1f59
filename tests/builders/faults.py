"""Faults of the disk on demand: what a bad disk or a kill leaves behind."""

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Fault:
    """Lets one operation of `animcli.files` go wrong, in the place of its `about_to`.

    operation: `write`, `replace`, ...; `any` counts all of them.
    left: how many operations are left until then, that one included.
    how: the name of an error such as `ENOSPC`; `kill` ends the process; `torn` ends it
        after half of the operation.
    """

    operation: str
    left: int
    how: str

    def __call__(self, operation: str, tear: Callable[[], object] = lambda: None) -> None:
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


def read_fault(words: str) -> Fault:
    """The fault that `operation:n:how` describes."""
    operation, count, how = words.split(":")
    return Fault(operation, int(count), how)
