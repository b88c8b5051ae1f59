"""The bones that move a cut-out figure, and where they lie in its picture."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as joint


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
    Bone.RIGHT_UPPER_ARM: (joint.RIGHT_SHOULDER, joint.RIGHT_ELBOW),
    Bone.RIGHT_FOREARM: (joint.RIGHT_ELBOW, joint.RIGHT_WRIST),
    Bone.LEFT_UPPER_ARM: (joint.LEFT_SHOULDER, joint.LEFT_ELBOW),
    Bone.LEFT_FOREARM: (joint.LEFT_ELBOW, joint.LEFT_WRIST),
    Bone.RIGHT_THIGH: (joint.RIGHT_HIP, joint.RIGHT_KNEE),
    Bone.RIGHT_SHIN: (joint.RIGHT_KNEE, joint.RIGHT_ANKLE),
    Bone.LEFT_THIGH: (joint.LEFT_HIP, joint.LEFT_KNEE),
    Bone.LEFT_SHIN: (joint.LEFT_KNEE, joint.LEFT_ANKLE),
}
"""The bones that reach from one joint to the next."""

_RIGHT_KNUCKLE: Final = joint.RIGHT_HAND.start + 9  # where the middle finger begins
_LEFT_KNUCKLE: Final = joint.LEFT_HAND.start + 9
TIPS: Final = {
    Bone.RIGHT_HAND: (joint.RIGHT_WRIST, _RIGHT_KNUCKLE),
    Bone.LEFT_HAND: (joint.LEFT_WRIST, _LEFT_KNUCKLE),
    Bone.RIGHT_FOOT: (joint.RIGHT_ANKLE, joint.RIGHT_BIG_TOE),
    Bone.LEFT_FOOT: (joint.LEFT_ANKLE, joint.LEFT_BIG_TOE),
}
"""Hands and feet: their far joint gives a direction where it is seen."""

HEAD_JOINTS: Final = (
    joint.NOSE,
    joint.RIGHT_EYE,
    joint.LEFT_EYE,
    joint.RIGHT_EAR,
    joint.LEFT_EAR,
)

MOVING_JOINTS: Final = (*range(24), _RIGHT_KNUCKLE, _LEFT_KNUCKLE)
"""The joints that any bone looks at."""

ANCHORS: Final = {
    joint.RIGHT_SHOULDER: joint.NECK,
    joint.RIGHT_ELBOW: joint.RIGHT_SHOULDER,
    joint.RIGHT_WRIST: joint.RIGHT_ELBOW,
    joint.LEFT_SHOULDER: joint.NECK,
    joint.LEFT_ELBOW: joint.LEFT_SHOULDER,
    joint.LEFT_WRIST: joint.LEFT_ELBOW,
    joint.RIGHT_HIP: joint.NECK,
    joint.RIGHT_KNEE: joint.RIGHT_HIP,
    joint.RIGHT_ANKLE: joint.RIGHT_KNEE,
    joint.LEFT_HIP: joint.NECK,
    joint.LEFT_KNEE: joint.LEFT_HIP,
    joint.LEFT_ANKLE: joint.LEFT_KNEE,
    joint.NOSE: joint.NECK,
    joint.RIGHT_EYE: joint.NOSE,
    joint.LEFT_EYE: joint.NOSE,
    joint.RIGHT_EAR: joint.RIGHT_EYE,
    joint.LEFT_EAR: joint.LEFT_EYE,
    joint.LEFT_BIG_TOE: joint.LEFT_ANKLE,
    joint.LEFT_SMALL_TOE: joint.LEFT_ANKLE,
    joint.LEFT_HEEL: joint.LEFT_ANKLE,
    joint.RIGHT_BIG_TOE: joint.RIGHT_ANKLE,
    joint.RIGHT_SMALL_TOE: joint.RIGHT_ANKLE,
    joint.RIGHT_HEEL: joint.RIGHT_ANKLE,
    _RIGHT_KNUCKLE: joint.RIGHT_WRIST,
    _LEFT_KNUCKLE: joint.LEFT_WRIST,
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
class Rest:
    """A figure's bones in its own picture.

    joints: `(134, 2)` float64 px, with the unseen trunk joints put where they would be.
    known: `(134,)`, the joints that the picture shows.
    start, end: `(15, 2)` float64 px, the two ends of each bone.
    present: `(15,)`, the bones that the picture shows; the others move nothing.
    """

    joints: NDArray[np.float64]
    known: NDArray[np.bool_]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    present: NDArray[np.bool_]

    @property
    def trunk(self) -> float:
        """From the neck to the middle of the hips, px."""
        return float(np.linalg.norm(self.start[Bone.PELVIS] - self.start[Bone.CHEST]))


def rest_bones(joints: NDArray[np.float32], seen: NDArray[np.bool_]) -> Rest:
    """The bones of a figure with `joints` `(134, 2)`, of which `seen` `(134,)` show.

    Raises ValueError where neither shoulder is seen: such a picture has nothing to move.
    """
    points = joints.astype(np.float64)
    known = seen.copy()
    shoulders = [joint.RIGHT_SHOULDER, joint.LEFT_SHOULDER]
    if not known[shoulders].all():
        raise ValueError("a figure needs both shoulders")
    # detectors differ in where a neck is: here it is always between the shoulders
    points[joint.NECK] = points[shoulders].mean(axis=0)
    known[joint.NECK] = True
    _place_hips(points, known)

    start, end = np.zeros((len(Bone), 2)), np.zeros((len(Bone), 2))
    present = np.ones(len(Bone), bool)
    neck = points[joint.NECK]
    hips = points[[joint.RIGHT_HIP, joint.LEFT_HIP]].mean(axis=0)
    start[Bone.PELVIS], end[Bone.PELVIS] = hips, (hips + neck) / 2
    start[Bone.CHEST], end[Bone.CHEST] = neck, (hips + neck) / 2
    face = [j for j in HEAD_JOINTS if known[j]]
    present[Bone.HEAD] = bool(face)
    if face:
        middle = points[face].mean(axis=0)
        start[Bone.HEAD] = neck + 0.35 * (middle - neck)  # the throat stays with the chest
        end[Bone.HEAD] = neck + 1.5 * (middle - neck)
    for bone, (near, far) in LIMBS.items():
        parent = PARENTS[bone]
        start[bone], end[bone] = points[near], points[far]
        present[bone] = present[parent] and known[near] and known[far]
    for bone, (near, far) in TIPS.items():
        limb = Bone(PARENTS[bone])
        along = end[limb] - start[limb]
        share = _FOOT_SHARE if bone in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) else _HAND_SHARE
        start[bone] = points[near]
        end[bone] = points[far] if known[far] else points[near] + share * along
        present[bone] = present[limb]
    return Rest(points, known, start, end, present)


def _place_hips(points: NDArray[np.float64], known: NDArray[np.bool_]) -> None:
    """Put unseen hips where they would be below the shoulders."""
    across = points[joint.LEFT_SHOULDER] - points[joint.RIGHT_SHOULDER]
    down = np.array([-across[1], across[0]])
    if down[1] < 0:  # seen from behind
        down = -down
    for hip, side in ((joint.RIGHT_HIP, -1), (joint.LEFT_HIP, 1)):
        if not known[hip]:
            points[hip] = (
                points[joint.NECK] + _TRUNK_LENGTH * down + side * _HIP_HALF_WIDTH * across
            )


def distance(
    places: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """From each of `places` `(n, 2)` to the line from `start` to `end`."""
    along = end - start
    share = (places - start) @ along / max(float(along @ along), 1e-9)
    nearest = start + np.clip(share, 0, 1)[:, None] * along
    return np.asarray(np.linalg.norm(places - nearest, axis=1))
