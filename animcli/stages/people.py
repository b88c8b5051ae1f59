"""Pictures of what a pose file knows of its making: who there was, and what was fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from animcli.project.writing import beside
from animcli.stages.stage import Bench, Source, settings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.sequence import Origin

TILE: Final = 200  # px, width of each picture
TALL: Final = 260  # px, height of a skeleton's picture
FILLED: Final = 0.85  # of it, by the skeletons
COLUMNS: Final = 6
MARGIN: Final = 0.1  # of a box, around the person


def tracks_in(origin: "Origin") -> list[dict[str, Any]]:
    """The people that a pose file tells of, by number."""
    tracks = origin.person.get("tracks")
    return tracks if isinstance(tracks, list) else []


@dataclass(frozen=True)
class PeopleStage:
    """Shows everybody whom `--person` may choose, each where they were seen largest."""

    name: ClassVar[str] = "people"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "pillow")

    motion: Source
    video: Source

    def inputs(self) -> Mapping[str, Source]:
        return {"motion": self.motion, "video": self.video}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        from animcli.pose.posefile import read_pose
        from animcli.stages.charts import contact_sheet
        from animcli.video.picture import write_picture
        from animcli.video.read import open_footage

        origin = read_pose(bench.inputs["motion"]).origin
        tracks = [track for track in tracks_in(origin) if track["box"]]
        crops: dict[int, NDArray[np.uint8]] = {}
        with open_footage(bench.inputs["video"], keep_going=True) as reader:
            for frame in reader.frames():
                for track in tracks:
                    if track["largest_in"] == frame.index:
                        crops[track["number"]] = cut(frame.picture, track["box"])
        shown = [track for track in tracks if track["number"] in crops]
        labels = [
            f"{track['number']}: {track['frames']} frames"
            + (", taken" if track["number"] == origin.person.get("track") else "")
            for track in shown
        ]
        pictures = [crops[track["number"]] for track in shown]
        with beside(bench.out) as part:
            write_picture(part, contact_sheet(pictures, labels, COLUMNS, TILE))


def cut(picture: "NDArray[np.uint8]", box: list[int]) -> "NDArray[np.uint8]":
    """What lies around a box (left, top, right, bottom), a little more on each side."""
    left, top, right, bottom = box
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    rows = slice(max(int(top - down), 0), max(int(bottom + down), 1))
    columns = slice(max(int(left - across), 0), max(int(right + across), 1))
    return picture[rows, columns]


@dataclass(frozen=True)
class ProportionsStage:
    """Shows skeletons side by side: the reference, and some frames of source and target."""

    name: ClassVar[str] = "proportions"
    revision: ClassVar[int] = 2
    suffix: ClassVar[str] = ".png"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("opencv-python-headless", "pillow")

    motion: Source

    def inputs(self) -> Mapping[str, Source]:
        return {"motion": self.motion}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        import numpy as np

        from animcli.pose.posefile import read_pose
        from animcli.pose.retarget import snapshots
        from animcli.stages.charts import contact_sheet
        from animcli.video.picture import write_picture

        motion = read_pose(bench.inputs["motion"])
        told: Any = motion.origin.retarget
        frames = told["source"]["frames"]
        target: Any = snapshots(motion, frames)
        # Reference and target lie in the same picture, and so are seen at the same scale.
        reference, *targets = drawn([*told["reference"]["points"], *target["points"]])
        sources = drawn(told["source"]["points"])
        pictures = [reference, *sources, np.zeros_like(reference), *targets]
        labels = [
            "reference",
            *(f"source, {frame}" for frame in frames),
            "",
            *(f"target, {frame}" for frame in frames),
        ]
        with beside(bench.out) as part:
            write_picture(part, contact_sheet(pictures, labels, 1 + len(frames), TILE))


def drawn(bodies: list[list[list[float]]]) -> "list[NDArray[np.uint8]]":
    """Each of the bodies of a snapshot, all at the scale that shows the largest whole."""
    import numpy as np

    from animcli.pose.draw import draw_pose
    from animcli.pose.skeleton import JOINTS

    seen = np.array([point for body in bodies for point in body if point], np.float32)
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = (TILE, TALL)
    scale = FILLED * float((np.array(size) / np.maximum(high - low, 1)).min())
    pictures = []
    for body in bodies:
        points = np.zeros((JOINTS, 2), np.float32)
        scores = np.zeros(JOINTS, np.float32)
        for joint, point in enumerate(body):
            if point:
                points[joint] = (np.array(point) - (low + high) / 2) * scale
                points[joint] += np.array(size) / 2
                scores[joint] = 1
        pictures.append(draw_pose(points, scores, size, hands=False, face=False))
    return pictures
