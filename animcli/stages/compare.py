"""Side by side: the reference, the motion, the result."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from animcli.presets import DRAWINGS
from animcli.stages.render import RenderStage
from animcli.stages.stage import Bench, Source, settings_of

if TYPE_CHECKING:  # numpy
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.sequence import PoseSequence


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
        between = {
            "motion": self.render.fitted_motion,
            "control": self.render.fitted_control,
        }
        given = {name: source for name, source in between.items() if source is not None}
        return {"reference": self.render.picture, **given, "frames": self.render}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        import numpy as np

        from animcli.stages.densepose import draw_densepose
        from animcli.stages.frames import looped, make_frames, open_frames
        from animcli.video.picture import read_picture

        reference = read_picture(bench.inputs["reference"]).pixels
        result = open_frames(bench.inputs["frames"])
        between = []
        if "motion" in bench.inputs:
            motion = self.render.moves(bench)
            densepose = DRAWINGS.get(self.render.preset.renderer) == "densepose"
            between.append(
                draw_densepose(motion) if densepose else _drawn(motion, result.size)
            )
        if "control" in bench.inputs:
            between.append(looped(open_frames(bench.inputs["control"]), result.rate)[0])

        def side_by_side(span: range) -> "Iterator[NDArray[np.uint8]]":
            panels = [panel(span) for panel in between]
            for _, frame in zip(span, result.read(span.start), strict=False):
                yield np.hstack([reference, *map(next, panels), frame])

        size = (result.size[0] * (2 + len(between)), result.size[1])
        make_frames(bench, "side by side", side_by_side, result.frames, size, result.rate)


def _drawn(
    motion: "PoseSequence", size: tuple[int, int]
) -> "Callable[[range], Iterator[NDArray[np.uint8]]]":
    """Pictures of the skeleton, of any range of frames."""
    from animcli.pose.draw import draw_pose

    threshold = motion.draw_threshold
    return lambda span: (
        draw_pose(motion.points[index], motion.scores[index], size, threshold=threshold)
        for index in span
    )
