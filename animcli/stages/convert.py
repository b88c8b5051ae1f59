"""Motions of other programs: OpenPose's JSON in and out, motion capture in."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from animcli.files import atomic_path, disk_errors
from animcli.pipeline.stage import RunContext, Source, settings_of


@dataclass(frozen=True)
class ReadOpenPose:
    """Makes a `.pose` of a folder of OpenPose's, or of one file with a list of frames.

    rate: frames per second, which neither says.
    """

    name: ClassVar[str] = "read-openpose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy")

    keypoints: Source
    rate: Fraction = Fraction(24)

    def inputs(self) -> Mapping[str, Source]:
        return {"keypoints": self.keypoints}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_openpose import read_openpose
        from animcli.pose.io_pose import write_pose

        motion = read_openpose(context.inputs["keypoints"], rate=self.rate)
        with atomic_path(context.out) as part:
            write_pose(part, motion)


@dataclass(frozen=True)
class WriteOpenPose:
    """Makes one file with a list of frames, as node editors exchange them."""

    name: ClassVar[str] = "write-openpose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".json"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose",)

    motion: Source

    def inputs(self) -> Mapping[str, Source]:
        return {"motion": self.motion}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_openpose import write_frames
        from animcli.pose.io_pose import read_pose

        motion = read_pose(context.inputs["motion"])
        with atomic_path(context.out) as part:
            write_frames(part, motion)


@dataclass(frozen=True)
class WriteKeypoints:
    """Makes a folder with one file per frame, as OpenPose does.

    clip: what the files are named after.
    """

    name: ClassVar[str] = "write-keypoints"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose",)

    motion: Source
    clip: str

    def inputs(self) -> Mapping[str, Source]:
        return {"motion": self.motion}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_openpose import write_openpose
        from animcli.pose.io_pose import read_pose

        motion = read_pose(context.inputs["motion"])
        with disk_errors(context.out):
            write_openpose(context.out, motion, self.clip)


@dataclass(frozen=True)
class ReadBvh:
    """Makes a `.pose` of a BVH file.

    around, above: where the camera stands, degrees; see `animcli.pose.io_bvh.View`.
    """

    name: ClassVar[str] = "read-bvh"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy")

    capture: Source
    around: float = 0.0
    above: float = 5.0

    def inputs(self) -> Mapping[str, Source]:
        return {"capture": self.capture}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_bvh import VirtualCamera, read_bvh
        from animcli.pose.io_pose import write_pose

        view = VirtualCamera(around=self.around, above=self.above)
        motion = read_bvh(context.inputs["capture"], view)
        with atomic_path(context.out) as part:
            write_pose(part, motion)
