"""A motion with corrections that somebody made by hand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from animcli.files import atomic_path
from animcli.pipeline.stage import RunContext, Source, Stage

if TYPE_CHECKING:
    from animcli.pose.corrections import Corrections


@dataclass(frozen=True)
class CorrectStage(Stage):
    """Does edits to a motion.

    motion: a `.pose` file, or the stage that makes one. corrections: the edits themselves,
    so that the key depends on them and not on their file.
    """

    name: ClassVar[str] = "correct-pose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy", "scipy")

    motion: Source
    corrections: "Corrections"

    def run(self, context: RunContext) -> None:
        """Write the corrected motion; edits that had no effect are warned of.

        Raises InputError where an edit is of a frame that the motion lacks.
        """
        from animcli.pose.corrections import correct
        from animcli.pose.io_pose import read_pose, write_pose

        corrected, notes = correct(read_pose(context.inputs["motion"]), self.corrections)
        for line in notes:
            context.warn(line)
        with atomic_path(context.out) as part:
            write_pose(part, corrected)
