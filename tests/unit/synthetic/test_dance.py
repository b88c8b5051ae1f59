"""A dance is angles: it fits any body, and bodies stay in one piece."""

import numpy as np
import pytest

from animcli.synthetic.character import Character
from animcli.synthetic.dance import Dance

TIMES = np.arange(240) / 12


@pytest.mark.parametrize("seed", range(12))
def test_a_standing_foot_does_not_slide(seed: int) -> None:
    figure, dance = Character.from_seed(seed), Dance.from_seed(seed)
    times = np.arange(480) / 24
    ankles = np.stack([pose.ankles for pose in dance.poses(figure, times)])
    stands = dance.angles(times).lifts == 0
    both = stands[1:] & stands[:-1]
    step = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)
    assert both.any()
    # 2 mm on somebody of one metre: a knee that can't bend further gives way by that.
    assert step[both].max() < 0.002 * figure.proportions.height


@pytest.mark.parametrize("seed", range(6))
def test_bones_keep_their_length(seed: int) -> None:
    figure = Character.from_seed(seed)
    bones = figure.proportions
    poses = Dance.from_seed(seed).poses(figure, TIMES)
    chains = (
        ("shoulders", "elbows", bones.upper_arm),
        ("elbows", "wrists", bones.forearm),
        ("hips", "knees", bones.thigh),
        ("knees", "ankles", bones.shin),
    )
    for start, end, length in chains:
        found = [
            np.linalg.norm(getattr(pose, end) - getattr(pose, start), axis=-1)
            for pose in poses
        ]
        np.testing.assert_allclose(found, length, rtol=1e-4)  # float32


def test_two_bodies_dance_with_the_same_arms() -> None:
    dance = Dance.from_seed(5)
    directions = []
    for seed in (1, 2):
        poses = dance.poses(Character.from_seed(seed), TIMES)
        arms = np.stack([pose.elbows - pose.shoulders for pose in poses])
        directions.append(arms / np.linalg.norm(arms, axis=-1, keepdims=True))
    np.testing.assert_allclose(directions[0], directions[1], atol=1e-5)


def test_one_moment_is_the_same_alone_and_in_a_clip() -> None:
    figure, dance = Character.from_seed(3), Dance.from_seed(3)
    together = dance.poses(figure, TIMES)[17]
    alone = dance.pose(figure, TIMES[17])
    np.testing.assert_allclose(alone.wrists, together.wrists, atol=1e-6)


def test_nobody_moves_faster_than_people_can() -> None:
    for seed in range(12):
        figure, dance = Character.from_seed(seed), Dance.from_seed(seed)
        times = np.arange(600) / 60
        wrists = np.stack([pose.wrists for pose in dance.poses(figure, times)])
        speed = np.linalg.norm(np.diff(wrists, axis=0), axis=-1) * 60
        assert speed.max() < 12 * figure.proportions.height  # a boxer's fist: 10 m/s
