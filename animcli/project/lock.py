"""Locks that the kernel frees when their process ends, however it ends.

They save work that two processes would do twice. Nothing is wrong without them, since
every write is whole or absent, and some network file systems have none.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from animcli.project.writing import make_folder, storing

PAUSE_S: Final = 0.05


@contextmanager
def locked(path: Path, wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of a file within the block; False where another process has it.

    wait: called again and again while another process has it, instead of giving up; what
        it raises ends the waiting.
    """
    lock = FileLock(path)
    with storing(path):
        make_folder(path.parent)
        free = _acquire(lock)
    while not free and wait is not None:
        wait()
        time.sleep(PAUSE_S)
        free = _acquire(lock)
    try:
        yield free
    finally:
        lock.release()


def _acquire(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except NotImplementedError:  # this file system knows no locks
        return True
    return True
