"""Motions of other programs: OpenPose's JSON in and out, motion capture in."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from animcli.errors import InputError
from animcli.files import atomic_path, disk_errors
from animcli.pipeline.stage import RunContext, Source, Stage, display_name
from animcli.registry import DEFAULT_RATE

if TYPE_CHECKING:  # numpy
    from animcli.pose.io_bvh import Up


@dataclass(frozen=True)
class ReadOpenPose(Stage):
    """Makes a `.pose` of a folder with a file for each frame, or of one file with all.

    rate: frames per second, which neither says; None is 24, and that is told.
    size: of the picture, `(width, height)`, where the file doesn't say it.
    """

    name: ClassVar[str] = "read-openpose"
    revision: ClassVar[int] = 2
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy")

    keypoints: Source
    rate: Fraction | None = None
    size: tuple[int, int] | None = None

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_openpose import read_openpose
        from animcli.pose.io_pose import write_pose

        keypoints = context.inputs["keypoints"]
        motion = read_openpose(
            keypoints, rate=self.rate or DEFAULT_RATE, size=self.size, warn=context.warn
        )
        if self.rate is None:
            context.warn(
                f"{DEFAULT_RATE} frames a second are assumed; --fps says otherwise"
            )
        with atomic_path(context.out) as part:
            write_pose(part, motion)


@dataclass(frozen=True)
class WriteOpenPose(Stage):
    """Makes one file with a list of frames, as node editors exchange them."""

    name: ClassVar[str] = "write-openpose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".json"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose",)

    motion: Source

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_openpose import write_frames
        from animcli.pose.io_pose import read_pose

        motion = read_pose(context.inputs["motion"])
        with atomic_path(context.out) as part:
            write_frames(part, motion)


@dataclass(frozen=True)
class WriteKeypoints(Stage):
    """Makes a folder with one file per frame, as OpenPose does.

    clip: what the files are named after.
    """

    name: ClassVar[str] = "write-keypoints"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose",)

    motion: Source
    clip: str

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_openpose import write_openpose
        from animcli.pose.io_pose import read_pose

        motion = read_pose(context.inputs["motion"])
        with disk_errors(context.out):
            write_openpose(context.out, motion, self.clip)


@dataclass(frozen=True)
class ReadBvh(Stage):
    """Makes a `.pose` of a BVH file.

    around, above: where the camera stands, degrees; see `animcli.pose.io_bvh.View`.
    names: pairs of a keypoint and the joint of the file, where its names aren't known.
    up: the axis that points up, or `auto`.
    """

    name: ClassVar[str] = "read-bvh"
    revision: ClassVar[int] = 2
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy")

    capture: Source
    around: float = 0.0
    above: float = 5.0
    names: tuple[tuple[str, str], ...] = ()
    up: "Up" = "auto"

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_bvh import VirtualCamera, read_bvh
        from animcli.pose.io_pose import write_pose

        view = VirtualCamera(around=self.around, above=self.above)
        motion = read_bvh(context.inputs["capture"], view, dict(self.names), self.up)
        if (up := motion.origin.detector["up"]) != "y" and self.up == "auto":
            context.warn(
                f"{up} points up in {display_name(self.capture)}, so the motion is turned "
                "upright; --up y leaves it as it is"
            )
        with atomic_path(context.out) as part:
            write_pose(part, motion)


@dataclass(frozen=True)
class TakePart(Stage):
    """Takes a part of a motion, as `ExtractStage` does of a video.

    start, end: seconds from its first frame; step: each how many-th frame.
    """

    name: ClassVar[str] = "take-part"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy")

    motion: Source
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    step: int = 1

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_pose import read_pose, write_pose
        from animcli.pose.partial import in_time

        whole = read_pose(context.inputs["motion"])
        part = in_time(whole, self.start, self.end, self.step)
        if len(part) == 0:
            length = float((whole.ticks[-1] - whole.ticks[0]) * whole.time_base)
            raise InputError(
                f"{display_name(self.motion)}: has no frames between --start and --end",
                f"it is {length:.2f} s long",
            )
        with atomic_path(context.out) as out:
            write_pose(out, part)
