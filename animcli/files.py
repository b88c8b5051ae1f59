"""Writes that happen whole or not at all, and locks.

A file is written beside its place, flushed to the disk, renamed, and the folder flushed.
So whoever looks, at any moment and after any crash, finds the old file, the new one, or
none, and never half of one. Everything in a project that reaches the disk passes through
here.

Locks are freed by the kernel when their process ends, however it ends. They save work that
two processes would do twice. Nothing is wrong without them, since every write is whole or
absent, and some network file systems have none.
"""

import errno
import glob
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final

from filelock import FileLock, Timeout

from animcli.errors import OutputError, StorageError


def about_to(operation: str, tear: Callable[[], object] = lambda: None) -> None:
    """Called before every operation that changes the disk; `tear` does half of it.

    It does nothing: tests put something in its place that lets an operation go wrong.
    """


PART: Final = ".part-"
SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 digest in hex; for `fullmatch`."""

LONGEST_NAME: Final = 255  # bytes, on nearly every file system
LONGEST_PREFIX: Final = 48  # of part_beside
IO_CHUNK: Final = (
    1 << 20
)  # bytes; large enough that calls don't count, small enough to tear

_serial = count()
_host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
HINTS: Final = {
    errno.ENOSPC: "free some space, then give the same command again",
    errno.EDQUOT: "free some space, then give the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "write to another folder; --cache-dir moves the cache",
    errno.EACCES: "its owner may let you in; --cache-dir moves the cache",
    errno.EPERM: "its owner may let you in; --cache-dir moves the cache",
    errno.ENOENT: "make the folder first",
    errno.ENAMETOOLONG: "give a shorter name",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Name `path`, and what to do, when the system refuses to write it.

    Also where a writer of another room has said so in its own words.
    """
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise _refusal(path, error.__cause__) from error.__cause__
        raise


def _refusal(path: Path, error: OSError) -> StorageError:
    number = error.errno or 0
    known = number in errno.errorcode  # FFmpeg's own numbers aren't
    reason = os.strerror(number) if known else error.strerror or str(error)
    room = _free_space(path) if number in FULL else ""
    return StorageError(f"{path}: {reason}{room}", HINTS.get(number, ""))


def _free_space(path: Path) -> str:
    for folder in path.parents:
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            continue
        return f" ({free:,} bytes free on its disk)"
    return ""


class AtomicFile:
    """A file being written beside its place; leaving the block puts it there.

    exclusive: put it there only if nothing is; else OutputError.

    Leaving by an exception removes it. It is written from front to back: what is given to
    `write` is on its way to the disk, and counted into `sha256`.
    """

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        self.path, self.exclusive = path, exclusive
        self.part = temp_name(path)
        self.sha256 = hashlib.sha256()
        self._held = bytearray()  # many small pieces become one operation

    def __enter__(self) -> "AtomicFile":
        with disk_errors(self.path):
            about_to("open")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.part, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
        return self

    def write(self, data: bytes | memoryview) -> int:
        """Append; the number of bytes taken, which is all of them."""
        view = memoryview(data).cast("B")
        self.sha256.update(view)
        if len(self._held) + len(view) > IO_CHUNK:
            self._empty(self._held)
            self._held = bytearray()
        if len(view) > IO_CHUNK:
            self._empty(view)
        else:
            self._held += view
        return len(view)

    def flush(self) -> None:
        """Nothing needs to be on the disk before the end; `zipfile` asks for it."""

    def _empty(self, data: bytearray | memoryview) -> None:
        view = memoryview(data)
        with disk_errors(self.path):
            for start in range(0, len(view), IO_CHUNK):
                self._write_piece(view[start : start + IO_CHUNK])

    def _write_piece(self, piece: memoryview) -> None:
        about_to("write", lambda: os.write(self._file, piece[: len(piece) // 2]))
        written = 0
        while written < len(piece):  # the system may take less than it is given
            written += os.write(self._file, piece[written:])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._empty(self._held)
        except StorageError:
            self.part.unlink(missing_ok=True)
            raise
        finally:
            os.close(self._file)
        if kind is not None:
            self.part.unlink(missing_ok=True)
        else:
            put_in_place(self.part, self.path, exclusive=self.exclusive)


def temp_name(path: Path) -> Path:
    """A name in the folder of `path` that no other process and no other call uses."""
    return path.with_name(f"{PART}{_host}-{os.getpid()}-{next(_serial)}.{_tail(path)}")


def parts_beside(path: Path) -> Iterator[Path]:
    """Files that `temp_name` named for the same path, here or elsewhere, still there."""
    return path.parent.glob(f"{PART}*.{glob.escape(_tail(path))}")


def _tail(path: Path) -> str:
    """The end of the names of parts: the file's own where there is room beside ours."""
    if len(os.fsencode(path.name)) <= LONGEST_NAME - LONGEST_PREFIX:
        return path.name
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return digest + path.suffix[:LONGEST_PREFIX]


@contextmanager
def temp_path(path: Path) -> Iterator[Path]:
    """A name beside `path` for whoever writes by name.

    Leaving by an exception removes what is there, so that a full disk has room again.
    """
    part = temp_name(path)
    try:
        with disk_errors(path):
            yield part
    except BaseException:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A name beside `path`; leaving the block puts the file that was written there."""
    with temp_path(path) as part:
        yield part
    put_in_place(part, path)


def write_file(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write `data`, whole or not at all; if `exclusive`, only where nothing is."""
    with AtomicFile(path, exclusive=exclusive) as file:
        file.write(data)


def put_in_place(part: Path, path: Path, *, exclusive: bool = False) -> None:
    """Flush a finished file to the disk and rename it to `path`, or remove it.

    exclusive: raise OutputError if something is there, also if it came this moment.
    """
    try:
        with disk_errors(path):
            about_to("fsync", lambda: os.truncate(part, part.stat().st_size // 2))
            fsync(part)
            about_to("replace")
            _take_name(part, path) if exclusive else part.replace(path)
    except (StorageError, OutputError):
        part.unlink(missing_ok=True)
        raise
    with disk_errors(path):
        about_to("fsync")
        fsync(path.parent)


def _take_name(part: Path, path: Path) -> None:
    """Rename a file unless its new name is taken, in one operation of the system."""
    try:
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # no links on this file system; the name is ours from here on
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            part.replace(path)
    except FileExistsError:
        raise taken(path) from None
    part.unlink(missing_ok=True)


def taken(path: Path) -> OutputError:
    """The refusal to replace what isn't ours."""
    return OutputError(f"{path} exists already", "--force replaces it")


def put_folder_in_place(part: Path, path: Path) -> None:
    """Flush a finished folder to the disk and rename it to `path`, which isn't there.

    Raises OutputError if something came there meanwhile.
    """
    with disk_errors(path):
        about_to("fsync")
        for item in [*part.rglob("*"), part]:
            fsync(item)
        about_to("replace")
        try:
            part.replace(path)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise taken(path) from error
            raise
        about_to("fsync")
        fsync(path.parent)


def make_folder(path: Path) -> Path:
    """Make a folder that only its owner may enter, and those above it; then give it."""
    with disk_errors(path):
        if not path.is_dir():
            about_to("mkdir")
            make_folder(path.parent)
            path.mkdir(mode=0o700, exist_ok=True)
    return path


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows can't open folders, and doesn't need it
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_abandoned(parts: Iterable[Path]) -> None:
    """Remove those of `parts` that processes of this machine left when they ended."""
    ours = f"{PART}{_host}-"
    for part in list(parts):
        owner = part.name.removeprefix(ours).split("-")[0]
        if part.name.startswith(ours) and owner.isdigit() and not is_running(int(owner)):
            with disk_errors(part):
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Tell if there is a process with this number on this machine."""
    if process == os.getpid():
        return True
    if os.name == "nt":
        return True  # os.kill would end it there; what it left is then `cache clear`'s
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


PAUSE_S: Final = 0.05


@contextmanager
def locked(path: Path, wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of a file within the block; False where another process has it.

    wait: called again and again while another process has it, instead of giving up; what
        it raises ends the waiting.
    """
    lock = FileLock(path)
    with disk_errors(path):
        make_folder(path.parent)
        free = _acquire(lock)
    while not free and wait is not None:
        wait()
        time.sleep(PAUSE_S)
        with disk_errors(path):
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
