"""DensePose pictures: their parts and colours, and drawing them over keypoints.

Limbs, trunk and head are drawn as solids, the nearer over the farther. That approximates
what a DensePose network sees: bodies all have the girth of an average grown-up in
proportion to their height, nobody wears anything, and what keypoints don't tell is guessed
(`lifting`). `docs/models/densepose.md` says how near it comes.

Source: Gueler et al., "DensePose", arXiv:1802.00434, for the 24 parts; the colours, which
MagicAnimate knows them by, are those of detectron2's picture of part indices: index i has
step `i * 255 / 24`, cut to a whole number, of the palette viridis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.bones import PELVIS
from animcli.pose.lifting import BODY_SIDES, Array, Bodies

PARTS: Final = (
    "background",
    "torso, back",
    "torso, front",
    "right hand",
    "left hand",
    "left foot",
    "right foot",
    "right thigh, back",
    "left thigh, back",
    "right thigh, front",
    "left thigh, front",
    "right shin, back",
    "left shin, back",
    "right shin, front",
    "left shin, front",
    "left upper arm, inside",
    "right upper arm, inside",
    "left upper arm, outside",
    "right upper arm, outside",
    "left forearm, inside",
    "right forearm, inside",
    "left forearm, outside",
    "right forearm, outside",
    "head, right",
    "head, left",
)
"""By index. An arm's inside is on the side of the palm, its outside on the other."""

PART_COLOURS: Final = np.array(
    [
        (68, 1, 84), (71, 16, 99), (72, 31, 112), (71, 44, 122), (68, 57, 131),
        (64, 70, 136), (59, 81, 139), (54, 93, 141), (49, 104, 142), (44, 113, 142),
        (40, 124, 142), (37, 133, 142), (33, 144, 141), (31, 154, 138), (32, 163, 134),
        (39, 173, 129), (53, 183, 121), (70, 192, 111), (92, 200, 99), (115, 208, 86),
        (142, 214, 69), (170, 220, 50), (197, 224, 33), (226, 228, 24), (253, 231, 37),
    ],
    np.uint8,
)  # fmt: skip
"""`(25, 3)` RGB, by index. In compressed clips they are off by a few levels."""

BACKGROUND: Final = (68, 1, 84)

_PALETTE: Final = np.concatenate(
    [PART_COLOURS, np.zeros((256 - len(PART_COLOURS), 3), np.uint8)]
)


def paint(parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture `(h, w, 3)` uint8 RGB of part indices `(h, w)` uint8."""
    return np.asarray(cv2.applyColorMap(parts, _PALETTE[:, None]), np.uint8)


def read_parts(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part indices `(h, w)` uint8 of a DensePose picture: the nearest colours."""
    best = np.full(picture.shape[:2], 1000, np.int16)
    parts = np.zeros(picture.shape[:2], np.uint8)
    signed = picture.astype(np.int16)
    for index, colour in enumerate(PART_COLOURS.astype(np.int16)):
        off = np.abs(signed - colour).sum(axis=2, dtype=np.int16)
        nearer = off < best
        parts[nearer] = index
        np.minimum(best, off, out=best)
    return parts


_HANDS: Final = (s.RIGHT_HAND, s.LEFT_HAND)
FIXED_POINT_BITS: Final = 4  # bits: places are drawn in sixteenths of a pixel
OFF_PICTURE: Final = (
    8000.0  # px; nothing out there is seen, and OpenCV counts in fixed point
)


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid around a straight axis, by cross-sections, which are ellipses.

    at: `(k,)` where along the axis, 0 its start and 1 its end. wide, deep: `(k,)` half-axes
    of each, aside and to the front, in heights from nose to ankles.
    front, back: the indices of the parts that its two halves are.
    """

    at: Array
    wide: Array
    deep: Array
    front: int
    back: int


def _shape(
    rows: tuple[tuple[float, ...], ...], front: int, back: int, cap: bool = True
) -> Shape:
    """Of (at, half-axis aside, half-axis to the front; the same if it isn't given)."""
    table = np.array([(*row, row[-1])[:3] for row in rows])
    if cap:  # rounded ends; lengths are of a limb, about 0.18 heights
        first, last = table[0], table[-1]
        ends = [
            (first[0] - first[1] / 0.18 * out, first[1] * wide, first[2] * wide)
            for out, wide in ((0.8, 0.5), (0.5, 0.85))
        ]
        tips = [
            (last[0] + last[1] / 0.18 * out, last[1] * wide, last[2] * wide)
            for out, wide in ((0.3, 0.85), (0.5, 0.5))
        ]
        table = np.array([*ends, *table, *tips])
    return Shape(table[:, 0], table[:, 1], table[:, 2], front, back)


UPPER_ARM: Final = ((0.0, 0.036), (0.3, 0.036), (0.65, 0.031), (1.0, 0.029))
FOREARM: Final = ((0.0, 0.029), (0.3, 0.029), (0.7, 0.023), (1.0, 0.019))
HAND_SHAPE: Final = ((0.0, 0.02), (0.4, 0.027), (0.8, 0.02))
THIGH: Final = ((0.0, 0.06), (0.3, 0.056), (0.7, 0.044), (1.0, 0.038))
SHIN: Final = ((0.0, 0.038), (0.3, 0.038), (0.65, 0.03), (1.0, 0.024))
FOOT: Final = ((0.0, 0.024), (0.6, 0.028), (1.0, 0.02))
TRUNK: Final = (
    (-0.15, 0.01, 0.01), (-0.08, 0.06, 0.06), (0.0, 0.11, 0.085), (0.15, 0.11, 0.085),
    (0.4, 0.102, 0.075), (0.7, 0.112, 0.08), (0.85, 0.118, 0.078), (0.97, 0.112, 0.066),
    (1.05, 0.085, 0.055), (1.17, 0.045, 0.045),
)  # fmt: skip
HEAD_SHAPE: Final = (
    (0.0, 0.03, 0.03), (0.1, 0.04, 0.042), (0.3, 0.04, 0.044), (0.45, 0.047, 0.056),
    (0.62, 0.053, 0.066), (0.8, 0.053, 0.066), (0.92, 0.041, 0.052), (0.98, 0.024, 0.032),
    (1.0, 0.004, 0.004),
)  # fmt: skip
HAND_LENGTH: Final = 0.11  # heights
FOOT_LENGTH: Final = 0.14
FINGER: Final = 0.008  # heights; half its thickness
COLLAR: Final = 0.04  # heights over the shoulders' line, where the head's part begins
CROWN: Final = 0.085  # heights over the ears
BEHIND: Final = 0.08  # heights; so much legs lie under the trunk, whose end covers them
OVER: Final = 0.015  # heights; so much arms lie over it


class Limbs(NamedTuple):
    """The solids of one side of a body."""

    upper_arm: Shape
    forearm: Shape
    hand: Shape
    thigh: Shape
    shin: Shape
    foot: Shape


SHAPES: Final = (
    Limbs(
        _shape(UPPER_ARM, 18, 16), _shape(FOREARM, 22, 20), _shape(HAND_SHAPE, 3, 3),
        _shape(THIGH, 9, 7), _shape(SHIN, 13, 11), _shape(FOOT, 6, 6),
    ),
    Limbs(
        _shape(UPPER_ARM, 17, 15), _shape(FOREARM, 21, 19), _shape(HAND_SHAPE, 4, 4),
        _shape(THIGH, 10, 8), _shape(SHIN, 14, 12), _shape(FOOT, 5, 5),
    ),
)  # fmt: skip
"""Of the right and of the left side."""
TORSO: Final = _shape(TRUNK, 2, 1, cap=False)
SKULL: Final = _shape(HEAD_SHAPE, 24, 23, cap=False)  # its "front" half is the left one


@dataclass(frozen=True, eq=False)
class Outline:
    """A part in the picture, to be filled.

    depth: of its middle, pixels. whole, front: `(k, 2)` px, corners of all of it and of
    what is seen of its front half. parts: indices of its front and of its back.
    """

    depth: float
    whole: Array
    front: Array
    parts: tuple[int, int]


def draw_parts(bodies: Bodies, frame: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Part indices `(height, width)` uint8 of one frame; `size` is `(width, height)`."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    outlines = sorted(outlines_of(bodies, frame, size), key=lambda part: part.depth)
    for outline in outlines:
        front, back = outline.parts
        if front != back:
            _fill(canvas, outline.whole, back)
        _fill(canvas, outline.front, front)
    return canvas


def _fill(canvas: NDArray[np.uint8], corners: Array, index: int) -> None:
    fixed = np.rint(
        np.clip(corners, -OFF_PICTURE, OFF_PICTURE) * (1 << FIXED_POINT_BITS)
    ).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], index, shift=FIXED_POINT_BITS)


def outlines_of(bodies: Bodies, frame: int, size: tuple[int, int]) -> Iterator[Outline]:
    """All parts of which the keypoints are seen, in no order."""
    places, visible = bodies.places[frame], bodies.visible[frame]
    height = float(bodies.height[frame])
    if visible[s.NECK]:
        yield trunk(bodies, frame)
        if visible[s.NOSE] or visible[s.RIGHT_EAR] or visible[s.LEFT_EAR]:
            yield head(bodies, frame)
    for side, (keypoints, shapes) in enumerate(zip(BODY_SIDES, SHAPES, strict=True)):
        depth, turn = bodies.depth[frame], bodies.turn[frame]
        arms = bodies.arms[frame, side]
        for start, end, shape, look, over in (
            (keypoints.shoulder, keypoints.elbow, shapes.upper_arm, arms[0], OVER),
            (keypoints.elbow, keypoints.wrist, shapes.forearm, arms[1], OVER),
            (keypoints.hip, keypoints.knee, shapes.thigh, turn, -BEHIND),
            (keypoints.knee, keypoints.ankle, shapes.shin, turn, -BEHIND),
        ):
            if visible[start] and visible[end]:
                near = (depth[start] + depth[end]) / 2 + over * height
                yield limb_outline(shape, places[start], places[end], look, height, near)
        if visible[keypoints.wrist]:
            yield hand(bodies, frame, side)
        if visible[keypoints.ankle]:
            yield foot(bodies, frame, side)


def limb_outline(
    shape: Shape,
    start: Array,
    end: Array,
    look: "Array | tuple[float, float]",
    height: float,
    depth: float,
    aside: Array | None = None,
) -> Outline:
    """A solid from `start` to `end`, whose front looks (aside, towards the viewer).

    The ellipse of a cross-section, turned, is `half` wide. Its front begins at `edge`: the
    end of the half-axis aside that is nearer to the viewer.
    """
    axis = end - start
    length = max(float(np.hypot(*axis)), 1e-6)
    if aside is None:
        aside = np.array([axis[1], -axis[0]]) / length
    wide, deep = shape.wide * height, shape.deep * height
    side, towards = float(look[0]), float(look[1])
    half = np.hypot(wide * towards, deep * side)
    sign = 1.0 if side >= 0 else -1.0
    edge = -sign * wide * towards
    middle = start + shape.at[:, None] * axis
    beside, border, other = (
        middle + (share * offset)[:, None] * aside
        for share, offset in ((sign, half), (1.0, edge), (-sign, half))
    )
    return Outline(
        depth,
        np.concatenate([beside, other[::-1]]),
        np.concatenate([beside, (other if shape.front == shape.back else border)[::-1]]),
        (shape.front, shape.back),
    )


def trunk(bodies: Bodies, frame: int) -> Outline:
    """From the pelvis to the neck; where the pelvis is unseen, straight down from there."""
    places, height = bodies.places[frame], float(bodies.height[frame])
    neck, across = places[s.NECK], bodies.across[frame]
    down = np.array([-across[1], across[0]]) * 0.33 * height
    pelvis = places[PELVIS] if bodies.visible[frame, PELVIS] else neck + down
    hips, shoulders, _ = bodies.widths
    broad = np.interp(TORSO.at, [0.0, 1.0], [hips, shoulders])
    shape = Shape(TORSO.at, TORSO.wide * broad, TORSO.deep * broad, 2, 1)
    return limb_outline(shape, pelvis, neck, bodies.turn[frame], height, 0.0, across)


def head(bodies: Bodies, frame: int) -> Outline:
    """From the neck over the ears to the crown; its halves are right and left."""
    places, visible = bodies.places[frame], bodies.visible[frame]
    grown = bodies.widths[2]
    height = float(bodies.height[frame])
    aside, towards = bodies.head_turn[frame]
    ears = [ear for ear in (s.RIGHT_EAR, s.LEFT_EAR) if visible[ear]]
    across = bodies.across[frame]
    if ears:
        middle = places[ears].mean(axis=0)
        if len(ears) == 1:  # the other one lies behind it by as much as the head is turned
            sign = 1 if ears[0] == s.RIGHT_EAR else -1
            middle = middle + sign * towards * 0.046 * height * grown * across
    else:
        middle = places[s.NOSE] - aside * 0.07 * height * grown * across
    neck = places[s.NECK]
    way = middle - neck
    up = way / max(float(np.hypot(*way)), 1e-6)
    crown = middle + up * CROWN * height * grown
    chin = max(float(np.hypot(*way)) - 0.075 * height * grown, 0.0)
    length = float(np.hypot(*(crown - neck)))
    marks = np.array([COLLAR * height, chin, length]) / max(length, 1e-6)
    at = np.interp(SKULL.at, [0.0, 0.4, 1.0], np.maximum.accumulate(marks))
    shape = Shape(at, SKULL.wide * grown, SKULL.deep * grown, 24, 23)
    # A head's sides are its front and back turned by a right angle.
    return sideways(shape, neck, crown, (aside, towards), height)


def sideways(
    shape: Shape, start: Array, end: Array, look: tuple[float, float], height: float
) -> Outline:
    """As `limb_outline`, with halves to the left and to the right of where it looks."""
    turned = Shape(shape.at, shape.deep, shape.wide, shape.front, shape.back)
    axis = end - start
    across = np.array([-axis[1], axis[0]]) / max(float(np.hypot(*axis)), 1e-6)
    return limb_outline(
        turned, start, end, (look[1], -look[0]), height, 0.01 * height, across
    )


def hand(bodies: Bodies, frame: int, side: int) -> Outline:
    """Around the keypoints of a hand, or on from the forearm where they are unseen."""
    places, visible = bodies.places[frame], bodies.visible[frame]
    height = float(bodies.height[frame])
    elbow, wrist = BODY_SIDES[side].elbow, BODY_SIDES[side].wrist
    shape = SHAPES[side].hand
    depth = float(bodies.depth[frame, wrist]) + 2 * OVER * height
    fingers = places[_HANDS[side]][visible[_HANDS[side]]]
    if len(fingers) > 8:
        hull = cv2.convexHull(fingers.astype(np.float32))[:, 0].astype(np.float64)
        middle = hull.mean(axis=0)
        out = hull - middle
        size = np.hypot(out[:, 0], out[:, 1])[:, None]
        hull = middle + out * (1 + FINGER * height / np.maximum(size, 1.0))
        return Outline(depth, hull, hull, (shape.front, shape.back))
    way = places[wrist] - places[elbow] if visible[elbow] else np.array([0.0, 1.0])
    size = max(float(np.hypot(*way)), 1e-6)
    end = places[wrist] + way / size * HAND_LENGTH * height
    return limb_outline(shape, places[wrist], end, (0.0, 1.0), height, depth)


def foot(bodies: Bodies, frame: int, side: int) -> Outline:
    """From heel and ankle to the toe; one whose toe is unseen stands flat on the floor."""
    places, visible, keypoints = (
        bodies.places[frame],
        bodies.visible[frame],
        BODY_SIDES[side],
    )
    height = float(bodies.height[frame])
    root = ankle = places[keypoints.ankle]
    if visible[keypoints.heel]:
        root = (ankle + places[keypoints.heel]) / 2
    if visible[keypoints.toe]:
        toe = places[keypoints.toe]
    else:
        across, (aside, towards) = bodies.across[frame], bodies.turn[frame]
        down = np.array([-across[1], across[0]])
        dip = 0.12 + 0.3 * max(towards, 0.0)  # the floor is seen a little from above
        toe = ankle + FOOT_LENGTH * height * (aside * across + dip * down)
    depth = float(bodies.depth[frame, keypoints.ankle]) - BEHIND * height
    return limb_outline(SHAPES[side].foot, root, toe, (0.0, 1.0), height, depth)
