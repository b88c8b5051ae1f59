"""Shots of a clip are told apart, and nothing reaches across a cut."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders import dancer
from builders.stages import executor, register
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.filtering import clean
from animcli.pose.io_pose import read_pose
from animcli.pose.retarget.retarget import retarget
from animcli.pose.sequence import Origin, PoseSequence
from animcli.pose.shots import find_cuts, thumbnail
from animcli.pose.tracking import Detection
from animcli.stages.extract import ExtractStage
from animcli.stages.fitting import resample
from animcli.video.images import write_picture

register()
FRAMES = 24


def somebody(left: float, height: float) -> Detection:
    points = np.random.default_rng(0).random((s.KEYPOINTS, 2)) * (height / 3, height)
    return Detection(
        (points + np.array([left, 10])).astype(np.float32), np.ones(s.KEYPOINTS, np.float32)
    )


def noise(seed: int) -> NDArray[np.int64]:
    """A picture in coarse blocks, whose thumbnail is far from that of another seed."""
    blocks = np.random.default_rng(seed).integers(0, 255, (9, 16, 3))
    return blocks.repeat(10, axis=0).repeat(10, axis=1)


def clip(brighter: dict[int, int], scene_of: list[int]) -> NDArray[np.uint8]:
    pictures = [noise(scene) // 2 + brighter.get(t, 0) for t, scene in enumerate(scene_of)]
    return np.stack([thumbnail(picture.astype(np.uint8)) for picture in pictures])


ONE_SCENE = [0] * FRAMES
TWO_SCENES = [0] * 10 + [1] * 14


def test_a_new_scene_with_somebody_elsewhere_is_a_cut() -> None:
    people = [[somebody(20, 60)]] * 10 + [[somebody(80, 120)]] * 14
    assert find_cuts(clip({}, TWO_SCENES), people, 0.5) == (10,)
    nobody_before: list[list[Detection]] = [[]] * 10 + people[10:]
    assert find_cuts(clip({}, TWO_SCENES), nobody_before, 0.5) == (10,)


@pytest.mark.parametrize(
    "brighter",
    [{12: 120}, {12: 120, 13: 120}, dict.fromkeys(range(12, FRAMES), 60)],
    ids=["a flash", "a longer flash", "a light"],
)
def test_light_that_moves_nobody_is_no_cut(brighter: dict[int, int]) -> None:
    people = [[somebody(20 + t, 60)] for t in range(FRAMES)]
    assert find_cuts(clip(brighter, ONE_SCENE), people, 0.5) == ()


def test_a_camera_that_is_swung_round_is_no_cut() -> None:
    wide = np.hstack([noise(0), noise(1)]) // 2
    views = [wide[:, 6 * t : 6 * t + 160].astype(np.uint8) for t in range(FRAMES)]
    people = [[somebody(150 - 6 * t, 60)] for t in range(FRAMES)]
    assert find_cuts(np.stack([thumbnail(view) for view in views]), people, 0.5) == ()


@pytest.fixture
def two_shots() -> PoseSequence:
    """A dance, from frame 30 on seen from nearer by, and elsewhere."""
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(2)), dancer.STAGE)
    points = motion.points.copy()
    points[30:] = points[30:] * 1.8 - (300, 350)
    origin = replace(motion.origin, source={"cuts": [30]})
    return replace(motion, points=points.astype(np.float32), origin=origin)


def test_cleaning_does_not_reach_across_a_cut(two_shots: PoseSequence) -> None:
    whole = clean(two_shots)
    for span in two_shots.shots:
        alone = clean(two_shots.part(span))
        np.testing.assert_array_equal(whole.part(span).points, alone.points)
    assert whole.cuts == (30,)
    assert whole.origin.smoothing["method"] == "adaptive Savitzky-Golay"


def test_a_gap_at_a_cut_is_not_filled(two_shots: PoseSequence) -> None:
    scores = two_shots.scores.copy()
    scores[28:32] = 0
    told = clean(replace(two_shots, scores=scores))
    assert not told.visible[28:32].any()
    assert told.origin.smoothing["gaps"] == [[28, 32]]


def test_a_short_shot_is_cleaned_too(two_shots: PoseSequence) -> None:
    source = {"cuts": [30, 34]}
    short = replace(two_shots, origin=Origin(source=source))
    assert np.isfinite(clean(short).points).all()


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(24), Fraction(60)])
def test_at_another_rate_each_frame_belongs_to_one_shot(
    two_shots: PoseSequence, rate: Fraction
) -> None:
    points = np.zeros_like(two_shots.points)
    points[30:] = 100
    found = resample(replace(two_shots, points=points), rate)
    assert set(np.unique(found.points)) == {0, 100}
    (cut,) = found.cuts
    assert (found.points[:cut] == 0).all()
    assert (found.points[cut:] == 100).all()


def test_each_shot_is_fitted_to_the_character_by_itself(two_shots: PoseSequence) -> None:
    reference = two_shots.part(range(1))
    fitted = retarget(two_shots, reference)
    assert fitted.size == reference.size
    assert fitted.cuts == (30,)
    trunk = fitted.points[:, s.NECK] - fitted.points[:, [s.RIGHT_HIP, s.LEFT_HIP]].mean(1)
    far, near = (np.linalg.norm(trunk, axis=1)[list(span)] for span in fitted.shots)
    assert np.median(near) == pytest.approx(np.median(far), rel=0.1)  # 1.8 as one shot
    for span in two_shots.shots:
        alone = retarget(two_shots.part(span), reference)
        np.testing.assert_array_equal(fitted.part(span).points, alone.points)


def test_cuts_are_found_told_and_kept_in_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for t, scene in enumerate(TWO_SCENES):
        picture = (noise(scene) // 2).astype(np.uint8)
        x, y = (20 + t, 30) if scene == 0 else (130, 60 - t)
        picture[y : y + 6, x : x + 6] = 250
        write_picture(folder / f"{t:03d}.png", picture)
    notes: list[str] = []
    at = executor(tmp_path, warn=notes.append)
    found = read_pose(at.make(ExtractStage(folder, "bright-spot")).path)
    assert found.cuts == (10,)
    assert any("2 shots, cut at 0.42 s" in note for note in notes)
    assert found.points[9, s.NOSE, 0] < 60
    assert found.points[10, s.NOSE, 0] > 100


def test_a_half_figure_after_a_cut_stands_where_the_whole_one_stood(
    two_shots: PoseSequence,
) -> None:
    legs = [*range(s.RIGHT_HIP, s.LEFT_ANKLE + 1), *range(18, 24)]
    points, scores = two_shots.points.copy(), two_shots.scores.copy()
    scores[30:, legs] = 0
    for frame in range(30, len(points), 5):  # where the picture ends, now and then
        points[frame, legs] = points[frame, s.NECK] + np.array([0, 110], np.float32)
        scores[frame, legs] = 0.6
    half = replace(two_shots, points=points, scores=scores)
    fitted = retarget(half, dancer.portrait(dancer.Body.from_seed(2)))
    necks = fitted.points[:, s.NECK, 1]
    shoulders = np.abs(
        fitted.points[:, s.RIGHT_SHOULDER] - fitted.points[:, s.LEFT_SHOULDER]
    )
    wide = shoulders.max(axis=1)
    tall = np.ptp(fitted.points[:30, s.BODY, 1], axis=1).max()
    assert abs(np.median(necks[30:]) - np.median(necks[:30])) < 0.06 * tall
    assert np.median(wide[30:]) == pytest.approx(np.median(wide[:30]), rel=0.15)
    assert not fitted.visible[30:, legs].any()
