"""Two published ways to retarget, in our own words and numpy, to compare with.

Both take ratios from the first frame. They work on body joints; see retarget.py.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence

Array = NDArray[np.float64]

ARMS = ((s.RIGHT_SHOULDER, s.RIGHT_ELBOW, s.RIGHT_WRIST), (5, 6, 7))
LEGS = ((s.RIGHT_HIP, s.RIGHT_KNEE, s.RIGHT_ANKLE), (11, 12, 13))


def span(points: Array, a: int, b: int) -> float:
    """Between two joints of one frame."""
    return float(np.linalg.norm(points[a] - points[b]))


def ratio(there: Array, here: Array, a: int, b: int) -> float:
    """Of a bone's lengths; 1 where the bone points at the camera and has none."""
    length = span(here, a, b)
    return span(there, a, b) / length if length > 1e-6 else 1.0


def hip_middle(points: Array) -> Array:
    """`(..., 2)`."""
    return (points[..., s.RIGHT_HIP, :] + points[..., s.LEFT_HIP, :]) / 2


def musepose(motion: PoseSequence, reference: PoseSequence) -> PoseSequence:
    """After MusePose's alignment: mean of left and right, everything hung from the neck."""
    source = motion.points[:, :18].astype(float)
    there, first = reference.points[0, :18].astype(float), source[0]
    neck = ratio(there, first, s.NECK, s.NOSE)
    face = ratio(there, first, s.RIGHT_EAR, s.LEFT_EAR)
    shoulder = ratio(there, first, s.RIGHT_SHOULDER, s.LEFT_SHOULDER)
    trunk_there = np.linalg.norm(there[s.NECK] - hip_middle(there))
    torso = trunk_there / np.linalg.norm(first[s.NECK] - hip_middle(first))

    def pair(chains: tuple[tuple[int, ...], ...], step: int) -> float:
        both = [ratio(there, first, chain[step], chain[step + 1]) for chain in chains]
        return float(np.mean(both))

    out = source.copy()

    def hang(joint: int, parent: int, by: float) -> None:
        out[:, joint] = out[:, parent] + (source[:, joint] - source[:, parent]) * by

    hang(s.NOSE, s.NECK, neck)
    for joint in (s.RIGHT_EYE, s.LEFT_EYE, s.RIGHT_EAR, s.LEFT_EAR):
        hang(joint, s.NOSE, face)
    for chains, by in ((ARMS, shoulder), (LEGS, torso)):
        for chain in chains:
            hang(chain[0], s.NECK, by)
            hang(chain[1], chain[0], pair(chains, 0))
            hang(chain[2], chain[1], pair(chains, 1))
    out += there[s.NECK] - out[0, s.NECK]
    return put(motion, reference, out)


def wan(motion: PoseSequence, reference: PoseSequence) -> PoseSequence:
    """After Wan-Animate's: left and right take the larger ratio; placed by the feet."""
    source = motion.points[:, :18].astype(float)
    there, first = reference.points[0, :18].astype(float), source[0]

    def tall(points: Array) -> float:
        ankles = (points[s.RIGHT_ANKLE] + points[s.LEFT_ANKLE]) / 2
        return float(np.linalg.norm(points[s.NOSE] - ankles))

    whole = tall(first) / tall(there)
    bones = [
        ((s.NECK, s.RIGHT_SHOULDER), (s.NECK, s.LEFT_SHOULDER)),
        ((2, 3), (5, 6)),
        ((3, 4), (6, 7)),
        ((s.NECK, s.RIGHT_HIP), (s.NECK, s.LEFT_HIP)),
        ((8, 9), (11, 12)),
        ((9, 10), (12, 13)),
        ((s.NECK, s.NOSE),),
        ((s.NOSE, s.RIGHT_EYE), (s.NOSE, s.LEFT_EYE)),
        ((s.RIGHT_EYE, s.RIGHT_EAR), (s.LEFT_EYE, s.LEFT_EAR)),
    ]
    out = source.copy()
    for pairs in bones:
        by = max(ratio(there, first, *pair) for pair in pairs) * whole
        for parent, joint in pairs:
            out[:, joint] = out[:, parent] + (source[:, joint] - source[:, parent]) * by
    out /= whole
    ankles = [s.RIGHT_ANKLE, s.LEFT_ANKLE]
    across = hip_middle(there)[0] - hip_middle(out)[0, 0]
    down = there[ankles, 1].max() - out[0, ankles, 1].max()
    return put(motion, reference, out + np.array([across, down]))


def put(motion: PoseSequence, reference: PoseSequence, body: Array) -> PoseSequence:
    """The motion with this body, in the reference's picture."""
    points = motion.points.copy()
    points[:, :18] = body
    return replace(motion, points=points, size=reference.size)
