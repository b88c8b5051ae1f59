"""Motions of which only a part is followed; the rest stays as in the reference.

What moves hangs on what doesn't, as it does in a body: an upper body on the hips, a head on
the neck, arms on the shoulders. So the moving part is shifted, frame by frame, to where the
reference has the keypoint that it hangs on.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence

MovingPart = Literal["all", "upper", "head", "arms", "no-hands"]

HEAD_POINTS: Final = (s.NOSE, s.RIGHT_EYE, s.LEFT_EYE, s.RIGHT_EAR, s.LEFT_EAR)
MOVING_FACE: Final = tuple(range(s.FACE.start, s.FACE.stop))
HAND_POINTS: Final = {
    s.LEFT_WRIST: tuple(range(s.LEFT_HAND.start, s.LEFT_HAND.stop)),
    s.RIGHT_WRIST: tuple(range(s.RIGHT_HAND.start, s.RIGHT_HAND.stop)),
}
ARM_POINTS: Final[Mapping[tuple[int, ...], tuple[int, ...]]] = {
    (s.LEFT_SHOULDER,): (s.LEFT_ELBOW, s.LEFT_WRIST, *HAND_POINTS[s.LEFT_WRIST]),
    (s.RIGHT_SHOULDER,): (s.RIGHT_ELBOW, s.RIGHT_WRIST, *HAND_POINTS[s.RIGHT_WRIST]),
}
MOVING: Final[Mapping[str, Mapping[tuple[int, ...], tuple[int, ...]]]] = {
    # what it hangs on -> what moves
    "upper": {
        (s.LEFT_HIP, s.RIGHT_HIP): (
            *(s.NECK, s.LEFT_SHOULDER, s.RIGHT_SHOULDER, *HEAD_POINTS, *MOVING_FACE),
            *(joint for arm in ARM_POINTS.values() for joint in arm),
        )
    },
    "head": {(s.NECK,): (*HEAD_POINTS, *MOVING_FACE)},
    "arms": ARM_POINTS,
}


def only(motion: PoseSequence, reference: PoseSequence, part: MovingPart) -> PoseSequence:
    """The motion of a part, the reference for all else; both in pixels of one picture.

    Where nobody sees what the part hangs on, the part isn't seen either. Raises InputError
    where the reference doesn't show it at all.
    """
    if part == "all":
        return motion
    if part == "no-hands":
        scores = motion.scores.copy()
        for hand in HAND_POINTS.values():
            scores[:, hand] = 0
        return replace(motion, scores=scores)
    points = reference.points[:1].repeat(len(motion), axis=0)
    scores = reference.scores[:1].repeat(len(motion), axis=0)
    for hangs_on, moving in MOVING[part].items():
        place, known = _middle(reference, hangs_on)
        if not known[0]:
            names = " and ".join(s.BODY_NAMES[each] for each in hangs_on).replace("_", " ")
            raise InputError(
                f"the reference doesn't show its {names}, which --only {part} hangs on",
                "leave --only out, or give the keypoints with --reference-pose",
            )
        there, visible = _middle(motion, hangs_on)
        keypoints = list(moving)
        points[:, keypoints] = motion.points[:, keypoints] + (place[:1] - there)[:, None]
        scores[:, keypoints] = motion.scores[:, keypoints] * visible[:, None]
    return replace(motion, points=points, scores=scores)


def _middle(
    sequence: PoseSequence, keypoints: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`(frames, 2)` the middle of some keypoints, and `(frames,)` whether all are seen."""
    visible = np.asarray((sequence.scores[:, keypoints] > 0).all(axis=1))
    return sequence.points[:, keypoints].mean(axis=1), visible
