"""Arm segmentation: the pixels of a figure that are arm, and not the body behind it.

Where the figure ends on both sides of an arm, all between is arm, sleeve and all. Elsewhere
a random walker (Grady, "Multilabel random walker image segmentation using prior models",
2005) decides by three signs: how near a pixel is to the arm's centreline, the odds of its
colour between the arm's and the body's, and its neighbours, which it hardly ever steps to
across an edge.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import splu

from animcli.rendering.cutout.arm_regions import (
    Arm,
    ArmRegion,
    arm_regions,
    draw_line,
)
from animcli.rendering.cutout.head_pose import head_pose
from animcli.rendering.cutout.rig import Bone, RestPose
from animcli.rendering.cutout.segmentation import (
    bin_numbers,
    colour_histogram,
    lab_colours,
)

_MOST: Final = 5.0  # odds that a colour alone gives
_EDGE: Final = 5.0  # levels of difference, sigma, that a walker steps across
_LEAK: Final = 1e-3  # the chance of a step across any edge
_CAUGHT: Final = 0.01  # the chance, a step, of being caught: one walks about 10 pixels


def random_walker(
    colour: NDArray[np.uint8], where: NDArray[np.bool_], odds: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """`(h, w)`: the pixels of `where` that a walker from them finds in the first thing.

    odds: `(h, w)`, natural logarithm, that a pixel by itself is of the first thing.
    """
    found = np.zeros(where.shape, bool)
    count = int(where.sum())
    if count == 0:
        return found
    number = np.full(where.shape, -1, np.int32)
    number[where] = np.arange(count)
    levels = colour.astype(np.float32)
    one, other, ease = [], [], []
    for down, right in ((0, 1), (1, 0)):
        here, there = _neighbours(number, down, right)
        from_, to = _neighbours(levels, down, right)
        both = (here >= 0) & (there >= 0)
        change = ((from_ - to) ** 2).sum(axis=-1)[both]
        one.append(here[both])
        other.append(there[both])
        ease.append(np.exp(-change / (2 * _EDGE**2)) + _LEAK)
    steps = coo_array(
        (np.concatenate(ease), (np.concatenate(one), np.concatenate(other))), (count, count)
    ).tocsr()
    ways = csr_array(laplacian(steps + steps.T))
    probability = 1 / (1 + np.exp(-odds[where]))
    system = (ways + diags_array(np.full(count, _CAUGHT))).tocsc()
    found[where] = splu(system).solve(_CAUGHT * probability) > 0.5
    return found


_Grid = TypeVar("_Grid", NDArray[np.int32], NDArray[np.float32])


def _neighbours(grid: _Grid, down: int, right: int) -> tuple[_Grid, _Grid]:
    """`grid` and its neighbour `down` rows and `right` columns on, where both exist."""
    height, width = grid.shape[:2]
    return grid[: height - down, : width - right], grid[down:, right:]


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
_HEAD: Final = (1.1, 1.4)  # half distances of the ears: half a head's width and height
_HAT: Final = 1.4  # times its size that a head has with hair and hat
_FREE_HEAD: Final = 1.2  # half thicknesses from an arm's middle to what shows of a head
# beside it
_OTHER: Final = 1.0  # nats by which what lies before an arm differs from it
_FACE: Final = 0.2  # trunk lengths across the middle of a face, where all is face
_BEFORE: Final = 3.0  # half thicknesses before a body that show a forearm's colours
_BEHIND: Final = 2.0  # odds that the body lies where a hand should be
_THIN: Final = 0.5  # half thicknesses: what of the body beside an arm is thinner, twice
# that across, is a sleeve's edge
_TONGUE: Final = 2.2  # half thicknesses from its middle to which that holds
_STICK: Final = 0.45  # half thicknesses of an arm that half a stick has at most
_TUBE: Final = 0.9  # half thicknesses from its middle to which an arm surely goes


@dataclass(frozen=True, eq=False)
class ArmLabels:
    """Labels of the pixels that are arms.

    labels: `(h, w)` uint8, 0 for the body, 1 and 2 for the first and the second arm.
    regions: for each arm, `(h, w)` bool, where its upper part is, covered or not.
    hidden: for each arm, `(h, w)` bool, where its lower part lies behind head or body.
    gap: `(h, w)`, how far from the nearest arm's middle, in half thicknesses.
    """

    labels: NDArray[np.uint8]
    regions: tuple[NDArray[np.bool_], ...]
    hidden: tuple[NDArray[np.bool_], ...]
    gap: NDArray[np.float32]


def label_arms(
    picture: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    rest: RestPose,
    arms: list[Arm],
    radius: float,
    shown: tuple[slice, slice] = (slice(None), slice(None)),
) -> ArmLabels:
    """Label the pixels that are arms, in the order of `arms`; `radius` is half an
    arm's usual thickness in pixels, and `shown` the rows and columns of the picture itself.
    """
    labels = np.zeros(inside.shape, np.uint8)
    if not arms:
        return ArmLabels(labels, (), (), np.full(inside.shape, np.inf, np.float32))
    head, face = head_region(inside, rest), _face(inside, rest)
    seen = np.zeros_like(inside)
    seen[shown] = (inside & ~head)[shown]
    regions = arm_regions(seen, rest, arms, radius)
    gaps = [region.gap for region in regions]
    nearest = np.min(gaps, axis=0)
    colour = lab_colours(picture)
    body = inside & (nearest > _REACH)
    core = _body_core(inside.shape, rest) & inside & (nearest > 1)
    hat = head_region(inside, rest, _HAT)
    behind = []
    for index, (region, gap) in enumerate(zip(regions, gaps, strict=True)):
        near = inside & (gap < _REACH) & (gap <= nearest)
        about = body
        passes = False
        if (head & (gap < _PALM)).any():  # it goes past the head, before or behind it
            about = body | (head & (nearest > _FREE_HEAD))
            passes = _behind_head(colour, region, head)
        if passes:
            about = body | head
            near &= ~head
        lost = _hand_hidden(colour, inside, body, region, face)
        if lost:
            near &= ~region.hand
        place = np.minimum(_PLACE * (1 - gap), _WITHIN)
        odds = place + _colour_odds(colour, inside, about, region, radius)
        odds[region.sure] = _SURE
        odds[~near | core] = -_SURE
        mine = near & random_walker(colour, inside & (gap < _REACH + 1), odds)
        hidden = np.zeros_like(inside)
        if passes:
            hidden |= hat
        if lost:
            hidden |= region.away[0] > gap
        hidden &= inside & (gap < _TUBE) & ~mine
        mine = _without_slivers(mine | hidden, inside, gap, radius) & ~hidden
        labels[mine] = index + 1
        behind.append(hidden)
    _take_held(labels, inside, regions, core)
    _take_sticks(labels, inside, regions, radius)
    upper = [region.away[0] <= gap for region, gap in zip(regions, gaps, strict=True)]
    return ArmLabels(
        labels,
        tuple(one & (gap < _TUBE) & inside for one, gap in zip(upper, gaps, strict=True)),
        tuple(one & ~other for one, other in zip(behind, upper, strict=True)),
        np.asarray(nearest, np.float32),
    )


def _take_held(
    labels: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    regions: list[ArmRegion],
    core: NDArray[np.bool_],
) -> None:
    """Give the pieces that hang on a hand alone, such as a ball or a glove, to its arm.

    labels: `(h, w)`, changed in place. core: `(h, w)`, what is surely body.
    """
    body = inside & (labels == 0)
    count, pieces = cv2.connectedComponents(body.astype(np.uint8))
    held = np.setdiff1d(np.arange(1, count), pieces[core & body])
    for index, region in enumerate(regions):
        arm = (labels == index + 1).astype(np.uint8)
        beside = pieces[(cv2.dilate(arm, np.ones((3, 3), np.uint8)) > 0) & body]
        for piece in np.intersect1d(held, beside):
            mine = pieces == piece
            if region.hand[mine].mean() > 0.5:
                labels[mine] = index + 1


def _take_sticks(
    labels: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    regions: list[ArmRegion],
    radius: float,
) -> None:
    """Give what is thin, begins at a hand and sticks out of the figure to its arm, whatever
    else it touches; all of it, with a knob at its end.

    labels: `(h, w)`, changed in place.
    """
    body = inside & (labels == 0)
    thick = _opened(body, _STICK * radius)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(thick.astype(np.uint8))
    knob = stats[:, cv2.CC_STAT_AREA] < (2 * radius) ** 2
    for index, region in enumerate(regions):
        arm = labels == index + 1
        limb = _opened(arm, _STICK * radius)
        thin = (body & (~thick | knob[parts])) | (arm & ~limb)
        _, pieces = cv2.connectedComponents(thin.astype(np.uint8))
        beside = (cv2.dilate(limb.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & thin
        for piece in np.unique(pieces[beside & region.hand]):
            mine = pieces == piece
            out = (region.gap[mine] > _REACH).mean() > 0.5
            if out and region.hand[mine & beside].mean() > 0.5:
                labels[mine] = index + 1


def _colour_odds(
    colour: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    body: NDArray[np.bool_],
    region: ArmRegion,
    radius: float,
) -> NDArray[np.float64]:
    """`(h, w)`: what each pixel's colour says for the arm, piece by piece along it, as a
    sleeve's colour says nothing about the hand.
    """
    gap = region.gap
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    # where the figure ends beside an arm it is the arm that ends; further in, cloth or
    # hair may lie over it
    weight = np.where((depth < radius / 2) | region.sure, 1.0, _HIDDEN)
    weight *= inside & (gap < 0.8)
    # a hand lies over what it is on
    weight[region.hand] = (inside & (gap < _PALM))[region.hand]
    beside = colour_histogram(bin_numbers(colour[body & (gap < _BESIDE)]))
    shown = weight > 0
    example, count = bin_numbers(colour[shown]), weight[shown]
    along, asked = region.along[shown], inside & (gap < _REACH)
    number, piece = bin_numbers(colour[asked]), np.floor(region.along[asked])
    said = np.zeros(len(number))
    for here in np.unique(piece):
        close = np.abs(along - (here + 0.5)) < _CLOSE
        arm = colour_histogram(example, count * np.where(close, 1.0, _FAR))
        odds = np.clip(np.log(arm / beside), -_MOST, _MOST)
        said[piece == here] = odds[number[piece == here]]
    found = np.zeros(inside.shape)
    found[asked] = np.where(np.abs(said) < _DOUBT, 0, said)
    return found


def _hand_hidden(
    colour: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    body: NDArray[np.bool_],
    region: ArmRegion,
    face: NDArray[np.bool_],
) -> bool:
    """True of a hand behind the body: its place has the colours of what is about it, and
    neither the forearm's nor the face's.
    """
    palm = region.hand & inside & (region.gap < _PALM)
    beside = region.hand & body & (region.gap < _BESIDE)
    forearm = region.sure & ~region.hand & (region.gap < _PALM)
    if not (palm.any() and beside.any() and forearm.any()):
        return False
    forearm &= region.along > region.along[forearm].max() - _BEFORE
    own, about = (
        colour_histogram(bin_numbers(colour[mask])) for mask in (forearm | face, beside)
    )
    odds = np.clip(np.log(about / own), -_MOST, _MOST)
    return bool(odds[bin_numbers(colour[palm])].mean() > _BEHIND)


def _behind_head(
    colour: NDArray[np.uint8], region: ArmRegion, head: NDArray[np.bool_]
) -> bool:
    """True of an arm that goes on behind the `head`: where its middle would be, other
    colours are than where the arm is free (by their relative entropy).
    """
    over = head & (region.gap < _PALM)
    own = region.sure & ~head & (region.gap < _PALM)
    if not own.any():
        return False
    number = bin_numbers(colour[over])
    arm, there = colour_histogram(bin_numbers(colour[own])), colour_histogram(number)
    return bool(np.log(there / arm)[number].mean() > _OTHER)


def head_region(
    inside: NDArray[np.bool_], rest: RestPose, grown: float = 1.0
) -> NDArray[np.bool_]:
    """`(h, w)`: a head without hair or hat, `grown` to so many times its size."""
    own = head_pose(rest.keypoints[None], rest.visible)
    found = np.zeros(inside.shape, np.uint8)
    if own is not None:
        half = np.array(_HEAD) * own.scale[0] * grown
        degrees = float(np.degrees(own.roll[0]))
        place = (float(own.middle[0, 0]), float(own.middle[0, 1]))
        size = (float(2 * half[0]), float(2 * half[1]))
        cv2.ellipse(found, (place, size, degrees), 1, -1)
    return inside & (found > 0)


def _face(inside: NDArray[np.bool_], rest: RestPose) -> NDArray[np.bool_]:
    """`(h, w)`: the middle of the face."""
    found = np.zeros(inside.shape, np.uint8)
    if rest.present[Bone.HEAD]:
        along = rest.end[Bone.HEAD] - rest.start[Bone.HEAD]
        middle = rest.start[Bone.HEAD] + 0.6 * along
        draw_line(found, [middle, middle], 1, round(_FACE * rest.trunk))
    return inside & (found > 0)


def _body_core(shape: tuple[int, ...], rest: RestPose) -> NDArray[np.bool_]:
    """`(h, w)`, where the picture is surely body: the trunk's core, head and legs."""
    seeds = np.zeros(shape, np.uint8)
    wide = max(1, round(0.06 * rest.trunk))
    hips, neck = rest.start[Bone.PELVIS], rest.start[Bone.CHEST]
    draw_line(seeds, [neck, hips], 1, 2 * wide)
    for bone in (Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM):
        if rest.present[bone]:
            draw_line(seeds, [neck, neck + 0.7 * (rest.start[bone] - neck)], 1, wide)
    for thigh, shin, foot in (
        (Bone.RIGHT_THIGH, Bone.RIGHT_SHIN, Bone.RIGHT_FOOT),
        (Bone.LEFT_THIGH, Bone.LEFT_SHIN, Bone.LEFT_FOOT),
    ):
        line = [hips, rest.start[thigh]] if rest.present[thigh] else []
        line += [rest.end[bone] for bone in (thigh, shin, foot) if rest.present[bone]]
        draw_line(seeds, line, 1, wide)
    if rest.present[Bone.HEAD]:
        draw_line(seeds, [neck, rest.end[Bone.HEAD]], 1, 2 * wide)
    return seeds > 0


def _without_slivers(
    arm: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    gap: NDArray[np.float32],
    radius: float,
) -> NDArray[np.bool_]:
    """`arm` as one piece, with the thin outlines and specks of body beside it."""
    smooth = _opened(arm, 0.2 * radius)
    smooth |= arm & (gap < 0.8)
    arm = _largest(smooth)
    body = inside & ~arm
    solid = _opened(body, _THIN * radius).astype(np.uint8)
    thin = body & ~(cv2.dilate(solid, _disk(_THIN * radius)) > 0)
    arm = arm | (thin & (gap < _TONGUE))
    # a border without the steps of the pixels that it was found on
    even = cv2.GaussianBlur(arm.astype(np.float32), (0, 0), max(1.0, 0.12 * radius))
    whole = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(1.0, 0.12 * radius))
    arm = inside & (even > 0.5 * whole)
    # what isn't one with the body is no part of it where it is a speck beside the arm, or
    # lies wholly on it, as a bracelet does
    body = inside & ~arm
    _, pieces = cv2.connectedComponents(body.astype(np.uint8))
    many = np.bincount(pieces.ravel())
    on_arm = np.bincount(pieces.ravel(), (gap < 0.6).ravel()) > 0.5 * many
    speck = many < 0.15 * radius**2
    return np.asarray(
        arm | (body & (on_arm[pieces] | (speck[pieces] & (gap < 2 * _REACH))))
    )


def _disk(half: float) -> NDArray[np.uint8]:
    wide = 2 * max(1, round(half)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)), np.uint8)


def _opened(mask: NDArray[np.bool_], half: float) -> NDArray[np.bool_]:
    """`mask` without what is thinner than `half` px to each side."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disk(half))
    return np.asarray(opened > 0)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of `mask`."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
