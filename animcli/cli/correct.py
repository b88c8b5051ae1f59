"""`anim correct-pose`: a motion with edits that were made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.motion import chosen_keypoints, motion_step
from animcli.cli.options import MotionArgument, Output, Overrides, options
from animcli.cli.plan import Command, Context, PipelineState, Plan


@options("detector", "person")
def correct_pose(
    edits: Annotated[
        Path,
        typer.Argument(
            metavar="EDITS", help="A JSON file; docs/guide/correcting.md has one."
        ),
    ],
    motion: MotionArgument = None,
    output: Output = None,
    *,
    overrides: Overrides,
) -> Command:
    """Move, hide or swap keypoints that were found wrong.

    edits.json and dance.pose -> dance-corrected.pose

    An edit changes its own frame and fades out over its reach; everything else stays as it
    was found. `anim studio` makes such files by dragging.
    """
    return CorrectPose(edits, motion, output, overrides)


@dataclass(frozen=True)
class CorrectPose:
    """`anim correct-pose`."""

    edits: Path
    motion: Path | None
    out: Path | None
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """A `.pose` with the edits done."""
        from animcli.pose.corrections import read_corrections
        from animcli.stages.correct import CorrectStage

        options = context.config.options(self.overrides)
        motion = chosen_keypoints(
            self.motion, state, options, self.overrides, "anim correct-pose EDITS MOTION"
        )
        stage = CorrectStage(motion.source, read_corrections(self.edits))
        corrected = replace(motion, source=stage)
        step = motion_step(corrected, self.out, f"{motion.name}-corrected")
        return Plan((step,), replace(state, motion=corrected))
