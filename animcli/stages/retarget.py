"""A motion fitted to the proportions of the character in a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from animcli.files import atomic_path
from animcli.pipeline.stage import RunContext, Source, Stage
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.stages.reference import FindPose


@dataclass(frozen=True)
class RetargetStage(Stage):
    """Fits a motion to a character; the result lies in the pixels of the picture.

    motion: a `.pose` file, or the stage that makes one.
    reference: the picture of the character, the stage that finds its keypoints, or a
        `.pose` whose first frame shows it.
    camera: what moves or enlarges the figure: one of `animcli.pose.retarget.camera.Camera`.
    keep_in_frame: keep the figure in the picture, moved aside or smaller if it must be.
    """

    name: ClassVar[str] = "retarget"
    revision: ClassVar[int] = 5
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy", "scipy")

    motion: Source
    reference: Source
    detector: str = DEFAULT_DETECTOR
    camera: str = "auto"
    keep_in_frame: bool = True

    def inputs(self) -> Mapping[str, Source]:
        reference: Source = self.reference
        if isinstance(reference, Path) and reference.suffix.lower() != ".pose":
            reference = FindPose(reference, self.detector)
        return {"motion": self.motion, "reference": reference}

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_pose import read_pose, write_pose
        from animcli.pose.partial import follow_head, shows_head_alone
        from animcli.pose.retarget.camera import Camera
        from animcli.pose.retarget.retarget import retarget

        motion = read_pose(context.inputs["motion"])
        reference = read_pose(context.inputs["reference"])
        if shows_head_alone(motion):
            context.warn("the motion shows a head alone: the body stays as it is")
            with atomic_path(context.out) as part:
                write_pose(part, follow_head(motion, reference))
            return
        fitted = retarget(
            motion,
            reference,
            camera=Camera(self.camera),
            keep_in_frame=self.keep_in_frame,
        )
        notes = fitted.origin.retarget.get("notes")
        for line in notes if isinstance(notes, list) else []:
            context.warn(str(line))
        with atomic_path(context.out) as part:
            write_pose(part, fitted)
