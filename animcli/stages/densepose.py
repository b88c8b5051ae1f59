"""DensePose videos: found in footage by a network, or drawn over a motion's joints."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.stages.stage import Bench, Source, settings_of

if TYPE_CHECKING:  # numpy; this module is read to build a plan, too
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.sequence import PoseSequence

DRAWN: Final = (
    "drawing DensePose parts over the joints: near to what the network was trained on, not "
    "the same; `anim extract-pose VIDEO --kind densepose` finds the real ones"
)


@dataclass(frozen=True)
class DensePoseStage:
    """Finds the parts of everybody in a video; makes a folder of DensePose pictures.

    device: `cpu` or `cuda`.
    """

    name: ClassVar[str] = "extract-densepose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ("densepose",)
    libraries: ClassVar[tuple[str, ...]] = (
        "av",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "torch",
    )

    video: Source
    device: str = "cpu"

    def inputs(self) -> Mapping[str, Source]:
        return {"video": self.video}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        from animcli.pose.densepose import paint
        from animcli.pose.densepose_network import DensePoseNetwork
        from animcli.stages.frames import make_frames
        from animcli.video.limits import Limits
        from animcli.video.read import open_footage

        network = DensePoseNetwork(bench.weights["densepose"], device=self.device)
        video = bench.inputs["video"]
        with open_footage(video, limits=Limits(least_frames=2)) as reader:
            for line in reader.info.notes:
                bench.note(line)
            info = reader.info
            frames = info.frames or sum(1 for _ in reader.frames())

            def painted(span: range) -> "Iterator[NDArray[np.uint8]]":
                for frame in reader.frames(span.start, span.stop):
                    yield paint(network.parts(frame.picture))

            size = (info.width, info.height)
            make_frames(bench, "finding body parts", painted, frames, size, info.rate)


def draw_densepose(
    motion: "PoseSequence",
) -> "Callable[[range], Iterator[NDArray[np.uint8]]]":
    """DensePose pictures of any range of a motion's frames, at its size."""
    from animcli.pose.densepose import paint
    from animcli.pose.densepose_body import lift
    from animcli.pose.densepose_draw import draw_parts

    bodies = lift(motion)
    return lambda span: (paint(draw_parts(bodies, frame, motion.size)) for frame in span)
