"""The bones that move a cut-out figure, and where they lie in its picture."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint


class Bone(IntEnum):
    """The bones, each after the one it hangs on."""

    PELVIS = 0
    CHEST = 1
    HEAD = 2
    RIGHT_UPPER_ARM = 3
    RIGHT_FOREARM = 4
    RIGHT_HAND = 5
    LEFT_UPPER_ARM = 6
    LEFT_FOREARM = 7
    LEFT_HAND = 8
    RIGHT_THIGH = 9
    RIGHT_SHIN = 10
    RIGHT_FOOT = 11
    LEFT_THIGH = 12
    LEFT_SHIN = 13
    LEFT_FOOT = 14


PARENTS: Final = (-1, 0, 1, 1, 3, 4, 1, 6, 7, 0, 9, 10, 0, 12, 13)
"""The bone that each hangs on; the pelvis hangs on nothing."""

LIMBS: Final = {
    Bone.RIGHT_UPPER_ARM: (keypoint.RIGHT_SHOULDER, keypoint.RIGHT_ELBOW),
    Bone.RIGHT_FOREARM: (keypoint.RIGHT_ELBOW, keypoint.RIGHT_WRIST),
    Bone.LEFT_UPPER_ARM: (keypoint.LEFT_SHOULDER, keypoint.LEFT_ELBOW),
    Bone.LEFT_FOREARM: (keypoint.LEFT_ELBOW, keypoint.LEFT_WRIST),
    Bone.RIGHT_THIGH: (keypoint.RIGHT_HIP, keypoint.RIGHT_KNEE),
    Bone.RIGHT_SHIN: (keypoint.RIGHT_KNEE, keypoint.RIGHT_ANKLE),
    Bone.LEFT_THIGH: (keypoint.LEFT_HIP, keypoint.LEFT_KNEE),
    Bone.LEFT_SHIN: (keypoint.LEFT_KNEE, keypoint.LEFT_ANKLE),
}
"""The bones that reach from one joint to the next."""

LEG_BONES: Final = (Bone.RIGHT_THIGH, Bone.RIGHT_SHIN, Bone.LEFT_THIGH, Bone.LEFT_SHIN)

_RIGHT_KNUCKLE: Final = keypoint.RIGHT_HAND.start + 9  # where the middle finger begins
_LEFT_KNUCKLE: Final = keypoint.LEFT_HAND.start + 9
TIPS: Final = {
    Bone.RIGHT_HAND: (keypoint.RIGHT_WRIST, _RIGHT_KNUCKLE),
    Bone.LEFT_HAND: (keypoint.LEFT_WRIST, _LEFT_KNUCKLE),
    Bone.RIGHT_FOOT: (keypoint.RIGHT_ANKLE, keypoint.RIGHT_BIG_TOE),
    Bone.LEFT_FOOT: (keypoint.LEFT_ANKLE, keypoint.LEFT_BIG_TOE),
}
"""Hands and feet: their far joint gives a direction where it is seen."""

HEAD_KEYPOINTS: Final = (
    keypoint.NOSE,
    keypoint.RIGHT_EYE,
    keypoint.LEFT_EYE,
    keypoint.RIGHT_EAR,
    keypoint.LEFT_EAR,
)

MOVING_KEYPOINTS: Final = (*range(24), _RIGHT_KNUCKLE, _LEFT_KNUCKLE)
"""The joints that any bone looks at."""

ANCHORS: Final = {
    keypoint.RIGHT_SHOULDER: keypoint.NECK,
    keypoint.RIGHT_ELBOW: keypoint.RIGHT_SHOULDER,
    keypoint.RIGHT_WRIST: keypoint.RIGHT_ELBOW,
    keypoint.LEFT_SHOULDER: keypoint.NECK,
    keypoint.LEFT_ELBOW: keypoint.LEFT_SHOULDER,
    keypoint.LEFT_WRIST: keypoint.LEFT_ELBOW,
    keypoint.RIGHT_HIP: keypoint.NECK,
    keypoint.RIGHT_KNEE: keypoint.RIGHT_HIP,
    keypoint.RIGHT_ANKLE: keypoint.RIGHT_KNEE,
    keypoint.LEFT_HIP: keypoint.NECK,
    keypoint.LEFT_KNEE: keypoint.LEFT_HIP,
    keypoint.LEFT_ANKLE: keypoint.LEFT_KNEE,
    keypoint.NOSE: keypoint.NECK,
    keypoint.RIGHT_EYE: keypoint.NOSE,
    keypoint.LEFT_EYE: keypoint.NOSE,
    keypoint.RIGHT_EAR: keypoint.RIGHT_EYE,
    keypoint.LEFT_EAR: keypoint.LEFT_EYE,
    keypoint.LEFT_BIG_TOE: keypoint.LEFT_ANKLE,
    keypoint.LEFT_SMALL_TOE: keypoint.LEFT_ANKLE,
    keypoint.LEFT_HEEL: keypoint.LEFT_ANKLE,
    keypoint.RIGHT_BIG_TOE: keypoint.RIGHT_ANKLE,
    keypoint.RIGHT_SMALL_TOE: keypoint.RIGHT_ANKLE,
    keypoint.RIGHT_HEEL: keypoint.RIGHT_ANKLE,
    _RIGHT_KNUCKLE: keypoint.RIGHT_WRIST,
    _LEFT_KNUCKLE: keypoint.LEFT_WRIST,
}
"""The joint that another stays near while it isn't seen; each stands after its own."""

# where joints that the picture doesn't show would be, in shoulder widths from the neck,
# for a figure that stands upright and faces us (half of what Drillis and Contini's body
# proportions give for the hips' width, their trunk length)
_TRUNK_LENGTH = 1.35
_HIP_HALF_WIDTH = 0.32
_HAND_SHARE = 0.4  # of the forearm, from the wrist to the middle finger's first knuckle
_FOOT_SHARE = 0.3  # of the shin


@dataclass(frozen=True, eq=False)
class RestPose:
    """A figure's bones in its own picture.

    keypoints: `(134, 2)` float64 px, with the unseen trunk joints put where they would be.
    visible: `(134,)`, the joints that the picture shows.
    start, end: `(15, 2)` float64 px, the two ends of each bone.
    present: `(15,)`, the bones that the picture shows; the others move nothing.
    """

    keypoints: NDArray[np.float64]
    visible: NDArray[np.bool_]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    present: NDArray[np.bool_]

    @property
    def trunk(self) -> float:
        """From the neck to the middle of the hips, px."""
        return float(np.linalg.norm(self.start[Bone.PELVIS] - self.start[Bone.CHEST]))


def rest_pose(keypoints: NDArray[np.float32], visible: NDArray[np.bool_]) -> RestPose:
    """The bones of a figure with `keypoints` `(134, 2)`, of which `visible` `(134,)` show.

    Raises ValueError where neither shoulder is seen: such a picture has nothing to move.
    """
    points = keypoints.astype(np.float64)
    visible = visible.copy()
    shoulders = [keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER]
    if not visible[shoulders].all():
        raise ValueError("a figure needs both shoulders")
    # detectors differ in where a neck is: here it is always between the shoulders
    points[keypoint.NECK] = points[shoulders].mean(axis=0)
    visible[keypoint.NECK] = True
    _place_hips(points, visible)

    start, end = np.zeros((len(Bone), 2)), np.zeros((len(Bone), 2))
    present = np.ones(len(Bone), bool)
    neck = points[keypoint.NECK]
    hips = points[[keypoint.RIGHT_HIP, keypoint.LEFT_HIP]].mean(axis=0)
    start[Bone.PELVIS], end[Bone.PELVIS] = hips, (hips + neck) / 2
    start[Bone.CHEST], end[Bone.CHEST] = neck, (hips + neck) / 2
    face = [j for j in HEAD_KEYPOINTS if visible[j]]
    present[Bone.HEAD] = bool(face)
    if face:
        middle = points[face].mean(axis=0)
        start[Bone.HEAD] = neck + 0.35 * (middle - neck)  # the throat stays with the chest
        end[Bone.HEAD] = neck + 1.5 * (middle - neck)
    for bone, (near, far) in LIMBS.items():
        parent = PARENTS[bone]
        start[bone], end[bone] = points[near], points[far]
        present[bone] = present[parent] and visible[near] and visible[far]
    for bone, (near, far) in TIPS.items():
        limb = Bone(PARENTS[bone])
        along = end[limb] - start[limb]
        share = _FOOT_SHARE if bone in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) else _HAND_SHARE
        start[bone] = points[near]
        end[bone] = points[far] if visible[far] else points[near] + share * along
        present[bone] = present[limb]
    return RestPose(points, visible, start, end, present)


def without_cut_legs(rest: RestPose, height: int) -> RestPose:
    """`rest` without the thighs of legs that the lower edge of a picture, `height` px high,
    cuts off at the shin: they move with the hips, so that the cut stays below.
    """
    present = rest.present.copy()
    for thigh, shin in (
        (Bone.RIGHT_THIGH, Bone.RIGHT_SHIN),
        (Bone.LEFT_THIGH, Bone.LEFT_SHIN),
    ):
        long = float(np.linalg.norm(rest.end[thigh] - rest.start[thigh]))
        if present[thigh] and not present[shin] and rest.end[thigh][1] + long > height:
            present[thigh] = False
    return replace(rest, present=present)


def _place_hips(points: NDArray[np.float64], visible: NDArray[np.bool_]) -> None:
    """Put unseen hips where they would be below the shoulders."""
    across = points[keypoint.LEFT_SHOULDER] - points[keypoint.RIGHT_SHOULDER]
    down = np.array([-across[1], across[0]])
    if down[1] < 0:  # seen from behind
        down = -down
    for hip, side in ((keypoint.RIGHT_HIP, -1), (keypoint.LEFT_HIP, 1)):
        if not visible[hip]:
            points[hip] = (
                points[keypoint.NECK]
                + _TRUNK_LENGTH * down
                + side * _HIP_HALF_WIDTH * across
            )


def distance(
    places: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """From each of `places` `(n, 2)` to the line from `start` to `end`."""
    along = end - start
    share = (places - start) @ along / max(float(along @ along), 1e-9)
    nearest = start + np.clip(share, 0, 1)[:, None] * along
    return np.asarray(np.linalg.norm(places - nearest, axis=1))


def wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """`angle` in radians, in -pi .. pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
