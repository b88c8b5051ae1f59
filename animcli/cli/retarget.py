"""`anim retarget`: fit a motion to a character's proportions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.motion import check_order, chosen_keypoints, motion_step
from animcli.cli.options import MotionArgument, Output, Overrides, options
from animcli.cli.plan import Command, Context, PipelineState, Plan, name_of


@options("detector", "person", "camera", "keep_in_frame")
def retarget(
    reference: Annotated[
        Path,
        typer.Option("--to", metavar="PICTURE", help="The character, or a .pose of it."),
    ],
    motion: MotionArgument = None,
    output: Output = None,
    *,
    overrides: Overrides,
) -> Command:
    """Fit a motion to the proportions of a character.

    dance.pose and ref.png -> ref-dance.pose
    """
    return Retarget(reference, motion, output, overrides)


@dataclass(frozen=True)
class Retarget:
    """`anim retarget`."""

    reference: Path
    motion: Path | None
    out: Path | None
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """A `.pose` in the pixels of the reference."""
        from animcli.stages.retarget import RetargetStage

        options = context.config.options(self.overrides)
        check_order(self.reference, self.motion, "anim retarget {motion} --to {picture}")
        motion = chosen_keypoints(
            self.motion, state, options, self.overrides, "anim retarget MOTION --to PICTURE"
        )
        stage = RetargetStage(
            motion.source,
            self.reference,
            options.detector,
            options.camera,
            options.keep_in_frame,
        )
        fitted = replace(motion, source=stage, fitted_to=self.reference)
        step = motion_step(fitted, self.out, f"{name_of(self.reference)}-{motion.name}")
        return Plan((step,), replace(state, motion=fitted))
