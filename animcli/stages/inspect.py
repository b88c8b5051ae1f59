"""Pictures to judge a motion or a video by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.project.writing import beside
from animcli.stages.frames import INDEX, make_frames, open_frames
from animcli.stages.stage import Bench, Source, settings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONG_SIDE: Final = 1280
"""Pixels. A motion in a larger picture is drawn smaller: it is to be looked at."""


@dataclass(frozen=True)
class OverlayStage:
    """Draws a motion on the video that it came from, or on black; a folder of frames.

    video: as many frames as the motion has are taken from it.
    longest: of the sides, pixels; None draws a motion at its own size.
    """

    name: ClassVar[str] = "overlay"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "opencv-python-headless", "pillow")

    motion: Source
    video: Source | None = None
    longest: int | None = LONG_SIDE

    def inputs(self) -> Mapping[str, Source]:
        video = {} if self.video is None else {"video": self.video}
        return {"motion": self.motion, **video}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        import numpy as np

        from animcli.pose.draw import draw_pose
        from animcli.pose.posefile import read_pose

        motion = read_pose(bench.inputs["motion"])
        longest = self.longest or max(motion.size)
        scale = min(1.0, longest / max(motion.size))
        width, height = (max(2, round(side * scale / 2) * 2) for side in motion.size)
        points = motion.points * np.float32(scale)
        ground = bench.inputs.get("video")

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
        make_frames(bench, "drawing the pose", drawn, len(motion), (width, height), rate)


def _pictures(
    video: Path | None, span: range, size: tuple[int, int]
) -> "Iterator[NDArray[np.uint8]]":
    """What the pose is drawn on: frames of the video, dimmed, or black."""
    import cv2
    import numpy as np

    if video is None:
        for _ in span:
            yield np.zeros((size[1], size[0], 3), np.uint8)
        return
    from animcli.video.read import open_footage

    with open_footage(video, keep_going=True) as reader:
        for frame in reader.frames(span.start, span.stop):
            small = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA)
            yield (small.astype(np.uint16) * 3 // 4).astype(np.uint8)


def _mean_rate(ticks: list[int], base: Fraction) -> Fraction:
    """Frames a second of a motion whose frames are not evenly spaced."""
    span = (ticks[-1] - ticks[0]) * base if ticks else Fraction(0)
    return ((len(ticks) - 1) / span if span > 0 else Fraction(24)).limit_denominator(1001)


@dataclass(frozen=True)
class SheetStage:
    """Puts frames of a clip, evenly spread, on one picture.

    clip: footage, or a folder of frames that another stage makes.
    tile: width of each frame on the sheet, in pixels.
    """

    name: ClassVar[str] = "contact-sheet"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "pillow")

    clip: Source
    tiles: int = 24
    columns: int = 6
    tile: int = 200

    def inputs(self) -> Mapping[str, Source]:
        return {"clip": self.clip}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        from animcli.stages.charts import contact_sheet
        from animcli.video.picture import write_picture

        pictures, labels = _spread(bench.inputs["clip"], self.tiles)
        with beside(bench.out) as part:
            write_picture(part, contact_sheet(pictures, labels, self.columns, self.tile))


def _spread(clip: Path, tiles: int) -> "tuple[list[NDArray[np.uint8]], list[str]]":
    """`tiles` frames of a clip, evenly spread, and when each is shown."""
    if (clip / INDEX).is_file():
        folder = open_frames(clip)
        wanted = _evenly(folder.frames, tiles)
        pictures = [p for index, p in enumerate(folder.read()) if index in wanted]
        return pictures, [f"{float(index / folder.rate):.2f} s" for index in sorted(wanted)]
    from animcli.video.read import open_footage

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
class CurvesStage:
    """Draws confidence, gaps and speed of a motion over time."""

    name: ClassVar[str] = "curves"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("pillow",)

    motion: Source
    title: str

    def inputs(self) -> Mapping[str, Source]:
        return {"motion": self.motion}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        from animcli.pose.posefile import read_pose
        from animcli.stages.charts import pose_curves
        from animcli.video.picture import write_picture

        curves = pose_curves(read_pose(bench.inputs["motion"]), self.title)
        with beside(bench.out) as part:
            write_picture(part, curves)
