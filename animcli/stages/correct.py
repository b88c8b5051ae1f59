"""A motion with corrections that somebody made by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from animcli.files import atomic_path
from animcli.pipeline.stage import RunContext, Source, settings_of

if TYPE_CHECKING:
    from animcli.pose.corrections import Corrections


@dataclass(frozen=True)
class CorrectStage:
    """Does edits to a motion.

    motion: a `.pose` file, or the stage that makes one. corrections: the edits themselves,
    so that the key depends on them and not on their file.
    """

    name: ClassVar[str] = "correct-pose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy", "scipy")

    motion: Source
    corrections: "Corrections"

    def inputs(self) -> Mapping[str, Source]:
        return {"motion": self.motion}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, context: RunContext) -> None:
        from animcli.pose.corrections import correct
        from animcli.pose.io_pose import read_pose, write_pose

        corrected, notes = correct(read_pose(context.inputs["motion"]), self.corrections)
        for line in notes:
            context.warn(line)
        with atomic_path(context.out) as part:
            write_pose(part, corrected)
