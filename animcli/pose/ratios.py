"""How much longer each bone of one figure is than that of another."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from animcli.pose.statistics import LIMBS, PROPORTIONS, Build

LEGS: Final = ("thigh", "shin")
ARMS: Final = ("upper_arm", "forearm")

FORESHORTENED: Final = 1.45  # a bone this much too short for its body points at the camera
TOO_LONG: Final = 1.6  # nobody is built like that: a joint was found in a wrong place
HAND_SPREAD: Final = 1.4  # a hand is at most this much larger or smaller than its arm says
HEAD_SPREAD: Final = 1.6


@dataclass(frozen=True, eq=False)
class Ratios:
    """Length in the reference by length in the clip, for each bone; constant over time.

    notes: what was taken from where, for the user.
    """

    of: dict[str, float]
    notes: tuple[str, ...]

    @property
    def leg(self) -> float:
        """How much longer a step is."""
        return float(np.sqrt(self.of["thigh"] * self.of["shin"]))


def compare(source: Build, reference: Build) -> Ratios:
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
    return Ratios(of, tuple(notes))


def body_ratio(source: Build, reference: Build) -> float:
    """The middle one of the ratios of the bones that are long and seen in both."""
    ratios = [
        reference.lengths[name] / source.lengths[name]
        for name in LIMBS
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


def head_ratio(source: Build, reference: Build, shoulders: float) -> float:
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


def hand_ratio(source: Build, reference: Build, forearm: float) -> float:
    """Half by the forearm and half by the palms, where both figures show theirs."""
    if "palm" not in source.lengths or "palm" not in reference.lengths:
        return forearm
    palm = reference.lengths["palm"] / source.lengths["palm"]
    mean = (forearm + palm) / 2
    return float(np.clip(mean, forearm / HAND_SPREAD, forearm * HAND_SPREAD))


def missing(source: Build, reference: Build) -> list[str]:
    """What the reference hides although the motion has it, in words."""
    absent = [
        name
        for name in PROPORTIONS
        if name in source.lengths and name not in reference.lengths
    ]
    notes = []
    for limbs, parts in (("legs", LEGS), ("arms", ARMS)):
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
