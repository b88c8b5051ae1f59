"""The finished artifacts of a project, by key, and the work on those that aren't.

    .anim/store/<key>/record.json           what the artifact is and how it was made
    .anim/store/<key>/<stage><suffix>       the artifact, a file or a folder
    .anim/work/<key>/                       what a stage keeps to go on from
    .anim/work/<key>/entry/                 what becomes `store/<key>` by one rename
    .anim/locks/<key>                       held by the process that works on the key

An entry is in the store whole or not at all, since it comes there by a rename when all of
it is on the disk. What happens to it afterwards is found by its checksums.

A long stage leaves one file per unit of its work (a segment of frames, of video). The
digest in the name of such a file comes into being with the file, by one rename, so the next
run can tell a whole unit from a damaged one without a list that would have to be kept in
step.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from animcli.errors import OutputError, StorageError
from animcli.files import (
    PART,
    disk_errors,
    locked,
    make_folder,
    put_folder_in_place,
    put_in_place,
    remove_abandoned,
    temp_name,
    write_file,
)
from animcli.pipeline.record import (
    Artifact,
    CacheKey,
    Part,
    Record,
    files_of,
    go_on,
    hash_file,
)

RECORD: Final = "record.json"
ENTRY: Final = "entry"
IGNORE: Final = ".gitignore"
CORRUPT: Final = ".corrupt-"


@dataclass(frozen=True)
class Listing:
    """A line of `anim cache list`.

    stage: name of the stage, empty where no record can be read.
    state: `whole` (as far as the record tells), `unfinished` or `damaged`.
    bytes: on disk. written: seconds since 1970.
    """

    key: str
    stage: str
    state: str
    bytes: int
    written: float = 0.0


@dataclass(frozen=True)
class Store:
    """Artifacts by key in the cache folder `root`, whole or absent.

    warn: told of every entry that was found damaged.
    check_cancelled: asked while much is read.
    """

    root: Path
    warn: Callable[[str], None] = lambda line: None
    check_cancelled: Callable[[], None] = go_on

    def find(self, key: str) -> Artifact | None:
        """The artifact with this key, its record checked and its bytes not read yet.

        One whose record is damaged or gone is set aside, and None.
        """
        try:
            with disk_errors(self._entry(key)):
                record = _record_of(self._entry(key))
        except ValueError:
            self.quarantine(key)
            return None
        return None if record is None else self._artifact(record)

    def is_whole(self, artifact: Artifact) -> bool:
        """Compare every byte of an artifact with its record; reads all of it."""
        with disk_errors(artifact.path):
            return all(
                _is_whole(artifact.path, part, self.check_cancelled)
                for part in artifact.record.parts
            )

    def quarantine(self, key: str) -> None:
        """Take a damaged entry out of the way, and say so."""
        entry = self._entry(key)
        aside = temp_name(entry)
        aside = aside.with_name(f"{CORRUPT}{aside.name.lstrip('.')}")
        with disk_errors(entry), suppress(FileNotFoundError):  # another process was faster
            entry.replace(aside)
        self.warn(f"{entry} is damaged; it was set aside as {aside.name}")

    def work_of(self, key: str) -> Path:
        """Path that `work_folder` is or would be at."""
        return self.root / "work" / key

    def work_folder(self, key: str) -> Path:
        """The folder for what helps to go on with `key`; made if it isn't there."""
        self.make_root()
        work = make_folder(self.work_of(key))
        remove_abandoned(work.rglob(f"{PART}*"))
        return work

    def make_root(self) -> None:
        """Make the cache's folder, which only its owner enters and git leaves out."""
        make_folder(self.root)
        with disk_errors(self.root):
            ignored = (self.root / IGNORE).exists()
        if not ignored:
            write_file(self.root / IGNORE, b"*\n")

    def is_started(self, key: str) -> bool:
        """Tell if an earlier run left something to go on from."""
        return self.work_of(key).is_dir()

    def drop_work(self, key: str) -> None:
        """Remove what helped to go on with `key`; `clear` takes what stays behind."""
        shutil.rmtree(self.work_of(key), ignore_errors=True)

    def drop_empty_work(self, key: str) -> None:
        """Remove the work folder of `key` if there is nothing in it to go on from."""
        work = self.work_of(key)
        if not any(path.is_file() for path in work.rglob("*")):
            self.drop_work(key)

    def output_path(self, cache_key: CacheKey, suffix: str) -> Path:
        """Path to make the artifact at, so that `commit` finds it."""
        folder = make_folder(self.work_folder(cache_key.digest) / ENTRY)
        return folder / f"{cache_key.stage}{suffix}"

    def commit(self, cache_key: CacheKey, suffix: str, seconds: float) -> Artifact:
        """Move what was made at `output_path` into the store, and drop its work folder."""
        key = cache_key.digest
        entry = self._entry(key)
        made = self.work_of(key) / ENTRY / f"{cache_key.stage}{suffix}"
        with disk_errors(made):
            record = Record(cache_key, suffix, files_of(made), seconds)
        write_file(made.parent / RECORD, record.to_json())
        make_folder(entry.parent)
        try:
            put_folder_in_place(made.parent, entry)
        except (StorageError, OutputError):
            # Where locks aren't seen by all, another process may have been faster.
            there = self.find(key)
            if there is None or not self.is_whole(there):
                raise
            self.drop_work(key)
            return there
        self.drop_work(key)
        return Artifact(entry / made.name, record)

    def ls(self) -> Iterator[Listing]:
        """Everything there is, the oldest first."""
        finished, unfinished = self._folders("store"), self._folders("work")
        for entry in sorted(finished, key=_age):
            if entry.name.startswith(CORRUPT):
                key = entry.name.rpartition(".")[2]
                yield Listing(key, "", "damaged", _size(entry), _age(entry) / 1e9)
            elif listed := self._listed(entry):
                yield listed
        for work in sorted(unfinished, key=_age):
            yield Listing(work.name, "", "unfinished", _size(work), _age(work) / 1e9)

    def verify(self, *, look_only: bool = False) -> Iterator[Listing]:
        """Read every artifact; each is `whole` or `damaged`.

        A damaged one is set aside, so that it is made again, unless `look_only`.
        """
        for entry in sorted(self._folders("store"), key=_age):
            if entry.name.startswith("."):
                continue
            listed = self._listed(entry, read=True)
            if listed is None:
                continue
            if listed.state == "damaged" and not look_only:
                self.quarantine(entry.name)
            yield listed

    def clear(
        self, *, unfinished_only: bool = False, only: Collection[str] | None = None
    ) -> int:
        """Remove what can be made again; the bytes that became free.

        What another process is working on stays. only: keys of the entries to remove.
        """
        freed = 0
        for kind in ("work",) if unfinished_only else ("work", "store"):
            for folder in self._folders(kind):
                if only is not None and folder.name not in only:
                    continue
                with self.locked(folder.name) as free:
                    if free:
                        freed += _remove(folder)
        for lock in self._folders("locks"):
            with self.locked(lock.name) as free:
                if free:  # who opened it before this finds another one in its place
                    lock.unlink(missing_ok=True)
        return freed

    @contextmanager
    def locked(self, key: str, wait: Callable[[], None] | None = None) -> Iterator[bool]:
        """Hold what the process holds that works on `key`; see `animcli.files.locked`."""
        self.make_root()
        with locked(self.lock_of(key), wait) as free:
            yield free

    def lock_of(self, key: str) -> Path:
        """The file that `locked` locks."""
        return self.root / "locks" / key

    def _listed(self, entry: Path, *, read: bool = False) -> Listing | None:
        """State of an entry, by its record, and by every byte of it if it is to be `read`.

        None where another process has cleared it.
        """
        size = _size(entry)
        try:
            with disk_errors(entry):
                record = _record_of(entry)
        except ValueError:
            return Listing(entry.name, "", "damaged", size, _age(entry) / 1e9)
        if record is None:
            return None
        whole = not read or self.is_whole(self._artifact(record))
        state, written = "whole" if whole else "damaged", _age(entry) / 1e9
        return Listing(entry.name, record.cache_key.stage, state, size, written)

    def _artifact(self, record: Record) -> Artifact:
        name = f"{record.cache_key.stage}{record.suffix}"
        return Artifact(self._entry(record.cache_key.digest) / name, record)

    def _entry(self, key: str) -> Path:
        return self.root / "store" / key

    def _folders(self, kind: str) -> list[Path]:
        folder = self.root / kind
        with disk_errors(folder):
            return list(folder.iterdir()) if folder.is_dir() else []


def _record_of(entry: Path) -> Record | None:
    """The record of an entry, or None where there is no entry.

    Raises ValueError for a record that is damaged, gone or another entry's.
    """
    try:
        record = Record.from_json((entry / RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        # An entry comes with its record. Looked at again, since it may have just come.
        if entry.exists() and not (entry / RECORD).exists():
            raise ValueError(f"{entry} has no record") from None
        return None
    if record.cache_key.digest != entry.name:
        raise ValueError(f"{entry} has the record of {record.cache_key.digest}")
    return record


def _is_whole(artifact: Path, part: Part, check_cancelled: Callable[[], None]) -> bool:
    path = artifact / part.name if part.name else artifact
    try:
        held = path.stat().st_size
        return held == part.bytes and hash_file(path, check_cancelled) == part.sha256
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _remove(folder: Path) -> int:
    size = _size(folder)
    gone = temp_name(folder)  # half removed, it must not be taken for an entry
    with disk_errors(folder):
        try:
            folder.replace(gone)
        except FileNotFoundError:  # another process has just removed it
            return 0
        while True:  # another process that clears may be at the same folder
            try:
                shutil.rmtree(gone)
                return size
            except FileNotFoundError:
                if not gone.exists():  # it has taken this, and counts it
                    return 0


def _size(folder: Path) -> int:
    """Bytes of the files in it, of those that are still there."""
    size = 0
    with disk_errors(folder):
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError, NotADirectoryError):
                    size += Path(parent, name).lstat().st_size
    return size


def _age(path: Path) -> int:
    """Time at which it was written; 0 where another process has removed it."""
    with disk_errors(path), suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0


def keep_segment(part: Path, folder: Path, stem: str) -> Path:
    """Move a finished file to its name in `folder`: `<stem>-<digest><suffix of part>`."""
    with disk_errors(part):
        digest = hash_file(part)
    path = folder / f"{stem}-{digest}{part.suffix}"
    put_in_place(part, path)
    return path


def find_segment(folder: Path, stem: str) -> Path | None:
    """The unit that an earlier run left, if it is whole; a damaged one is removed."""
    whole = None
    for path in sorted(folder.glob(f"{stem}-*")):
        with disk_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif whole is None and path.stem == f"{stem}-{hash_file(path)}":
                whole = path
            else:
                path.unlink(missing_ok=True)
    return whole
