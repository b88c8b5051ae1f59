"""Draw order: which parts of a figure lie over which in each frame.

A flat skeleton doesn't say how deep a limb is, but it leaves signs: of two feet on the
ground the lower is nearer; a figure that looks to one side has that side's arm behind it;
a knee that comes up comes forward. The signs are averaged over some frames, and an order
holds until they clearly say otherwise, so that nothing flickers.
"""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.motion import BoneTransforms, smoothed
from animcli.rendering.cutout.rig import RestPose
from animcli.rendering.cutout.yaw import TrunkYaw


class DrawGroup(IntEnum):
    """Parts drawn in one go. Within a group, nothing needs to cover anything."""

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
    OVER_RIGHT_FOREARM = 11  # what the trunk has over a forearm: a head, a hip
    OVER_LEFT_FOREARM = 12


_SIGN_FRAMES: Final = 2.0  # sigma of the average
_LEG_SURE: Final = 0.06  # trunk lengths by which a leg must lead to change the order
_TURN_SURE: Final = 0.12  # sine of the chest's yaw, likewise for the arms
_LEFT: Final = 0.25  # trunk lengths from its place at which a wrist has left what hides it
_ASIDE: Final = 0.82  # and from which on the far arm is behind the trunk


def draw_orders(
    transforms: BoneTransforms, rest: RestPose, yaw: TrunkYaw
) -> list[tuple[DrawGroup, ...]]:
    """For each frame, the groups from back to front."""
    right_leg = _held(smoothed(_leg_lead(transforms, rest), _SIGN_FRAMES), _LEG_SURE)
    looks = np.sin(yaw.frames[:, 0])
    right_arm = _held(looks, _TURN_SURE)  # looking to the screen's right, that side is near
    aside = _held(np.abs(looks) - _ASIDE, 0.08)
    # a front stays one, however it turns
    own_back = np.cos(yaw.rest[0]) < 0
    back = _held(-np.cos(yaw.frames[:, 0]) if own_back else -np.abs(looks) - 1, _TURN_SURE)
    orders = [
        _order(bool(leg > 0), bool(arm > 0), bool(turned > 0), bool(away > 0))
        for leg, arm, turned, away in zip(right_leg, right_arm, aside, back, strict=True)
    ]
    # an arm that has left what hid it in the picture may come before that
    for group, wrist in (
        (DrawGroup.OVER_RIGHT_FOREARM, keypoint.RIGHT_WRIST),
        (DrawGroup.OVER_LEFT_FOREARM, keypoint.LEFT_WRIST),
    ):
        left = _strayed(transforms, rest, wrist) > _LEFT
        orders = [
            tuple(one for one in order if one is not group) if gone else order
            for order, gone in zip(orders, left, strict=True)
        ]
    return orders


def _order(
    right_leg: bool, right_arm: bool, aside: bool, away: bool
) -> tuple[DrawGroup, ...]:
    """Back to front, given if the right leg and arm are nearer, if it turns aside, and if
    its back is seen.
    """
    right_legs = (DrawGroup.RIGHT_SHIN, DrawGroup.RIGHT_THIGH)
    left_legs = (DrawGroup.LEFT_SHIN, DrawGroup.LEFT_THIGH)
    right_arms = (
        DrawGroup.RIGHT_UPPER_ARM,
        DrawGroup.OVER_RIGHT_ARM,
        DrawGroup.RIGHT_FOREARM,
        DrawGroup.OVER_RIGHT_FOREARM,
    )
    left_arms = (
        DrawGroup.LEFT_UPPER_ARM,
        DrawGroup.OVER_LEFT_ARM,
        DrawGroup.LEFT_FOREARM,
        DrawGroup.OVER_LEFT_FOREARM,
    )
    legs = left_legs + right_legs if right_leg else right_legs + left_legs
    far, near = (left_arms, right_arms) if right_arm else (right_arms, left_arms)
    if away:  # arms bend forward: what of them crosses the trunk lies before its front
        return (*far, *near, DrawGroup.TRUNK, *legs)
    if aside:
        return (*far, DrawGroup.TRUNK, *legs, *near)
    return (DrawGroup.TRUNK, *legs, *far, *near)


def _leg_lead(transforms: BoneTransforms, rest: RestPose) -> NDArray[np.float64]:
    """`(frames,)` trunk lengths by which the right leg is nearer than the left."""
    keypoints = transforms.keypoints
    unit = np.maximum(rest.trunk * transforms.size, 1e-3)

    def nearness(hip: int, knee: int, ankle: int) -> NDArray[np.float64]:
        foot = keypoints[:, ankle, 1] / unit
        own = np.linalg.norm(rest.keypoints[knee] - rest.keypoints[hip]) * transforms.size
        thigh = (keypoints[:, knee, 1] - keypoints[:, hip, 1]) / np.maximum(own, 1e-6)
        # a thigh that drops by less than its length has its knee up, in front
        raised = np.clip(0.75 - thigh, 0, 1)
        return np.asarray(foot + 2.5 * raised)

    return nearness(
        keypoint.RIGHT_HIP, keypoint.RIGHT_KNEE, keypoint.RIGHT_ANKLE
    ) - nearness(keypoint.LEFT_HIP, keypoint.LEFT_KNEE, keypoint.LEFT_ANKLE)


def _strayed(transforms: BoneTransforms, rest: RestPose, joint: int) -> NDArray[np.float64]:
    """`(frames,)` trunk lengths by which a joint is elsewhere about the neck than in the
    picture.
    """
    now = transforms.keypoints[:, joint] - transforms.keypoints[:, keypoint.NECK]
    own = rest.keypoints[joint] - rest.keypoints[keypoint.NECK]
    away = np.linalg.norm(now / transforms.size[:, None] - own, axis=1)
    return np.asarray(away / max(rest.trunk, 1e-6))


def _held(sign: NDArray[np.float64], sure: float) -> NDArray[np.float64]:
    """-1 or 1 for each frame: the sign, changing only where it is `sure`."""
    held = np.empty(len(sign))
    now = 1.0 if sign[0] >= 0 else -1.0
    for frame, value in enumerate(sign):
        if abs(value) > sure:
            now = 1.0 if value > 0 else -1.0
        held[frame] = now
    return held
