"""Say what lies in front of what, from flat joints alone.

A flat skeleton doesn't say how deep a limb is, but it leaves signs: of two feet on the
ground the lower is nearer; a figure that looks to one side has that side's arm behind it;
a knee that comes up comes forward. The signs are averaged over some frames, and an order
holds until they clearly say otherwise, so that nothing flickers.
"""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as joint
from animcli.rendering.cutout.bones import Rest
from animcli.rendering.cutout.movement import Movement


class Group(IntEnum):
    """What is drawn in one go. Within a group, nothing needs to cover anything."""

    TRUNK = 0
    RIGHT_UPPER_ARM = 1
    RIGHT_FOREARM = 2
    LEFT_UPPER_ARM = 3
    LEFT_FOREARM = 4
    RIGHT_THIGH = 5
    RIGHT_SHIN = 6
    LEFT_THIGH = 7
    LEFT_SHIN = 8
    OVER_RIGHT_ARM = 9  # what the trunk has over an upper arm: hair, a strap, a ruffle
    OVER_LEFT_ARM = 10


_SIGN_FRAMES: Final = 2.0  # sigma of the average
_LEG_SURE: Final = 0.06  # trunk lengths by which a leg must lead to change the order
_TURN_SURE: Final = 0.12  # of the shoulders' width, likewise for the arms
_ASIDE: Final = 0.55  # the far arm is behind a trunk of which less than this width shows


def draw_orders(movement: Movement, rest: Rest) -> list[tuple[Group, ...]]:
    """For each frame, the groups from back to front."""
    right_leg = _held(_smooth(_leg_lead(movement, rest)), _LEG_SURE)
    facing = _smooth(_facing(movement, rest))
    right_arm = _held(facing, _TURN_SURE)  # looking to the screen's right, that side is far
    width = _smooth(_shown_width(movement, rest))
    aside = _held(_ASIDE - width, 0.08)
    return [
        _order(bool(leg > 0), bool(arm > 0), bool(turned > 0))
        for leg, arm, turned in zip(right_leg, right_arm, aside, strict=True)
    ]


def _order(right_leg: bool, right_arm: bool, aside: bool) -> tuple[Group, ...]:
    """Back to front, given if the right leg and arm are nearer, and if it turns aside."""
    right_legs = (Group.RIGHT_SHIN, Group.RIGHT_THIGH)
    left_legs = (Group.LEFT_SHIN, Group.LEFT_THIGH)
    right_arms = (Group.RIGHT_UPPER_ARM, Group.OVER_RIGHT_ARM, Group.RIGHT_FOREARM)
    left_arms = (Group.LEFT_UPPER_ARM, Group.OVER_LEFT_ARM, Group.LEFT_FOREARM)
    legs = left_legs + right_legs if right_leg else right_legs + left_legs
    far, near = (left_arms, right_arms) if right_arm else (right_arms, left_arms)
    if aside:
        return (*far, Group.TRUNK, *legs, *near)
    return (Group.TRUNK, *legs, *far, *near)


def _leg_lead(movement: Movement, rest: Rest) -> NDArray[np.float64]:
    """`(frames,)` trunk lengths by which the right leg is nearer than the left."""
    joints = movement.joints
    unit = rest.trunk * movement.size

    def nearness(hip: int, knee: int, ankle: int) -> NDArray[np.float64]:
        foot = joints[:, ankle, 1] / unit
        own = np.linalg.norm(rest.joints[knee] - rest.joints[hip]) * movement.size
        thigh = (joints[:, knee, 1] - joints[:, hip, 1]) / np.maximum(own, 1e-6)
        # a thigh that drops by less than its length has its knee up, in front
        raised = np.clip(0.75 - thigh, 0, 1)
        return np.asarray(foot + 2.5 * raised)

    return nearness(joint.RIGHT_HIP, joint.RIGHT_KNEE, joint.RIGHT_ANKLE) - nearness(
        joint.LEFT_HIP, joint.LEFT_KNEE, joint.LEFT_ANKLE
    )


def _facing(movement: Movement, rest: Rest) -> NDArray[np.float64]:
    """`(frames,)` how far the nose points to the screen's right, in shoulder widths.

    Measured against the eyes and ears where there are any, else against the neck.
    """
    joints = movement.joints
    sides = [j for j in (joint.RIGHT_EAR, joint.LEFT_EAR) if rest.known[j]] or [joint.NECK]
    shoulders = rest.joints[joint.LEFT_SHOULDER] - rest.joints[joint.RIGHT_SHOULDER]
    width = np.linalg.norm(shoulders) * movement.size
    behind = joints[:, sides, 0].mean(axis=1)
    return np.asarray((joints[:, joint.NOSE, 0] - behind) / np.maximum(width, 1e-6))


def _shown_width(movement: Movement, rest: Rest) -> NDArray[np.float64]:
    """`(frames,)` the shoulders' width as a share of that in the picture."""
    joints = movement.joints
    now = np.linalg.norm(
        joints[:, joint.LEFT_SHOULDER] - joints[:, joint.RIGHT_SHOULDER], axis=1
    )
    own = np.linalg.norm(
        rest.joints[joint.LEFT_SHOULDER] - rest.joints[joint.RIGHT_SHOULDER]
    )
    return np.asarray(now / np.maximum(own * movement.size, 1e-6))


def _smooth(sign: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = int(3 * _SIGN_FRAMES)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SIGN_FRAMES) ** 2)
    total = np.convolve(sign, bell)[reach:-reach]
    return np.asarray(total / np.convolve(np.ones(len(sign)), bell)[reach:-reach])


def _held(sign: NDArray[np.float64], sure: float) -> NDArray[np.float64]:
    """-1 or 1 for each frame: the sign, changing only where it is `sure`."""
    held = np.empty(len(sign))
    now = 1.0 if sign[0] >= 0 else -1.0
    for frame, value in enumerate(sign):
        if abs(value) > sure:
            now = 1.0 if value > 0 else -1.0
        held[frame] = now
    return held
