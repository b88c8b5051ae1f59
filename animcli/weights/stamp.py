"""What is known of the files in an entry's folder, so as not to read them each time."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from animcli.errors import WeightsError
from animcli.weights.recognise import sha256_of

STAMP: Final = "stamp.json"


@dataclass(frozen=True)
class Stamped:
    """One file as it was when its digest was taken.

    published: SHA-256 of the file that it was made of, where it was converted.
    """

    bytes: int
    mtime_ns: int
    sha256: str
    published: str | None = None


@dataclass(frozen=True)
class Stamp:
    """All files of an entry.

    source, revision: where they came from, to be told to whoever asks.
    files: name in the entry -> the file.
    """

    source: str
    revision: str | None
    files: Mapping[str, Stamped]

    def changed(self, folder: Path) -> list[str]:
        """The files whose size or time isn't what it was."""
        return [
            name
            for name, was in self.files.items()
            if was != stamped(folder / name, was.sha256, was.published)
        ]


def stamped(path: Path, sha256: str | None = None, published: str | None = None) -> Stamped:
    """The stamp of a file as it is now; its digest is taken if it isn't given."""
    held = path.stat()
    return Stamped(held.st_size, held.st_mtime_ns, sha256 or sha256_of(path), published)


def check_same(path: Path, was: Stamped, again: str) -> None:
    """Read all of a file; raise WeightsError, with what to do, if it isn't what it was."""
    digest = sha256_of(path)
    if digest != was.sha256:
        raise WeightsError(
            f"{path} has changed since it was checked: its SHA-256 begins with "
            f"{digest[:12]}, not {was.sha256[:12]}",
            again,
        )


def read_stamp(folder: Path) -> Stamp | None:
    """The stamp in a folder; None if there's none, or none that can be read."""
    try:
        table = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        files = {name: Stamped(**values) for name, values in table["files"].items()}
        return Stamp(table["source"], table["revision"], files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # then the files are read again


def write_stamp(folder: Path, stamp: Stamp) -> None:
    """Put a stamp into a folder, whole."""
    part = folder / f".{STAMP}.{os.getpid()}"
    part.write_text(json.dumps(asdict(stamp), indent=1) + "\n", encoding="utf-8")
    part.replace(folder / STAMP)
