"""Bringing pictures and motions of another shape to the size and rate of the result.

Source of `cover`: the authors' code (maxin-cn/Cinemo at 7cd7f27), written anew and compared
with its numbers.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import UsageError
from animcli.pose.sequence import PoseSequence, even_ticks


class Fit(Enum):
    """Ways for a picture of another shape to fill the size; its proportions always stay."""

    PAD = "pad"
    CROP = "crop"
    COVER = "cover"  # as CROP, in the way of Cinemo's authors


def covering(
    source: tuple[int, int], size: tuple[int, int]
) -> tuple[float, tuple[int, int]]:
    """Scale of a picture that covers `size`, and what is cut off before it.

    source, size: (width, height). What is cut off is (left, top), in pixels of the larger
    picture, which is made one pixel larger than is needed.
    """
    scale = max((size[1] + 1) / source[1], (size[0] + 1) / source[0])
    left, top = (
        round((math.floor(there * scale) - wanted) / 2)
        for there, wanted in zip(source, size, strict=True)
    )
    return scale, (left, top)


def cover(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (h, w, channels) that covers `size` (width, height), cut at its middle."""
    return np.round(cover_exactly(picture, size) * 255).astype(np.uint8)


def cover_exactly(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """The same before rounding, (height, width, channels) in 0..1.

    Along straight lines between pixels, and with no smoothing before.
    """
    scale, (left, top) = covering((picture.shape[1], picture.shape[0]), size)
    pixels: NDArray[np.float32] = picture.astype(np.float32) / np.float32(255)
    for axis, (length, cut) in enumerate([(size[1], top), (size[0], left)]):
        last = picture.shape[axis] - 1
        # Rounded to float32 where upstream is: that moves a sharp edge by more than 1e-6.
        at = float(np.float32(1 / scale)) * (np.arange(cut, cut + length) + 0.5) - 0.5
        at = np.clip(at, 0, None).astype(np.float32)
        before = np.minimum(at.astype(np.intp), last)
        part = (at - before).astype(np.float32)
        part = np.expand_dims(part, (1, 2) if axis == 0 else (0, 2))
        first = pixels.take(before, axis)
        pixels = first + part * (pixels.take(np.minimum(before + 1, last), axis) - first)
    return pixels


USUAL_RATES: Final = tuple(
    Fraction(rate)
    for rate in (
        "24000/1001",
        "24",
        "25",
        "30000/1001",
        "30",
        "48",
        "50",
        "60000/1001",
        "60",
    )
)


@dataclass(frozen=True)
class Placement:
    """Place of a picture in the result.

    scale: pixels of the result for one of the picture, across and down.
    left, top: of its corner, in pixels of the result; negative where it is cut.
    """

    scale: tuple[float, float]
    left: int
    top: int

    def back(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points `(..., 2)` of the result, in pixels of the picture."""
        return (points.astype(np.float64) - (self.left, self.top)) / self.scale


def placement(source: tuple[int, int], size: tuple[int, int], fit: Fit) -> Placement:
    """Keep the proportions and centre; PAD leaves room beside, the others cut what is over.

    With PAD and CROP the scaled picture is a whole number of pixels wide and high.
    """
    if fit is Fit.COVER:
        even, (left, top) = covering(source, size)
        return Placement((even, even), -left, -top)
    across, down = size[0] / source[0], size[1] / source[1]
    scale = min(across, down) if fit is Fit.PAD else max(across, down)
    width, height = round(source[0] * scale), round(source[1] * scale)
    return Placement(
        (width / source[0], height / source[1]),
        (size[0] - width) // 2,
        (size[1] - height) // 2,
    )


def lanczos(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture `(h, w, channels)` at `size` by Pillow's filter of that name."""
    from PIL import Image

    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[..., each]))
        for each in range(pixels.shape[2])  # or colours would be weighed by alpha
    ]
    return np.dstack(
        [np.asarray(x.resize(size, Image.Resampling.LANCZOS)) for x in channels]
    )


def fit_picture(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    fit: Fit,
    *,
    black: bool = False,
    by_lanczos: bool = False,
) -> NDArray[np.uint8]:
    """A picture `(h, w, channels)` at `size`; room beside it continues its border, or is
    black.

    by_lanczos: scale with Pillow's filter, as diffusers does; nothing to `Fit.COVER`.
    """
    import cv2

    if fit is Fit.COVER:
        return cover(pixels, size)
    source = (pixels.shape[1], pixels.shape[0])
    at = placement(source, size, fit)
    width, height = (round(s * side) for s, side in zip(at.scale, source, strict=True))
    if by_lanczos:
        scaled = lanczos(pixels, (width, height))
    else:
        # Averages where it gets smaller, so that fine patterns don't turn into others.
        smooth = cv2.INTER_AREA if width < source[0] else cv2.INTER_CUBIC
        scaled = np.asarray(cv2.resize(pixels, (width, height), interpolation=smooth))
    cut = scaled[max(-at.top, 0) :, max(-at.left, 0) :][: size[1], : size[0]]
    top, left = max(at.top, 0), max(at.left, 0)
    bottom, right = size[1] - top - cut.shape[0], size[0] - left - cut.shape[1]
    fitted = cv2.copyMakeBorder(
        cut,
        top,
        bottom,
        left,
        right,
        cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE,
    )
    if fitted.shape[2] == 4:  # what is beside the picture isn't part of the character
        inside = np.zeros(fitted.shape[:2], dtype=bool)
        inside[top : size[1] - bottom, left : size[0] - right] = True
        fitted[~inside, 3] = 0
    return np.ascontiguousarray(fitted, dtype=np.uint8)


def fit_motion(motion: PoseSequence, size: tuple[int, int], fit: Fit) -> PoseSequence:
    """A motion in pixels of a result of `size`, placed as its picture would be."""
    if motion.size == size and fit is not Fit.COVER:  # which enlarges all the same
        return motion
    at = placement(motion.size, size, fit)
    points = motion.points * np.array(at.scale) + np.array([at.left, at.top])
    return replace(motion, points=points.astype(np.float32), size=size)


def nominal_rate(motion: PoseSequence) -> Fraction:
    """Frames per second; of unevenly spaced frames, what most of them have.

    That is 1 over the median step, moved to the usual rate within half a percent of it.
    """
    if motion.rate is not None:
        return motion.rate
    steps = np.diff(motion.ticks)
    steps = steps[steps > 0]
    if len(steps) == 0:
        return USUAL_RATES[1]
    rate = 1 / (motion.time_base * int(np.sort(steps)[len(steps) // 2]))
    nearest = min(USUAL_RATES, key=lambda usual: abs(usual - rate))
    return nearest if abs(nearest - rate) < rate / 200 else rate.limit_denominator(1001)


def at_speed(motion: PoseSequence, speed: Fraction) -> PoseSequence:
    """The same frames `speed` times as fast."""
    return replace(motion, time_base=motion.time_base / speed)


def resample(motion: PoseSequence, rate: Fraction) -> PoseSequence:
    """The motion at an even rate, from its first frame to its last.

    A joint lies on the line between its places in the frames before and after; one that is
    seen in only one of them, or lies in two shots, is taken from the nearer frame.
    """
    if motion.rate == rate or len(motion) < 2:
        ticks, time_base = even_ticks(len(motion), rate)
        return replace(motion, ticks=ticks, time_base=time_base)
    seconds = (motion.ticks - motion.ticks[0]) * float(motion.time_base)
    length = int(motion.ticks[-1] - motion.ticks[0]) * motion.time_base
    frames = int(length * rate) + 1
    at = np.arange(frames) / float(rate)
    after = np.clip(np.searchsorted(seconds, at, side="left"), 1, len(motion) - 1)
    before = after - 1
    step = np.maximum(seconds[after] - seconds[before], 1e-9)
    part = np.clip((at - seconds[before]) / step, 0, 1).astype(np.float32)
    nearer = np.where(part < 0.5, before, after)
    both = (motion.scores[before] > 0) & (motion.scores[after] > 0)
    shot = np.searchsorted(motion.cuts, np.arange(len(motion)), side="right")
    both &= (shot[before] == shot[after])[:, None]
    mixed_points = _mix(motion.points[before], motion.points[after], part[:, None, None])
    mixed_scores = _mix(motion.scores[before], motion.scores[after], part[:, None])
    ticks, time_base = even_ticks(frames, rate)
    cuts = (np.flatnonzero(np.diff(shot[nearer])) + 1).tolist()
    origin = motion.origin
    if cuts or motion.cuts:
        origin = replace(origin, source={**origin.source, "cuts": cuts})
    return replace(
        motion,
        origin=origin,
        points=np.where(both[..., None], mixed_points, motion.points[nearer]),
        scores=np.where(both, mixed_scores, motion.scores[nearer]),
        ticks=ticks,
        time_base=time_base,
    )


def take_frames(motion: PoseSequence, frames: int | None, *, loop: bool) -> PoseSequence:
    """The first `frames` frames of an even motion, from its start again if it may loop.

    Raises UsageError where it has fewer and may not.
    """
    wanted = len(motion) if frames is None else frames
    check_frames(wanted, len(motion), loop=loop)
    index = np.arange(wanted) % len(motion)
    rate = nominal_rate(motion)
    ticks, time_base = even_ticks(wanted, rate)
    return replace(
        motion,
        points=motion.points[index],
        scores=motion.scores[index],
        ticks=ticks,
        time_base=time_base,
    )


def check_frames(wanted: int, there: int, *, loop: bool) -> None:
    """Raise UsageError for no frames, or more than there are, unless they may loop."""
    if wanted < 1:
        raise UsageError(f"--frames {wanted} makes no video", "give 1 or more")
    if wanted > there and not loop:
        raise UsageError(
            f"the motion has {there} frames, {wanted} were asked for",
            f"--loop or --frames {there}",
        )


def _mix(
    first: NDArray[np.float32], second: NDArray[np.float32], part: NDArray[np.float32]
) -> NDArray[np.float32]:
    return (first + (second - first) * part).astype(np.float32)
