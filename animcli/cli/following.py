"""Options for following a motion: how fast, which part of it, and where the figure is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from animcli.cli.plan import Motion, name_of
from animcli.errors import UsageError
from animcli.registry import DEFAULT_RATE

if TYPE_CHECKING:
    from animcli.cli.config import Options
    from animcli.cli.options import VideoPart
    from animcli.pipeline.stage import Source


class OnlyPart(str, Enum):
    """The part of a character that moves."""

    ALL = "all"
    UPPER = "upper"
    HEAD = "head"
    ARMS = "arms"
    NO_HANDS = "no-hands"


Speed = Annotated[
    float, typer.Option(min=0.5, max=2.0, help="Of the motion and its sound.")
]
Only = Annotated[
    OnlyPart, typer.Option("--only", help="What moves; the rest stays as drawn.")
]
ReferencePose = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keypoints of the character, as .pose or .json."),
]
ReferencePerson = Annotated[
    str | None,
    typer.Option(
        metavar="WHO",
        help="Of several in the picture: largest, center, a number from the left, or a box "
        "left,top,right,bottom.",
    ),
]


@dataclass(frozen=True)
class FollowOptions:
    """Options for following a motion; see `RenderStage`."""

    speed: Fraction = Fraction(1)
    only: OnlyPart = OnlyPart.ALL
    reference_pose: Path | None = None
    reference_person: str | None = None

    def check(self, preset: str, without: str, clip: Source | None) -> None:
        """Raise UsageError for what means nothing where there are no keypoints.

        without: what there is instead. clip: the one whose speed it may be.
        """
        given = {
            "--only": self.only is not OnlyPart.ALL,
            "--reference-pose": self.reference_pose is not None,
            "--reference-person": self.reference_person is not None,
            "--speed": self.speed != 1 and clip is None,
        }
        for name in (name for name, said in given.items() if said):
            raise UsageError(
                f"{name} has no effect with the preset {preset} {without}",
                f"leave {name} out, or give a motion with keypoints",
            )

    def keypoints(self) -> Source | None:
        """The keypoints of the reference, where they are given."""
        from animcli.cli.motion import is_keypoints
        from animcli.stages.convert import ReadOpenPose

        if self.reference_pose is not None and self.reference_person is not None:
            raise UsageError(
                "--reference-pose and --reference-person both say where the character is",
                "give one of them",
            )
        if self.reference_pose is not None and is_keypoints(self.reference_pose):
            return ReadOpenPose(self.reference_pose, DEFAULT_RATE)
        return self.reference_pose


AS_IT_IS: Final = FollowOptions()


def part_of(motion: Motion, part: VideoPart | None) -> Motion:
    """A part of a motion whose keypoints are known, or all of it."""
    from animcli.stages.convert import TakePart

    if not part:
        return motion
    if motion.drawn is not None:
        raise UsageError(
            f"--{next(iter(part))} is for footage and keypoints, and {motion.name} is a "
            "drawn video"
        )
    taken = TakePart(motion.source, **part)  # type: ignore[arg-type]  # fields, by name
    return replace(motion, source=taken, begins=motion.begins + taken.start)


def is_single_picture(path: Path) -> bool:
    """Tell a picture that doesn't move, whose pose may be held."""
    from animcli.video.images import IMAGE_SUFFIXES, open_image
    from animcli.video.limits import Limits

    if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
        return False
    with open_image(path, Limits()) as image:
        return getattr(image, "n_frames", 1) == 1


def still_motion(path: Path, options: Options, part: VideoPart | None) -> Motion:
    """The pose of somebody in a picture, as a motion of one frame."""
    from animcli.stages.reference import FindPose

    if part:
        raise UsageError(f"--{next(iter(part))} is for footage, and {path} is a picture")
    found = FindPose(path, options.detector, person=options.person or "largest")
    return Motion(found, name_of(path))
