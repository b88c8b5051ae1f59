"""A driving video's own frames, at the times of a result's frames."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from animcli.pipeline.stage import RunContext
from animcli.pose.io_pose import read_pose
from animcli.pose.sequence import PoseSequence
from animcli.rendering.renderer import FrameFn
from animcli.stages.fitting import (
    Fit,
    at_speed,
    check_frames,
    fit_picture,
    resample,
    take_frames,
)
from animcli.video.reader import Reader, open_footage

if TYPE_CHECKING:
    from animcli.stages.render import RenderStage

OTHER_VIDEO: Final = (
    "the keypoints were found in another video than faces and background are taken from: "
    "they may not lie where they should"
)


@dataclass(frozen=True, eq=False)
class Driving:
    """A driving video while it is open.

    footage: its frames at the times of the result's, at its own size. frames: how many.
    motion: the keypoints in them, before they were retargeted; None where none were found.
    """

    footage: FrameFn
    frames: int
    motion: PoseSequence | None

    def fitted(self, size: tuple[int, int], fit: Fit) -> FrameFn:
        """The frames at the size of the result, with black beside them."""
        return lambda span: (
            fit_picture(picture, size, fit, black=True) for picture in self.footage(span)
        )


@contextmanager
def open_driving(
    stage: "RenderStage", context: RunContext, frames: int | None, rate: Fraction
) -> Iterator[Driving]:
    """The driving video of a render.

    frames: of the result, where its motion says so. rate: of the result.
    """
    with open_footage(context.inputs["footage"], keep_going=True) as reader:
        found, begins = None, 0.0
        if "source" in context.inputs:
            found = read_pose(context.inputs["source"])
            said = found.origin.source.get("sha256")
            if said is not None and said != context.cache_key.inputs["footage"]:
                context.warn(OTHER_VIDEO)
            begins = float(found.begins)
            even = resample(at_speed(found, stage.speed), rate)
            there = len(even)
        else:
            there = filmed_frames(reader, rate / stage.speed)
        if frames is None:
            frames = there if stage.frames is None else stage.frames
            check_frames(frames, there, loop=stage.loop)
        times = times_of(frames, there, rate) * float(stage.speed) + begins
        indices = frames_at(times, found, reader)
        motion = None if found is None else take_frames(even, frames, loop=True)
        yield Driving(follow(reader, indices), frames, motion)


def filmed_frames(reader: Reader, rate: Fraction) -> int:
    """Number of frames that a video has at another rate, from its first to its last."""
    info = reader.info
    count = info.frames if info.frames is not None else sum(1 for _ in reader.frames())
    return int((count - 1) * rate / info.rate) + 1


def frames_at(
    times: NDArray[np.float64], motion: PoseSequence | None, reader: Reader
) -> NDArray[np.int64]:
    """The nearest frame of a video at each of some times, in seconds from its first.

    motion: keypoints that were found in the video; they know when unevenly spaced frames
        are.
    """
    count = reader.info.frames
    if motion is not None and (count is None or count == len(motion)):
        seconds = (motion.ticks - motion.ticks[0]) * float(motion.time_base)
    else:
        if count is None:
            count = sum(1 for _ in reader.frames())
        seconds = np.arange(count) / float(reader.info.rate)
    after = np.clip(np.searchsorted(seconds, times), 1, max(len(seconds) - 1, 1))
    after = np.minimum(after, len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(times - seconds[before] <= seconds[after] - times, before, after)
    return nearer.astype(np.int64)


def times_of(frames: int, there: int, rate: Fraction) -> NDArray[np.float64]:
    """Seconds of a result's frames in a motion of `there` frames, which loops."""
    return np.arange(frames) % there / float(rate)


def follow(reader: Reader, indices: Sequence[int] | NDArray[np.int64]) -> FrameFn:
    """Frames of a video in another order; those that rise are read in one go.

    A frame that can't be decoded is left out where the reader does so; the next one stands
    for it.
    """

    def source(span: range) -> Iterator[NDArray[np.uint8]]:
        wanted = [int(indices[frame]) for frame in span]
        start = 0
        while start < len(wanted):
            stop = start + 1
            while stop < len(wanted) and wanted[stop] >= wanted[stop - 1]:
                stop += 1
            yield from _rising(reader, wanted[start:stop])
            start = stop

    return source


def _rising(reader: Reader, wanted: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    shown = None
    stream = reader.frames(wanted[0])
    for index in wanted:
        while shown is None or shown.index < index:
            found = next(stream, None)
            if found is None:
                break
            shown = found
        if shown is None:
            raise ValueError(f"{reader.info.path} has no frame {index}")
        yield shown.picture
