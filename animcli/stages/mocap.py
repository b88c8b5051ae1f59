"""Motion capture in, joints over time as a camera sees them out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from animcli.project.writing import beside
from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class ReadBvh:
    """Makes a `.pose` of a BVH file.

    around, above: where the camera stands, degrees; see `animcli.pose.mocap.View`.
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

    def run(self, bench: Bench) -> None:
        from animcli.pose.mocap import View, read_bvh
        from animcli.pose.posefile import write_pose

        view = View(around=self.around, above=self.above)
        motion = read_bvh(bench.inputs["capture"], view)
        with beside(bench.out) as part:
            write_pose(part, motion)
