"""From a dance's angles and a figure's bones to a body in space.

World: metres, x to the viewer's right, y up, z towards the viewer, the floor at 0. The
figure at rest looks at the viewer, so that its left is at positive x. Everywhere a pair
is (right, left), as in OpenPose's order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animcli.characters.proportions import Proportions

Array = NDArray[np.floating]

SIDES: Array = np.array([-1, 1], np.float32)
"""Which way each side of the body lies along x."""

WAIST = 0.4  # of the way from the hips to the shoulders
STRAIGHT = 0.992  # of a leg's length; knees are never quite locked


@dataclass(frozen=True, eq=False)
class Angles:
    """What a dance says at `f` moments; lengths are in legs, so that they fit any figure.

    facing: `(f,)` where the body looks, radians about y, 0 to the viewer.
    pelvis: `(f, 3)` place over the floor relative to standing upright.
    hips: `(f, 3)` yaw, pitch, roll of the pelvis against `facing`, radians.
    spine, head: `(f, 3)` the same, of the chest against the pelvis, the head against it.
    upper_arms, forearms: `(f, 2, 3)` unit directions in the chest's frame.
    feet: `(f, 2, 3)` place of each ankle against its place under the hip, in a frame of
        yaw `anchors` `(f, 2)`, so that a foot stays where it is while the body turns.
    turns: `(f, 2)` yaw of each foot, in the world.
    lifts: `(f, 2)` how far each foot is from carrying weight: 0 stands, 1 is free.
    """

    facing: Array
    pelvis: Array
    hips: Array
    spine: Array
    head: Array
    upper_arms: Array
    forearms: Array
    feet: Array
    anchors: Array
    turns: Array
    lifts: Array


def at_rest() -> Angles:
    """One moment: upright, looking at the viewer, arms and legs a little apart, so that
    nothing touches.
    """
    still, none = np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float32)
    arms = np.array([[[-0.35, -0.94, 0], [0.35, -0.94, 0]]], np.float32)
    return Angles(
        facing=np.zeros(1, np.float32),
        pelvis=still,
        hips=still,
        spine=still,
        head=still,
        upper_arms=arms,
        forearms=arms,
        feet=np.array([[[-0.09, 0, 0], [0.09, 0, 0]]], np.float32),
        anchors=none,
        turns=none,
        lifts=none,
    )


@dataclass(frozen=True, eq=False)
class Pose:
    """One body in space, metres. Frames are `(3, 3)` with rows across, up and front.

    pelvis, waist, neck, skull: `(3,)`; the skull is where head and neck meet.
    shoulders, elbows, wrists, hips, knees, ankles: `(2, 3)`, right then left.
    hip_frame, chest_frame, head_frame: `(3, 3)`. feet: `(2, 3, 3)`.
    """

    pelvis: Array
    waist: Array
    neck: Array
    skull: Array
    shoulders: Array
    elbows: Array
    wrists: Array
    hips: Array
    knees: Array
    ankles: Array
    hip_frame: Array
    chest_frame: Array
    head_frame: Array
    feet: Array


def turn(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Frames `(..., 3, 3)`: roll about the front, then pitch forward, then yaw.

    Rows are the turned x, y and z axes; a row vector times a frame is in the world.
    """
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    rows = [
        cy * cr + sy * sp * sr, cp * sr, -sy * cr + cy * sp * sr,
        -cy * sr + sy * sp * cr, cp * cr, sy * sr + cy * sp * cr,
        sy * cp, -sp, cy * cp,
    ]  # fmt: skip
    frame = np.stack(rows, axis=-1).reshape(*np.shape(yaw), 3, 3)
    return frame.astype(np.float32)


def stand(angles: Angles, bones: Proportions) -> list[Pose]:
    """The figure with these bones, doing what the angles say."""
    leg = bones.thigh + bones.shin
    facing = turn(angles.facing, 0 * angles.facing, 0 * angles.facing)  # (f, 3, 3)
    hip_frame = turn(*angles.hips.T) @ facing
    chest_frame = turn(*angles.spine.T) @ hip_frame
    head_frame = turn(*angles.head.T) @ chest_frame

    width = SIDES[:, None] * np.array([bones.hip_width / 2, 0, 0], np.float32)
    still = 0 * angles.anchors
    anchors = turn(angles.anchors, still, still)  # (f, 2, 3, 3)
    ankles = ((width + leg * angles.feet)[:, :, None] @ anchors)[:, :, 0]
    ankles[..., 1] += bones.ankle
    pelvis = (leg * angles.pelvis)[:, None] @ facing
    pelvis = pelvis[:, 0]
    pelvis[:, 1] += leg * STRAIGHT + bones.ankle
    sockets = width @ hip_frame  # (f, 2, 3), from the pelvis
    pelvis[:, 1] = np.minimum(
        pelvis[:, 1], _highest(pelvis, sockets, ankles, angles.lifts, leg)
    )
    hips = pelvis[:, None] + sockets
    feet = turn(angles.turns, 0.7 * angles.lifts, 0 * angles.turns)
    knees, ankles = _bend(hips, ankles, bones, hip_frame[:, None, 2] + feet[:, :, 2])

    up = np.array([0, bones.torso, 0], np.float32)
    waist = pelvis + (WAIST * up @ hip_frame)
    neck = waist + ((1 - WAIST) * up @ chest_frame)
    skull = neck + np.array([0, bones.neck, bones.neck * 0.25], np.float32) @ chest_frame
    reach = np.array([bones.shoulder_width / 2, 0, 0], np.float32)
    raised = np.maximum(angles.upper_arms[..., 1:2], 0)  # shoulders rise with the arms
    shrug = raised * np.array([0, bones.torso * 0.08, 0], np.float32)
    shoulders = neck[:, None] + (SIDES[:, None] * reach + shrug) @ chest_frame
    elbows = shoulders + bones.upper_arm * (angles.upper_arms @ chest_frame)
    wrists = elbows + bones.forearm * (angles.forearms @ chest_frame)
    fields = (
        pelvis, waist, neck, skull, shoulders, elbows, wrists, hips, knees, ankles,
        hip_frame, chest_frame, head_frame, feet,
    )  # fmt: skip
    return [Pose(*(field[i] for field in fields)) for i in range(len(pelvis))]


def _highest(
    pelvis: Array, sockets: Array, ankles: Array, lifts: Array, leg: float
) -> Array:
    """How high the pelvis may be for every standing foot to stay on the floor."""
    hips = pelvis[:, None] + sockets
    aside = ((hips - ankles)[..., [0, 2]] ** 2).sum(-1)
    rise = np.sqrt(np.maximum((STRAIGHT * leg) ** 2 - aside, (0.3 * leg) ** 2))
    # A foot lets go of the pelvis as it lifts, not at once.
    highest = ankles[..., 1] + rise - sockets[..., 1] + lifts * leg
    return np.asarray(highest.min(-1), np.float32)


def _bend(
    hips: Array, ankles: Array, bones: Proportions, forward: Array
) -> tuple[Array, Array]:
    """Knees `(f, 2, 3)` that point forward, and the ankles that the legs can reach."""
    leg = bones.thigh + bones.shin
    line = ankles - hips
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / np.maximum(distance, 1e-6)
    reach = np.clip(distance, 0.35 * leg, STRAIGHT * leg)
    pole = forward - (forward * line).sum(-1, keepdims=True) * line
    pole = pole / np.maximum(np.linalg.norm(pole, axis=-1, keepdims=True), 1e-6)
    cosine = (bones.thigh**2 + reach**2 - bones.shin**2) / (2 * bones.thigh * reach)
    cosine = np.clip(cosine, -1, 1)
    knees = hips + bones.thigh * (cosine * line + np.sqrt(1 - cosine**2) * pole)
    return knees.astype(np.float32), (hips + reach * line).astype(np.float32)
