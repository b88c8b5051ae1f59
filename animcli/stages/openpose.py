"""Motions of other programs: JSON of OpenPose and of node editors, in and out."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from animcli.project.writing import beside, storing
from animcli.stages.stage import Bench, Source, settings_of


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

    def run(self, bench: Bench) -> None:
        from animcli.pose.openpose_json import read_openpose
        from animcli.pose.posefile import write_pose

        motion = read_openpose(bench.inputs["keypoints"], rate=self.rate)
        with beside(bench.out) as part:
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

    def run(self, bench: Bench) -> None:
        from animcli.pose.openpose_json import write_frames
        from animcli.pose.posefile import read_pose

        motion = read_pose(bench.inputs["motion"])
        with beside(bench.out) as part:
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

    def run(self, bench: Bench) -> None:
        from animcli.pose.openpose_json import write_openpose
        from animcli.pose.posefile import read_pose

        motion = read_pose(bench.inputs["motion"])
        with storing(bench.out):
            write_openpose(bench.out, motion, self.clip)
