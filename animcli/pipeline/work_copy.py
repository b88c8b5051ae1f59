"""A copy of unfinished work in another place, for machines that go away with their disks.

    <folder>/<key>/...      what `.anim/work/<key>/` held after the last unit of work

A file there is whole or absent, and what it is worth is told by the digests that units
carry anyway. So a copy that is old or torn costs work, and never a wrong frame.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from animcli.files import PART, temp_name
from animcli.pipeline.stage import Warn


class Facts(NamedTuple):
    """By which a file is known that was copied: its last change in ns, its bytes."""

    changed: int
    size: int


@dataclass(frozen=True)
class WorkCopy:
    """Keeps the copy of one work folder up to date.

    work: the folder. copy: its copy. warn: told once where that can't be written; the work
        goes on without.
    """

    work: Path
    copy: Path
    warn: Warn
    _kept: dict[Path, Facts] = field(default_factory=dict, init=False)
    _failed: list[OSError] = field(default_factory=list, init=False)

    def restore(self) -> None:
        """Take what the copy holds, if it was written later than what is here."""
        try:
            there, here = dict(_files(self.copy)), dict(_files(self.work))
            self._kept.update(there)
            if not there or (here and _latest(here) >= _latest(there)):
                return
            for name in here:
                (self.work / name).unlink()
            for name in there:
                _copy(self.copy / name, self.work / name)
        except OSError as error:
            self._fail(error)

    def update(self) -> None:
        """Copy what was written since the last time, in that order; remove what is gone."""
        if self._failed:
            return
        found = sorted(_files(self.work), key=lambda each: each[1])
        try:
            for name, facts in found:
                if self._kept.get(name) != facts:
                    _copy(self.work / name, self.copy / name)
                    self._kept[name] = facts
            for name in self._kept.keys() - {name for name, _ in found}:
                (self.copy / name).unlink(missing_ok=True)
                del self._kept[name]
        except OSError as error:
            self._fail(error)

    def drop(self) -> None:
        """Remove the copy: the work is done, or of no use any more."""
        shutil.rmtree(self.copy, ignore_errors=True)

    def _fail(self, error: OSError) -> None:
        self._failed.append(error)
        why = error.strerror or error
        self.warn(f"--checkpoint-to: {self.copy.parent} can't be written ({why}); going on")


def _files(folder: Path) -> Iterator[tuple[Path, Facts]]:
    """Files below a folder that are whole, by their names in it."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(PART):
            status = path.stat()
            yield path.relative_to(folder), Facts(status.st_mtime_ns, status.st_size)


def _latest(files: Mapping[Path, Facts]) -> int:
    return max(facts.changed for facts in files.values())


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its time; `target` is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = temp_name(target)
    try:
        shutil.copy2(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
