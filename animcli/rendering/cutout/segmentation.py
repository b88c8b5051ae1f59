"""Segmentation: the probability that a pixel belongs to the figure, from three witnesses.

BlazePose's outline is sharp, but fails on some people as a whole. Selfie segmentation fails
less, but blurs and misses drawn faces. The keypoints say where a body must be, though not
how wide its clothes are. A logistic regression weighs them; it was fitted to the true masks
of 48 drawn people (seeds 800000 on).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from animcli.pose import keypoints as keypoint
from animcli.pose.detectors.blazepose.detector import ROI, whole
from animcli.pose.detectors.blazepose.selfie import SelfieSegmentation
from animcli.pose.detectors.blazepose.tracker import BlazePose
from animcli.rendering.cutout.inpaint import push_pull
from animcli.rendering.cutout.rig import (
    HEAD_KEYPOINTS,
    LIMBS,
    PARENTS,
    TIPS,
    Bone,
    RestPose,
)

_WEIGHTS: Final = (-0.01, 2.44, 1.28, 1.19, -1.54, -0.76, -0.58)
"""Fitted: constant; outline, selfie (logits / 4); near, beside, off and far from bones."""

_HALF_WIDTH: Final = {  # trunk lengths from a bone to the figure's outline
    **dict.fromkeys((Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM), 0.14),
    **dict.fromkeys((Bone.RIGHT_FOREARM, Bone.LEFT_FOREARM), 0.12),
    **dict.fromkeys((Bone.RIGHT_HAND, Bone.LEFT_HAND), 0.10),
    **dict.fromkeys((Bone.RIGHT_THIGH, Bone.LEFT_THIGH), 0.20),
    **dict.fromkeys((Bone.RIGHT_SHIN, Bone.LEFT_SHIN), 0.15),
    **dict.fromkeys((Bone.RIGHT_FOOT, Bone.LEFT_FOOT), 0.12),
}
_TRUNK: Final = 0.2
_HEAD: Final = 0.24
_CORE: Final = 0.05  # trunk lengths: how wide a limb's bone surely is figure

_DOUBTED: Final = 0.1  # probability below which a bone may lie behind something else
_BESIDE: Final = 0.1  # trunk lengths from a body at which the networks are believed
_GAP: Final = 0.35  # trunk lengths from an arm's bones to the far side of a gap beside it
_BACK: Final = 0.05  # probability below which a pixel beside the body shows background
_MORE: Final = 3.0  # times as often that a colour is the figure's
_LIKELY: Final = 0.6  # what a pixel about the bones has at least, if its colour says so
_FAR: Final = 0.75  # trunk lengths from a body beyond which hardly anything is of it
_PLAIN: Final = 3.0  # levels, CIE Lab, by which a plain wall differs from its surroundings
_WALL: Final = 5.5  # levels within which a pixel between limbs is of such a wall
_AROUND: Final = 0.5  # trunk lengths about such a pixel where the wall has to be seen
_APART: Final = 0.6  # share of a gap's border at which something else begins at once
_UNSURE: Final = 0.95  # probability of some pixel in a gap: who is sure all over is right
_GAP_SIZE: Final = 1e-3  # squared trunk lengths of the smallest gap that is looked for

_Line = tuple[NDArray[np.float64], NDArray[np.float64], float]
"""Two ends in px, and the half width about it in trunk lengths."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Evidence for the figure.

    probability: `(h, w)` float32, 0..1.
    front, back: `(h, w)` bool, what is figure or background whatever its colours are.
    open: `(h, w)` bool, beside an arm or a gap, where the background may show through.
    """

    probability: NDArray[np.float32]
    front: NDArray[np.bool_]
    back: NDArray[np.bool_]
    open: NDArray[np.bool_]


def segment(picture: NDArray[np.uint8], rest: RestPose, models: Path) -> Segmentation:
    """Weigh up the figure in `picture` `(h, w, 3)` whose keypoints `rest` has.

    models: the folder of the weights `blazepose`.
    """
    size = (picture.shape[1], picture.shape[0])
    away = body_distance(rest, size)
    roi = _square(away)
    outline, sure = BlazePose(models, hands=False, face=False).segment_in(
        picture, roi.grown(1.15)
    )
    selfie = SelfieSegmentation(models).logits(
        picture, ((whole(picture), 1.0), (roi.grown(1.2), 1.5))
    )
    evidence = (
        np.ones_like(away),
        outline * (sure / 4),
        selfie / 4,
        np.clip(-away, 0, 0.2) * 5,
        np.clip(away, 0, 0.15) * 5,
        np.clip(away - 0.15, 0, 0.4),
        np.clip(away - 0.55, 0, 2),
    )
    logit = sum(w * e for w, e in zip(_WEIGHTS, evidence, strict=True))
    probability = (0.5 * (1 + np.tanh(0.5 * np.asarray(logit)))).astype(np.float32)
    back = (probability < _BACK) & (away > _BESIDE)
    likely = _figure_colours(picture, probability > 0.5, back) & (away < 0)
    probability = np.where(likely, np.maximum(probability, _LIKELY), probability)
    front = _core(rest, size) & (probability > _DOUBTED)
    far = (away > _FAR) & (probability < 0.9)
    back = far | ((probability < 0.01) & (away > _BESIDE))
    open_ = (away > 0) & (_from_arms(rest, size) < _GAP)
    gaps = wall_in_gaps(picture, probability, rest.trunk) & ~front
    if gaps.any():
        probability = np.where(gaps, 0, probability).astype(np.float32)
        back |= gaps
        open_ |= cv2.dilate(gaps.astype(np.uint8), _box(2 * _edge(size))) > 0
    return Segmentation(probability, front, back & ~front, open_ & ~front)


def wall_in_gaps(
    picture: NDArray[np.uint8], probability: NDArray[np.float32], trunk: float
) -> NDArray[np.bool_]:
    """`(h, w)`: pixels between limbs through which a plain wall shows.

    Its colour there is known from what surrounds the figure. Cloth of that colour is no
    gap: it shades off, where a gap ends at once.
    """
    size = (picture.shape[1], picture.shape[0])
    near = _edge(size)
    figure = (probability > 0.5).astype(np.uint8)
    beyond = cv2.dilate((probability > _BACK).astype(np.uint8), _box(2 * near)) == 0
    colour = lab_colours(picture).astype(np.float32)
    change = np.linalg.norm(colour - push_pull(colour, beyond), axis=-1)
    smooth = np.linalg.norm(colour - cv2.blur(colour, (9, 9)), axis=-1)
    gaps = np.zeros(beyond.shape, bool)
    alike = ((change < _WALL) & (probability > _BACK)).astype(np.uint8)
    alike = cv2.morphologyEx(alike, cv2.MORPH_OPEN, _box(near))
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] < _GAP_SIZE * trunk**2:
            continue
        gap = pieces == number
        if probability[gap].min() > _UNSURE:
            continue
        piece = gap.astype(np.uint8)
        about = beyond & (cv2.dilate(piece, _box(round(trunk * _AROUND))) > 0)
        if not about.any() or np.percentile(smooth[about], 95) > _PLAIN:
            continue
        rim = (cv2.dilate(piece, _box(2 * near + 1)) > 0) & (figure > 0)
        rim &= cv2.dilate(piece, _box(near)) == 0
        if rim.any() and (change[rim] > 2 * _WALL).mean() > _APART:
            gaps |= gap
    return gaps


def _edge(size: tuple[int, int]) -> int:
    """Pixels across which an edge in a picture of `size` is blurred."""
    return max(2, round(max(size) / 384))


def _box(reach: int) -> NDArray[np.uint8]:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def _figure_colours(
    picture: NDArray[np.uint8], figure: NDArray[np.bool_], back: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """`(h, w)`: the pixels with a colour that is more the figure's than the background's,
    or that the background doesn't have at all.

    Clothes in a shade of the wall's colour are what networks take for wall. figure, back:
    `(h, w)`, examples of both.
    """
    number = bin_numbers(lab_colours(picture).reshape(-1, 3)).reshape(back.shape)
    behind = colour_histogram(number[back])
    own = (colour_histogram(number[figure]) > _MORE * behind) | (
        behind < 2 * _UNKNOWN_SHARE
    )
    return np.asarray(own[number])


def _lines(rest: RestPose, size: tuple[int, int]) -> list[_Line]:
    """The lines that a body lies about, with legs that the picture's edge cuts off."""
    points = rest.keypoints
    neck, hips = rest.start[Bone.CHEST], rest.start[Bone.PELVIS]
    right, left = points[keypoint.RIGHT_SHOULDER], points[keypoint.LEFT_SHOULDER]
    right_hip, left_hip = points[keypoint.RIGHT_HIP], points[keypoint.LEFT_HIP]
    lines: list[_Line] = [
        (neck, hips, 0.3),
        (right, left, 0.22),
        (right_hip, left_hip, 0.22),
        (right, right_hip, _TRUNK),
        (left, left_hip, _TRUNK),
    ]
    face = [j for j in HEAD_KEYPOINTS if rest.visible[j]]
    if face:
        middle = points[face].mean(axis=0)
        lines.append((neck, middle + 0.5 * (middle - neck), _TRUNK))
        lines.append((middle, middle + 0.35 * (middle - neck), _HEAD))
    for bone, half in _HALF_WIDTH.items():
        start, end = rest.start[bone], rest.end[bone]
        if rest.present[bone]:
            if bone in TIPS and bone not in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT):
                end = start + 1.2 * (end - start)
            lines.append((start, end, half))
        elif bone in (Bone.RIGHT_THIGH, Bone.LEFT_THIGH) or (
            bone in (Bone.RIGHT_SHIN, Bone.LEFT_SHIN) and rest.present[PARENTS[bone]]
        ):
            start = points[LIMBS[bone][0]]
            below = start + np.array([0, rest.trunk])
            if below[1] > size[1]:
                lines.append((start, below, half))
    return lines


def body_distance(rest: RestPose, size: tuple[int, int]) -> NDArray[np.float32]:
    """`(h, w)` trunk lengths from each pixel to the body about the bones, negative inside.

    size: `(width, height)` px.
    """
    best = np.full(size[::-1], 1e3, np.float32)
    trunk = max(rest.trunk, 1.0)
    for start, end, half in _lines(rest, size):
        free = np.full(size[::-1], 255, np.uint8)
        _draw(free, start, end, 0, 1)
        if not free.all():
            gap = cv2.distanceTransform(free, cv2.DIST_L2, 3) / np.float32(trunk)
            best = np.minimum(best, gap - np.float32(half))
    return best


def _core(rest: RestPose, size: tuple[int, int]) -> NDArray[np.bool_]:
    core = np.zeros(size[::-1], np.uint8)
    for bone in LIMBS:
        if rest.present[bone]:
            wide = max(1, round(_CORE * rest.trunk))
            _draw(core, rest.start[bone], rest.end[bone], 1, wide)
    wide = max(1, round(3 * _CORE * rest.trunk))
    _draw(core, rest.start[Bone.CHEST], rest.start[Bone.PELVIS], 1, wide)
    return core > 0


def _from_arms(rest: RestPose, size: tuple[int, int]) -> NDArray[np.float32]:
    """Distance of each pixel from the bones of the arms, in trunk lengths."""
    free = np.full(size[::-1], 255, np.uint8)
    for bone in (
        Bone.RIGHT_UPPER_ARM,
        Bone.RIGHT_FOREARM,
        Bone.LEFT_UPPER_ARM,
        Bone.LEFT_FOREARM,
    ):
        if rest.present[bone]:
            _draw(free, rest.start[bone], rest.end[bone], 0, 1)
    if free.all():
        return np.full(size[::-1], np.inf, np.float32)
    gap = cv2.distanceTransform(free, cv2.DIST_L2, 3)
    return np.asarray(gap / np.float32(max(rest.trunk, 1.0)), np.float32)


def _square(away: NDArray[np.float32]) -> ROI:
    """The square about all of a body."""
    rows, columns = np.nonzero(away < 0)
    if len(rows) == 0:
        return whole(np.zeros((*away.shape, 3), np.uint8))
    left, right = float(columns.min()), float(columns.max() + 1)
    top, bottom = float(rows.min()), float(rows.max() + 1)
    side = max(right - left, bottom - top)
    return ROI((left + right) / 2, (top + bottom) / 2, side, side)


def _draw(
    canvas: NDArray[np.uint8],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    value: int,
    width: int,
) -> None:
    near, far = np.rint(np.clip([start, end], -3e4, 3e4)).astype(int).tolist()
    cv2.line(canvas, near, far, value, width)


# Colours are counted in CIE Lab, coarsely in lightness, as light changes more over a thing
# than its colour does, and smoothed. A colour that neither of two parts has says nothing.
_BIN: Final = (40, 6, 6)  # levels in a bin
_GRAIN: Final = 0.8  # px, sigma
_ALIKE: Final = 1.0  # bins, sigma: what is still the same colour in other light
_UNKNOWN_SHARE: Final = (
    2e-5  # a bin's share of a histogram below which a colour says nothing
)

_SIDES: Final = tuple(255 // size + 1 for size in _BIN)


def lab_colours(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` `(h, w, 3)` RGB in CIE Lab, without the finest grain."""
    smooth = cv2.GaussianBlur(picture, (0, 0), _GRAIN)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.uint8)


def bin_numbers(colour: NDArray[np.uint8]) -> NDArray[np.intp]:
    """`(n,)`: the bin of the histogram that each of `colour` `(n, 3)`, CIE Lab, is in."""
    bins = (colour // np.array(_BIN, np.uint8)).astype(np.intp)
    return np.asarray((bins[:, 0] * _SIDES[1] + bins[:, 1]) * _SIDES[2] + bins[:, 2])


def colour_histogram(
    number: NDArray[np.intp], weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Share of each bin, smoothed, among pixels `(n,)` that count as much as `weight`."""
    many = np.bincount(number, weight, int(np.prod(_SIDES))).astype(np.float64)
    smooth = gaussian_filter(many.reshape(_SIDES), _ALIKE, mode="constant")
    return np.asarray(smooth.ravel() / max(smooth.sum(), 1e-9) + _UNKNOWN_SHARE)
