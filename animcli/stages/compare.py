"""Side by side: the reference, the motion, the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from animcli.stages.render import RenderStage
from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class CompareStage:
    """Puts reference, drawn motion and result side by side; makes a folder of frames."""

    name: ClassVar[str] = "compare"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")

    render: RenderStage

    def inputs(self) -> Mapping[str, Source]:
        motion = self.render.fitted_motion
        moved = {} if motion is None else {"motion": motion}
        return {"reference": self.render.picture, **moved, "frames": self.render}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        from collections.abc import Iterator

        import numpy as np
        from numpy.typing import NDArray

        from animcli.pose.draw import draw_pose
        from animcli.stages.frames import make_frames, open_frames
        from animcli.video.picture import read_picture

        reference = read_picture(bench.inputs["reference"]).pixels
        result = open_frames(bench.inputs["frames"])
        motion = self.render.moves(bench) if "motion" in bench.inputs else None

        def side_by_side(span: range) -> Iterator[NDArray[np.uint8]]:
            for index, frame in zip(span, result.read(span.start), strict=False):
                panels = [reference, frame]
                if motion is not None:
                    drawn = draw_pose(
                        motion.points[index],
                        motion.scores[index],
                        result.size,
                        threshold=motion.draw_threshold,
                    )
                    panels.insert(1, drawn)
                yield np.hstack(panels)

        width = result.size[0] * (2 if motion is None else 3)
        size = (width, result.size[1])
        make_frames(bench, "side by side", side_by_side, result.frames, size, result.rate)
