"""From words to stages: what a command asks for, and what it comes to.

Commands of one line hand on what they made: a motion to `retarget` and `render`, a film to
`encode`. Results land in the working folder, named after what they were made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from animcli.cli.config import Layers
from animcli.errors import UsageError

if TYPE_CHECKING:
    from animcli.cli.console import Console
    from animcli.cli.signals import Stop
    from animcli.pipeline.output import Step
    from animcli.pipeline.project import Project
    from animcli.pipeline.stage import Report, Source
    from animcli.weights.store import WeightsStore


@dataclass(frozen=True)
class LineOptions:
    """What is said once for the whole line.

    cache: another place for the cache than the project.
    verbosity: how often -v was said.
    wait: for another process that is making the same thing.
    max_pixels: of a picture, where the line says it.
    yes: consent to hours of work, given beforehand.
    """

    project: Path | None = None
    cache: Path | None = None
    as_json: bool = False
    quiet: bool = False
    verbosity: int = 0
    dry_run: bool = False
    force: bool = False
    wait: bool = True
    max_pixels: int | None = None
    yes: bool = False


@dataclass(frozen=True)
class Split:
    """Slots that predict the windows of one render together."""

    engine: str
    slots: int


class Request(Protocol):
    """One command of the line."""

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """What it comes to. Reads settings and looks for files; makes nothing."""


@dataclass(frozen=True)
class Session:
    """A command that is a line of its own, and runs other lines.

    run: (desk, console, stop) -> the exit code.
    """

    run: Callable[[Desk, Console, Stop], int]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Raise UsageError: `then` joins nothing to it."""
        raise UsageError("`then` can't join this command to others", "give it alone")


@dataclass(frozen=True)
class Answer:
    """What a command says that makes no file.

    lines: for people.
    data: the same for the JSON object.
    exit_code: other than 0 where the answer is bad news.
    """

    lines: tuple[str, ...]
    data: tuple[object, ...]
    exit_code: int = 0


@dataclass(frozen=True)
class Act:
    """A command that answers at once instead of making a file."""

    run: Callable[[Desk], Answer]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Itself, in its turn."""
        return Planned((self,), thread)


@dataclass(frozen=True)
class Desk:
    """What commands are planned and answered with."""

    project: Project
    weights: WeightsStore
    layers: Layers
    line: LineOptions
    report: Report


@dataclass(frozen=True)
class Motion:
    """Joints over time, or a video that somebody drew.

    name: what results made of it are called after.
    video: where its sound is, if that is known.
    fitted_to: the picture whose character it was retargeted to.
    drawn: `densepose` or `skeleton` where it is a drawn video, or frames of one; such a
        motion has no joints, and is followed as it is.
    """

    source: Source
    name: str
    video: Path | None = None
    fitted_to: Path | None = None
    drawn: str | None = None


@dataclass(frozen=True)
class Film:
    """Frames that a stage makes, and the video whose sound goes along."""

    frames: Source
    name: str
    sound: Path | None = None


@dataclass(frozen=True)
class Thread:
    """What the commands so far leave for the next."""

    motion: Motion | None = None
    film: Film | None = None


Entry: TypeAlias = "Step | Act"


@dataclass(frozen=True)
class Planned:
    """What one command comes to, and what it leaves for the next.

    independent: a failure of one entry says nothing about the others.
    folder: where the results go, made if it isn't there.
    note: what was chosen where nothing was said.
    split: slots that predict for its render, if it is done by several.
    """

    entries: tuple[Entry, ...]
    thread: Thread
    independent: bool = False
    folder: Path | None = None
    note: str = ""
    split: Split | None = None


def name_of(path: Path) -> str:
    """What results made of a file or folder are called after."""
    return path.stem or path.resolve().name


def place(out: Path | None, name: str) -> Path:
    """Where a result called `name` goes: the working folder unless `out` says better."""
    if out is None:
        return Path(name)
    return out / name if out.is_dir() else out
