"""The user's own files: what their bytes are, and that they stay so while they are read.

Each is hashed once per process. Its time stamps are not trusted from one process to the
next: copying tools set them at will, and some disks count whole seconds only. Hashing
reads about a gigabyte in a second, next to minutes of work. Within a process the stamps,
the change time among them, which programs can't set, tell whether a file was touched.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from animcli.errors import InputError
from animcli.project.record import digest_of, parts_of
from animcli.video.local import refuse_address

Stamp: TypeAlias = "tuple[tuple[str, int, int, int, int], ...]"


@dataclass(frozen=True)
class Inputs:
    """Digests of files and folders, by path."""

    _known: dict[Path, tuple[Stamp, str]] = field(default_factory=dict, init=False)

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, or of the list of a folder's files, in hex.

        Raises InputError where there is nothing, or it can't be read.
        """
        place = path.absolute()
        with _reading(path):
            stamp = _stamp(place)
            if place not in self._known or self._known[place][0] != stamp:
                self._known[place] = (stamp, digest_of(parts_of(place)))
        return self._known[place][1]

    def check_there(self, path: Path) -> None:
        """Raise InputError where there is nothing; what is there isn't read."""
        with _reading(path):
            path.stat()

    def check_unchanged(self, path: Path) -> None:
        """Raise InputError if the file was written since its digest was taken."""
        place = path.absolute()
        try:
            unchanged = _stamp(place) == self._known[place][0]
        except OSError:
            unchanged = False
        if not unchanged:
            raise InputError(
                f"{path} was changed while it was being read",
                "give the same command again once it is finished",
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name what can't be read, and why."""
    try:
        yield
    except OSError as error:
        refuse_address(path)
        reason = error.strerror or str(error)
        raise InputError(f"{path}: {reason[:1].lower()}{reason[1:]}") from error


def _stamp(path: Path) -> Stamp:
    """What the system knows about each file, and nothing that takes reading them."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = ((str(file), file.stat()) for file in files)
    return tuple(
        (name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        for name, stat in stats
    )
