"""Changes from frame to frame: by moving, by flickering, or at a seam.

The optical flow between neighbours says what has moved; what it leaves unexplained is a
fault, or the flow's own error. That error dominates, so every number here means something
only beside that of the driving video, and together with the share of pixels that were
compared: a flow measured on the very video that is judged explains flicker away, and hides
it among the pixels that it takes for occluded.

Source of the warp error: Lai et al., "Learning Blind Video Temporal Consistency",
arXiv:1808.00449, section 4; its occlusion mask is that of Ruder et al., arXiv:1604.08610.
Differs: the flow is OpenCV's DIS (Kroeger et al., arXiv:1603.03590), of the video itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.metrics.pixels import Pixels, psnr

Mask = NDArray[np.bool_]
Flow = NDArray[np.float32]

ValueT = TypeVar("ValueT", np.uint8, np.float32)

LONGEST: Final = 768
"""Pixels; larger frames are measured at this size. A pair of 768 x 432 takes 0.2 s."""

GROWN: Final = 4  # pixels that a figure's mask is grown by: its edge is never exact
SAMPLED: Final = 48  # frames, evenly spread, that the usual background is taken from
LEAST_PART: Final = 0.005
"""Of the picture; of a smaller background, or figure, nothing can be said."""

LEAST_RESIDUAL: Final = 0.05
"""Levels; what rounding alone leaves. A smaller usual change makes no ratio."""

SMOOTHED: Final = 2.0  # pixels, the sigma of a Gaussian


@dataclass(frozen=True, eq=False)
class Steps:
    """Changes between neighbours; every array is `(frames - 1,)`.

    warp_error: mean squared change in 0..1 that the flow leaves, over pixels compared.
    residual: the same as mean absolute levels.
    figure_residual: the same inside the figure alone, smoothed over SMOOTHED pixels, in
        which errors of the flow cancel out and a change of colour or texture doesn't; NaN
        without masks.
    kept: share of pixels compared, 0..1.
    motion: mean length of the flow, of the picture's height.
    difference: mean absolute change, levels.
    flicker: mean absolute change where neither frame has the figure, levels; NaN without
        masks.
    """

    warp_error: NDArray[np.float64]
    residual: NDArray[np.float64]
    figure_residual: NDArray[np.float64]
    kept: NDArray[np.float64]
    motion: NDArray[np.float64]
    difference: NDArray[np.float64]
    _: KW_ONLY
    flicker: NDArray[np.float64]

    @property
    def flickering(self) -> NDArray[np.float64]:
        """VBench's temporal flickering of each pair, 1 for none (arXiv:2311.17982)."""
        return (255 - self.difference) / 255


@dataclass(frozen=True, eq=False)
class Background:
    """The part of the pictures that the figure never covers.

    drift: mean over its pixels of the standard deviation over time, levels.
    median: `(h, w, 3)` the usual picture. free: `(h, w)` where it is background.
    """

    drift: float
    median: Pixels
    free: Mask


def steps(frames: Iterable[Pixels], masks: Iterable[Mask] | None = None) -> Steps:
    """Measure every pair of neighbours of a video, read once.

    masks: where the figure is in each frame, `(h, w)`.
    """
    rows = [_step(a, b) for a, b in pairwise(_small(frames, masks))]
    table = np.array(rows, np.float64).reshape(-1, 7)
    *columns, flicker = table.T
    return Steps(*columns, flicker=flicker)


def window_borders(windows: Iterable[Sequence[int]], frames: int) -> tuple[int, ...]:
    """Frames before which a context window begins or ends, those of the clip left out.

    windows: the frames of each window. Those over every 2nd, 3rd, ... frame have no border
    in time, and count for nothing.
    """
    found = set()
    for window in windows:
        inside = set(window)
        runs = [frame for frame in inside if frame + 1 in inside]
        if runs or len(inside) == 1:
            found |= {frame for frame in inside if frame - 1 not in inside}
            found |= {frame + 1 for frame in inside if frame + 1 not in inside}
    return tuple(sorted(frame for frame in found if 0 < frame < frames))


def seam_ratio(residual: NDArray[np.float64], borders: Iterable[int]) -> float:
    """The unexplained change at window borders by the usual one; 1 where nobody sees them.

    borders: frames before which a context window begins or ends. The mean over them is
    divided by the median over all other pairs. NaN without borders or without others.
    """
    at = sorted({frame - 1 for frame in borders if 0 < frame <= len(residual)})
    there, others = residual[at], np.delete(residual, at)
    if np.isnan(there).all() or np.isnan(others).all():
        return float("nan")
    return float(np.nanmean(there) / max(np.nanmedian(others), LEAST_RESIDUAL))


def largest_step(
    residual: NDArray[np.float64], left_out: Iterable[int] = ()
) -> tuple[float, int]:
    """The largest unexplained change by the usual one, and the frame that it leads to.

    left_out: frames at which the motion itself steps: cuts of the driving video.
    NaN and frame 0 where nothing is left.
    """
    values = residual.copy()
    values[[frame - 1 for frame in left_out if 0 < frame <= len(values)]] = np.nan
    if np.isnan(values).all():
        return float("nan"), 0
    place = int(np.nanargmax(values))
    usual = max(float(np.nanmedian(values)), LEAST_RESIDUAL)
    return float(values[place] / usual), place + 1


def background(frames: Iterable[Pixels], masks: Iterable[Mask]) -> Background | None:
    """Background that stays over a video; None if the figure is everywhere.

    Frames and masks are read once; some of the frames are kept.
    """
    total = squares = covered = None
    count, kept, every = 0, [], 1
    for picture, mask in zip(frames, masks, strict=True):
        exact = picture.astype(np.float32)
        if total is None or squares is None or covered is None:
            shape = picture.shape
            total, squares = np.zeros(shape), np.zeros(shape)
            covered = np.zeros(shape[:2], bool)
        total += exact
        squares += exact * exact
        covered |= mask
        if count % every == 0:
            kept.append(picture)
        if len(kept) == 2 * SAMPLED:
            kept, every = kept[::2], 2 * every
        count += 1
    if total is None or squares is None or covered is None:
        return None
    free = ~grow_mask(covered)
    if free.mean() < LEAST_PART:
        return None
    variance = np.maximum(squares / count - (total / count) ** 2, 0)
    median = np.median(np.stack(kept), axis=0)
    return Background(
        float(np.sqrt(variance)[free].mean()), np.asarray(median.round(), np.uint8), free
    )


def background_psnr(found: Background, reference: Pixels, figure: Mask) -> float:
    """Likeness in dB of the usual background to the reference picture outside its figure.

    reference and figure have the result's size. A renderer that only blurs the background
    has no drift, and shows here. NaN where the two share no background.
    """
    shared = found.free & ~grow_mask(figure)
    if shared.mean() < LEAST_PART:
        return float("nan")
    return psnr(found.median[shared], reference[shared])


def grow_mask(mask: Mask) -> Mask:
    """A mask and everything within a few pixels of it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GROWN + 1, 2 * GROWN + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)


def cuts(difference: NDArray[np.float64], times: float = 8.0) -> list[int]:
    """Frames of a driving video before which it is cut: all of the picture changes.

    A change `times` as large as the median of its neighbourhood of 25 frames, and of 20
    levels at least.
    """
    found = []
    for place, value in enumerate(difference):
        near = difference[max(place - 12, 0) : place + 13]
        if value > 20 and value > times * np.median(near):
            found.append(place + 1)
    return found


def _small(
    frames: Iterable[Pixels], masks: Iterable[Mask] | None
) -> Iterator[tuple[Pixels, Mask | None]]:
    """Frames and masks at the size that they are measured at."""
    if masks is None:
        for picture in frames:
            yield _at_most(picture), None
        return
    for picture, mask in zip(frames, masks, strict=True):
        small = _at_most(picture)
        size = (small.shape[1], small.shape[0])
        figure = mask.astype(np.uint8)
        if mask.shape != small.shape[:2]:
            figure = np.asarray(
                cv2.resize(255 * figure, size, interpolation=cv2.INTER_AREA)
            )
        yield small, figure > 0


def _at_most(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return picture
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _step(
    before: tuple[Pixels, Mask | None], after: tuple[Pixels, Mask | None]
) -> tuple[float, float, float, float, float, float, float]:
    (a, figure_a), (b, figure_b) = before, after
    grey_a, grey_b = (_grey(each) for each in (a, b))
    forward, backward = _flow(grey_a, grey_b), _flow(grey_b, grey_a)
    places = _places(forward)
    warped = _sampled(b, places)
    seen = ~_occluded(forward, backward, places)
    left = warped.astype(np.float32) - a
    change = np.asarray(cv2.absdiff(a, b), np.uint8)
    flicker = inside = float("nan")
    if figure_a is not None and figure_b is not None:
        free = ~grow_mask(figure_a | figure_b)
        if free.mean() >= LEAST_PART:
            flicker = _mean(change, free)
        figure = figure_a & seen
        if figure.mean() >= LEAST_PART:
            inside = _mean(np.abs(_smoothed(left, seen)), figure)
    return (
        _mean(left * left, seen) / 255**2,
        _mean(np.abs(left), seen),
        inside,
        float(seen.mean()),
        float(cv2.magnitude(forward[..., 0], forward[..., 1]).mean()) / len(a),
        float(change.mean()),
        flicker,
    )


def _mean(values: NDArray[ValueT], where: Mask) -> float:
    """The mean of `(h, w, 3)` over the channels and some of the pixels; NaN for none."""
    if not where.any():
        return float("nan")
    return float(np.mean(cv2.mean(values, where.astype(np.uint8))[:3]))


def _smoothed(values: NDArray[np.float32], seen: Mask) -> NDArray[np.float32]:
    """Means over the neighbourhood of each pixel, of the neighbours that are seen."""
    weight = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), SMOOTHED)
    total = cv2.GaussianBlur(values * seen[..., None], (0, 0), SMOOTHED)
    return np.asarray(total / np.maximum(weight, 1e-6)[..., None], np.float32)


def _grey(picture: Pixels) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Flow:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*before.shape, 2), np.float32)
    return np.asarray(dis.calc(before, after, start), np.float32)


def _places(flow: Flow) -> Flow:
    """Position of each pixel's partner, `(h, w, 2)`."""
    height, width = flow.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    return np.asarray(grid + flow, np.float32)


def _sampled(values: NDArray[ValueT], places: Flow) -> NDArray[ValueT]:
    """The values at these places, between pixels by linear interpolation."""
    x, y = places[..., 0], places[..., 1]
    found = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, values.dtype)


def _occluded(forward: Flow, backward: Flow, places: Flow) -> Mask:
    """Pixels whose partner doesn't lead back to them, or is outside, or at an edge of
    motion.
    """
    height, width = forward.shape[:2]
    back = _sampled(backward, places)
    lengths = _squared(forward)
    lost = _squared(forward + back) > 0.01 * (lengths + _squared(back)) + 0.5
    steep = np.zeros((height, width), np.float32)
    steep[:, :-1] += _squared(np.diff(forward, axis=1))
    steep[:-1] += _squared(np.diff(forward, axis=0))
    edge = steep > 0.01 * lengths + 0.002
    x, y = places[..., 0], places[..., 1]
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    return np.asarray(lost | edge | outside)


def _squared(vectors: Flow) -> Flow:
    x, y = vectors[..., 0], vectors[..., 1]
    return np.asarray(x * x + y * y)
