"""Cleaning brings keypoints nearer to the truth, invents little and says what it did."""

from dataclasses import replace

import numpy as np
import pytest
from builders import dancer

from animcli.pose import keypoints as s
from animcli.pose.filtering import clean
from animcli.pose.sequence import PoseSequence

USUAL = dancer.Body()
LEGS = ([11, 12, 13, 18, 19, 20], [8, 9, 10, 21, 22, 23])  # with the feet


def truth(seed: int) -> PoseSequence:
    return dancer.film(dancer.perform(USUAL, dancer.dance(seed)), dancer.STAGE)


def spoil(motion: PoseSequence, seed: int) -> PoseSequence:
    """4 px of noise, drop-outs of up to five frames, exchanged legs and arms, jumps."""
    random = np.random.default_rng([seed, 7])
    points, scores = motion.points.copy(), motion.scores.copy()
    frames = len(points)
    points[:, :24] += random.normal(size=(frames, 24, 2)).astype(np.float32) * 4
    for left, right in (LEGS, ([5, 6, 7], [2, 3, 4]), LEGS):
        start = random.integers(5, frames - 10)
        cut = np.ix_(range(start, start + random.integers(1, 6)), left + right)
        crossed = np.ix_(cut[0].ravel(), right + left)
        points[cut], scores[cut] = points[crossed], scores[crossed]
    for _ in range(6):
        points[random.integers(1, frames - 1), random.integers(18)] += 80
    for joint in range(18):
        for start in random.integers(0, frames, 3):
            scores[start : start + random.integers(1, 6), joint] = 0
    points[scores == 0] = 0
    return replace(motion, points=points, scores=scores)


def error(result: PoseSequence, true: PoseSequence) -> float:
    """Mean distance in pixels of the body keypoints that are shown."""
    away = np.linalg.norm(result.points[:, :18] - true.points[:, :18], axis=2)
    return float(away[result.visible[:, :18]].mean())


def test_the_error_falls_by_two_fifths_at_least() -> None:
    raw, cleaned = [], []
    for seed in range(40, 50):
        spoilt = spoil(truth(seed), seed)
        raw.append(error(spoilt, truth(seed)))
        cleaned.append(error(clean(spoilt), truth(seed)))
    assert np.mean(cleaned) < 0.6 * np.mean(raw)


def test_nothing_lags() -> None:
    motion = truth(41)
    result = clean(spoil(motion, 41)).points[:, :18]
    errors = {}
    for lag in range(-3, 4):
        shifted = np.roll(motion.points[:, :18], lag, axis=0)
        errors[lag] = np.linalg.norm(result - shifted, axis=2)[5:-5].mean()
    assert min(errors, key=errors.__getitem__) == 0


def test_backwards_is_the_same_backwards() -> None:
    motion = spoil(truth(42), 42)
    turned = replace(motion, points=motion.points[::-1], scores=motion.scores[::-1])
    forwards, backwards = clean(motion), clean(turned)
    np.testing.assert_array_equal(backwards.scores[::-1], forwards.scores)
    np.testing.assert_allclose(backwards.points[::-1], forwards.points, atol=1e-2)


def test_a_motion_without_faults_hardly_changes() -> None:
    motion = truth(43)
    result = clean(motion)
    assert error(result, motion) < 0.3  # px, of a figure 423 px tall
    said = result.origin.smoothing
    assert [said[key] for key in ("swapped_frames", "jumps", "filled_joints")] == [0, 0, 0]


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 17])
def test_exchanged_legs_are_set_right(frames: int) -> None:
    motion = truth(44)
    points = motion.points.copy()
    left, right = LEGS
    points[60 : 60 + frames, left + right] = points[60 : 60 + frames, right + left]
    result = clean(replace(motion, points=points), smoothing=False)
    np.testing.assert_array_equal(result.points, motion.points)
    assert result.origin.smoothing["swapped_frames"] == frames


def test_legs_that_truly_cross_keep_their_names() -> None:
    motion = dancer.film(
        dancer.perform(USUAL, dancer.dance(45, walk=0.6, turning=1.5)), dancer.STAGE
    )
    result = clean(motion, smoothing=False)
    assert result.origin.smoothing["swapped_frames"] == 0


def test_names_that_are_kept_for_long_are_believed() -> None:
    motion = truth(44)
    points = motion.points.copy()
    left, right = LEGS
    points[60:100, left + right] = points[60:100, right + left]
    result = clean(replace(motion, points=points), smoothing=False)
    np.testing.assert_array_equal(result.points, points)
    assert result.origin.smoothing["swapped_frames"] == 0


def test_a_single_frames_jump_is_repaired() -> None:
    motion = truth(46)
    points = motion.points.copy()
    points[80, s.LEFT_WRIST] += 120
    result = clean(replace(motion, points=points), smoothing=False)
    # The bone is turned evenly from the frame before to the one after.
    np.testing.assert_allclose(result.points, motion.points, atol=4)
    assert result.origin.smoothing["jumps"] == 1


def test_a_short_gap_is_filled_along_the_bone() -> None:
    motion = truth(47)
    scores = motion.scores.copy()
    scores[50:58, s.RIGHT_WRIST] = 0
    scores[49, s.RIGHT_WRIST] = 0.6
    result = clean(replace(motion, scores=scores), smoothing=False)
    np.testing.assert_allclose(result.scores[50:58, s.RIGHT_WRIST], 0.6)
    bone = np.linalg.norm(result.points[:, 4] - result.points[:, 3], axis=1)[49:59]
    low, high = sorted(bone[[0, -1]])
    assert (bone >= low - 1e-3).all()
    assert (bone <= high + 1e-3).all()
    assert result.origin.smoothing["filled_joints"] == 8


@pytest.mark.parametrize(("start", "stop"), [(50, 61), (0, 5), (175, 180)])
def test_a_long_gap_or_one_without_two_ends_stays(start: int, stop: int) -> None:
    motion = truth(48)
    scores = motion.scores.copy()
    scores[start:stop] = 0
    result = clean(replace(motion, scores=scores))
    assert (result.scores[start:stop] == 0).all()
    assert result.origin.smoothing["gaps"] == [[start, stop]]
    assert result.origin.smoothing["empty_frames"] == stop - start


def test_nobody_at_all_stays_nobody() -> None:
    motion = replace(truth(49), scores=np.zeros((180, s.KEYPOINTS), np.float32))
    result = clean(motion)
    assert not result.scores.any()
    assert result.origin.smoothing["empty_frames"] == 180


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_very_short_clips_pass(frames: int) -> None:
    motion = dancer.film(dancer.perform(USUAL, dancer.dance(1, frames)), dancer.STAGE)
    np.testing.assert_allclose(clean(motion).points, motion.points, atol=1)
