"""Pictures to judge a motion or a video by."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from animcli.errors import InputError
from animcli.files import atomic_path
from animcli.pipeline.stage import RunContext, Source, Stage
from animcli.registry import DEFAULT_RATE
from animcli.stages.frames import INDEX, make_frames, open_frames
from animcli.stages.render import RenderStage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.sequence import Origin, PoseSequence


LONG_SIDE: Final = 1280
"""Pixels. A motion in a larger picture is drawn smaller: it is to be looked at."""


@dataclass(frozen=True)
class OverlayStage(Stage):
    """Draws a motion on the video that it came from, or on black; a folder of frames.

    video: as many frames as the motion has are taken from it.
    longest: of the sides, pixels; None draws a motion at its own size.
    """

    name: ClassVar[str] = "overlay"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("av", "opencv-python-headless", "pillow")

    motion: Source
    video: Source | None = None
    longest: int | None = LONG_SIDE

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.pose.draw import draw_pose
        from animcli.pose.io_pose import read_pose

        motion = read_pose(context.inputs["motion"])
        longest = self.longest or max(motion.size)
        scale = min(1.0, longest / max(motion.size))
        width, height = (max(2, round(side * scale / 2) * 2) for side in motion.size)
        points = motion.points * np.float32(scale)
        ground = context.inputs.get("video")

        def drawn(span: range) -> "Iterator[NDArray[np.uint8]]":
            pictures = _pictures(ground, span, (width, height))
            for index, picture in zip(span, pictures, strict=True):
                pose = draw_pose(
                    points[index],
                    motion.scores[index],
                    (width, height),
                    threshold=motion.draw_threshold,
                )
                bare = (pose == 0).all(axis=2, keepdims=True)
                yield np.where(bare, picture, pose)

        rate = motion.rate or _mean_rate(motion.ticks.tolist(), motion.time_base)
        make_frames(context, "drawing the pose", drawn, len(motion), (width, height), rate)


def _pictures(
    video: Path | None, span: range, size: tuple[int, int]
) -> "Iterator[NDArray[np.uint8]]":
    """Background of the pose: frames of the video, dimmed, or black."""
    import cv2
    import numpy as np

    if video is None:
        for _ in span:
            yield np.zeros((size[1], size[0], 3), np.uint8)
        return
    from animcli.video.reader import open_footage

    with open_footage(video, keep_going=True) as reader:
        for frame in reader.frames(span.start, span.stop):
            small = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA)
            yield (small.astype(np.uint16) * 3 // 4).astype(np.uint8)


def _mean_rate(ticks: list[int], base: Fraction) -> Fraction:
    """Frames a second of a motion whose frames are not evenly spaced."""
    span = (ticks[-1] - ticks[0]) * base if ticks else Fraction(0)
    return ((len(ticks) - 1) / span if span > 0 else DEFAULT_RATE).limit_denominator(1001)


@dataclass(frozen=True)
class SheetStage(Stage):
    """Puts frames of a clip, evenly spread, on one picture.

    clip: footage, or a folder of frames that another stage makes.
    tile: width of each frame on the sheet, in pixels.
    """

    name: ClassVar[str] = "contact-sheet"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    libraries: ClassVar[tuple[str, ...]] = ("av", "pillow")

    clip: Source
    tiles: int = 24
    columns: int = 6
    tile: int = 200

    def run(self, context: RunContext) -> None:
        from animcli.stages.charts import contact_sheet
        from animcli.video.images import write_picture

        pictures, labels = _spread(context.inputs["clip"], self.tiles)
        if not pictures:
            raise InputError(f"{context.inputs['clip']}: no frame of it can be decoded")
        with atomic_path(context.out) as part:
            write_picture(part, contact_sheet(pictures, labels, self.columns, self.tile))


def _spread(clip: Path, tiles: int) -> "tuple[list[NDArray[np.uint8]], list[str]]":
    """`tiles` frames of a clip, evenly spread, and when each is shown."""
    if (clip / INDEX).is_file():
        folder = open_frames(clip)
        wanted = _evenly(folder.frames, tiles)
        pictures = [p for index, p in enumerate(folder.read()) if index in wanted]
        return pictures, [f"{float(index / folder.rate):.2f} s" for index in sorted(wanted)]
    from animcli.video.reader import open_footage

    with open_footage(clip, keep_going=True) as reader:
        count = reader.info.frames or sum(1 for _ in reader.frames())
        wanted = _evenly(count, tiles)
        base, pictures, labels = reader.info.time_base, [], []
        for frame in reader.frames():
            if frame.index in wanted:
                pictures.append(frame.picture)
                labels.append(f"{float(frame.tick * base):.2f} s")
    return pictures, labels


def _evenly(frames: int, tiles: int) -> set[int]:
    """`tiles` numbers of frames, the first and the last among them."""
    if frames <= tiles:
        return set(range(frames))
    return {round(tile * (frames - 1) / (tiles - 1)) for tile in range(tiles)}


@dataclass(frozen=True)
class CurvesStage(Stage):
    """Draws confidence, gaps and speed of a motion over time."""

    name: ClassVar[str] = "curves"
    revision: ClassVar[int] = 2
    suffix: ClassVar[str] = ".png"
    libraries: ClassVar[tuple[str, ...]] = ("matplotlib", "numpy", "pillow")

    motion: Source
    title: str

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_pose import read_pose
        from animcli.stages.charts import pose_curves
        from animcli.video.images import write_picture

        curves = pose_curves(read_pose(context.inputs["motion"]), self.title)
        with atomic_path(context.out) as part:
            write_picture(part, curves)


@dataclass(frozen=True)
class CompareStage(Stage):
    """Puts reference, drawn motion and result side by side; makes a folder of frames."""

    name: ClassVar[str] = "compare"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")

    render: RenderStage

    def inputs(self) -> Mapping[str, Source]:
        between = {
            "motion": self.render.fitted_motion,
            "control": self.render.fitted_control,
            "pose": self.render.reference_pose if self.render.only != "all" else None,
        }
        given = {name: source for name, source in between.items() if source is not None}
        others = self.render.inputs() if self.render.cast else {}
        given.update({name: x for name, x in others.items() if name[-1:].isdigit()})
        return {"reference": self.render.picture, **given, "frames": self.render}

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.stages.extract import draw_densepose
        from animcli.stages.frames import looped, make_frames, open_frames
        from animcli.video.images import read_picture

        reference = read_picture(context.inputs["reference"]).pixels
        result = open_frames(context.inputs["frames"])
        between = []
        if "motion" in context.inputs:
            motions = self.render.performed(context)
            densepose = self.render.preset.entry.drawn == "densepose"
            between.append(
                draw_densepose(motions[0]) if densepose else _drawn(motions, result.size)
            )
        if "control" in context.inputs:
            between.append(looped(open_frames(context.inputs["control"]), result.rate)[0])

        def side_by_side(span: range) -> "Iterator[NDArray[np.uint8]]":
            panels = [panel(span) for panel in between]
            for _, frame in zip(span, result.read(span.start), strict=False):
                yield np.hstack([reference, *map(next, panels), frame])

        size = (result.size[0] * (2 + len(between)), result.size[1])
        make_frames(context, "side by side", side_by_side, result.frames, size, result.rate)


def _drawn(
    motions: "list[PoseSequence]", size: tuple[int, int]
) -> "Callable[[range], Iterator[NDArray[np.uint8]]]":
    """Pictures of the skeletons, of any range of frames."""
    import numpy as np

    from animcli.pose.draw import draw_pose

    def drawn(motion: "PoseSequence", index: int) -> "NDArray[np.uint8]":
        threshold = motion.draw_threshold
        return draw_pose(
            motion.points[index], motion.scores[index], size, threshold=threshold
        )

    return lambda span: (
        np.max([drawn(motion, index) for motion in motions], axis=0) for index in span
    )


SHEET_TILE: Final = 200  # px, width of each picture
TALL: Final = 260  # px, height of a skeleton's picture
FILLED: Final = 0.85  # of it, by the skeletons
SHEET_COLUMNS: Final = 6
MARGIN: Final = 0.1  # of a box, around the person


def tracks_in(origin: "Origin") -> list[dict[str, Any]]:
    """The people that a pose file tells of, by number."""
    tracks = origin.person.get("tracks")
    return tracks if isinstance(tracks, list) else []


@dataclass(frozen=True)
class PeopleStage(Stage):
    """Shows everybody whom `--person` may choose, each where they were seen largest."""

    name: ClassVar[str] = "people"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    libraries: ClassVar[tuple[str, ...]] = ("av", "pillow")

    motion: Source
    video: Source

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_pose import read_pose
        from animcli.stages.charts import contact_sheet
        from animcli.video.images import write_picture
        from animcli.video.reader import open_footage

        origin = read_pose(context.inputs["motion"]).origin
        tracks = [track for track in tracks_in(origin) if track["box"]]
        crops: dict[int, NDArray[np.uint8]] = {}
        with open_footage(context.inputs["video"], keep_going=True) as reader:
            for frame in reader.frames():
                for track in tracks:
                    if track["largest_in"] == frame.index:
                        crops[track["number"]] = crop_to(frame.picture, track["box"])
        shown = [track for track in tracks if track["number"] in crops]
        labels = [
            f"{track['number']}: {track['frames']} frames"
            + (", taken" if track["number"] == origin.person.get("track") else "")
            for track in shown
        ]
        pictures = [crops[track["number"]] for track in shown]
        with atomic_path(context.out) as part:
            write_picture(part, contact_sheet(pictures, labels, SHEET_COLUMNS, SHEET_TILE))


def crop_to(picture: "NDArray[np.uint8]", bbox: list[int]) -> "NDArray[np.uint8]":
    """Crop of a picture around a bbox (left, top, right, bottom), a little more on each
    side.
    """
    left, top, right, bottom = bbox
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    rows = slice(max(int(top - down), 0), max(int(bottom + down), 1))
    columns = slice(max(int(left - across), 0), max(int(right + across), 1))
    return picture[rows, columns]


@dataclass(frozen=True)
class ProportionsStage(Stage):
    """Shows skeletons side by side: the reference, and some frames of source and target."""

    name: ClassVar[str] = "proportions"
    revision: ClassVar[int] = 2
    suffix: ClassVar[str] = ".png"
    libraries: ClassVar[tuple[str, ...]] = ("opencv-python-headless", "pillow")

    motion: Source

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.pose.io_pose import read_pose
        from animcli.pose.retarget.retarget import snapshots
        from animcli.stages.charts import contact_sheet
        from animcli.video.images import write_picture

        motion = read_pose(context.inputs["motion"])
        told: Any = motion.origin.retarget
        frames = told["source"]["frames"]
        target: Any = snapshots(motion, frames)
        # Reference and target lie in the same picture, and so are seen at the same scale.
        reference, *targets = draw_people([*told["reference"]["points"], *target["points"]])
        sources = draw_people(told["source"]["points"])
        pictures = [reference, *sources, np.zeros_like(reference), *targets]
        labels = [
            "reference",
            *(f"source, {frame}" for frame in frames),
            "",
            *(f"target, {frame}" for frame in frames),
        ]
        with atomic_path(context.out) as part:
            write_picture(
                part, contact_sheet(pictures, labels, 1 + len(frames), SHEET_TILE)
            )


def draw_people(bodies: list[list[list[float]]]) -> "list[NDArray[np.uint8]]":
    """Each of the bodies of a snapshot, all at the scale that shows the largest whole."""
    import numpy as np

    from animcli.pose.draw import draw_pose
    from animcli.pose.keypoints import KEYPOINTS

    visible = np.array([point for body in bodies for point in body if point], np.float32)
    low, high = visible.min(axis=0), visible.max(axis=0)
    size = (SHEET_TILE, TALL)
    scale = FILLED * float((np.array(size) / np.maximum(high - low, 1)).min())
    pictures = []
    for body in bodies:
        points = np.zeros((KEYPOINTS, 2), np.float32)
        scores = np.zeros(KEYPOINTS, np.float32)
        for joint, point in enumerate(body):
            if point:
                points[joint] = (np.array(point) - (low + high) / 2) * scale
                points[joint] += np.array(size) / 2
                scores[joint] = 1
        pictures.append(draw_pose(points, scores, size, hands=False, face=False))
    return pictures
