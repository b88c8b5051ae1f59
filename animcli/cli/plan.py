"""From words to stages: what a command asks for, and what it comes to.

Commands of one line hand on what they made: a motion to `retarget` and `render`, a film to
`encode`. Results land in the working folder, named after what they were made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from animcli.cli.config import ConfigSources
from animcli.errors import UsageError

if TYPE_CHECKING:
    from animcli.cli.console import Console
    from animcli.cli.signals import Stop
    from animcli.pipeline.output import Step
    from animcli.pipeline.project import Project
    from animcli.pipeline.stage import Progress, Source, Stage
    from animcli.weights.store import WeightsStore


@dataclass(frozen=True)
class GlobalOptions:
    """Options of the whole line.

    cache: another place for the cache than the project.
    verbosity: how often -v was said.
    wait: for another process that is making the same thing.
    max_pixels: of a picture, where the line says it.
    yes: consent to hours of work, given beforehand.
    checkpoint_to: a folder on another disk that unfinished work is copied to.
    """

    project: Path | None = None
    cache: Path | None = None
    as_json: bool = False
    quiet: bool = False
    verbosity: int = 0
    dry_run: bool = False
    _: KW_ONLY
    force: bool = False
    wait: bool = True
    max_pixels: int | None = None
    yes: bool = False
    checkpoint_to: Path | None = None


@dataclass(frozen=True)
class Split:
    """Slots that predict the windows of one render together."""

    engine: str
    slots: int
    devices: tuple[str, ...] = ()
    """By name, where they were named: one for each slot."""

    @property
    def said(self) -> str:
        """The flag that asked for it."""
        return f"--device {','.join(self.devices)}" if self.devices else "--slots"


class Command(Protocol):
    """One command of the line."""

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Plan the command. Reads settings and looks for files; makes nothing."""


@dataclass(frozen=True)
class Session:
    """A command that is a line of its own, and runs other lines.

    run: (desk, console, stop) -> the exit code.
    """

    run: Callable[[Context, Console, Stop], int]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Raise UsageError: `then` joins nothing to it."""
        raise UsageError("`then` can't join this command to others", "give it alone")


@dataclass(frozen=True)
class Report:
    """Printed report of a command that makes no file.

    lines: for people.
    data: the same for the JSON object.
    exit_code: other than 0 where the answer is bad news.
    """

    lines: tuple[str, ...]
    data: tuple[object, ...]
    exit_code: int = 0


@dataclass(frozen=True)
class Action:
    """A command that answers at once instead of making a file."""

    run: Callable[[Context], Report]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Itself, in its turn."""
        return Plan((self,), state)


@dataclass(frozen=True)
class Tell:
    """A stage whose result is told instead of being put somewhere.

    read: gives what there is to say of the file that it makes.
    """

    step: Step
    read: Callable[[Path], Report]


@dataclass(frozen=True)
class Survey:
    """Work on several things, of which those that can't be read are left out.

    parts: for each thing the stages that read it; they are made first.
    task: (places in `parts` that are left) -> the work on these.
    """

    parts: tuple[tuple[Stage, ...], ...]
    task: Callable[[tuple[int, ...]], Step | Tell]

    def whole(self) -> Step | Tell:
        """The work on all of them."""
        return self.task(tuple(range(len(self.parts))))


@dataclass(frozen=True)
class Context:
    """Project, weights and settings that commands are planned and run with."""

    project: Project
    weights: WeightsStore
    config: ConfigSources
    options: GlobalOptions
    progress: Progress


@dataclass(frozen=True)
class Motion:
    """Keypoints over time, or a video that somebody drew.

    name: what results made of it are called after.
    video: where its sound is, if that is known.
    fitted_to: the picture whose character it was retargeted to.
    begins: seconds into the video at which it does.
    drawn: `densepose` or `skeleton` where it is a drawn video, or frames of one; such a
        motion has no keypoints, and is followed as it is.
    """

    source: Source
    name: str
    video: Path | None = None
    fitted_to: Path | None = None
    drawn: str | None = None
    begins: Fraction = Fraction(0)


@dataclass(frozen=True)
class FrameSource:
    """Frames that a stage makes, and the video whose sound goes along, as fast as they.

    sound_start: seconds into the sound at which the first frame is shown.
    looped: the motion that starts again where it ends, and its sound with it.
    driving: the video whose motion they follow, where that is known.
    alpha: the frames have it, and the result is to have it.
    """

    frames: Source
    name: str
    sound: Path | None = None
    sound_start: Fraction = Fraction(0)
    looped: Source | None = None
    speed: Fraction = Fraction(1)
    _: KW_ONLY
    driving: Path | None = None
    alpha: bool = False


@dataclass(frozen=True)
class PipelineState:
    """Motion and frames that the commands so far leave for the next."""

    motion: Motion | None = None
    source: FrameSource | None = None


Task: TypeAlias = "Step | Action | Tell | Survey"


@dataclass(frozen=True)
class Plan:
    """Tasks of one command, and what it leaves for the next.

    independent: a failure of one entry says nothing about the others.
    folder: where the results go, made if it isn't there.
    note: what was chosen where nothing was said.
    split: slots that predict for its render, if it is done by several.
    """

    tasks: tuple[Task, ...]
    state: PipelineState
    independent: bool = False
    folder: Path | None = None
    note: str = ""
    split: Split | None = None


def name_of(path: Path) -> str:
    """Name that results made of a file or folder get."""
    return path.stem or path.resolve().name


def output_path(out: Path | None, name: str) -> Path:
    """Path of a result called `name`: in the working folder unless `out` says better."""
    if out is None:
        return Path(name)
    return out / name if out.is_dir() else out
