"""Video in, keypoints over time or DensePose pictures out."""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.files import atomic_path
from animcli.pipeline.stage import RunContext, Source, Stage
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.registry import DEFAULT_RATE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.sequence import PoseSequence


class DetectorStage(Stage):
    """Runs a detector of keypoints."""

    detector: str

    @property
    def weights(self) -> tuple[str, ...]:
        from animcli.pose.detectors.registry import detector_weights

        return detector_weights(self.detector)

    @property
    def libraries(self) -> tuple[str, ...]:
        from animcli.pose.detectors.registry import detector_libraries

        return (*detector_libraries(self.detector), "av", "pillow", "scipy")


@dataclass(frozen=True)
class ExtractStage(DetectorStage):
    """Finds one person's keypoints in every frame of a video.

    video: a video, an animation or a folder of pictures.
    clean: fill short gaps and take out the trembling.
    keep_going: leave damaged frames out instead of stopping at them.
    picture_rate: frames per second of a folder of pictures, which doesn't say.
    person: `largest`, `center`, or a number from 1.
    start, end: the part of the video in seconds, without its end; None for all of it.
    step: each so manyth frame of it is looked at.
    device, detect_every, bgr_input: see `DWPose`; other detectors know none of them.
    """

    name: ClassVar[str] = "extract-pose"
    revision: ClassVar[int] = 4
    suffix: ClassVar[str] = ".pose"
    videos: ClassVar[tuple[str, ...]] = ("video",)

    video: Source
    detector: str = DEFAULT_DETECTOR
    hands: bool = True
    face: bool = True
    clean: bool = True
    keep_going: bool = False
    _: KW_ONLY
    picture_rate: Fraction = DEFAULT_RATE
    person: str = "largest"
    device: str = "cpu"
    detect_every: int = 10
    bgr_input: bool = False
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    step: int = 1

    def run(self, context: RunContext) -> None:
        from dataclasses import replace

        from animcli.errors import InputError
        from animcli.pose.detectors.registry import DetectorOptions, draw_threshold
        from animcli.pose.filtering import clean
        from animcli.pose.io_pose import write_pose
        from animcli.stages.detection import (
            Span,
            doubt_of_clip,
            find_motion,
            open_for,
            shown_spans,
        )
        from animcli.video.limits import Limits
        from animcli.video.reader import open_footage

        options = DetectorOptions(
            self.hands, self.face, self.device, self.detect_every, self.bgr_input
        )
        detector = open_for(context, self.detector, options)
        threshold = draw_threshold(self.detector)
        span = Span(self.start, self.end, self.step)
        with open_footage(
            context.inputs["video"],
            keep_going=self.keep_going,
            limits=Limits(least_frames=2),
            rate=self.picture_rate,
            fast_colour=True,
        ) as reader:
            for line in reader.info.notes:
                context.warn(line)
            doubt = doubt_of_clip(reader)
            if doubt:
                context.warn(doubt)
            try:
                found = find_motion(context, reader, detector, self.person, threshold, span)
            except InputError as error:
                raise InputError(error.message, doubt or error.hint) from error
            empty = [not scores.any() for scores in found.scores]
            if any(empty):
                context.warn(
                    f"nobody was found in {sum(empty)} of {len(found)} frames: "
                    f"{shown_spans(empty)}"
                )
            if (others := found.origin.person["of"]) != 1:
                context.warn(
                    f"{others} people were found, person {found.origin.person['track']} "
                    "is taken; `anim inspect` shows them, --person N takes another"
                )
            rate = reader.info.rate
        origin = replace(
            found.origin,
            # Without its name: the same video under another name gives the same bytes.
            source={
                **found.origin.source,
                "sha256": context.cache_key.inputs["video"],
                "size_px": list(found.size),
                "rate": str(rate),
                "frames": len(found),
            },
            detector={
                "backend": self.detector,
                "models": dict(context.cache_key.weights),
                "hands": self.hands,
                "face": self.face,
            },
        )
        sequence = replace(found, draw_threshold=threshold, origin=origin)
        if self.clean:
            sequence = clean(sequence)
        with atomic_path(context.out) as part:
            write_pose(part, sequence)


@dataclass(frozen=True)
class FindAgain(DetectorStage):
    """Finds one person's keypoints in a result, in however few frames somebody is.

    Nothing is filled in, smoothed or refused: what isn't found is an answer here.

    video: footage, or a folder of frames that another stage makes.
    face: its points as well, for those who compare faces.
    device: where a detector on ONNX Runtime runs.
    """

    name: ClassVar[str] = "find-again"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    videos: ClassVar[tuple[str, ...]] = ("video",)

    video: Source
    detector: str = DEFAULT_DETECTOR
    face: bool = False
    device: str = "cpu"

    def run(self, context: RunContext) -> None:
        from dataclasses import replace

        from animcli.pose.detectors.registry import DetectorOptions, draw_threshold
        from animcli.pose.io_pose import write_pose
        from animcli.stages.detection import find_motion, open_for
        from animcli.stages.frames import open_reader

        options = replace(
            DetectorOptions(), hands=False, face=self.face, device=self.device
        )
        detector = open_for(context, self.detector, options)
        threshold = draw_threshold(self.detector)
        with open_reader(context.inputs["video"]) as reader:
            found = find_motion(
                context, reader, detector, "largest", threshold, least_seen=0
            )
        with atomic_path(context.out) as part:
            write_pose(part, replace(found, draw_threshold=threshold))


DRAWN_DENSEPOSE: Final = (
    "drawing DensePose parts over the keypoints: near to what the network was trained on, "
    "not the same; `anim extract-pose VIDEO --kind densepose` finds the real ones"
)


@dataclass(frozen=True)
class DensePoseStage(Stage):
    """Finds the parts of everybody in a video; makes a folder of DensePose pictures.

    device: `cpu` or `cuda`.
    """

    name: ClassVar[str] = "extract-densepose"
    revision: ClassVar[int] = 1
    videos: ClassVar[tuple[str, ...]] = ("video",)
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

    def run(self, context: RunContext) -> None:
        from animcli.pose.detectors.densepose import DensePoseNetwork
        from animcli.pose.draw_densepose import paint
        from animcli.stages.frames import make_frames
        from animcli.video.limits import Limits
        from animcli.video.reader import open_footage

        network = DensePoseNetwork(context.weights["densepose"], device=self.device)
        video = context.inputs["video"]
        with open_footage(video, limits=Limits(least_frames=2)) as reader:
            for line in reader.info.notes:
                context.warn(line)
            info = reader.info
            frames = info.frames or sum(1 for _ in reader.frames())

            def painted(span: range) -> "Iterator[NDArray[np.uint8]]":
                for frame in reader.frames(span.start, span.stop):
                    yield paint(network.parts(frame.picture))

            size = (info.width, info.height)
            make_frames(context, "finding body parts", painted, frames, size, info.rate)


def draw_densepose(
    motion: "PoseSequence",
) -> "Callable[[range], Iterator[NDArray[np.uint8]]]":
    """DensePose pictures of any range of a motion's frames, at its size."""
    from animcli.pose.draw_densepose import draw_parts, paint
    from animcli.pose.lifting import lift

    bodies = lift(motion)
    return lambda span: (paint(draw_parts(bodies, frame, motion.size)) for frame in span)
