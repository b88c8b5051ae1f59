"""Pose error: keypoints found again in a result against those that were wanted.

The joints of a result are found by the same detector that reads driving videos, and that
detector's own error is the floor of every number here: give the same figures for the
driving video against its pose beside them. Points are pixels, x right and y down; joints
are OpenPose's 18 (a pose with more begins with them).
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_NOSE: Final = 0
NECK: Final = 1
SHOULDERS: Final = (2, 5)
_HIPS: Final = (8, 11)
_LEGS: Final = ((8, 9), (9, 10), (11, 12), (12, 13))
JUDGED: Final = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
"""Shoulders, elbows, wrists, hips, knees, ankles: right before left for arms and legs."""

MIRRORED: Final = (3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8)
"""Of JUDGED, the place of each joint's other side."""

CROWN_TO_ANKLE: Final = {"chain": 1.234, "torso": 3.34, "shoulders": 3.71}
"""A figure's height by neck to ankle along its bones, by neck to hips, by its shoulders.

Source: Drillis and Contini, "Body segment parameters", 1966: shoulders at 0.818 of the
stature and 0.259 wide, hips at 0.530, ankles at 0.039."""

UNFORESHORTENED: Final = 95
"""Percentile over the frames of a bone's length in the picture: it is longest side on."""

PCK_SHARE: Final = 0.1  # of the torso
SWAP_GAIN: Final = 0.5
"""Sides count as swapped where exchanging them would leave less than this of the error."""

LEAST_TURN: Final = 0.02
"""Of the height; swapped sides of somebody seen from the side differ by less, and say
nothing."""

LIMB_WIDTHS: Final = (
    (2, 3, 0.12), (3, 4, 0.11), (5, 6, 0.12), (6, 7, 0.11), (8, 9, 0.17), (9, 10, 0.14),
    (11, 12, 0.17), (12, 13, 0.14), (1, 0, 0.12),
)  # fmt: skip
"""Two joints, and the width of what may be around the limb between them, of the height."""

_TRUNK: Final = (2, 5, 8, 11, 9, 12)  # to the knees: a skirt
TRUNK_EDGE: Final = 0.12
HEAD_RADIUS: Final = 0.16  # with hair


@dataclass(frozen=True, eq=False)
class Keypoints:
    """A person's joints over time.

    points: `(frames, joints, 2)` pixels. scores: `(frames, joints)` 0..1.
    threshold: a joint with a higher score is there.
    """

    points: NDArray[np.floating]
    scores: NDArray[np.floating]
    threshold: float

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`(frames, 12)`: the judged joints that are there."""
        return np.asarray(self.scores[:, JUDGED] > self.threshold)


@dataclass(frozen=True, eq=False)
class PoseComparison:
    """Two poses frame by frame; all arrays are `(frames,)`.

    error: mean distance of the joints that were asked for and found, percent of the
        figure's height; NaN where there are none.
    pck: percent of the joints asked for that were found within a tenth of the torso.
    found: whether anybody is. swapped: whether left and right are taken for each other.
    height, torso: pixels.
    """

    error: NDArray[np.float64]
    pck: NDArray[np.float64]
    found: NDArray[np.bool_]
    swapped: NDArray[np.bool_]
    height: float
    torso: float

    @property
    def median(self) -> float:
        """Median of the frames' errors, which a few lost frames don't move."""
        return float(np.nanmedian(self.error)) if self.found.any() else float("nan")


def compare_poses(target: Keypoints, found: Keypoints) -> PoseComparison:
    """Compare the joints found in a result with those that it was to have.

    Both lie in the pixels of the result. Raises ValueError for unequal lengths, or for a
    target without any body.
    """
    if len(target.points) != len(found.points):
        raise ValueError(f"{len(target.points)} poses wanted, {len(found.points)} found")
    height, torso = figure_height(target)
    wanted, there = target.seen, found.seen
    goal = target.points[:, JUDGED].astype(np.float64)
    got = found.points[:, JUDGED].astype(np.float64)
    both = wanted & there
    away = np.where(both, np.linalg.norm(got - goal, axis=-1), np.nan)
    mirrored = got[:, MIRRORED]
    both_mirrored = wanted & there[:, MIRRORED]
    away_mirrored = np.where(
        both_mirrored, np.linalg.norm(mirrored - goal, axis=-1), np.nan
    )
    error, error_mirrored = _row_means(away), _row_means(away_mirrored)
    close = both & (np.nan_to_num(away, nan=np.inf) <= PCK_SHARE * torso)
    with np.errstate(invalid="ignore"):
        swapped = (error_mirrored < SWAP_GAIN * error) & (error > LEAST_TURN * height)
    asked = wanted.sum(1)
    return PoseComparison(
        error=100 * error / height,
        pck=np.where(asked > 0, 100 * close.sum(1) / np.maximum(asked, 1), np.nan),
        found=np.asarray(there.any(1)),
        swapped=swapped,
        height=height,
        torso=torso,
    )


def figure_height(pose: Keypoints) -> tuple[float, float]:
    """Crown to ankle, and neck to hips, of a standing figure with these bones, in pixels.

    From the bones' lengths over the whole clip, so that crouching and raised arms change
    nothing; from less of the body where no legs are seen. Raises ValueError if not even
    shoulders are.
    """
    points = pose.points[:, :18].astype(np.float64)
    seen = pose.scores[:, :18] > pose.threshold
    torso = _length(
        points[:, NECK] - points[:, _HIPS].mean(1), seen[:, (NECK, *_HIPS)].all(1)
    )
    legs = [_length(points[:, a] - points[:, b], seen[:, (a, b)].all(1)) for a, b in _LEGS]
    thigh, shin = np.fmax(legs[0], legs[2]), np.fmax(legs[1], legs[3])
    shoulders = _length(
        points[:, SHOULDERS[0]] - points[:, SHOULDERS[1]], seen[:, SHOULDERS].all(1)
    )
    chain = CROWN_TO_ANKLE["chain"] * (torso + thigh + shin)
    for height in (
        chain, CROWN_TO_ANKLE["torso"] * torso, CROWN_TO_ANKLE["shoulders"] * shoulders
    ):  # fmt: skip
        if np.isfinite(height) and height > 0:
            usual = height / CROWN_TO_ANKLE["torso"]
            return float(height), float(torso if np.isfinite(torso) else usual)
    raise ValueError("the pose that was wanted has no body")


def _length(bone: NDArray[np.float64], seen: NDArray[np.bool_] | np.bool_) -> float:
    lengths = np.linalg.norm(bone, axis=-1)[np.asarray(seen)]
    return float(np.percentile(lengths, UNFORESHORTENED)) if len(lengths) else float("nan")


def _row_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row's numbers; NaN for a row without any."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(1)
    count = there.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def body_mask(pose: Keypoints, frame: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask `(h, w)` of where a figure in this pose may be: limbs as in loose clothes.

    For want of a matte, and on the safe side: it covers more than the figure. size:
    `(width, height)`.
    """
    height, _ = figure_height(pose)
    points = pose.points[frame, :18]
    seen = pose.scores[frame, :18] > pose.threshold
    canvas = np.zeros((size[1], size[0]), np.uint8)

    def place(joint: int) -> tuple[int, int]:
        return (round(float(points[joint, 0])), round(float(points[joint, 1])))

    for a, b, width in LIMB_WIDTHS:
        if seen[a] and seen[b]:
            cv2.line(canvas, place(a), place(b), 1, max(round(width * height), 1))
    trunk = [joint for joint in _TRUNK if seen[joint]]
    if len(trunk) >= 3:
        hull = cv2.convexHull(np.array([place(joint) for joint in trunk], np.int32))
        cv2.fillConvexPoly(canvas, hull, 1)
        cv2.polylines(canvas, [hull], True, 1, max(round(TRUNK_EDGE * height), 1))
    if seen[_NOSE]:
        cv2.circle(canvas, place(_NOSE), round(HEAD_RADIUS * height), 1, -1)
    return canvas > 0
