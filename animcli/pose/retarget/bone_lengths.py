"""Bone lengths of a figure, from how long its bones look, and ratios of two figures.

A projection only shortens. The length of a bone is therefore near the longest that it looks
over a whole clip, once the clip's changes of scale (a zoom, a walk towards the camera) are
taken out; and in a single picture the longer of the two sides is nearer to the truth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter, uniform_filter1d

from animcli.pose import keypoints as s
from animcli.pose.bones import PELVIS, with_middles

BONE_ENDS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "torso": ((PELVIS, s.NECK),),
    "shoulders": ((s.RIGHT_SHOULDER, s.LEFT_SHOULDER),),
    "hips": ((s.RIGHT_HIP, s.LEFT_HIP),),
    "upper_arm": ((s.RIGHT_SHOULDER, s.RIGHT_ELBOW), (s.LEFT_SHOULDER, s.LEFT_ELBOW)),
    "forearm": ((s.RIGHT_ELBOW, s.RIGHT_WRIST), (s.LEFT_ELBOW, s.LEFT_WRIST)),
    "thigh": ((s.RIGHT_HIP, s.RIGHT_KNEE), (s.LEFT_HIP, s.LEFT_KNEE)),
    "shin": ((s.RIGHT_KNEE, s.RIGHT_ANKLE), (s.LEFT_KNEE, s.LEFT_ANKLE)),
    "neck": ((s.NECK, s.NOSE),),
    "eyes": ((s.RIGHT_EYE, s.LEFT_EYE),),
    "ears": ((s.RIGHT_EAR, s.LEFT_EAR),),
    "foot": (
        (s.RIGHT_ANKLE, s.RIGHT_BIG_TOE),
        (s.LEFT_ANKLE, s.LEFT_BIG_TOE),
    ),
    "palm": tuple(
        (hand.start, hand.start + knuckle)
        for hand in (s.LEFT_HAND, s.RIGHT_HAND)
        for knuckle in (5, 9, 13, 17)
    ),
}
"""Bones by name, and where on the body they are: the sides of one name are equally long."""

PROPORTIONS: Final = {
    "torso": 0.33,
    "shoulders": 0.26,
    "hips": 0.13,
    "upper_arm": 0.19,
    "forearm": 0.17,
    "thigh": 0.27,
    "shin": 0.27,
    "neck": 0.13,
}
"""Of the height from nose to ankles, about as in textbooks; for bones that are unseen."""

MEASURED_BONES: Final = ("torso", "upper_arm", "forearm", "thigh", "shin")

LENGTH_PERCENTILE: Final = 95  # percentile: the longest that a bone looks, but for flukes
FEW_FRAMES: Final = 15  # less of a bone than that says nothing about its length
HALF_WINDOW: Final = 12  # frames to either side over which the scale is smoothed
START: Final = 10  # frames at the beginning that define scale 1
STILL: Final = 0.12  # a scale that varies less than that is put down to foreshortening


@dataclass(frozen=True, eq=False)
class BoneLengths:
    """Lengths of the bones of a figure that could be seen, in pixels."""

    lengths: dict[str, float]

    @property
    def height(self) -> float:
        """From nose to ankles, in pixels, by the bones that are known."""
        known = [
            self.lengths[name] / share
            for name, share in PROPORTIONS.items()
            if name in self.lengths
        ]
        return float(np.median(known)) if known else 0.0


def observed_lengths(
    points: NDArray[np.float64], visible: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Projected length of each bone: `(frames, sides)` px, NaN where an end is unseen."""
    places, known = with_middles(points, visible)
    observed = {}
    for name, pairs in BONE_ENDS.items():
        ends = np.array(pairs).T
        bone = places[:, ends[0]] - places[:, ends[1]]
        length = np.hypot(bone[..., 0], bone[..., 1])
        observed[name] = np.where(known[:, ends].all(axis=1), length, np.nan)
    return observed


def scale_of(observed: dict[str, NDArray[np.float64]], frames: int) -> NDArray[np.float64]:
    """`(frames,)`: how large the figure is in each frame, 1 at the beginning.

    In any frame something is stretched out: the three bones that look longest, each beside
    the longest that it ever looks, tell the scale.
    """
    limbs = np.concatenate([observed[name] for name in MEASURED_BONES], axis=1)
    often = np.isfinite(limbs).sum(axis=0) >= min(FEW_FRAMES, (frames + 1) // 2)
    limbs = limbs[:, often]
    if limbs.shape[1] < 3:
        return np.ones(frames)
    relative = limbs / np.nanpercentile(limbs, LENGTH_PERCENTILE, axis=0)
    longest = np.sort(np.nan_to_num(relative), axis=1)[:, -3:]
    told = (longest > 0).all(axis=1)
    if not told.any():
        return np.ones(frames)
    largest = np.interp(np.arange(frames), np.flatnonzero(told), longest.mean(axis=1)[told])
    window = 2 * HALF_WINDOW + 1
    # SciPy 1.15, the last for Python 3.10, gives 0 for what is shorter than the window
    ends = np.pad(largest, HALF_WINDOW, mode="edge")
    steady = percentile_filter(ends, 75, size=window)[HALF_WINDOW:-HALF_WINDOW]
    scale = uniform_filter1d(steady, window, mode="nearest")
    low, high = np.percentile(scale, [5, 95])
    if high / low - 1 < STILL:
        return np.ones(frames)
    return np.asarray(scale / np.median(scale[:START]))


def estimate_lengths(
    observed: dict[str, NDArray[np.float64]], scale: NDArray[np.float64]
) -> BoneLengths:
    """The build of the figure in a clip, at the scale of its beginning.

    A bone that is seen in few frames says little, and is left out if limbs say more.
    """
    for enough in (min(FEW_FRAMES, (len(scale) + 1) // 2), 1):
        lengths = {}
        for name, look in observed.items():
            longest = [
                float(np.percentile(side[np.isfinite(side)], LENGTH_PERCENTILE))
                for side in (look / scale[:, None]).T
                if np.isfinite(side).sum() >= enough
            ]
            # The eight bones of two palms differ: the middle one stands for all.
            if longest and max(longest) > 0:
                lengths[name] = float(
                    np.median(longest) if name == "palm" else max(longest)
                )
        if any(name in lengths for name in MEASURED_BONES):
            break
    return BoneLengths(lengths)


def lengths_in_picture(observed: dict[str, NDArray[np.float64]]) -> BoneLengths:
    """The build of the figure in one picture: `(1, sides)` each."""
    lengths = {}
    for name, look in observed.items():
        sides = look[np.isfinite(look)]
        if len(sides) and sides.max() > 0:
            lengths[name] = float(np.median(sides) if name == "palm" else sides.max())
    return BoneLengths(lengths)


LEGS: Final = ("thigh", "shin")
_ARMS: Final = ("upper_arm", "forearm")

FORESHORTENED: Final = 1.45  # a bone this much too short for its body points at the camera
TOO_LONG: Final = 1.6  # nobody is built like that: a joint was found in a wrong place
HAND_SPREAD: Final = 1.4  # a hand is at most this much larger or smaller than its arm says
HEAD_SPREAD: Final = 1.6


@dataclass(frozen=True, eq=False)
class LengthRatios:
    """Length in the reference by length in the clip, for each bone; constant over time.

    notes: what was taken from where, for the user.
    """

    of: dict[str, float]
    notes: tuple[str, ...]

    @property
    def leg(self) -> float:
        """Ratio of steps."""
        return float(np.sqrt(self.of["thigh"] * self.of["shin"]))


def length_ratios(source: BoneLengths, reference: BoneLengths) -> LengthRatios:
    """The ratio of every bone; those that one of the figures hides follow the body.

    Raises ValueError if the figures have no bone of trunk, arms and legs in common.
    """
    body = body_ratio(source, reference)
    told = {
        name: reference.lengths[name] / source.lengths[name]
        for name in PROPORTIONS
        if name in source.lengths and name in reference.lengths
    }
    notes = []
    of = {}
    for name in PROPORTIONS:
        ratio = told.get(name, body)
        if ratio < body / FORESHORTENED:
            notes.append(
                f"{words(name)} foreshortened in the reference: taken from the body"
            )
            ratio = body
        elif ratio > body * TOO_LONG:
            notes.append(f"{words(name)} far too long in the reference: cut to what can be")
            ratio = body * TOO_LONG
        of[name] = ratio
    notes += missing(source, reference)
    of["head"] = head_ratio(source, reference, of["shoulders"])
    of["foot"] = of["shin"]
    if "foot" in source.lengths and "shin" in source.lengths:
        # No foot is longer than half a shin; toes in perspective may look it.
        longest = 0.5 * source.lengths["shin"] * of["shin"]
        of["foot"] = min(of["shin"], longest / source.lengths["foot"])
    of["hand"] = hand_ratio(source, reference, of["forearm"])
    return LengthRatios(of, tuple(notes))


def body_ratio(source: BoneLengths, reference: BoneLengths) -> float:
    """The middle one of the ratios of the bones that are long and seen in both."""
    ratios = [
        reference.lengths[name] / source.lengths[name]
        for name in MEASURED_BONES
        if name in source.lengths and name in reference.lengths
    ]
    if not ratios:  # a head and shoulders, say
        ratios = [
            reference.lengths[name] / source.lengths[name]
            for name in (*PROPORTIONS, "eyes", "ears")
            if name in source.lengths and name in reference.lengths
        ]
    if not ratios:
        raise ValueError("the two figures have no bone in common")
    return float(np.median(ratios))


def head_ratio(source: BoneLengths, reference: BoneLengths, shoulders: float) -> float:
    """From the distances between eyes and ears; a turned head falls to the shoulders'."""
    widths = [
        reference.lengths[name] / source.lengths[name]
        for name in ("eyes", "ears")
        if name in source.lengths and name in reference.lengths
    ]
    if not widths:
        return shoulders
    width = float(np.median(widths))
    return float(np.clip(width, shoulders / HEAD_SPREAD, shoulders * HEAD_SPREAD))


def hand_ratio(source: BoneLengths, reference: BoneLengths, forearm: float) -> float:
    """Half by the forearm and half by the palms, where both figures show theirs."""
    if "palm" not in source.lengths or "palm" not in reference.lengths:
        return forearm
    palm = reference.lengths["palm"] / source.lengths["palm"]
    mean = (forearm + palm) / 2
    return float(np.clip(mean, forearm / HAND_SPREAD, forearm * HAND_SPREAD))


def missing(source: BoneLengths, reference: BoneLengths) -> list[str]:
    """Parts that the reference hides although the motion has them, in words."""
    absent = [
        name
        for name in PROPORTIONS
        if name in source.lengths and name not in reference.lengths
    ]
    notes = []
    for limbs, parts in (("legs", LEGS), ("arms", _ARMS)):
        if all(part in absent for part in parts):
            notes.append(
                f"{limbs} not visible in the reference: lengths taken from the torso"
                if "torso" in reference.lengths
                else f"{limbs} not visible in the reference: lengths taken from the rest"
            )
            absent = [name for name in absent if name not in parts]
    if absent:
        notes.append(
            f"{', '.join(map(words, absent))} not visible in the reference: "
            "lengths taken from the rest of the body"
        )
    return notes


def words(name: str) -> str:
    """`upper_arm` as it is said."""
    return name.replace("_", " ")
