"""Layers of a figure: the body and each arm, so that an arm can leave what it lies on.

Three layers, as in paper cut-outs: the body with its legs, and each arm. An arm's layer and
the body's are one around the shoulder, so that skin and cloth bend there instead of
opening; below, they part. What the body has behind an arm is filled in from the body; how
wide the body is there follows from where its outline shows above and below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.arm_regions import Arm, half_thickness
from animcli.rendering.cutout.arm_segmentation import head_region, label_arms
from animcli.rendering.cutout.inpaint import inpaint_rows, push_pull
from animcli.rendering.cutout.matting import Matte
from animcli.rendering.cutout.rig import Bone, RestPose, distance

_UNDER_PX: Final = 3  # how far the body goes on under an arm's edge
_BESIDE_PX: Final = 3  # an arm as near to the body's outline as this may hide some of it
_THICK: Final = 0.35  # trunk lengths, of a forearm and its sleeve that lie across
_TOUCHES: Final = 0.05  # trunk lengths, half of the thinnest arm: one that hides less of
# the body's breadth all along only lies beside it
_SHOULDERS: Final = 1.25  # times the shoulders' half width that a trunk is wide there
_HIPS: Final = 1.8  # and times the hips' joints'
_SPINE: Final = 0.16  # trunk lengths: half of the thinnest trunk, seen from the side
_THIN: Final = 0.25  # trunk lengths: half of the narrowest trunk seen from the front
_EVEN: Final = 0.03  # trunk lengths over which the outline is made even


def occluded_body(
    own: NDArray[np.bool_],
    arms: NDArray[np.bool_],
    shoulders: NDArray[np.bool_],
    rest: RestPose,
) -> NDArray[np.bool_]:
    """`(h, w)`: the pixels of `arms` behind which the body goes on.

    It shows in `own`, of which the `shoulders` say nothing about how wide it is.
    """
    disk = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (2 * _UNDER_PX + 1, 2 * _UNDER_PX + 1)
    )
    found = arms & (cv2.dilate(own.astype(np.uint8), disk) > 0)
    if not arms.any():
        return found
    upright, middle = _upright(rest, own.shape)
    size = (own.shape[1], own.shape[0])
    shown, covers, shoulder = (
        cv2.warpAffine(mask.astype(np.uint8), upright, size, flags=cv2.INTER_NEAREST) > 0
        for mask in (own & ~shoulders, arms | shoulders, shoulders)
    )
    even = max(1, round(_EVEN * rest.trunk))
    touches = _TOUCHES * rest.trunk
    # from the armpits down; between neck and arm there is no outline
    below = int(np.flatnonzero(shoulder.any(axis=1)).max(initial=-1)) + 1
    aside = np.abs(np.arange(size[0]) - middle)
    within, beyond = np.zeros(own.shape, np.uint8), np.zeros(own.shape, np.uint8)
    most = _half_width(rest, own.shape[0])[below:]
    for side in (np.s_[:, middle:], np.s_[:, middle::-1]):
        reach, between = _reach(
            shown[side][below:], covers[side][below:], even, touches, most
        )
        within[side][below:] = aside[side[1]] <= reach[:, None]
        beyond[side][below:] = between[:, None] & (aside[side[1]] > reach[:, None] + 1)
    within[_between(shown, covers, round(_THICK * rest.trunk))] = 1
    back, out = (
        cv2.warpAffine(mask, cv2.invertAffineTransform(upright), size) > 0
        for mask in (within, beyond & ~within)
    )
    body = own | found | (arms & back)
    # without spikes where an arm's edge leaves the body's outline
    even_body = cv2.medianBlur(body.astype(np.uint8), 4 * _UNDER_PX + 1) > 0
    close = cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    # and no further than where the outline is known to be, but never in two: an arm that
    # lies along a trunk from the side may hide all of it
    rows, columns = np.indices(own.shape)
    places = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    away = distance(places, rest.start[Bone.CHEST], rest.start[Bone.PELVIS])
    spine = away.reshape(own.shape) < _SPINE * rest.trunk
    return np.asarray(arms & (((even_body | close) & ~out) | spine))


def _between(
    shown: NDArray[np.bool_], covers: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Pixels of what covers the body, which shows right above it and right below, no more
    than `most` pixels apart.
    """
    row = np.broadcast_to(np.arange(len(shown))[:, None], shown.shape)
    column = np.arange(shown.shape[1])
    above = np.maximum.accumulate(np.where(covers, 0, row), axis=0)
    last = len(shown) - 1
    below = np.minimum.accumulate(np.where(covers, last, row)[::-1], axis=0)[::-1]
    both = shown[above, column] & shown[below, column]
    return np.asarray(covers & both & (below - above <= most))


def _upright(rest: RestPose, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], int]:
    """A map after which the spine stands in a column, and the column."""
    down = rest.start[Bone.PELVIS] - rest.start[Bone.CHEST]
    middle = (rest.start[Bone.PELVIS] + rest.start[Bone.CHEST]) / 2
    column = int(np.clip(round(middle[0]), 1, shape[1] - 1))
    degrees = float(np.degrees(np.arctan2(-down[0], down[1])))
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees, 1)
    turn[0, 2] += column - middle[0]
    return np.asarray(turn), column


def _half_width(rest: RestPose, rows: int) -> NDArray[np.float64]:
    """`(rows,)` px: how far from the spine a trunk goes at most in each row, once the spine
    stands upright; a skirt below the hips may be as wide as it likes.
    """
    middle = (rest.start[Bone.PELVIS][1] + rest.start[Bone.CHEST][1]) / 2
    ends = middle - rest.trunk / 2, middle + rest.trunk / 2
    halves = [
        share * float(np.linalg.norm(rest.keypoints[right] - rest.keypoints[left])) / 2
        for share, right, left in (
            (_SHOULDERS, keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER),
            (_HIPS, keypoint.RIGHT_HIP, keypoint.LEFT_HIP),
        )
    ]
    row = np.arange(rows)
    wide = np.maximum(np.interp(row, ends, halves), _THIN * rest.trunk)
    return np.where(row > ends[1], np.inf, wide)


def _reach(
    shown: NDArray[np.bool_],
    covers: NDArray[np.bool_],
    even: int,
    touches: float,
    most: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Reach of the body from the spine, in the first column, in each row, and
    whether its outline is hidden there between places where it shows.

    Where what `covers` it hides its outline, that lies between where it shows above and
    below; without those, and where nothing of a stretch of rows would be more than
    `touches` further out, where the body is last seen. Nor does it lie further out than
    `most` there, unless it is seen to both above and below.
    """
    count = len(shown)
    rows = np.arange(count)
    last, ends = _outline(shown, covers)
    if not ends.any():
        return last.astype(np.float64), np.zeros(count, bool)
    between = (rows > rows[ends][0]) & (rows < rows[ends][-1]) & ~ends
    guess = np.interp(rows, rows[ends], last[ends])
    window = np.ones(2 * even + 1)
    smooth = np.convolve(guess, window) / np.convolve(np.ones(count), window)
    known = np.flatnonzero(ends)
    after = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    seen = np.minimum(last[known[np.maximum(after - 1, 0)]], last[known[after]])
    hull = np.minimum(smooth[even : even + count], np.maximum(most, seen))
    hidden = np.where(between, np.maximum(hull - last, 0), 0)
    # the stretches of rows in which it is hidden, numbered
    stretch = np.cumsum(np.diff(between, prepend=False))
    deepest = np.zeros(int(stretch[-1]) + 1)
    np.maximum.at(deepest, stretch, hidden)
    return np.where(deepest[stretch] > touches, last + hidden, last), between


def _outline(
    shown: NDArray[np.bool_], covers: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The last column of each row that is `shown`, and whether the body ends there, with
    nothing beside it that `covers` it.
    """
    width = shown.shape[1]
    ends = shown.any(axis=1)
    last = np.where(ends, width - 1 - shown[:, ::-1].argmax(axis=1), 0)
    for step in range(1, _BESIDE_PX + 1):
        ends &= ~covers[np.arange(len(shown)), np.minimum(last + step, width - 1)]
    return last, np.asarray(ends)


_WEB: Final = 2.2  # half thicknesses of an arm that what fills a gap's corner is high
_WEB_WIDE: Final = (1.5, 1.0)  # px and half thicknesses that it is wide, the least and most
_WEB_UNDER: Final = 1.5  # px that the body goes on there under the arm's edge


def _corners(
    labels: NDArray[np.uint8],
    solid: NDArray[np.bool_],
    shoulders: NDArray[np.bool_],
    rest: RestPose,
    radius: float,
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """`(h, w)` px: how far a pixel is beyond where the body ends, at the tops of gaps
    between an arm and the body, -inf elsewhere, and the arm beside it.

    A corner is filled by the outline drawn around both, by a shadow, or by background that
    the matte holds for figure. When the arm is raised, that would hang on the body. solid:
    `(h, w)`, the figure without what its edge blurs into. radius: half an arm's thickness.
    """
    upright, middle = _upright(rest, labels.shape)
    size = (labels.shape[1], labels.shape[0])
    own = solid & (labels == 0) & ~shoulders
    arms, shown, joint = (
        cv2.warpAffine(mask.astype(np.uint8), upright, size, flags=cv2.INTER_NEAREST)
        for mask in (labels, own, shoulders)
    )
    # between neck and arm there is no gap
    below = int(np.flatnonzero(joint.any(axis=1)).max(initial=-1)) + 1
    y, x = np.indices(labels.shape)
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ upright.T
    row = np.rint(places[..., 1]).astype(np.intp).clip(0, size[1] - 1)
    beyond, arm = np.full(labels.shape, -np.inf), np.zeros(labels.shape, np.uint8)
    for sign in (1, -1):
        side = np.s_[:, middle:] if sign > 0 else np.s_[:, middle::-1]
        last, ends = _outline(shown[side] > 0, (arms[side] > 0) | (joint[side] > 0))
        most = np.full(len(last), np.inf)
        most[below:] = _corner_limits(last[below:], ends[below:], radius)
        beside = np.zeros(len(last), np.uint8)
        for step in range(_BESIDE_PX, 0, -1):
            at = np.minimum(last + step, arms[side].shape[1] - 1)
            near = arms[side][np.arange(len(last)), at]
            beside = np.where(near > 0, near, beside)
        away = sign * (places[..., 0] - middle)
        here = (away >= 0) & np.isfinite(most[row])
        beyond[here] = (away - most[row])[here]
        # of a row of the gap, the arm nearest above or below
        arm[here] = _of_nearest(beside)[row][here]
    return beyond, arm


def _of_nearest(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`values` `(n,)` with zeros taken from the nearest that is none."""
    known = np.flatnonzero(values)
    if len(known) == 0:
        return values
    middles = (known[1:] + known[:-1]) / 2
    return np.asarray(values[known][np.searchsorted(middles, np.arange(len(values)))])


def _corner_limits(
    last: NDArray[np.intp], ends: NDArray[np.bool_], radius: float
) -> NDArray[np.float64]:
    """`(rows,)`: how far out the body may go in each row at the upper corner of a gap, as
    its outline in the gap goes on; infinite elsewhere.

    last, ends: of `_outline`. A body that stays wider is wider, and no corner; below a gap,
    hips are.
    """
    most = np.full(len(last), np.inf)
    high, wide = round(_WEB * radius), _WEB_WIDE[1] * radius
    for first in (np.flatnonzero(np.diff(ends.astype(np.int8)) > 0) + 1).tolist():
        gap = np.arange(first, min(first + high, len(last)))
        corner = np.arange(first - 1, max(first - 1 - high, -1), -1)
        free = len(gap) if ends[gap].all() else int(ends[gap].argmin())
        if free < 3 or len(corner) == 0:
            continue
        seen = last[gap[:free]].astype(np.float64)
        slope = np.clip((seen[0] - seen[-1]) / (free - 1), 0, 1)
        limit = np.median(seen + slope * np.arange(free))
        limit = limit + slope * np.arange(1, len(corner) + 1) + 0.5
        out = last[corner] - limit
        back = np.flatnonzero((out <= 0) | ends[corner])
        stop = int(back[0]) if len(back) else len(corner)
        ended = len(back) > 0 or not last[corner[-1]]
        if stop and ended and _WEB_WIDE[0] < out[:stop].max() < wide:
            most[corner[:stop]] = np.minimum(most[corner[:stop]], limit[:stop])
            most[gap[:free]] = seen + 0.5  # and what blurs into the gap
    return most


_THERE: Final = 0.02  # of a pixel: from there on it belongs to the figure
_SHOULDER: Final = 1.35  # half thicknesses around the joint in which arm and body are one
_ACROSS: Final = 0.4  # trunk lengths that an arm and its sleeve may cover of the body

_ARMS: Final[tuple[Arm, ...]] = (
    (Bone.RIGHT_UPPER_ARM, Bone.RIGHT_FOREARM, Bone.RIGHT_HAND),
    (Bone.LEFT_UPPER_ARM, Bone.LEFT_FOREARM, Bone.LEFT_HAND),
)


@dataclass(frozen=True, eq=False)
class Layer:
    """One piece of the figure.

    alpha: `(h, w)` float32 in 0..1, its share of each pixel.
    texture: `(h, w, 4)` uint8 RGBA, colours multiplied by alpha. It goes on a little under
        the sheets beside it, so that sampling at a common edge meets no gap.
    bones: the bones that move it.
    """

    alpha: NDArray[np.float32]
    texture: NDArray[np.uint8]
    bones: tuple[Bone, ...]


@dataclass(frozen=True, eq=False)
class Layers:
    """A figure as sheets.

    layers: the body, then the arms that could be told from it.
    over: for upper arms and forearms, the texture `(h, w, 4)` of what the body has over
        them.
    shared: for each arm, `(h, w)` bool, the mesh cells where it and the body are one. The
        body has the pixels there.
    """

    layers: tuple[Layer, ...]
    over: Mapping[Bone, NDArray[np.uint8]]
    shared: tuple[NDArray[np.bool_], ...]


def split_layers(
    picture: NDArray[np.uint8],
    matte: Matte,
    rest: RestPose,
    spacing: int,
    shown: tuple[slice, slice] = (slice(None), slice(None)),
) -> Layers:
    """The sheets of the figure in `picture` `(h, w, 3)`, for a mesh with nodes every
    `spacing` pixels.

    shown: the rows and columns of the picture itself; beyond them, where the figure goes on
        as at its edges, an arm ends where its bones say.
    """
    inside = matte.alpha > _THERE
    arms = [arm for arm in _ARMS if rest.present[arm[0]]]
    radius = half_thickness(inside & ~head_region(inside, rest), rest, arms)
    arm_labels = label_arms(picture, inside, rest, arms, radius, shown)
    labels = arm_labels.labels
    ends = np.clip((1 - arm_labels.gap) * radius + 0.5, 0, 1)
    ends[labels == 0], ends[shown] = 1, 1
    matte = Matte((matte.alpha * ends).astype(np.float32), matte.colours)
    inside = matte.alpha > _THERE
    labels = np.where(inside, labels, 0).astype(np.uint8)
    shared = tuple(
        _cells_around(rest.start[arm[0]], _SHOULDER * radius, spacing, inside.shape)
        for arm in arms
    )
    shoulders = np.logical_or.reduce((np.zeros_like(inside), *shared))
    solid = matte.alpha > 0.5  # a gap's edge blurs into more
    beyond, beside = _corners(labels, solid, shoulders, rest, radius)
    labels = np.where(inside & ~shoulders & (labels == 0) & (beyond > 0), beside, labels)
    own = inside & ((labels == 0) | shoulders)
    behind = occluded_body(own, inside & ~own, shoulders, rest)
    behind &= ~(beyond > _WEB_UNDER)
    behind |= head_region(inside, rest) & ~own  # a head goes on behind an arm
    reach = round(_ACROSS * rest.trunk)
    body_layer = _body_layer(matte, own, behind, shoulders, _body_bones(rest, arms), reach)
    layers: list[Layer] = [body_layer]
    over: dict[Bone, NDArray[np.uint8]] = {}
    for index, arm in enumerate(arms):
        covered = np.zeros_like(inside)
        places = (arm_labels.regions[index], arm_labels.hidden[index])
        for bone, place in zip(arm, places, strict=False):
            below = own & place & (labels == 0) & ~shoulders
            if below.any():
                over[bone] = _over(body_layer, below, own)
            covered |= below
        cut = ((labels == index + 1) & ~shoulders) | covered
        bones = tuple(bone for bone in arm if rest.present[bone])
        body = inside & (labels != index + 1) & ~shared[index]
        layers.append(
            _arm_layer(matte, cut, covered, shared[index], body, bones, round(radius / 2))
        )
    return Layers(tuple(layers), over, shared)


def _cells_around(
    place: NDArray[np.float64], radius: float, spacing: int, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """`(h, w)`: the whole mesh cells whose middle is within `radius` of `place`."""
    rows, columns = np.indices((shape[0] // spacing, shape[1] // spacing))
    middle = (np.stack([columns, rows], axis=-1) + 0.5) * spacing - 0.5
    near = np.linalg.norm(middle - place, axis=-1) < radius
    return near.repeat(spacing, axis=0).repeat(spacing, axis=1)


def _body_bones(rest: RestPose, arms: list[Arm]) -> tuple[Bone, ...]:
    taken = {bone for arm in arms for bone in arm}
    return tuple(bone for bone in Bone if rest.present[bone] and bone not in taken)


def _body_layer(
    matte: Matte,
    own: NDArray[np.bool_],
    behind: NDArray[np.bool_],
    shoulders: NDArray[np.bool_],
    bones: tuple[Bone, ...],
    reach: int,
) -> Layer:
    margin, shade = np.ones((5, 5), np.uint8), np.ones((9, 9), np.uint8)
    around = cv2.dilate(shoulders.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    share = soften(own | behind, matte.alpha > _THERE)
    share[own | around] = 1
    alpha = (matte.alpha * share).astype(np.float32)
    # the pixels beside an arm have some of its colour: they are filled in as well
    beside = cv2.dilate((behind & ~shoulders).astype(np.uint8), margin) > 0
    kept = (own & ~beside) | around
    # and the shadow beside it isn't what to fill in from
    shaded = cv2.dilate((behind & ~shoulders).astype(np.uint8), shade) > 0
    known = _solid(kept & own & ~shaded & (matte.alpha > 0.5))
    colours = push_pull(matte.colours, known)
    colours = np.where(kept[..., None], matte.colours, colours)
    colours = inpaint_rows(colours, known, (own | behind) & ~kept, reach)
    return Layer(alpha, _premultiplied(colours, alpha), bones)


def _over(
    body: Layer, covered: NDArray[np.bool_], own: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The texture of what the body has where it lies over an arm, and just beside."""
    around = cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    share = soften(around & own, own)[..., None]
    return np.rint(body.texture * share * own[..., None]).astype(np.uint8)


def _arm_layer(
    matte: Matte,
    cut: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    shared: NDArray[np.bool_],
    body: NDArray[np.bool_],
    bones: tuple[Bone, ...],
    reach: int,
) -> Layer:
    # the pixels on its border have some of the body's colour, and beside what lies over it
    # a shadow: the arm's is carried on from further in
    beside = cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beside |= cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    kept = (cut & ~beside) | (shared & ~covered)
    known = _solid(cut & ~beside & (matte.alpha > 0.5))
    colours = push_pull(matte.colours, known)
    if covered.any():
        # what is hidden goes on as what is next to it: no sleeve's colour in a hand
        around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        next_to = known & (cv2.dilate(covered.astype(np.uint8), around) > 0)
        if next_to.any():
            colours[covered] = push_pull(matte.colours, next_to)[covered]
    colours = np.where((kept | ~(cut | body))[..., None], matte.colours, colours)
    alpha = (matte.alpha * soften(cut | shared, matte.alpha > _THERE)).astype(np.float32)
    return Layer(alpha, _premultiplied(colours, alpha), bones)


def _solid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`mask` without what is thin: outlines and slivers show no colour to go on with."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk) > 0)


def soften(mask: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`mask` with an edge as a lens would draw it, a pixel and a half wide, where it ends
    within the figure; the figure's own outline is soft already.
    """
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    whole = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8)
    share = soft / np.maximum(whole, 1e-3)
    return np.where(share < 0.02, 0, np.minimum(share, 1)).astype(np.float32)


def _premultiplied(
    colours: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    share = alpha[..., None]
    mixed = np.concatenate([colours * share, 255 * share], axis=-1)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
