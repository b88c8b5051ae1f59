"""Motions of which only a part is followed: of the body, or of the time.

What isn't followed of a body stays as in the reference.

What moves hangs on what doesn't, as it does in a body: an upper body on the hips, a head on
the neck, arms on the shoulders. So the moving part is shifted, frame by frame, to where the
reference has the keypoint that it hangs on.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
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


def in_time(
    motion: PoseSequence, start: Fraction, end: Fraction | None, step: int
) -> PoseSequence:
    """Each `step`-th frame from `start` up to `end`, in seconds from the first.

    It knows how far into its video it begins, and which of its frames begin a shot.
    """
    seconds = [int(tick - motion.ticks[0]) * motion.time_base for tick in motion.ticks]
    inside = [
        x for x, at in enumerate(seconds) if at >= start and (end is None or at < end)
    ]
    frames = inside[::step]
    source = dict(motion.origin.source)
    begins = Fraction(str(source.get("start", 0)))
    source["start"] = str(begins + (seconds[frames[0]] if frames else start))
    if motion.cuts:
        shots = np.searchsorted(motion.cuts, frames, side="right")
        source["cuts"] = (np.flatnonzero(np.diff(shots)) + 1).tolist()
    return replace(
        motion,
        points=motion.points[frames],
        scores=motion.scores[frames],
        ticks=motion.ticks[frames],
        origin=replace(motion.origin, source=source),
    )


HEAD_ALONE: Final = 0.1  # of the frames, in which both shoulders may be seen
FARTHEST: Final = 0.35  # widths of the head, that it leans from its place
_WIDTHS: Final = ((s.RIGHT_EAR, s.LEFT_EAR), (s.RIGHT_EYE, s.LEFT_EYE))


def shows_head_alone(motion: PoseSequence) -> bool:
    """Tell a motion with a head in most frames and both shoulders in hardly any.

    One shoulder at the edge of a close-up is no body that a motion could be fitted by.
    """
    shoulders = [s.RIGHT_SHOULDER, s.LEFT_SHOULDER]
    head = motion.visible[:, list(HEAD_POINTS)].sum(axis=1) >= 3
    seen = motion.visible[:, shoulders].all(axis=1)
    return bool(len(motion) and seen.mean() < HEAD_ALONE and head.mean() > 0.5)


def follow_head(motion: PoseSequence, reference: PoseSequence) -> PoseSequence:
    """The reference, whose head and face do what a motion of a head alone does.

    The head has the reference's size, and leans about its place no farther than a neck
    lets it. Raises InputError where the reference's head isn't seen.
    """
    nose = motion.visible[:, s.NOSE]
    if not reference.visible[0, s.NOSE] or not nose.any():
        raise InputError(
            "the motion shows a head alone, and the reference's isn't seen",
            "give a picture that shows the face, or its keypoints by --reference-pose",
        )
    wide, own = _head_width(motion), _head_width(reference)
    if not wide or not own:
        raise InputError("the head's width isn't seen: neither both eyes nor both ears")
    at, every = np.flatnonzero(nose), np.arange(len(motion))
    places = motion.points[:, s.NOSE].astype(np.float64)
    path = np.stack([np.interp(every, at, places[at, axis]) for axis in (0, 1)], axis=1)
    ratio, room = own / wide, FARTHEST * own
    lean = room * np.tanh(ratio * (path - np.median(path, axis=0)) / room)
    head = [*HEAD_POINTS, *MOVING_FACE]
    points = reference.points[:1].repeat(len(motion), axis=0)
    scores = reference.scores[:1].repeat(len(motion), axis=0)
    offsets = ratio * (motion.points[:, head] - path[:, None])
    points[:, head] = reference.points[0, s.NOSE] + lean[:, None] + offsets
    scores[:, head] = motion.scores[:, head]
    return replace(
        motion,
        points=points,
        scores=scores,
        size=reference.size,
        draw_threshold=min(motion.draw_threshold, reference.draw_threshold),
    )


def _head_width(sequence: PoseSequence) -> float:
    """Width of a head in px, by its ears or its eyes, turned to the viewer; 0: unseen."""
    found = []
    for pair, share in zip(_WIDTHS, (1.0, 2.2), strict=True):  # ears are so much farther
        both = sequence.visible[:, list(pair)].all(axis=1)
        if both.any():
            ends = sequence.points[both][:, list(pair)]
            across = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
            found.append(share * float(np.percentile(across, 75)))
    return max(found, default=0.0)
