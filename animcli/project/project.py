"""A project: the folder that holds `anim.toml`, and the cache in it."""

from dataclasses import dataclass
from pathlib import Path

from animcli.project.store import Store

SETTINGS = "anim.toml"
CACHE = ".anim"


@dataclass(frozen=True)
class Project:
    """Where the work is kept.

    root: the folder with `anim.toml`, or the working folder where there is none above.
    cache: the folder that remembers, `.anim` in the root unless it was put elsewhere.
    """

    root: Path
    cache: Path

    @property
    def settings(self) -> Path | None:
        """The project's `anim.toml`, if it has one."""

    @property
    def store(self) -> Store:
        """The finished artifacts."""


def find_project(start: Path, cache: Path | None = None) -> Project:
    """The project that `start` (a folder) lies in: the nearest `anim.toml` upwards decides.

    cache: another place for the cache than `.anim` in the project.

    Raises ProjectError where the cache can be written by everybody. Nothing is written.
    """
