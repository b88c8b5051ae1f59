"""Options for following a motion: how fast, with which part, and where the figure is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from animcli.errors import UsageError

if TYPE_CHECKING:
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
        help="Of several in the picture: largest, center, or a number from the left.",
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
        from animcli.cli.extract import is_keypoints
        from animcli.stages.convert import USUAL_RATE, ReadOpenPose

        if self.reference_pose is not None and self.reference_person is not None:
            raise UsageError(
                "--reference-pose and --reference-person both say where the character is",
                "give one of them",
            )
        if self.reference_pose is not None and is_keypoints(self.reference_pose):
            return ReadOpenPose(self.reference_pose, USUAL_RATE)
        return self.reference_pose


AS_IT_IS: Final = FollowOptions()
