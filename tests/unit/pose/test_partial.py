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
    only,
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
