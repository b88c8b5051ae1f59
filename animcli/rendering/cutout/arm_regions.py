"""Arm regions: where in a figure its arms lie, and how thick they are.

Keypoints are only found to within a part of an arm's thickness, and sleeves are wider than
arms. So an arm's centreline and radius are measured where the figure ends beside it, a
pixel apart along each bone.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.rig import Bone, RestPose

_HALF_THICKNESS: Final = (0.05, 0.18)  # of an arm, as a share of the trunk's length
_WIDER: Final = 1.4  # times its usual thickness that an arm may be anywhere
_FREE: Final = 1.15  # half thicknesses within which all is arm where both its sides show
_FINGER: Final = 0.35  # half thicknesses that a finger's middle is nearer to its edge

_FOREARMS: Final = (Bone.RIGHT_FOREARM, Bone.LEFT_FOREARM)

Arm = tuple[Bone, Bone, Bone]
"""Upper arm, forearm, hand."""


@dataclass(frozen=True, eq=False)
class ArmRegion:
    """The region that an arm would take up.

    away: `(bones, h, w)` float32, how far a pixel is from the middle of each of the arm's
        bones, from the upper arm on, in half thicknesses.
    along: `(h, w)` float32, how far down the arm a pixel is, in half thicknesses.
    sure: `(h, w)` bool, what is arm because the figure ends on both sides of it.
    hand: `(h, w)` bool, the pixels that are nearest to the hand.
    """

    away: NDArray[np.float32]
    along: NDArray[np.float32]
    sure: NDArray[np.bool_]
    hand: NDArray[np.bool_]

    @property
    def gap(self) -> NDArray[np.float32]:
        """`(h, w)`: how far from the arm's middle, in half thicknesses."""
        return np.asarray(self.away.min(axis=0))


@dataclass(frozen=True, eq=False)
class _Profile:
    """An arm along one bone, a pixel apart.

    middle: `(n, 2)` px. half: `(n,)` px of thickness. free: `(n,)`, both sides show.
    """

    middle: NDArray[np.float64]
    half: NDArray[np.float64]
    free: NDArray[np.bool_]

    def after(self, start: int) -> "_Profile":
        return _Profile(self.middle[start:], self.half[start:], self.free[start:])


def half_thickness(inside: NDArray[np.bool_], rest: RestPose, arms: list[Arm]) -> float:
    """Half an arm's thickness in pixels, seen where an arm is free on both sides."""
    bones = [bone for arm in arms for bone in arm[:2] if rest.present[bone]]
    least, most = (share * rest.trunk for share in _HALF_THICKNESS)
    free = _free_halves(inside, rest, bones)
    if len(free) < least:  # places a pixel apart
        # arms that lie on the body all along show only how far off their outline is
        beside = [np.zeros(0)]
        for bone in bones:
            nearer = np.minimum(*_sides(inside, rest, bone, 4 * most))
            beside.append(nearer[nearer < 2 * most])
        free = np.concatenate(beside)
    return float(np.clip(np.median(free), least, most)) if len(free) else least


def arm_regions(
    inside: NDArray[np.bool_], rest: RestPose, arms: list[Arm], radius: float
) -> list[ArmRegion]:
    """The region of each of `arms`; `radius` is half an arm's thickness in pixels, where
    upper arms or forearms don't show their own.
    """
    least = _HALF_THICKNESS[0] * rest.trunk
    usual: dict[Bone, float] = {}
    for pair in ([arm[0] for arm in arms], [arm[1] for arm in arms]):
        there = [bone for bone in pair if rest.present[bone]]
        free = _free_halves(inside, rest, there)
        half = float(np.median(free)) if len(free) >= least else radius
        usual.update(dict.fromkeys(there, max(half, least)))
    return [_arm_region(inside, rest, arm, usual) for arm in arms]


def _free_halves(
    inside: NDArray[np.bool_], rest: RestPose, bones: list[Bone]
) -> NDArray[np.float64]:
    """Half the thickness wherever both sides of one of `bones` show."""
    most = _HALF_THICKNESS[1] * rest.trunk
    found = [np.zeros(0)]
    for bone in bones:
        one, other = _sides(inside, rest, bone, 4 * most)
        found.append((one + other)[one + other < 3 * most] / 2)
    return np.concatenate(found)


def _sides(
    inside: NDArray[np.bool_], rest: RestPose, bone: Bone, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels from each place on a bone to where the figure ends, to either side."""
    places, aside = _along(rest, bone)
    return (
        _to_outline(inside, places, aside, reach),
        _to_outline(inside, places, -aside, reach),
    )


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


def _along(rest: RestPose, bone: Bone) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places on a bone, a pixel apart, and the direction across it."""
    own = rest.end[bone] - rest.start[bone]
    length = max(float(np.linalg.norm(own)), 1.0)
    places = rest.start[bone] + np.linspace(0, 1, round(length) + 1)[:, None] * own
    return places, np.array([-own[1], own[0]]) / length


def _profile(
    inside: NDArray[np.bool_], rest: RestPose, bone: Bone, usual: float
) -> _Profile:
    """The arm along a bone; `usual` is half its thickness where it doesn't show."""
    places, aside = _along(rest, bone)
    # a whole arm, of which the bone may lie on the far edge
    one, other = _sides(inside, rest, bone, 2.3 * usual)
    left, right = np.isfinite(one), np.isfinite(other)
    free = left & right & (one + other < 2 * _WIDER * usual)
    half = np.full(len(places), usual)
    half[free] = (one + other)[free] / 2
    if bone in _FOREARMS:
        # a wide sleeve that lies on the body shows by one side that is further off
        beside = (left | right) & ~free
        nearer = np.minimum(one, other)[beside]
        half[beside] = np.clip(nearer, usual, _WIDER * usual)
    shift = np.full(len(places), np.nan)
    shift[left] = (one - half)[left]
    shift[right] = (half - other)[right]
    both = left & right
    shift[both] = (one[both] - other[both]) / 2
    known = ~np.isnan(shift)
    if known.sum() < 0.2 * len(shift):
        return _Profile(places, np.full(len(places), usual), free)
    every = np.arange(len(shift))
    shift = np.interp(every, every[known], shift[known])
    reach = round(usual)
    middle = places + _even(shift, reach)[:, None] * aside
    return _Profile(np.asarray(middle), _even(half, reach), free)


def _even(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The mean of each value with its neighbours up to `reach` away."""
    window = np.ones(2 * reach + 1)
    mean = np.convolve(values, window) / np.convolve(np.ones(len(values)), window)
    return np.asarray(mean[reach : reach + len(values)])


def _arm_region(
    inside: NDArray[np.bool_], rest: RestPose, arm: Arm, usual: dict[Bone, float]
) -> ArmRegion:
    profiles = [
        _profile(inside, rest, bone, usual[bone]) for bone in arm[:2] if rest.present[bone]
    ]
    # the arm begins where the body ends
    profiles[0] = profiles[0].after(min(round(usual[arm[0]]), len(profiles[0].half) // 2))
    away, along, free = [], [], []
    length = 0.0
    for profile in profiles:
        gap, nearest = _nearest(inside.shape, profile.middle)
        away.append((gap / profile.half[nearest]).astype(np.float32))
        step = np.cumsum(1 / profile.half)
        along.append(length + step[nearest])
        length += float(step[-1])
        free.append(profile.free[nearest])
    hand = arm[2]
    forearm = len(profiles) - 1
    if rest.present[hand]:
        wrist = float(profiles[-1].half[-1])
        away.append(_hand_away(inside.shape, rest, hand, profiles[-1].middle[-1], wrist))
        along.append(np.full(inside.shape, length + 1))
        free.append(np.zeros_like(inside))
    stacked = np.stack(away)
    bone = stacked.argmin(axis=0)[None]
    sure = np.take_along_axis(np.stack(free), bone, axis=0)[0]
    place = np.take_along_axis(np.stack(along), bone, axis=0)[0]
    return ArmRegion(
        stacked,
        place.astype(np.float32),
        sure & (stacked.min(axis=0) < _FREE) & inside,
        bone[0] > forearm,
    )


def _nearest(
    shape: tuple[int, ...], middle: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """For each pixel, how far the nearest place of a line is, px, and which one it is."""
    x, y = np.rint(middle).astype(np.intp).T
    x, y = x.clip(0, shape[1] - 1), y.clip(0, shape[0] - 1)
    free = np.full(shape, 255, np.uint8)
    free[y, x] = 0
    gap, label = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(label.max()) + 1, np.intp)
    place[label[y, x]] = np.arange(len(x))
    return np.asarray(gap), place[label]


def _hand_away(
    shape: tuple[int, ...],
    rest: RestPose,
    hand: Bone,
    wrist: NDArray[np.float64],
    radius: float,
) -> NDArray[np.float32]:
    """Distance from the middle of the hand; visible fingers count as thinner."""
    fingers = keypoint.RIGHT_HAND if hand is Bone.RIGHT_HAND else keypoint.LEFT_HAND
    pairs = [(fingers.start + a, fingers.start + b) for a, b in keypoint.HAND_LIMBS]
    pairs = [(a, b) for a, b in pairs if rest.visible[a] and rest.visible[b]]
    free = np.full(shape, 255, np.uint8)
    for a, b in pairs:
        draw_line(free, [rest.keypoints[a], rest.keypoints[b]], 0, 1)
    if not pairs:
        draw_line(free, [wrist, rest.end[hand]], 0, 1)
    gap = cv2.distanceTransform(free, cv2.DIST_L2, 5) / radius
    return np.asarray(gap + _FINGER if pairs else gap, np.float32)


def draw_line(
    canvas: NDArray[np.uint8], line: list[NDArray[np.float64]], value: int, width: int
) -> None:
    """Draw the pieces of a `line` of places, px, `width` px wide."""
    for near, far in pairwise(line):
        a, b = (round(near[0]), round(near[1])), (round(far[0]), round(far[1]))
        cv2.line(canvas, a, b, value, max(1, width))
