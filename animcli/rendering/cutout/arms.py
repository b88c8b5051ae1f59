"""Tell a figure's arms from the body that they lie on.

Each pixel goes to the bones that reach it over the least distance and the least change of
colour (a geodesic segmentation, after Bai and Sapiro, "Geodesic matting", 2009), and a
graph cut moves the border between arm and body onto the picture's edges. Joints are only
found to within a part of an arm's thickness, so the arm's middle is first looked for beside
its bones.
"""

from itertools import pairwise
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from animcli.pose import skeleton as joint
from animcli.rendering.cutout.bones import Bone, Rest
from animcli.rendering.cutout.graph_cut import (
    BACK,
    FRONT,
    MAYBE_BACK,
    MAYBE_FRONT,
    graph_cut,
)

_COLOUR: Final = 0.35  # pixels of way that one level of colour difference (CIE Lab) costs
_HALF_THICKNESS: Final = (0.05, 0.18)  # of an arm, as a share of the trunk's length
_REACH: Final = (
    1.6  # half thicknesses from its middle to which an arm, sleeve and all, goes
)
_FINGER: Final = 0.35  # half thicknesses that a finger's middle is nearer to its edge

Arm = tuple[Bone, Bone, Bone]
"""Upper arm, forearm, hand."""


def label_arms(
    picture: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    rest: Rest,
    arms: list[Arm],
    radius: float,
) -> NDArray[np.uint8]:
    """`(h, w)`: 0 for the body, 1 and 2 for the arms, in the order of `arms`."""
    labels = np.zeros(inside.shape, np.uint8)
    if not arms:
        return labels
    seeds = _body_seeds(inside.shape, rest)
    seeds[~inside] = 0
    gaps = [_away_from_arm(inside, rest, arm, radius) for arm in arms]
    for index, gap in enumerate(gaps):
        seeds[(gap < 1) & (seeds == 1)] = 0  # what crosses the body is an arm
        seeds[(gap < 0.35) & inside] = index + 2
    nearest = _nearest_seed(picture, inside, seeds)
    for index, gap in enumerate(gaps):
        mine = (nearest == index + 2) & (gap < _REACH)
        mine = _to_edges(picture, inside, mine, gap)
        labels[_without_slivers(mine, inside, gap, radius)] = index + 1
    return labels


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
    """`(h, w)`: how far from the arm's middle, in half thicknesses.

    Fingers, where they are known, count as bones that are thinner.
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
    free = np.full(inside.shape, 255, np.uint8)
    _draw(free, list(np.concatenate(lines)), 0, 1)
    gap = cv2.distanceTransform(free, cv2.DIST_L2, 5) / radius
    if pairs:
        free = np.full(inside.shape, 255, np.uint8)
        for a, b in pairs:
            _draw(free, [rest.joints[a], rest.joints[b]], 0, 1)
        away = cv2.distanceTransform(free, cv2.DIST_L2, 5) / radius
        gap = np.minimum(gap, away + _FINGER)
    return np.asarray(gap)


def _body_seeds(shape: tuple[int, ...], rest: Rest) -> NDArray[np.uint8]:
    """`(h, w)`, 1 where the picture is surely body: the trunk's core, head and legs."""
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
    return seeds


def _draw(
    canvas: NDArray[np.uint8], line: list[NDArray[np.float64]], value: int, width: int
) -> None:
    for near, far in pairwise(line):
        a, b = (round(near[0]), round(near[1])), (round(far[0]), round(far[1]))
        cv2.line(canvas, a, b, value, max(1, width))


def _nearest_seed(
    picture: NDArray[np.uint8], inside: NDArray[np.bool_], seeds: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """`(h, w)`: for each pixel inside, the seed nearest to it over way and colour."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.8)
    colour = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float32)
    number = np.full(inside.shape, -1, np.int32)
    number[inside] = np.arange(inside.sum())
    from_, to, cost = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here, there = _neighbours(number, down, right)
        one, other = _neighbours(colour, down, right)
        both = (here >= 0) & (there >= 0)
        change = np.linalg.norm(one - other, axis=-1)[both]
        from_.append(here[both])
        to.append(there[both])
        cost.append(np.hypot(down, right) + _COLOUR * change)
    count = int(inside.sum())
    graph = coo_array(
        (np.concatenate(cost), (np.concatenate(from_), np.concatenate(to))), (count, count)
    ).tocsr()
    sown = np.flatnonzero(seeds[inside])
    _, _, source = dijkstra(
        graph, directed=False, indices=sown, min_only=True, return_predecessors=True
    )
    values = np.where(source >= 0, seeds[inside][np.maximum(source, 0)], 1)
    nearest = np.zeros(inside.shape, np.uint8)
    nearest[inside] = values
    return nearest


_Grid = TypeVar("_Grid", NDArray[np.int32], NDArray[np.float32])


def _neighbours(grid: _Grid, down: int, right: int) -> tuple[_Grid, _Grid]:
    """`grid` and its neighbour `down` rows and `right` columns on, where both exist."""
    height, width = grid.shape[:2]
    left, stop = max(0, -right), width - max(0, right)
    return grid[: height - down, left:stop], grid[down:, left + right : stop + right]


def _to_edges(
    picture: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    arm: NDArray[np.bool_],
    gap: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """`arm` with its border to the body moved onto the picture's edges, by graph cut.

    gap: from the arm's bones, in half thicknesses.
    """
    rows, columns = np.nonzero((gap < _REACH + 1) & inside)
    if len(rows) == 0 or not arm.any():
        return arm
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    body = inside & ~arm
    if not body[box].any():
        return arm
    seen = picture[box].copy()
    # the cut is between arm and body: what is neither must not look like a third thing
    seen[~inside[box]] = np.median(picture[box][body[box]], axis=0).astype(np.uint8)
    labels = np.where(arm, MAYBE_FRONT, MAYBE_BACK).astype(np.uint8)
    labels[arm & (gap < 0.2)] = FRONT
    labels[~inside | (gap > _REACH)] = BACK
    cut = arm.copy()
    cut[box] = graph_cut(seen, labels[box], rounds=2)
    return cut & inside


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
    solid = cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_OPEN, disk) > 0
    solid = _largest(solid)
    thin = body & ~(cv2.dilate(solid.astype(np.uint8), disk) > 0)
    _, pieces = cv2.connectedComponents(body.astype(np.uint8))
    off = body & ~np.isin(pieces, np.unique(pieces[solid]))
    arm = arm | (thin & (gap < _REACH)) | (off & (gap < 2 * _REACH))
    # a border without the steps of the pixels that it was found on
    even = cv2.GaussianBlur(arm.astype(np.float32), (0, 0), max(1.0, 0.12 * radius))
    whole = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(1.0, 0.12 * radius))
    return np.asarray(inside & (even > 0.5 * whole))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of `mask`."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
