"""Tell a figure's arms from the body that they lie on.

A pixel is arm by three signs: how near it is to the arm's middle, how much more its colour
is one of the arm's than one of the body's, and what its neighbours are that no edge parts
it from. Joints are only found to within a part of an arm's thickness, so the arm's middle
is first looked for beside its bones.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import skeleton as joint
from animcli.rendering.cutout.bones import Bone, Rest
from animcli.rendering.cutout.walk import colour_odds, walk

_HALF_THICKNESS: Final = (0.05, 0.18)  # of an arm, as a share of the trunk's length
_REACH: Final = (
    1.6  # half thicknesses from its middle to which an arm, sleeve and all, goes
)
_BESIDE: Final = 6.0  # half thicknesses from it to which the body's colours are looked at
_PLACE: Final = 2.0  # odds (natural logarithm) that a pixel is arm, for each half
# thickness that it is nearer to the middle than an arm's edge
_WITHIN: Final = 0.7  # and the most it says, as something may lie over an arm
_HIDDEN: Final = 0.02  # how much the colours count that may be of what lies over the arm
_SURE: Final = 8.0  # odds of what leaves no doubt
_TUBE: Final = 0.9  # half thicknesses from its middle to which an arm surely goes
_FINGER: Final = 0.35  # half thicknesses that a finger's middle is nearer to its edge

Arm = tuple[Bone, Bone, Bone]
"""Upper arm, forearm, hand."""


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
    arm's thickness in pixels.
    """
    labels = np.zeros(inside.shape, np.uint8)
    if not arms:
        return Labelled(labels, ())
    bones = [_away_from_arm(inside, rest, arm, radius) for arm in arms]
    gaps = [away.min(axis=0) for away in bones]
    nearest = np.min(gaps, axis=0)
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.8)
    colour = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.uint8)
    body = inside & (nearest > _REACH)
    core = _body_core(inside.shape, rest) & inside & (nearest > 1)
    for index, (away, gap) in enumerate(zip(bones, gaps, strict=True)):
        near = inside & (gap < _REACH) & (gap <= nearest)
        place = np.minimum(_PLACE * (1 - gap), _WITHIN)
        odds = place + _colour_odds(colour, inside, body, away, radius)
        odds[~near | core] = -_SURE
        mine = near & walk(colour, inside & (gap < _REACH + 1), odds)
        labels[_without_slivers(mine, inside, gap, radius)] = index + 1
    upper = tuple(away[0] <= away.min(axis=0) for away in bones)
    tubes = tuple(
        (gap < _TUBE) & mine & inside for gap, mine in zip(gaps, upper, strict=True)
    )
    return Labelled(labels, tubes)


def _colour_odds(
    colour: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    body: NDArray[np.bool_],
    away: NDArray[np.float32],
    radius: float,
) -> NDArray[np.float64]:
    """`(h, w)`: what each pixel's colour says for the arm, bone by bone, as a sleeve's
    colour says nothing about the hand; a bone of which too little shows goes by all.
    """
    gap = away.min(axis=0)
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    # where the figure ends beside an arm it is the arm that ends; further in, cloth or
    # hair may lie over it
    weight = np.where(depth < radius / 2, 1.0, _HIDDEN) * (inside & (gap < 0.8))
    beside = body & (gap < _BESIDE)
    odds = np.zeros(inside.shape)
    for bone in range(len(away)):
        mine = away[bone] <= gap
        few = (weight * mine).sum() < radius**2
        odds[mine] = colour_odds(colour, weight * (mine | few), beside)[mine]
    return odds


def half_thickness(inside: NDArray[np.bool_], rest: Rest, arms: list[Arm]) -> float:
    """Half an arm's thickness in pixels, seen where an arm is free on both sides."""
    least, most = (share * rest.trunk for share in _HALF_THICKNESS)
    free, beside = [np.zeros(0)], [np.zeros(0)]
    for bone in (bone for arm in arms for bone in arm[:2] if rest.present[bone]):
        places, aside = _along(rest, bone)
        one = _to_outline(inside, places, aside, 4 * most)
        other = _to_outline(inside, places, -aside, 4 * most)
        free.append((one + other)[one + other < 3 * most] / 2)
        nearer = np.minimum(one, other)
        beside.append(nearer[nearer < 2 * most])
    found = np.concatenate(free)
    if len(found) < least:  # places a pixel apart
        # arms that lie on the body all along show only how far off their outline is
        found = np.concatenate(beside)
    return float(np.clip(np.median(found), least, most)) if len(found) else least


def _to_outline(
    inside: NDArray[np.bool_],
    places: NDArray[np.float64],
    aside: NDArray[np.float64],
    reach: float,
) -> NDArray[np.float64]:
    """`(n,)`: pixels from each of `places` `(n, 2)` to where the figure ends, going along
    `aside`; infinite beyond `reach` and for places that aren't in the figure.
    """
    far = np.arange(0.0, reach, 0.5)
    x, y = (
        np.rint(places[:, None] + far[:, None] * aside).astype(np.intp).transpose(2, 0, 1)
    )
    on = (x >= 0) & (x < inside.shape[1]) & (y >= 0) & (y < inside.shape[0])
    x, y = x.clip(0, inside.shape[1] - 1), y.clip(0, inside.shape[0] - 1)
    out = ~(inside[y, x] & on)
    first = np.where(out.any(axis=1), far[out.argmax(axis=1)], np.inf)
    return np.where(first > 0, first, np.inf)


def _along(rest: Rest, bone: Bone) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places on a bone, a pixel apart, and the direction across it."""
    own = rest.end[bone] - rest.start[bone]
    length = max(float(np.linalg.norm(own)), 1.0)
    places = rest.start[bone] + np.linspace(0, 1, round(length) + 1)[:, None] * own
    return places, np.array([-own[1], own[0]]) / length


def _middle(
    inside: NDArray[np.bool_], rest: Rest, bone: Bone, radius: float
) -> NDArray[np.float64]:
    """`(n, 2)`: along the middle of the arm beside a bone.

    Joints are found to within a part of an arm's thickness. Where the figure ends near the
    bone, on both sides or on one, that is the arm's outline, and its middle follows.
    """
    places, aside = _along(rest, bone)
    reach = 2.3 * radius  # a whole arm, of which the bone may lie on the far edge
    one = _to_outline(inside, places, aside, reach)
    other = _to_outline(inside, places, -aside, reach)
    shift = np.full(len(places), np.nan)
    left, right = np.isfinite(one), np.isfinite(other)
    shift[left] = one[left] - radius
    shift[right] = radius - other[right]
    both = left & right
    shift[both] = (one[both] - other[both]) / 2
    known = ~np.isnan(shift)
    if known.sum() < 0.2 * len(shift):
        return places
    every = np.arange(len(shift))
    shift = np.interp(every, every[known], shift[known])
    window = np.ones(2 * round(radius) + 1)
    shift = np.convolve(shift, window) / np.convolve(np.ones(len(shift)), window)
    shift = shift[round(radius) : round(radius) + len(every)]
    return np.asarray(places + shift[:, None] * aside)


def _away_from_arm(
    inside: NDArray[np.bool_], rest: Rest, arm: Arm, radius: float
) -> NDArray[np.float32]:
    """`(bones, h, w)`: how far from the middle of each of the arm's bones, from the upper
    arm on, in half thicknesses.

    Fingers, where they are known, count as a hand that is thinner.
    """
    hand = arm[2]
    fingers = joint.RIGHT_HAND if hand is Bone.RIGHT_HAND else joint.LEFT_HAND
    pairs = [(fingers.start + a, fingers.start + b) for a, b in joint.HAND_LIMBS]
    if not rest.present[hand]:
        pairs = []
    pairs = [(a, b) for a, b in pairs if rest.known[a] and rest.known[b]]
    lines = [_middle(inside, rest, bone, radius) for bone in arm[:2] if rest.present[bone]]
    lines[0] = lines[0][min(round(radius), len(lines[0]) // 2) :]  # where the body ends
    if rest.present[hand] and not pairs:
        lines.append(np.stack([lines[-1][-1], rest.end[hand]]))
    away = [_away(inside.shape, [list(line)]) / radius for line in lines]
    if pairs:
        spread = [[rest.joints[a], rest.joints[b]] for a, b in pairs]
        away.append(_away(inside.shape, spread) / radius + _FINGER)
    return np.stack(away)


def _away(
    shape: tuple[int, ...], lines: list[list[NDArray[np.float64]]]
) -> NDArray[np.float32]:
    """`(h, w)`: pixels to the nearest of `lines`."""
    free = np.full(shape, 255, np.uint8)
    for line in lines:
        _draw(free, line, 0, 1)
    return np.asarray(cv2.distanceTransform(free, cv2.DIST_L2, 5))


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
