"""Only a part of the motion is followed, and it stays joined to the rest."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from builders.poses import random_pose

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.partial import (
    ARM_POINTS,
    HAND_POINTS,
    HEAD_POINTS,
    MOVING_FACE,
    MovingPart,
    follow_head,
    only,
    shows_head_alone,
)
from animcli.pose.sequence import PoseSequence

LEGS = [*range(s.RIGHT_HIP, s.LEFT_ANKLE + 1), *range(s.FEET.start, s.FEET.stop)]


def seen(frames: int, seed: int) -> PoseSequence:
    motion = random_pose(frames, Fraction(24), seed=seed)
    return replace(motion, scores=np.full_like(motion.scores, 0.9))


MOTION, REFERENCE = seen(5, 1), seen(1, 2)


@pytest.mark.parametrize(
    ("part", "hangs_on", "moves", "stays"),
    [
        (
            "upper",
            [s.LEFT_HIP, s.RIGHT_HIP],
            [s.NECK, s.LEFT_WRIST, *HEAD_POINTS, *MOVING_FACE],
            LEGS,
        ),
        ("head", [s.NECK], [*HEAD_POINTS, *MOVING_FACE], [s.NECK, s.LEFT_WRIST, *LEGS]),
        (
            "arms",
            [s.LEFT_SHOULDER],
            [*ARM_POINTS[(s.LEFT_SHOULDER,)]],
            [s.NECK, *HEAD_POINTS, *LEGS],
        ),
    ],
)
def test_a_part_moves_about_what_it_hangs_on(
    part: MovingPart, hangs_on: list[int], moves: list[int], stays: list[int]
) -> None:
    made = only(MOTION, REFERENCE, part)
    for frame in range(len(MOTION)):
        np.testing.assert_array_equal(made.points[frame, stays], REFERENCE.points[0, stays])
        wanted = MOTION.points[frame, moves] - MOTION.points[frame, hangs_on].mean(axis=0)
        got = made.points[frame, moves] - REFERENCE.points[0, hangs_on].mean(axis=0)
        np.testing.assert_allclose(got, wanted, atol=1e-3)
    np.testing.assert_array_equal(made.ticks, MOTION.ticks)


def test_without_hands_all_else_moves() -> None:
    made = only(MOTION, REFERENCE, "no-hands")
    hands = [joint for hand in HAND_POINTS.values() for joint in hand]
    assert not made.scores[:, hands].any()
    others = [joint for joint in range(s.KEYPOINTS) if joint not in hands]
    np.testing.assert_array_equal(made.scores[:, others], MOTION.scores[:, others])
    np.testing.assert_array_equal(made.points, MOTION.points)
    assert only(MOTION, REFERENCE, "all") is MOTION


def test_where_nobody_sees_what_it_hangs_on_the_part_is_not_seen() -> None:
    scores = MOTION.scores.copy()
    scores[2, s.NECK] = 0
    made = only(replace(MOTION, scores=scores), REFERENCE, "head")
    assert (made.scores[:, s.NOSE] > 0).tolist() == [True, True, False, True, True]
    assert (made.scores[:, s.LEFT_ANKLE] > 0).all()


def test_a_reference_that_lacks_it_is_told() -> None:
    scores = REFERENCE.scores.copy()
    scores[0, s.LEFT_HIP] = 0
    with pytest.raises(InputError, match="its left hip and right hip, which --only upper"):
        only(MOTION, replace(REFERENCE, scores=scores), "upper")


def talking(frames: int = 30) -> PoseSequence:
    """A head alone that nods, sways and comes nearer to the picture's side."""
    motion = seen(frames, 3)
    scores = np.zeros_like(motion.scores)
    scores[:, [*HEAD_POINTS, *MOVING_FACE]] = 0.9
    points = motion.points[:1].repeat(frames, axis=0)
    points[:, s.NOSE] = (400, 300)
    points[:, s.RIGHT_EAR], points[:, s.LEFT_EAR] = (300, 280), (500, 280)
    points[:, s.RIGHT_EYE], points[:, s.LEFT_EYE] = (350, 260), (450, 260)
    sway = 150 * np.sin(np.linspace(0, 2 * np.pi, frames))
    points[:, :, 0] += sway[:, None].astype(np.float32)
    points[:, s.LEFT_EYE, 1] += np.linspace(0, 20, frames, dtype=np.float32)
    return replace(motion, points=points, scores=scores)


def portrait() -> PoseSequence:
    points = REFERENCE.points.copy()
    points[0, s.NOSE] = (120, 90)
    points[0, s.RIGHT_EAR], points[0, s.LEFT_EAR] = (100, 85), (140, 85)
    points[0, s.RIGHT_EYE], points[0, s.LEFT_EYE] = (110, 80), (130, 80)
    return replace(REFERENCE, points=points)


def test_a_head_alone_moves_the_head_and_nothing_else() -> None:
    motion, reference = talking(), portrait()
    assert shows_head_alone(motion)
    assert not shows_head_alone(MOTION)
    made = follow_head(motion, reference)
    still = [s.NECK, s.LEFT_WRIST, *LEGS]
    for frame in range(len(motion)):
        np.testing.assert_array_equal(made.points[frame, still], reference.points[0, still])
    ears = made.points[:, s.LEFT_EAR, 0] - made.points[:, s.RIGHT_EAR, 0]
    np.testing.assert_allclose(ears, 40, rtol=0.03)  # as wide as the reference's
    lean = made.points[:, s.NOSE, 0] - 120
    assert lean.max() > 8
    assert lean.min() < -8
    assert np.abs(lean).max() <= 0.35 * 45  # and no farther than a neck lets it
    own = made.points[:, s.LEFT_EYE, 1] - made.points[:, s.NOSE, 1]
    theirs = motion.points[:, s.LEFT_EYE, 1] - motion.points[:, s.NOSE, 1]
    np.testing.assert_allclose(np.diff(own), np.diff(theirs) * 40 / 200, atol=0.05)
    assert made.size == reference.size


def test_one_shoulder_at_the_edge_of_a_close_up_is_no_body() -> None:
    motion = talking()
    scores = motion.scores.copy()
    scores[:10, s.RIGHT_SHOULDER] = 0.5
    assert shows_head_alone(replace(motion, scores=scores))
    scores[:10, s.LEFT_SHOULDER] = 0.5
    assert not shows_head_alone(replace(motion, scores=scores))


def test_a_head_without_a_face_in_the_reference_is_told() -> None:
    scores = portrait().scores.copy()
    scores[0, s.NOSE] = 0
    with pytest.raises(InputError, match="shows a head alone"):
        follow_head(talking(), replace(portrait(), scores=scores))
