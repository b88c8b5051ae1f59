"""Options for renderers that know the figure: who performs what, before which background.

A cast is a TOML file with a table for each character:

    [[character]]
    person = 1                # from the left; or box = [left, top, right, bottom], pixels
    motion = "dance.mp4"      # beside the file
    motion_person = 2         # of several in that video
    speed = 0.8               # and only, start, end, every, as the flags of anim render
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from animcli.cli.config import Options, Settings
from animcli.cli.following import OnlyPart, is_single_picture
from animcli.cli.motion import check_keypoints, read_motion
from animcli.cli.options import read_part
from animcli.cli.plan import Motion
from animcli.errors import ProjectError, UsageError
from animcli.presets import Preset
from animcli.registry import Trait
from animcli.settings import line_of, read_toml, suggest

if TYPE_CHECKING:
    from animcli.cli.render import Render
    from animcli.stages.render import RenderStage

_DRIVING: Final = "driving"
"""Background that is the driving video's own."""

Cast = Annotated[
    Path | None,
    typer.Option(
        "--cast", metavar="TOML", help="Several characters, each with its own motion."
    ),
]
BackgroundFlag = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="FILE|COLOUR|driving",
        help="Behind the figures: a picture, a video, a colour, or the motion's video.",
    ),
]
Alpha = Annotated[
    bool, typer.Option("--alpha", help="The figures alone, all else transparent.")
]


@dataclass(frozen=True)
class CastRole:
    """One character of a cast: `person` as `FindPose` has it, and what it performs."""

    person: str
    motion: Motion
    speed: Fraction
    only: OnlyPart


@dataclass(frozen=True)
class FigureOptions:
    """Options that mean something where the renderer knows the figure."""

    cast: Path | None = None
    background: str | None = None
    alpha: bool = False

    def check(self, preset: Preset, asked: Render) -> None:
        """Raise UsageError for what the preset's renderer can't do, or other flags say."""
        given = {
            "--cast": self.cast is not None,
            "--background": self.background is not None,
            "--alpha": self.alpha,
        }
        for name in (name for name, said in given.items() if said):
            if not preset.has(Trait.FIGURE):
                raise UsageError(
                    f"{name} has no effect with the preset {preset.name}: "
                    f"{preset.renderer} doesn't know the figure from the rest",
                    "--preset cutout",
                )
        if self.alpha and self.background is not None:
            raise UsageError("--alpha leaves the background out", "give one of the two")
        if self.cast is None:
            return
        follow = asked.follow
        said = {
            "--motion": asked.motion is not None,
            f"--{next(iter(asked.part), '')}": bool(asked.part),
            "--speed": follow.speed != 1,
            "--only": follow.only is not OnlyPart.ALL,
            "--reference-pose": follow.reference_pose is not None,
            "--reference-person": follow.reference_person is not None,
            "--person": "person" in asked.overrides,
            "--no-retarget": not asked.retarget,
            "--report": asked.report,
            f"--background {_DRIVING}": self.background == _DRIVING,
        }
        for name in (name for name, is_said in said.items() if is_said):
            raise UsageError(
                f"{name} is about one character, and --cast has several",
                f"leave {name} out; {self.cast} says it for each",
            )

    def roles(self, options: Options, keep_going: bool) -> list[CastRole]:
        """The characters of the cast, in its order; none without one."""
        return [] if self.cast is None else read_cast(self.cast, options, keep_going)

    def applied(
        self, stage: RenderStage, roles: list[CastRole], motion: Motion, settings: Settings
    ) -> RenderStage:
        """The render with these figures and this background."""
        if roles:
            each = [
                replace(
                    stage,
                    motion=role.motion.source,
                    person=role.person,
                    speed=role.speed,
                    only=role.only.value,
                )
                for role in roles
            ]
            stage = replace(each[0], cast=tuple(each[1:]))
        stage = replace(stage, alpha=self.alpha)
        if self.background is None:
            return stage
        if self.background == _DRIVING:
            return self.in_the_video(stage, motion, settings)
        return replace(stage, background=background_of(self.background, stage.size))

    def in_the_video(
        self, stage: RenderStage, motion: Motion, settings: Settings
    ) -> RenderStage:
        """The render in which the character stands where the video's person was."""
        from animcli.stages.fitting import Fit

        video = motion.video
        if video is None:
            raise UsageError(
                f"--background {_DRIVING}: the video of {motion.name} isn't here",
                "--motion VIDEO, or the .pose beside the video that it was found in",
            )
        preset = stage.preset
        if preset.own_size and not settings.origins.keys() & {"width", "height"}:
            from animcli.cli.choices import fitting_size
            from animcli.video.reader import open_footage

            with open_footage(video, keep_going=True) as reader:
                width, height = fitting_size((reader.info.width, reader.info.height))
            preset = replace(preset, width=width, height=height)
        fit = Fit(settings.options.fit or Fit.PAD)  # the picture isn't what has the shape
        return replace(stage, preset=preset, fit=fit, footage=video, background=_DRIVING)


ITS_PICTURE: Final = FigureOptions()


def background_of(word: str, size: tuple[int, int]) -> Any:
    """Source or colour `#rrggbb` of a background that a word names.

    Raises UsageError for what is neither a file nor a colour.
    """
    from PIL import ImageColor

    from animcli.stages.fitting import Fit
    from animcli.stages.reference import FitClip, FitPicture

    path = Path(word)
    if path.exists():
        if is_single_picture(path):
            return FitPicture(path, size, Fit.CROP)
        return FitClip(path, size, Fit.CROP)
    try:
        red, green, blue = ImageColor.getrgb(word)[:3]
    except ValueError as error:
        raise UsageError(
            f"--background {word}: no such file, and no colour",
            "such as --background beach.jpg, '#00b140', white, or driving",
        ) from error
    return f"#{red:02x}{green:02x}{blue:02x}"


_KEYS: Final = (
    *("person", "box", "motion", "motion_person"),
    *("speed", "only", "start", "end", "every"),
)


def read_cast(path: Path, options: Options, keep_going: bool = False) -> list[CastRole]:
    """The characters in a cast file. Raises ProjectError, naming the file and the key."""
    table, text = read_toml(path, ProjectError)
    for name in table.keys() - {"character"}:
        raise ProjectError(f"{path}:{line_of(text, name)}: unknown key '{name}'", _SHAPE)
    characters = table.get("character")
    if not isinstance(characters, list) or not characters:
        raise ProjectError(f"{path}: has no [[character]]", _SHAPE)
    roles = []
    for number, said in enumerate(characters, 1):
        where = f"{path}: character {number}"
        if not isinstance(said, dict):
            raise ProjectError(f"{where} is {said!r}, and no table", _SHAPE)
        roles.append(_role(said, where, path.parent, options, keep_going))
    people = [role.person for role in roles]
    for person in people:
        if people.count(person) > 1:
            raise ProjectError(f"{path}: two characters are the person {person}")
    return roles


_SHAPE: Final = 'such as [[character]] with person = 1 and motion = "dance.mp4"'


def _role(
    said: Mapping[str, Any], where: str, folder: Path, options: Options, keep_going: bool
) -> CastRole:
    for name in said.keys() - set(_KEYS):
        hint = suggest(name, _KEYS) or f"the keys are {', '.join(_KEYS)}"
        raise ProjectError(f"{where}: unknown key '{name}'", hint)
    if ("person" in said) == ("box" in said):
        raise ProjectError(f"{where}: says its person or its box, one of them", _SHAPE)
    person = str(said.get("person"))
    if "box" in said:
        box = said["box"]
        sides = isinstance(box, list) and [type(side) for side in box] == [int] * 4
        if not sides or min(box) < 0 or max(box) > 999_999:
            raise ProjectError(f"{where}: box is [left, top, right, bottom], not {box!r}")
        person = ",".join(map(str, box))
    elif not re.fullmatch(r"largest|center|[1-9]\d{0,3}", person):
        raise ProjectError(f"{where}: person is largest, center or 1, 2, ..., not {person}")
    if not isinstance(said.get("motion"), str):
        raise ProjectError(f"{where}: motion is the name of a file", _SHAPE)
    speed = said.get("speed", 1)
    if (
        isinstance(speed, bool)
        or not isinstance(speed, int | float)
        or not 0.5 <= speed <= 2
    ):
        raise ProjectError(f"{where}: speed is 0.5 to 2, not {speed!r}")
    only = said.get("only", "all")
    if only not in [part.value for part in OnlyPart]:
        known = ", ".join(part.value for part in OnlyPart)
        raise ProjectError(f"{where}: only is one of {known}, not {only!r}")
    every = said.get("every")
    if every is not None and type(every) is not int:
        raise ProjectError(f"{where}: every is a whole number, not {every!r}")
    times = [None if said.get(x) is None else str(said[x]) for x in ("start", "end")]
    if "motion_person" in said:
        options = replace(options, person=str(said["motion_person"]))
    try:
        part = read_part(times[0], times[1], every)
        motion = read_motion(folder / said["motion"], options, keep_going, part=part)
        check_keypoints(motion)
    except UsageError as error:
        raise ProjectError(f"{where}: {error.message}", error.hint) from error
    return CastRole(person, motion, Fraction(speed).limit_denominator(1000), OnlyPart(only))
