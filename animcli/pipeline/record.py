"""Records and cache keys: how an artifact was made, and the key that follows from it.

Two things in a key aren't said by a stage itself. The user's own files are hashed once per
process. Their time stamps are not trusted from one process to the next: copying tools set
them at will, and some disks count whole seconds only. Hashing reads about a gigabyte in a
second, next to minutes of work. Within a process the stamps, the change time among them,
which programs can't set, tell whether a file was touched.

And our own code counts, by its bytes: as good as a version, and nobody has to raise it. A
stage's revision is raised by hand, and was forgotten twice while detectors were being
improved: one key then stood for two motions, and a render that went on after a stop, or was
made again, followed another than before.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from animcli.errors import InputError
from animcli.video.limits import refuse_address

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class CacheKey:
    """All that decides the bits of an artifact.

    There is no path, no time of a file and no clock in it, so a project may be moved, and
    the same work under another name is not done again.

    settings: ready for JSON.
    inputs: name of each input -> SHA-256 of its bytes, in hex.
    weights: `entry/file` -> SHA-256 of its bytes, in hex.
    versions: package -> version.
    """

    stage: str
    revision: int
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
    weights: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the cache key, in hex."""
        return hashlib.sha256(canonical(asdict(self))).hexdigest()


@dataclass(frozen=True)
class Part:
    """One file of an artifact: its name inside it, its length in bytes, its SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """Provenance of an artifact, and the files that it consists of.

    suffix: of the artifact's file, empty where it is a folder.
    parts: its files by name; a single one named `""` where the artifact is a file.
    seconds: how long the run took that finished it.
    """

    cache_key: CacheKey
    suffix: str
    parts: tuple[Part, ...]
    seconds: float

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact's bytes; of a folder, of the list of its files."""
        return digest_of(self.parts)

    @property
    def length(self) -> int:
        """Bytes of all parts together."""
        return sum(part.bytes for part in self.parts)

    def to_json(self) -> bytes:
        """The record as a file, with a checksum of its own."""
        text = canonical(asdict(self))
        checksum = hashlib.sha256(text).hexdigest()
        return b'{"sha256":"' + checksum.encode() + b'","record":' + text + b"}"

    @classmethod
    def from_json(cls, data: bytes) -> "Record":
        """Read what `to_json` wrote. Raises ValueError where a bit of it has changed."""
        try:
            table = json.loads(data)
            found = table["record"]
            if hashlib.sha256(canonical(found)).hexdigest() != table["sha256"]:
                raise ValueError("the record isn't what its checksum says")
            parts = tuple(Part(**part) for part in found.pop("parts"))
            record = cls(cache_key=CacheKey(**found.pop("cache_key")), parts=parts, **found)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a record: {error}") from error
        if any(".." in PurePosixPath(part.name).parts for part in parts):
            raise ValueError("the record names a file outside its artifact")
        return record


@dataclass(frozen=True)
class Artifact:
    """Product of a stage: a file or a folder, and its record."""

    path: Path
    record: Record

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes, in hex."""
        return self.record.digest


def canonical(value: object) -> bytes:
    """JSON in the one way that has the same bytes for equal values."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def go_on() -> None:
    """Stop nothing, where nobody may ask for it."""


def files_of(path: Path, check_cancelled: Callable[[], None] = go_on) -> tuple[Part, ...]:
    """The files of an artifact, read from beginning to end; names starting with a dot are
    not part of it."""
    if path.is_file():
        return (Part("", path.stat().st_size, hash_file(path, check_cancelled)),)
    names = sorted(
        file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()
    )
    return tuple(
        Part(name, (path / name).stat().st_size, hash_file(path / name, check_cancelled))
        for name in names
        if not any(piece.startswith(".") for piece in name.split("/"))
    )


def digest_of(parts: tuple[Part, ...]) -> str:
    """One digest for all parts: the file's own, or that of the list of their digests."""
    if len(parts) == 1 and parts[0].name == "":
        return parts[0].sha256
    return hashlib.sha256(canonical([[p.name, p.sha256] for p in parts])).hexdigest()


def hash_file(path: Path, check_cancelled: Callable[[], None] = go_on) -> str:
    """SHA-256 of a file's bytes, in hex; `check_cancelled` is asked now and then."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
            check_cancelled()
    return digest.hexdigest()


FileTimes: TypeAlias = "tuple[tuple[str, int, int, int, int], ...]"


@dataclass(frozen=True)
class Inputs:
    """Digests of files and folders, by path."""

    _known: dict[Path, tuple[FileTimes, str]] = field(default_factory=dict, init=False)

    def digest(self, path: Path, check_cancelled: Callable[[], None] = go_on) -> str:
        """SHA-256 of a file, or of the list of a folder's files, in hex.

        Raises InputError where there is nothing, or it can't be read.
        """
        place = path.absolute()
        with _reading(path):
            stamp = _stamp(place)
            if place not in self._known or self._known[place][0] != stamp:
                self._known[place] = (stamp, digest_of(_read_parts(place, check_cancelled)))
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


def _read_parts(path: Path, check_cancelled: Callable[[], None]) -> tuple[Part, ...]:
    """The parts of a file, or of what is read of a folder."""
    if not path.is_dir():
        return files_of(path, check_cancelled)
    names = sorted(file.relative_to(path).as_posix() for file in _files_read(path))
    return tuple(
        Part(name, (path / name).stat().st_size, hash_file(path / name, check_cancelled))
        for name in names
    )


def _files_read(path: Path) -> list[Path]:
    """The file, or those of a folder that are read: of one with pictures these alone.

    What else is in such a folder, such as a cache, or a result that was put there, is none
    of them.
    """
    if not path.is_dir():
        return [path]
    from animcli.video.images import IMAGE_SUFFIXES  # loads numpy and Pillow

    shown = [file for file in path.iterdir() if not file.name.startswith(".")]
    pictures = [file for file in shown if file.suffix.lower() in IMAGE_SUFFIXES]
    if pictures:
        return sorted(pictures)
    inside = (each for top in shown for each in (top, *top.rglob("*")))
    return sorted(
        file
        for file in inside
        if file.is_file()
        and not any(piece.startswith(".") for piece in file.relative_to(path).parts)
    )


def _stamp(path: Path) -> FileTimes:
    """Metadata of each file that the system knows without reading it."""
    files = _files_read(path)
    stats = ((str(file), file.stat()) for file in files)
    return tuple(
        (name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        for name, stat in stats
    )


@cache
def code_of(package: str) -> str:
    """16 hex digits of the SHA-256 of a package's source files, subpackages included.

    Told once in a process: code that is already running doesn't change with its files.
    """
    digest = hashlib.sha256()
    for name, data in sorted(_sources(files(package))):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def _sources(folder: "Traversable", above: str = "") -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every source file in a package and below."""
    for each in folder.iterdir():
        if each.is_dir():
            yield from _sources(each, f"{above}{each.name}/")
        elif each.name.endswith(".py"):
            yield above + each.name, each.read_bytes()
