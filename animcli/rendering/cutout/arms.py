"""Tell a figure's arms from the body that they lie on.

Where the figure ends on both sides of an arm, all between is arm, sleeve and all. Elsewhere
a pixel is arm by three signs: how near it is to the arm's middle, how much more its colour
is one that the arm has there than one of the body's, and what its neighbours are that no
edge parts it from.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.bones import Bone, Rest
from animcli.rendering.cutout.tubes import Arm, Tube, arm_tubes
from animcli.rendering.cutout.walk import colour_odds, walk

_REACH: Final = 1.6  # half thicknesses from its middle to which an arm may go
_BESIDE: Final = 6.0  # half thicknesses from it to which the body's colours are looked at
_PLACE: Final = 2.0  # odds (natural logarithm) that a pixel is arm, for each half
# thickness that it is nearer to the middle than an arm's edge
_WITHIN: Final = 0.7  # and the most it says, as something may lie over an arm
_HIDDEN: Final = 0.005  # how much the colours count that may be of what lies over the arm
_PALM: Final = 0.5  # half thicknesses from its middle to which a hand is surely hand
_CLOSE: Final = 1.5  # half thicknesses along the arm, to what shows a pixel's arm colours
_FAR: Final = 0.005  # how much the rest of the arm counts for it
_DOUBT: Final = 0.7  # odds below which a colour says nothing: cloth of one pattern differs
# so much between a sleeve and a body
_SURE: Final = 8.0  # odds of what leaves no doubt
_TUBE: Final = 0.9  # half thicknesses from its middle to which an arm surely goes


@dataclass(frozen=True, eq=False)
class Labelled:
    """Where the arms of a figure are.

    labels: `(h, w)` uint8, 0 for the body, 1 and 2 for the first and the second arm.
    tubes: for each arm, `(h, w)` bool, where its upper part is, covered or not.
    """

    labels: NDArray[np.uint8]
    tubes: tuple[NDArray[np.bool_], ...]


def label_arms(
    picture: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    rest: Rest,
    arms: list[Arm],
    radius: float,
) -> Labelled:
    """Which pixels of the figure are arms, in the order of `arms`; `radius` is half an
    arm's usual thickness in pixels.
    """
    labels = np.zeros(inside.shape, np.uint8)
    if not arms:
        return Labelled(labels, ())
    tubes = arm_tubes(inside, rest, arms, radius)
    gaps = [tube.gap for tube in tubes]
    nearest = np.min(gaps, axis=0)
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.8)
    colour = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.uint8)
    body = inside & (nearest > _REACH)
    core = _body_core(inside.shape, rest) & inside & (nearest > 1)
    for index, (tube, gap) in enumerate(zip(tubes, gaps, strict=True)):
        near = inside & (gap < _REACH) & (gap <= nearest)
        place = np.minimum(_PLACE * (1 - gap), _WITHIN)
        odds = place + _colour_odds(colour, inside, body, tube, radius)
        odds[tube.sure] = _SURE
        odds[~near | core] = -_SURE
        mine = near & walk(colour, inside & (gap < _REACH + 1), odds)
        labels[_without_slivers(mine, inside, gap, radius)] = index + 1
    upper = tuple(
        (gap < _TUBE) & (tube.away[0] <= gap) & inside
        for tube, gap in zip(tubes, gaps, strict=True)
    )
    return Labelled(labels, upper)


def _colour_odds(
    colour: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    body: NDArray[np.bool_],
    tube: Tube,
    radius: float,
) -> NDArray[np.float64]:
    """`(h, w)`: what each pixel's colour says for the arm, piece by piece along it, as a
    sleeve's colour says nothing about the hand.
    """
    gap = tube.gap
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    # where the figure ends beside an arm it is the arm that ends; further in, cloth or
    # hair may lie over it
    weight = np.where((depth < radius / 2) | tube.sure, 1.0, _HIDDEN)
    weight *= inside & (gap < 0.8)
    # a hand lies over what it is on
    weight[tube.hand] = (inside & (gap < _PALM))[tube.hand]
    beside = body & (gap < _BESIDE)
    odds = np.zeros(inside.shape)
    piece = np.floor(tube.along).astype(int)
    for here in np.unique(piece[inside & (gap < _REACH)]):
        close = np.abs(tube.along - (here + 0.5)) < _CLOSE
        said = colour_odds(colour, weight * np.where(close, 1.0, _FAR), beside)
        mine = piece == here
        odds[mine] = said[mine]
    return np.asarray(np.where(np.abs(odds) < _DOUBT, 0, odds))


def _body_core(shape: tuple[int, ...], rest: Rest) -> NDArray[np.bool_]:
    """`(h, w)`, where the picture is surely body: the trunk's core, head and legs."""
    seeds = np.zeros(shape, np.uint8)
    wide = max(1, round(0.06 * rest.trunk))
    hips, neck = rest.start[Bone.PELVIS], rest.start[Bone.CHEST]
    _draw(seeds, [neck, hips], 1, 2 * wide)
    for bone in (Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM):
        if rest.present[bone]:
            _draw(seeds, [neck, neck + 0.7 * (rest.start[bone] - neck)], 1, wide)
    for thigh, shin, foot in (
        (Bone.RIGHT_THIGH, Bone.RIGHT_SHIN, Bone.RIGHT_FOOT),
        (Bone.LEFT_THIGH, Bone.LEFT_SHIN, Bone.LEFT_FOOT),
    ):
        line = [hips, rest.start[thigh]] if rest.present[thigh] else []
        line += [rest.end[bone] for bone in (thigh, shin, foot) if rest.present[bone]]
        _draw(seeds, line, 1, wide)
    if rest.present[Bone.HEAD]:
        _draw(seeds, [neck, rest.end[Bone.HEAD]], 1, 2 * wide)
    return seeds > 0


def _draw(
    canvas: NDArray[np.uint8], line: list[NDArray[np.float64]], value: int, width: int
) -> None:
    for near, far in pairwise(line):
        a, b = (round(near[0]), round(near[1])), (round(far[0]), round(far[1]))
        cv2.line(canvas, a, b, value, max(1, width))


def _without_slivers(
    arm: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    gap: NDArray[np.float32],
    radius: float,
) -> NDArray[np.bool_]:
    """`arm` as one piece, with the thin outlines and crumbs of body beside it."""
    wide = 2 * max(1, round(0.2 * radius)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    smooth = cv2.morphologyEx(arm.astype(np.uint8), cv2.MORPH_OPEN, disk) > 0
    smooth |= arm & (gap < 0.8)
    arm = _largest(smooth)
    body = inside & ~arm
    wide = 2 * max(1, round(0.12 * radius)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    solid = cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_OPEN, disk)
    thin = body & ~(cv2.dilate(solid, disk) > 0)
    arm = arm | (thin & (gap < _REACH))
    # a border without the steps of the pixels that it was found on
    even = cv2.GaussianBlur(arm.astype(np.float32), (0, 0), max(1.0, 0.12 * radius))
    whole = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(1.0, 0.12 * radius))
    arm = inside & (even > 0.5 * whole)
    # what isn't one with the body is no part of it where it is a crumb beside the arm, or
    # lies wholly on it, as a bracelet does
    body = inside & ~arm
    _, pieces = cv2.connectedComponents(body.astype(np.uint8))
    many = np.bincount(pieces.ravel())
    on_arm = np.bincount(pieces.ravel(), (gap < 0.6).ravel()) > 0.5 * many
    crumb = many < 0.15 * radius**2
    return np.asarray(
        arm | (body & (on_arm[pieces] | (crumb[pieces] & (gap < 2 * _REACH))))
    )


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of `mask`."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
