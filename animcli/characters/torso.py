"""The torso and what is worn on it, as tubes."""

import numpy as np
from numpy.typing import NDArray

from animcli.characters.body import Pose
from animcli.characters.build import ball, rod
from animcli.characters.figure import Figure
from animcli.characters.surfaces import BELT, CHEST, HAT, LOWER, SKIN, THROAT, UPPER
from animcli.characters.tube import Tube

Array = NDArray[np.floating]

DEPTH = 0.66  # of a torso, compared to its width
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
"""How far a top hangs below the waist, in torsos."""


def thickness(figure: Figure) -> float:
    """How far the upper garment stands off the body, metres."""
    loose = figure.outfit.looseness * 0.4 * figure.proportions.arm_radius
    return THICKNESS[figure.outfit.top] * figure.proportions.height / 1.7 + loose


def torso_tubes(figure: Figure, pose: Pose) -> list[Tube]:
    """Chest, seat, shoulders and neck, with hem, belt, collar, hood and scarf."""
    tubes = _trunk(figure, pose) + _shoulders(figure, pose) + [_hem(figure, pose)]
    return tubes + _neckwear(figure, pose)


def _trunk(figure: Figure, pose: Pose) -> list[Tube]:
    bones, outfit = figure.proportions, figure.outfit
    front, up = pose.chest_frame[2], pose.chest_frame[1]
    hip_front, hip_up = pose.hip_frame[2], pose.hip_frame[1]
    extra = thickness(figure)
    waist, chest = bones.waist_radius + extra, bones.chest_radius + extra
    top = 0.9 * chest
    tubes = [
        rod(
            pose.waist, pose.neck - up * top * 0.86, front,
            (waist, 0.45 * waist + 0.57 * chest, top), CHEST, TORSO, flat=DEPTH,
        )
    ]  # fmt: skip
    covered = outfit.bottom == "dress" or outfit.top == "coat"
    hips = bones.hip_radius + (extra if covered else 0.006)
    tubes.append(
        rod(
            pose.pelvis + hip_up * hips * 0.18, pose.waist, hip_front,
            (hips, (hips + waist) * 0.49, waist), UPPER if covered else LOWER,
            TORSO if covered else SEAT, flat=DEPTH * 1.08,
        )
    )  # fmt: skip
    if bones.build > 0.35:
        belly = pose.waist - hip_up * 0.02 + hip_front * waist * 0.22
        tubes.append(ball(belly, pose.chest_frame, waist * 0.92, UPPER, TORSO, flat=0.75))
    return tubes


def _shoulders(figure: Figure, pose: Pose) -> list[Tube]:
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


def _hem(figure: Figure, pose: Pose) -> Tube:
    """The top's end over the trousers, or a belt where the top is tucked in."""
    bones, outfit = figure.proportions, figure.outfit
    up, front = pose.hip_frame[1], pose.hip_frame[2]
    extra = thickness(figure)
    waist = bones.waist_radius + extra
    if outfit.belt and outfit.top in ("t-shirt", "shirt", "tank"):
        end = pose.waist - up * 0.03 * bones.height
        radii = (waist * 1.04, waist * 1.06, waist * 1.08)
        keep = (0.0, 1.0)
        return rod(pose.waist, end, front, radii, BELT, 3, flat=DEPTH * 1.06, keep=keep)
    share = 0.1 if outfit.bottom in SKIRTS else HEMS[outfit.top]
    end = pose.waist - up * share * bones.torso
    wide = (bones.hip_radius + extra) * 1.07 + extra * 0.5
    wide = waist + (wide - waist) * min(share / 0.25, 1)
    radii = (waist * 1.01, (waist + wide) * 0.51, wide)
    return rod(
        pose.waist, end, front, radii, UPPER, TORSO, flat=DEPTH * 1.1, keep=(-9.0, 1.0)
    )


def _neckwear(figure: Figure, pose: Pose) -> list[Tube]:
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
