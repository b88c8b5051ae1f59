"""A project: the folder that holds `anim.toml`, and the cache in it."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from animcli.errors import ProjectError
from animcli.files import disk_errors
from animcli.pipeline.cache import Store

SETTINGS: Final = "anim.toml"
CACHE: Final = ".anim"


@dataclass(frozen=True)
class Project:
    """Folder of the work, and its cache.

    root: the folder with `anim.toml`, or the working folder where there is none above.
    cache: the folder that remembers, `.anim` in the root unless it was put elsewhere.
    checkpoints: a folder on another disk that unfinished work is copied to.
    """

    root: Path
    cache: Path
    checkpoints: Path | None = None

    @property
    def settings(self) -> Path | None:
        """The project's `anim.toml`, if it has one."""
        path = self.root / SETTINGS
        return path if path.is_file() else None

    @property
    def store(self) -> Store:
        """The finished artifacts."""
        return Store(self.cache)


def find_project(
    start: Path, cache: Path | None = None, checkpoints: Path | None = None
) -> Project:
    """The project that `start` (a folder) lies in: the nearest `anim.toml` upwards decides.

    cache: another place for the cache than `.anim` in the project.
    checkpoints: a folder on another disk that unfinished work is copied to.

    Raises ProjectError where everybody may write to the cache, StorageError where the
    system lets nobody look. Nothing is written.
    """
    with disk_errors(start):
        start = start.resolve()
        above = (each for each in (start, *start.parents) if (each / SETTINGS).is_file())
        root = next(above, start)
        place = root / CACHE if cache is None else cache.resolve()
        if place.exists():
            _check_owner_only(place)
    return Project(root, place, None if checkpoints is None else checkpoints.absolute())


def _check_owner_only(cache: Path) -> None:
    if not cache.is_dir():
        raise ProjectError(f"{cache} is a file, and the cache is a folder", "move it away")
    mode = cache.stat().st_mode
    if os.name != "nt" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ProjectError(
            f"{cache} can be written by everybody on this machine, so what is in it can't "
            "be trusted",
            f"chmod 700 {cache}",
        )
