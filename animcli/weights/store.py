"""The weights store: one folder per entry of the catalog, whole or absent.

Beside its files a folder has a stamp: how large each file is, when it was written, the
SHA-256 that it had, and in which run of the system that was. Every byte is read again once
after each start of the system, and whenever size, times or place on the disk are others:
what rots on a disk keeps all of these, and is seen when it comes from there. In between the
digest is taken from the stamp, so that gigabytes aren't read at every start of ours. Files
whose digest the catalog doesn't know are trusted as they first come, and held to that.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from animcli.errors import ProjectError, StorageError, WeightsError
from animcli.weights.catalog import (
    TO_ACCEPT,
    CatalogEntry,
    Fetched,
    Hub,
    Packaged,
    Snapshot,
    WeightFile,
    by_hand,
    load_catalog,
)
from animcli.weights.download import Fetch, fetch, unpack_wheel
from animcli.weights.hub import Progress
from animcli.weights.inspect import Expect, Shapes, check_published, match_files
from animcli.weights.snapshot import fetch_snapshot, stamp_folder
from animcli.weights.stamp import (
    EntryStamp,
    FileStamp,
    check_same,
    read_stamp,
    stamped,
    write_stamp,
)

READY: Final = "ready"
"""In an entry's folder of what comes in: its files as they will be stored."""


def absent(entry: CatalogEntry) -> WeightsError:
    """That an entry isn't here: its size, its licence, and how to get it."""
    return WeightsError(
        f"the weights {entry.name} aren't here ({amount(entry.bytes)}, {entry.licence})",
        f"get them with: anim weights pull {entry.name}",
    )


def default_root(environment: Mapping[str, str]) -> Path:
    """Folder of the weights: `ANIM_WEIGHTS`, else in the user's cache folder."""
    from platformdirs import user_cache_path

    if chosen := environment.get("ANIM_WEIGHTS"):
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError as error:
            raise ProjectError(
                f"ANIM_WEIGHTS={chosen}: there is no such user", "give the whole path"
            ) from error
    return user_cache_path("animcli", appauthor=False) / "weights"


def no_progress(what: str, done: int, total: int) -> None:
    """Report nothing."""


class WeightsStore:
    """The entries that are on this machine, under the folder `root`."""

    def __init__(
        self,
        root: Path,
        catalog: Mapping[str, CatalogEntry] | None = None,
        fetch: Fetch = fetch,
    ) -> None:
        self.root = root
        self.catalog = load_catalog() if catalog is None else catalog
        self._fetch = fetch
        self._read: dict[str, EntryStamp] = {}  # in the place of stamps on read-only disks

    def entry(self, name: str) -> CatalogEntry:
        """Entry of the catalog."""
        if name not in self.catalog:
            known = ", ".join(self.catalog)
            raise WeightsError(f"no weights are called {name!r}", f"there are: {known}")
        return self.catalog[name]

    def has(self, name: str) -> bool:
        """Tell if all files of an entry are there; what they hold isn't looked at."""
        folder = self._folder(name)
        with _reading(folder):
            return all((folder / file.name).is_file() for file in self.entry(name).files)

    def path(self, name: str) -> Path:
        """The folder of an entry, its files unchanged since they were checked.

        Raises WeightsError with the command that gets it, or names the changed file.
        """
        self._stamp(name)
        return self._folder(name)

    def digests(self, name: str) -> dict[str, str]:
        """The SHA-256 of each file of an entry."""
        stamp = self._stamp(name)
        return {file: stamped.sha256 for file, stamped in stamp.files.items()}

    def ensure(self, name: str, progress: Progress = no_progress) -> Path:
        """The folder of an entry; one that is wanted on first use is got now."""
        if self.entry(name).on_first_use and not self.has(name):
            self.pull(name, progress)
        return self.path(name)

    def pull(
        self,
        name: str,
        progress: Progress = no_progress,
        expect: Expect | None = None,
        *,
        half: bool = False,
    ) -> Path:
        """Get an entry from where it is published; nothing is done if it's there.

        expect: says which tensors networks need; a file of others is refused.
        half: keep tensors in float16: half of the disk, and of what each start reads.

        What an attempt got or made ready that was broken off is neither got nor made again.
        """
        entry = self.entry(name)
        if isinstance(entry.source, Snapshot):
            if not self.has(name):
                folder, revision = fetch_snapshot(entry, entry.source, progress)
                self._register(entry, entry.source, folder, revision, progress)
            return self.path(name)
        with self._incoming(entry, progress) as folder:
            if not self.has(name):
                least = entry.bytes + max(file.about for file in entry.files)
                self._check_room(entry, folder, least)
                again = f"give the same command again, or {by_hand(entry)}"
                begun = _begun(folder / READY, half=half)
                lacking = tuple(
                    file for file in entry.files if file.name not in begun.files
                )
                if lacking:
                    rest = replace(entry, files=lacking)
                    if isinstance(entry.source, Hub) and begun.revision:
                        rest = replace(
                            rest, source=replace(entry.source, revision=begun.revision)
                        )
                    fetched = self._fetch(rest, folder, progress)
                else:
                    fetched = Fetched({}, begun.revision, {})
                self._install(entry, fetched, expect, again, begun)
        return self.path(name)

    def import_files(
        self,
        name: str,
        paths: Iterable[Path],
        progress: Progress = no_progress,
        expect: Expect | None = None,
        *,
        half: bool = False,
    ) -> Path:
        """Take an entry from files on the disk: its files, folders of them, or its wheel.

        What is in the store already is replaced. All files must be given at once, since an
        entry is there whole or not at all.
        """
        entry = self.entry(name)
        if isinstance(entry.source, Packaged):
            raise WeightsError(
                f"the weights {name} come with animcli and aren't replaced",
                "a preset of your own may name another renderer",
            )
        given = list(paths)
        for path in given:
            if not path.exists():
                raise WeightsError(f"{path}: no such file", "give the path of a file")
        if isinstance(entry.source, Snapshot):
            if len(given) != 1 or not given[0].is_dir():
                raise WeightsError(
                    f"{name} is a whole diffusers folder",
                    "give that folder, and nothing else",
                )
            self._register(entry, entry.source, given[0].resolve(), None, progress)
            return self.path(name)
        with self._incoming(entry, progress) as folder:
            if len(given) == 1 and given[0].suffix in (".whl", ".zip"):
                found = unpack_wheel(entry, given[0], folder)
            else:
                found = match_files(entry, given)
            lacking = [file.path for file in entry.files if file.name not in found]
            if lacking:
                raise WeightsError(
                    f"{name} isn't whole without {', '.join(lacking)}", "give them as well"
                )
            again = "get the file again from where it is published"
            shutil.rmtree(folder / READY, ignore_errors=True)
            self._check_room(entry, folder, sum(x.stat().st_size for x in found.values()))
            begun = _begun(folder / READY, half=half)
            try:
                self._install(entry, Fetched(found, None, {}), expect, again, begun)
            except BaseException:  # nothing that the user doesn't have is lost by that
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return self.path(name)

    def _register(
        self,
        entry: CatalogEntry,
        source: Snapshot,
        folder: Path,
        revision: str | None,
        progress: Progress,
    ) -> None:
        """Note where a snapshot is, and the digest of each of its files."""
        stamp = stamp_folder(entry, source, folder, revision, progress)
        place = self.root / entry.name
        with _storing(place):
            place.mkdir(parents=True, exist_ok=True)
            write_stamp(place, stamp)

    def check_terms(self, name: str, accepted: Iterable[str]) -> None:
        """Raise WeightsError where an entry's terms have to be accepted and weren't."""
        entry = self.entry(name)
        if entry.terms in TO_ACCEPT and name not in accepted and not self.has(name):
            raise WeightsError(
                f"{name} is under {entry.terms} terms: {entry.licence}",
                f"read them, then: anim weights pull {name} --accept {name}",
            )

    def verify(self, name: str) -> dict[str, str]:
        """Read every byte of an entry; its digests, or WeightsError for a wrong file."""
        stamp, again = self._stamp(name), self._again(name)
        with _reading(self._folder(name)):
            for file, was in stamp.files.items():
                check_same(self._folder(name) / file, was, again)
        return self.digests(name)

    def size(self, name: str) -> int:
        """Bytes of an entry on this disk; 0 where it isn't here."""
        held = [self._folder(name) / file.name for file in self.entry(name).files]
        with _reading(self._folder(name)):
            return sum(file.stat().st_size for file in held if file.is_file())

    def remove(self, name: str) -> int:
        """Free the bytes of an entry; WeightsError for one that isn't this store's."""
        place, freed = self.root / self.entry(name).name, self.size(name)
        if self._folder(name) != place:
            raise WeightsError(f"{name} lies in {self._folder(name)}, which others use")
        with self._incoming(self.entry(name), no_progress), _storing(place):
            shutil.rmtree(place, ignore_errors=not place.exists())
        self._read.pop(name, None)
        return freed

    def check_unchanged(self, name: str) -> None:
        """Raise WeightsError if a file was written since its digest was taken."""
        if name not in self._read or self._read[name].changed(self._folder(name)):
            self._stamp(name)

    def _folder(self, name: str) -> Path:
        entry = self.entry(name)
        if isinstance(entry.source, Packaged):  # used where it is: it changes with animcli
            return Path(str(resources.files("animcli"))) / entry.source.folder
        place = self.root / entry.name
        if isinstance(entry.source, Snapshot):
            stamp = read_stamp(place)
            if stamp is not None and stamp.folder is not None:
                return Path(stamp.folder)
        return place

    def _again(self, name: str) -> str:
        if isinstance(self.entry(name).source, Packaged):
            return "install animcli again"
        return f"remove {self.root / name}, then: anim weights pull {name}"

    def _stamp(self, name: str) -> EntryStamp:
        """The stamp of an entry, whose files are as it says."""
        entry, folder = self.entry(name), self._folder(name)
        if not self.has(name):
            packaged = isinstance(entry.source, Packaged)
            error = absent(entry)
            raise WeightsError(error.message, self._again(name)) if packaged else error
        with _reading(folder):
            self._read[name] = self._checked(entry, folder, self._again(name))
        return self._read[name]

    def _checked(self, entry: CatalogEntry, folder: Path, again: str) -> EntryStamp:
        """The stamp of files that were read in this run of the system; read now if not."""
        whole = isinstance(entry.source, Snapshot)
        place = self.root / entry.name if whole else folder
        stamp, names = read_stamp(place), {file.name for file in entry.files}
        if whole and stamp is not None:
            for absent in (each for each in stamp.files if not (folder / each).is_file()):
                raise WeightsError(f"{folder / absent} isn't there any more", again)
        for known in (stamp, self._read.get(entry.name)):
            same = known is not None and (whole or known.files.keys() == names)
            if known and same and not known.changed(folder):
                return known
        if isinstance(entry.source, Snapshot) and stamp is None:
            stamp = stamp_folder(entry, entry.source, folder, None, no_progress)
        elif stamp is None or not (whole or stamp.files.keys() == names):
            found = {file.name: _adopt(folder, file, again) for file in entry.files}
            if isinstance(entry.source, Packaged):
                return EntryStamp(str(entry.source), None, found)
            stamp = EntryStamp("put there by hand", None, found)
        else:
            found = dict(stamp.files)
            for file in stamp.changed(folder):
                was = stamp.files[file]
                fresh = stamped(folder / file, was.sha256, was.published)  # as it is before
                check_same(folder / file, was, again)
                found[file] = fresh
            stamp = replace(stamp, files=found)
        with suppress(OSError):  # a store that may only be read is read in each process
            write_stamp(place, stamp)
        return stamp

    @contextmanager
    def _incoming(self, entry: CatalogEntry, progress: Progress) -> Iterator[Path]:
        """A folder for what is on its way in, held by one process at a time.

        It is removed when all went well, else kept, so that a broken download can go on:
        with the files that it got, and within the one that it was getting.
        """
        folder = self.root / ".incoming" / entry.name
        with _storing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".incoming" / f"{entry.name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                progress(f"waiting for another anim that is getting {entry.name}", 0, 0)
                lock.acquire()
            try:
                folder.mkdir(exist_ok=True)  # whoever had the lock before removes its own
                yield folder
                shutil.rmtree(folder)
            finally:
                lock.release()

    def _check_room(self, entry: CatalogEntry, folder: Path, wanted: int) -> None:
        """Raise StorageError where so many bytes don't fit, less what is in the folder."""
        free = shutil.disk_usage(self.root).free
        held = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
        if free < wanted - held:
            had = f" more than the {amount(held)} that came already" if held else ""
            raise StorageError(
                f"{self.root} has {amount(free)} free; getting {entry.name} takes "
                f"{amount(wanted - held)}{had} for a while",
                "free some space, or set ANIM_WEIGHTS to a folder on another disk",
            )

    def _install(
        self,
        entry: CatalogEntry,
        fetched: Fetched,
        expect: Expect | None,
        again: str,
        begun: EntryStamp,
    ) -> None:
        """Check and convert files, and put all of them in place together.

        A file that came in goes as soon as it is converted, so that there is never more
        than one of them twice. begun: what is ready already.
        """
        incoming = self.root / ".incoming" / entry.name
        ready, files = incoming / READY, dict(begun.files)
        paths = {**fetched.paths, **{name: ready / name for name in files}}
        tensors = any(file.naming is not None for file in entry.files)
        expected = expect(paths) if expect is not None and tensors else {}
        for file in entry.files:
            if file.name in begun.files:
                continue
            source, target = fetched.paths[file.name], ready / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            came_in = source.is_relative_to(incoming)
            try:
                published = check_published(source, file, again)
                if published != fetched.digests.get(file.name, published):
                    raise WeightsError(f"{source} isn't what {entry.source} holds", again)
                _convert(
                    source, target, file, expected.get(file.name),
                    half=begun.half, moves=came_in,
                )  # fmt: skip
            except WeightsError:
                if came_in:
                    source.unlink(missing_ok=True)  # or it would be taken for whole
                raise
            _flush(target)
            files[file.name] = stamped(target, published=published)
            source_of = EntryStamp(str(entry.source), fetched.revision, files, begun.half)
            write_stamp(ready, source_of)
            if came_in:
                source.unlink(missing_ok=True)
        folder, old = self._folder(entry.name), ready.parent / "old"
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        ready.rename(folder)
        _flush(self.root)


def _begun(ready: Path, *, half: bool) -> EntryStamp:
    """Files that an attempt in the same precision made ready before it was broken off."""
    stamp = read_stamp(ready)
    if stamp is None or stamp.half != half:
        shutil.rmtree(ready, ignore_errors=True)
        return EntryStamp("", None, {}, half)
    there = {name: was for name, was in stamp.files.items() if (ready / name).is_file()}
    return replace(stamp, files=there)


def _convert(
    source: Path,
    target: Path,
    file: WeightFile,
    expected: Shapes | None,
    *,
    half: bool,
    moves: bool,
) -> None:
    """Make the stored file of a published one; `moves` if that isn't wanted any more."""
    if file.naming is not None:
        from animcli.weights.convert import NAMINGS, to_safetensors  # torch, for tensors

        if to_safetensors(source, target, NAMINGS[file.naming], expected, half=half):
            return
    if moves:
        source.replace(target)
    else:
        shutil.copyfile(source, target)


def _adopt(folder: Path, file: WeightFile, again: str) -> FileStamp:
    """The stamp of a file that was put into the store by hand."""
    path = folder / file.name
    if file.name.endswith(".safetensors") and not file.path.endswith(".safetensors"):
        file = replace(file, bytes=None, sha256=None)  # those are of the pickle
    return stamped(path, check_published(path, file, again))


def _flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows flushes no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Name `path` when the system refuses to write or read."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{error.filename2 or error.filename or path}: {reason}",
            "set ANIM_WEIGHTS to a folder that can be written, with enough room",
        ) from error


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Say whose it is when the system refuses to read what is in a folder of weights."""
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"{error.filename or folder}: {(error.strerror or str(error)).lower()}",
            f"its owner may let you read it (chmod -R a+rX {folder}), or set ANIM_WEIGHTS "
            "to a folder of your own",
        ) from error


def amount(size: int) -> str:
    """Bytes as a person reads them."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:,} bytes"
