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

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from animcli.errors import StorageError
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
from animcli.pipeline.record import Artifact, CacheKey, Part, Record, files_of, hash_file

RECORD: Final = "record.json"
ENTRY: Final = "entry"
CORRUPT: Final = ".corrupt-"


@dataclass(frozen=True)
class Listing:
    """A line of `anim cache list`.

    stage: name of the stage, empty where no record can be read.
    state: `whole` (as far as the record tells), `unfinished` or `damaged`.
    bytes: on disk.
    """

    key: str
    stage: str
    state: str
    bytes: int


@dataclass(frozen=True)
class Store:
    """Artifacts by key in the cache folder `root`, whole or absent.

    warn: told of every entry that was found damaged.
    """

    root: Path
    warn: Callable[[str], None] = lambda line: None

    def find(self, key: str) -> Artifact | None:
        """The artifact with this key, its record checked and its bytes not read yet.

        One whose record is damaged or gone is set aside, and None.
        """
        try:
            record = _record_of(self._entry(key))
        except ValueError:
            self.quarantine(key)
            return None
        return None if record is None else self._artifact(record)

    def is_whole(self, artifact: Artifact) -> bool:
        """Compare every byte of an artifact with its record; reads all of it."""
        return all(_is_whole(artifact.path, part) for part in artifact.record.parts)

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
        if not self.root.is_dir():
            make_folder(self.root)
            write_file(self.root / ".gitignore", b"*\n")
        work = make_folder(self.work_of(key))
        remove_abandoned(work.rglob(f"{PART}*"))
        return work

    def is_started(self, key: str) -> bool:
        """Tell if an earlier run left something to go on from."""
        return self.work_of(key).is_dir()

    def drop_work(self, key: str) -> None:
        """Remove what helped to go on with `key`; `clear` takes what stays behind."""
        shutil.rmtree(self.work_of(key), ignore_errors=True)

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
        except StorageError:
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
                yield Listing(entry.name.rpartition(".")[2], "", "damaged", _size(entry))
            elif listed := self._listed(entry):
                yield listed
        for work in sorted(unfinished, key=_age):
            yield Listing(work.name, "", "unfinished", _size(work))

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

    def clear(self, *, unfinished_only: bool = False) -> int:
        """Remove what can be made again; the bytes that became free.

        What another process is working on stays.
        """
        freed = 0
        for kind in ("work",) if unfinished_only else ("work", "store"):
            for folder in self._folders(kind):
                with locked(self.lock_of(folder.name)) as free:
                    if free:
                        freed += _remove(folder)
        return freed

    def lock_of(self, key: str) -> Path:
        """The file whose lock the process holds that works on `key`."""
        return self.root / "locks" / key

    def _listed(self, entry: Path, *, read: bool = False) -> Listing | None:
        """State of an entry, by its record, and by every byte of it if it is to be `read`.

        None where another process has cleared it.
        """
        size = _size(entry)
        try:
            record = _record_of(entry)
        except ValueError:
            return Listing(entry.name, "", "damaged", size)
        if record is None:
            return None
        whole = not read or self.is_whole(self._artifact(record))
        return Listing(
            entry.name, record.cache_key.stage, "whole" if whole else "damaged", size
        )

    def _artifact(self, record: Record) -> Artifact:
        name = f"{record.cache_key.stage}{record.suffix}"
        return Artifact(self._entry(record.cache_key.digest) / name, record)

    def _entry(self, key: str) -> Path:
        return self.root / "store" / key

    def _folders(self, kind: str) -> list[Path]:
        folder = self.root / kind
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


def _is_whole(artifact: Path, part: Part) -> bool:
    path = artifact / part.name if part.name else artifact
    try:
        return path.stat().st_size == part.bytes and hash_file(path) == part.sha256
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _remove(folder: Path) -> int:
    size = _size(folder)
    gone = temp_name(folder)  # half removed, it must not be taken for an entry
    with disk_errors(folder):
        folder.replace(gone)
        shutil.rmtree(gone)
    return size


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns


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
        if whole is None and path.stem == f"{stem}-{hash_file(path)}":
            whole = path
        else:
            with disk_errors(path):
                path.unlink(missing_ok=True)
    return whole
