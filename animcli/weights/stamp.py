"""Stamps: how large the files of an entry were, when written, and their digests."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from animcli.errors import WeightsError
from animcli.weights.inspect import sha256_of

STAMP: Final = "stamp.json"


@dataclass(frozen=True)
class FileStamp:
    """One file as it was when its digest was taken.

    published: SHA-256 of the file that it was made of, where it was converted.
    read_in: the run of the system in which it was read, the file and its change time.
    """

    bytes: int
    mtime_ns: int
    sha256: str
    published: str | None = None
    read_in: str = ""


@dataclass(frozen=True)
class EntryStamp:
    """All files of an entry.

    source, revision: where they came from, to be told to whoever asks.
    files: name in the entry -> the file.
    half: whether tensors were brought to float16 on the way in.
    folder: where the files are, if not beside the stamp: those of a snapshot stay in the
        hub's cache, or where they were imported from.
    """

    source: str
    revision: str | None
    files: Mapping[str, FileStamp]
    half: bool = False
    folder: str | None = None

    def changed(self, folder: Path) -> list[str]:
        """The files that must be read again before they are what the stamp says."""
        return [
            name
            for name, was in self.files.items()
            if was != stamped(folder / name, was.sha256, was.published)
        ]


def stamped(
    path: Path, sha256: str | None = None, published: str | None = None
) -> FileStamp:
    """The stamp of a file as it is now; its digest is taken if it isn't given."""
    held = path.stat()
    read_in = f"{this_boot()} {held.st_dev}:{held.st_ino} {held.st_ctime_ns}"
    digest = sha256 or sha256_of(path)
    return FileStamp(held.st_size, held.st_mtime_ns, digest, published, read_in)


@cache
def this_boot() -> str:
    """Mark of this run of the system among those before; at worst it differs too often."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return f"{(time.time() - time.monotonic()) / 60:.0f}"  # when it began, in minutes


def check_same(path: Path, was: FileStamp, again: str) -> None:
    """Read all of a file; raise WeightsError, with what to do, if it isn't what it was."""
    digest = sha256_of(path)
    if digest != was.sha256:
        raise WeightsError(
            f"{path} has changed since it was checked: its SHA-256 begins with "
            f"{digest[:12]}, not {was.sha256[:12]}",
            again,
        )


def read_stamp(folder: Path) -> EntryStamp | None:
    """The stamp in a folder; None if there's none, or none that can be read."""
    try:
        table = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        files = {name: FileStamp(**values) for name, values in table["files"].items()}
        return EntryStamp(
            table["source"],
            table["revision"],
            files,
            table.get("half", False),
            table.get("folder"),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # then the files are read again


def write_stamp(folder: Path, stamp: EntryStamp) -> None:
    """Put a stamp into a folder, whole."""
    part = folder / f".{STAMP}.{os.getpid()}"
    part.write_text(json.dumps(asdict(stamp), indent=1) + "\n", encoding="utf-8")
    part.replace(folder / STAMP)
