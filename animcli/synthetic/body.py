"""From a dance's angles and a figure's bones to a body in space, and the torso as tubes.

World: metres, x to the viewer's right, y up, z towards the viewer, the floor at 0. The
figure at rest looks at the viewer, so that its left is at positive x. Everywhere a pair
is (right, left), as in OpenPose's order.
"""

from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.character import Character, Proportions
from animcli.synthetic.raycast import (
    BALL,
    BELT,
    CHEST,
    HAT,
    LOWER,
    SKIN,
    THROAT,
    UNCUT,
    UPPER,
    SweptSphere,
)

Array = NDArray[np.floating]
Radii = tuple[float, float, float]


def rod(
    a: Array, b: Array, front: Array, radii: Radii, surface: int, group: int, *,
    flat: float = 1.0, keep: tuple[float, float] = UNCUT, offset: float = 0.0,
    visor: tuple[float, float] | None = None, sideways: bool = False,
) -> SweptSphere:  # fmt: skip
    """A tube from `a` to `b`."""
    return SweptSphere(
        a, b, front, radii, surface, group, flat, keep, visor, offset, sideways
    )


def ball(
    centre: Array, frame: Array, radius: float, surface: int, group: int, *,
    flat: float = 1.0, keep: tuple[float, float] = UNCUT,
    visor: tuple[float, float] | None = None,
) -> SweptSphere:  # fmt: skip
    """A ball, or an ellipsoid that is `flat` times as deep as it is wide and high."""
    end = centre + frame[1] * np.float32(BALL / 10)
    radii = (radius, radius, radius)
    return SweptSphere(centre, end, frame[2], radii, surface, group, flat, keep, visor)


def limb(
    keypoints: tuple[Array, Array, Array], front: Array, knots: tuple[float, ...], span:
    tuple[float, float], surface: int, group: int, *, extra: float = 0.0,
    flare: float = 0.0,
) -> list[SweptSphere]:  # fmt: skip
    """The part `span` (shares, 0..1) of an arm or a leg, bent at its middle joint.

    knots: radii at five even places from its root to its end; `extra` is added all along,
    `flare` more and more towards the end of the span. The end is cut off flat.
    """
    first, last = span
    places = np.linspace(0, 1, len(knots))
    tubes = []
    for half in (0, 1):
        low, high = max(first, half / 2), min(last, half / 2 + 0.5)
        if high - low < 0.01:
            continue
        a, b = keypoints[half], keypoints[half + 1]
        start, end = a + (b - a) * (2 * low - half), a + (b - a) * (2 * high - half)
        shares = np.linspace(low, high, 3)
        radii = np.interp(shares, places, knots) + extra + flare * (shares / last) ** 2
        keep = (-9.0, 1.0) if high < half / 2 + 0.5 or (half and last >= 1) else UNCUT
        tubes.append(
            rod(start, end, front, (float(radii[0]), float(radii[1]), float(radii[2])),
                surface, group, keep=keep, offset=low)
        )  # fmt: skip
    return tubes


SIDE_SIGNS: Array = np.array([-1, 1], np.float32)
"""Direction of each side of the body along x."""

WAIST = 0.4  # of the way from the hips to the shoulders
STRAIGHT = 0.992  # of a leg's length; knees are never quite locked


@dataclass(frozen=True, eq=False)
class Angles:
    """Angles of a dance at `f` moments; lengths are in legs, so that they fit any figure.

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
    _: KW_ONLY
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
    _: KW_ONLY
    wrists: Array
    hips: Array
    knees: Array
    ankles: Array
    hip_frame: Array
    chest_frame: Array
    head_frame: Array
    feet: Array


def frames_of_turns(yaw: Array, pitch: Array, roll: Array) -> Array:
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


def pose_figure(angles: Angles, bones: Proportions) -> list[Pose]:
    """The figure with these bones, doing what the angles say."""
    leg = bones.thigh + bones.shin
    facing = frames_of_turns(
        angles.facing, 0 * angles.facing, 0 * angles.facing
    )  # (f, 3, 3)
    hip_frame = frames_of_turns(*angles.hips.T) @ facing
    chest_frame = frames_of_turns(*angles.spine.T) @ hip_frame
    head_frame = frames_of_turns(*angles.head.T) @ chest_frame

    width = SIDE_SIGNS[:, None] * np.array([bones.hip_width / 2, 0, 0], np.float32)
    still = 0 * angles.anchors
    anchors = frames_of_turns(angles.anchors, still, still)  # (f, 2, 3, 3)
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
    feet = frames_of_turns(angles.turns, 0.7 * angles.lifts, 0 * angles.turns)
    knees, ankles = _bend(hips, ankles, bones, hip_frame[:, None, 2] + feet[:, :, 2])

    up = np.array([0, bones.torso, 0], np.float32)
    waist = pelvis + (WAIST * up @ hip_frame)
    neck = waist + ((1 - WAIST) * up @ chest_frame)
    skull = neck + np.array([0, bones.neck, bones.neck * 0.25], np.float32) @ chest_frame
    reach = np.array([bones.shoulder_width / 2, 0, 0], np.float32)
    raised = np.maximum(angles.upper_arms[..., 1:2], 0)  # shoulders rise with the arms
    shrug = raised * np.array([0, bones.torso * 0.08, 0], np.float32)
    shoulders = neck[:, None] + (SIDE_SIGNS[:, None] * reach + shrug) @ chest_frame
    elbows = shoulders + bones.upper_arm * (angles.upper_arms @ chest_frame)
    wrists = elbows + bones.forearm * (angles.forearms @ chest_frame)
    return [
        Pose(
            pelvis[i], waist[i], neck[i], skull[i], shoulders[i], elbows[i],
            wrists=wrists[i], hips=hips[i], knees=knees[i], ankles=ankles[i],
            hip_frame=hip_frame[i], chest_frame=chest_frame[i], head_frame=head_frame[i],
            feet=feet[i],
        )
        for i in range(len(pelvis))
    ]  # fmt: skip


def _highest(
    pelvis: Array, sockets: Array, ankles: Array, lifts: Array, leg: float
) -> Array:
    """Largest height of the pelvis at which every standing foot stays on the floor."""
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


TORSO_DEPTH = 0.66  # of a torso, compared to its width
SKIRTS = ("skirt", "long-skirt", "dress")
TORSO, SEAT, NECK = 1, 2, 10  # groups: no line runs between tubes of one group
THICKNESS = {
    "tank": 0.002, "t-shirt": 0.004, "shirt": 0.005, "sweater": 0.012, "hoodie": 0.014,
    "jacket": 0.012, "coat": 0.016,
}  # fmt: skip
"""Metres, on somebody 1.7 m tall."""
HEMS = {
    "tank": 0.15, "t-shirt": 0.28, "sweater": 0.31, "shirt": 0.25, "hoodie": 0.34,
    "jacket": 0.25, "coat": 0.1,
}  # fmt: skip
"""Length of a top below the waist, in torsos."""


def thickness(figure: Character) -> float:
    """Distance of the upper garment from the body, metres."""
    loose = figure.outfit.looseness * 0.4 * figure.proportions.arm_radius
    return THICKNESS[figure.outfit.top] * figure.proportions.height / 1.7 + loose


def torso_tubes(figure: Character, pose: Pose) -> list[SweptSphere]:
    """Chest, seat, shoulders and neck, with hem, belt, collar, hood and scarf."""
    tubes = _trunk(figure, pose) + _shoulders(figure, pose) + [_hem(figure, pose)]
    return tubes + _neckwear(figure, pose)


def _trunk(figure: Character, pose: Pose) -> list[SweptSphere]:
    bones, outfit = figure.proportions, figure.outfit
    front, up = pose.chest_frame[2], pose.chest_frame[1]
    hip_front, hip_up = pose.hip_frame[2], pose.hip_frame[1]
    extra = thickness(figure)
    waist, chest = bones.waist_radius + extra, bones.chest_radius + extra
    top = 0.9 * chest
    tubes = [
        rod(
            pose.waist, pose.neck - up * top * 0.86, front,
            (waist, 0.45 * waist + 0.57 * chest, top), CHEST, TORSO, flat=TORSO_DEPTH,
        )
    ]  # fmt: skip
    covered = outfit.bottom == "dress" or outfit.top == "coat"
    hips = bones.hip_radius + (extra if covered else 0.006)
    tubes.append(
        rod(
            pose.pelvis + hip_up * hips * 0.18, pose.waist, hip_front,
            (hips, (hips + waist) * 0.49, waist), UPPER if covered else LOWER,
            TORSO if covered else SEAT, flat=TORSO_DEPTH * 1.08,
        )
    )  # fmt: skip
    if bones.build > 0.35:
        belly = pose.waist - hip_up * 0.02 + hip_front * waist * 0.22
        tubes.append(ball(belly, pose.chest_frame, waist * 0.92, UPPER, TORSO, flat=0.75))
    return tubes


def _shoulders(figure: Character, pose: Pose) -> list[SweptSphere]:
    bones = figure.proportions
    across, up, front = pose.chest_frame
    extra = thickness(figure)
    # From the shoulders up to the neck, so that shoulders slope.
    slope = bones.arm_radius * 0.95 + extra * 0.6
    root = pose.neck + up * bones.neck * 0.08
    radii = (slope, slope * 0.95, bones.neck_radius * 1.1 + extra * 0.3)
    tubes = [
        rod(shoulder - up * slope * 0.12, root, front, radii, UPPER, TORSO)
        for shoulder in pose.shoulders
    ]
    # What fills the corners between the round chest and the shoulders.
    broad = 0.19 * bones.shoulder_width + extra
    inward = across * (bones.shoulder_width / 2 - 1.0 * broad)
    middle = pose.neck - up * broad * 0.95
    tubes.append(
        rod(
            middle - inward, middle + inward, front, (broad, broad, broad), UPPER, TORSO,
            flat=0.72, sideways=True,
        )
    )  # fmt: skip
    thick = bones.neck_radius
    tubes.append(
        rod(
            pose.neck - up * thick * 0.5, pose.skull + up * bones.neck * 0.3, front,
            (thick * 1.15, thick, thick), THROAT, NECK,
        )
    )  # fmt: skip
    return tubes


def _hem(figure: Character, pose: Pose) -> SweptSphere:
    """The top's end over the trousers, or a belt where the top is tucked in."""
    bones, outfit = figure.proportions, figure.outfit
    up, front = pose.hip_frame[1], pose.hip_frame[2]
    extra = thickness(figure)
    waist = bones.waist_radius + extra
    if outfit.belt and outfit.top in ("t-shirt", "shirt", "tank"):
        end = pose.waist - up * 0.03 * bones.height
        radii = (waist * 1.04, waist * 1.06, waist * 1.08)
        keep = (0.0, 1.0)
        return rod(
            pose.waist, end, front, radii, BELT, 3, flat=TORSO_DEPTH * 1.06, keep=keep
        )
    share = 0.1 if outfit.bottom in SKIRTS else HEMS[outfit.top]
    end = pose.waist - up * share * bones.torso
    wide = (bones.hip_radius + extra) * 1.07 + extra * 0.5
    wide = waist + (wide - waist) * min(share / 0.25, 1)
    radii = (waist * 1.01, (waist + wide) * 0.51, wide)
    return rod(
        pose.waist,
        end,
        front,
        radii,
        UPPER,
        TORSO,
        flat=TORSO_DEPTH * 1.1,
        keep=(-9.0, 1.0),
    )


def _neckwear(figure: Character, pose: Pose) -> list[SweptSphere]:
    bones, outfit = figure.proportions, figure.outfit
    up, front = pose.chest_frame[1], pose.chest_frame[2]
    extra, thick = thickness(figure), bones.neck_radius
    tubes = []
    if outfit.top in ("t-shirt", "tank", "jacket"):  # what a round neckline leaves bare
        radius = thick * (1.55 if outfit.top == "tank" else 1.4) + extra
        low = 0.5 if outfit.top == "tank" else 0.25
        centre = pose.neck - up * radius * low + front * radius * 0.2
        tubes.append(ball(centre, pose.chest_frame, radius, SKIN, NECK, flat=0.85))
    else:
        radius = thick + 0.4 * extra
        share = 0.75 if outfit.top == "sweater" else 0.6
        base = pose.neck + (pose.skull - pose.neck) * share
        radii = (radius * 1.4, radius * 1.25, radius * 1.15)
        tubes.append(rod(pose.neck, base, front, radii, UPPER, TORSO, keep=(-9.0, 1.0)))
    if outfit.top == "hoodie":
        behind = front * 0.3 * bones.chest_radius
        right, left = pose.shoulders
        radius = thick * 1.2
        radii = (radius, radius * 1.3, radius)
        start, end = right * 0.7 + left * 0.3 - behind, right * 0.3 + left * 0.7 - behind
        tubes.append(rod(start, end, front, radii, UPPER, 4))
    if outfit.scarf:
        knot = pose.neck + up * bones.neck * 0.5
        radii = (thick * 1.75 + extra, thick * 1.8 + extra, thick * 1.5)
        tubes.append(rod(pose.neck, knot, front, radii, HAT, 6, keep=(-1.0, 1.0)))
        chest = bones.chest_radius + extra
        root = pose.neck + front * chest * 0.55 + pose.chest_frame[0] * thick * 0.6
        hang = root - up * bones.torso * 0.5 + front * chest * 0.22
        strip = (thick * 0.55,) * 3
        tubes.append(rod(root, hang, front, strip, HAT, 6, flat=0.5, keep=(-9.0, 1.0)))
    return tubes
