"""From words to stages: what each command makes, out of what, and where it goes.

Commands of one line hand on what they made: a motion to `retarget` and `render`, a film to
`encode`. Results land in the working folder, named after what they were made of.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from animcli.cli.request import Act, LineOptions
from animcli.cli.settings import Layers
from animcli.project.project import Project
from animcli.stages.deliver import Step
from animcli.stages.stage import Report, Source
from animcli.weights.store import WeightsStore


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
    """

    entries: tuple[Entry, ...]
    thread: Thread
    independent: bool = False
    folder: Path | None = None
    note: str = ""


def name_of(path: Path) -> str:
    """What results made of a file or folder are called after."""
    return path.stem or path.resolve().name


def place(out: Path | None, name: str) -> Path:
    """Where a result called `name` goes: the working folder unless `out` says better."""
    if out is None:
        return Path(name)
    return out / name if out.is_dir() else out
