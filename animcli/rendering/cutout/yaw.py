"""Yaw of chest and hips: which way they face, from keypoints in the picture plane.

The distance of the shoulders on the screen is the cosine of the trunk's yaw, which is
exact for a trunk from the side and says next to nothing of one from the front, and leaves
the sign open. The head, whose nose tells its own yaw with sign, mostly looks where the
chest does. Of both, the likeliest course through all frames is found by dynamic programming
(Viterbi, 1967), so that a full turn stays one.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.pose.corrections import FACE_PAIRS
from animcli.pose.filtering import mirror_pairs
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.head_pose import head_pose
from animcli.rendering.cutout.motion import BoneTransforms, bone_transforms, smoothed
from animcli.rendering.cutout.rig import RestPose, wrapped

# Bounds, in trunk lengths, of how far shoulders and hips lie apart, of which the longest
# distance seen may tell too little; of two hundred drawn people nine in ten lie between
# .57 and .77, and .29 and .39.
_SHOULDERS: Final = (0.6, 0.9)
_HIPS: Final = (0.3, 0.45)
_DOUBT: Final = np.radians([10, 22])  # of a chest's and hips' turn near the front
_ASIDE: Final = (0.2, 0.5)  # sines of a yaw between which a distance begins to tell it
_AWAY: Final = 0.2  # twice the product of both yaws' cosines from which on it counts
_GRID: Final = np.radians(np.arange(-180, 180, 3))
_WIDTH: Final = 0.1  # sigma of a distance, as a share of the longest
_LOOK: Final = np.radians(20)  # sigma of the head's yaw against the chest's
_TWIST: Final = np.radians(15)  # and of the hips'
_STEP: Final = np.radians(10)  # and of a yaw against that of the frame before
_FRAMES: Final = 2.0  # sigma of what evens out the grid's steps


@dataclass(frozen=True, eq=False)
class TrunkYaw:
    """Yaw of a trunk in its picture, and in each frame of a motion.

    Radians about the spine, 0 to the viewer, positive to the screen's right, without jumps;
    hips are within half a turn of the chest.
    rest: `(2,)`, chest and hips in the picture. frames: `(frames, 2)`.
    """

    rest: NDArray[np.float64]
    frames: NDArray[np.float64]


def trunk_yaw(
    transforms: BoneTransforms, visible: NDArray[np.bool_], rest: RestPose
) -> TrunkYaw:
    """The yaw of chest and hips. visible: `(frames, 134)`, what the motion shows."""
    own, now = rest.keypoints[None], transforms.keypoints
    own_trunk = max(rest.trunk, 1e-3)
    trunk = own_trunk * transforms.size

    def widths(right: int, left: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            _across(own, own[:, right], own[:, left]) / own_trunk,
            _across(now, now[:, right], now[:, left]) / trunk,
        )

    looks = _look(own, rest.visible[None]), _look(now, visible)
    shoulders = widths(keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER)
    rest_chest, chest = _courses(*shoulders, looks, _SHOULDERS, _LOOK)
    hips = widths(keypoint.RIGHT_HIP, keypoint.LEFT_HIP)
    rest_hips, turned = _courses(*hips, (rest_chest, chest), _HIPS, _TWIST)
    chest += 2 * np.pi * np.round((rest_chest - chest[0]) / (2 * np.pi))
    rest_hips = rest_chest + wrapped(rest_hips - rest_chest)
    turned = chest + wrapped(turned - chest)
    both = np.concatenate([rest_chest, rest_hips])
    turn = np.stack([chest, turned], axis=1) - both
    return TrunkYaw(both, both + _sure(both, turn))


def facing_as_pictured(motion: PoseSequence, rest: RestPose) -> PoseSequence:
    """`motion`, with left and right exchanged where it faces the viewer and the picture
    doesn't, or the other way round.

    A figure seen from behind has the outline of one from the front that does the same with
    the other side. Without the exchange its arms and legs would cross.
    """
    yaw = trunk_yaw(bone_transforms(motion, rest), motion.visible, rest)
    away = -2 * np.cos(yaw.frames[:, 0]) * np.cos(yaw.rest[0])
    sides = np.zeros(len(away), bool)
    now = False
    for frame, value in enumerate(away):
        now = bool(value > 0) if abs(value) > _AWAY else now
        sides[frame] = now
    if not sides.any():
        return motion
    body, legs, *_ = mirror_pairs()
    left, right = np.array([*body, *legs, *FACE_PAIRS]).T
    points, scores = motion.points.copy(), motion.scores.copy()
    for values in (points, scores):
        there = np.ix_(np.flatnonzero(sides), [*left, *right])
        values[there] = values[np.ix_(np.flatnonzero(sides), [*right, *left])]
    return replace(motion, points=points, scores=scores)


def _sure(own: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """`turn` `(frames, 2)` from `own` `(2,)`, less what keypoints can't tell from none or
    from a half turn: between views from about the front or the back, distances hardly
    change.
    """
    aside = np.maximum(np.abs(np.sin(own)), np.abs(np.sin(own + turn)))
    share = np.clip((aside - _ASIDE[0]) / (_ASIDE[1] - _ASIDE[0]), 0, 1)
    doubt = (1 - share * share * (3 - 2 * share)) * _DOUBT
    flat = np.pi * np.round(turn / np.pi)
    rest = turn - flat
    return flat + np.sign(rest) * np.maximum(np.abs(rest) - doubt, 0)


def _across(
    points: NDArray[np.float64], near: NDArray[np.float64], far: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`(frames,)` px: how far `far` `(frames, 2)` is to the right of `near`, across the
    spine of `points`.
    """
    hips = points[:, [keypoint.RIGHT_HIP, keypoint.LEFT_HIP]].mean(axis=1)
    down = hips - points[:, keypoint.NECK]
    down /= np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)
    apart = far - near
    return np.asarray(apart[:, 0] * down[:, 1] - apart[:, 1] * down[:, 0])


def _look(points: NDArray[np.float64], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`(frames,)` radians: yaw of the head; NaN where nose and ears don't tell it."""
    known = visible[:, [keypoint.NOSE, keypoint.RIGHT_EAR, keypoint.LEFT_EAR]].all(axis=1)
    head = head_pose(points, np.asarray(visible.any(axis=0)))
    return (
        np.full(len(points), np.nan) if head is None else np.where(known, head.yaw, np.nan)
    )


def _courses(
    own: NDArray[np.float64],
    shown: NDArray[np.float64],
    expected: tuple[NDArray[np.float64], NDArray[np.float64]],
    limits: tuple[float, float],
    spread: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The likeliest yaw in the picture `(1,)` and in all frames `(frames,)`.

    own, shown: distances in trunk lengths, whose longest is within `limits`. expected: what
    the yaw is `spread` radians about.
    """
    longest = max(float(np.abs(own).max()), float(np.percentile(np.abs(shown), 95)))
    longest = float(np.clip(longest, *limits))
    found = []
    for width, about in ((own, expected[0]), (shown, expected[1])):
        away = (width[:, None] / longest - np.cos(_GRID)) / _WIDTH
        aside = wrapped(_GRID - np.nan_to_num(about)[:, None]) / spread
        aside[np.isnan(about)] = 0
        found.append(_GRID[_likeliest(away**2 + aside**2)])
    return found[0], smoothed(np.unwrap(found[1]), _FRAMES)


def _likeliest(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """`(frames,)`: the course through `cost` `(frames, angles)` that costs least, with
    what a change from frame to frame costs.
    """
    change = (wrapped(_GRID[:, None] - _GRID) / _STEP) ** 2
    best, came = cost[0], []
    for row in cost[1:]:
        total = best[:, None] + change
        came.append(total.argmin(axis=0))
        best = total.min(axis=0) + row
    course = [int(best.argmin())]
    for last in reversed(came):
        course.append(int(last[course[-1]]))
    return np.array(course[::-1], np.intp)
