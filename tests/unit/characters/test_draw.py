"""Characters come from their seed alone, and their joints are where they are drawn."""

import cv2
import numpy as np
import pytest

from animcli.characters.clip import clip
from animcli.characters.dance import Dance
from animcli.characters.figure import Figure


@pytest.mark.parametrize("seed", [0, 7, 23])
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    for first, again in zip(clip(seed, 3), clip(seed, 3), strict=True):
        np.testing.assert_array_equal(first.picture, again.picture)
        np.testing.assert_array_equal(first.mask, again.mask)
        np.testing.assert_array_equal(first.joints, again.joints)


@pytest.mark.parametrize("seed", range(12))
def test_joints_in_the_picture_lie_on_the_figure(seed: int) -> None:
    for drawing in clip(seed, 2, rate=1.0):
        # An eye in profile lies on the very edge: two pixels for the edge's softness.
        near = cv2.dilate(drawing.mask, np.ones((5, 5), np.uint8))
        inside = ((drawing.joints >= 0) & (drawing.joints < 256)).all(-1)
        x, y = drawing.joints[inside].astype(int).T
        assert (near[y, x] > 127).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_standing_foot_does_not_slide(seed: int) -> None:
    figure, dance = Figure.from_seed(seed), Dance.from_seed(seed)
    times = np.arange(480) / 24
    ankles = np.stack([pose.ankles for pose in dance.poses(figure, times)])
    stands = dance.angles(times).lifts == 0
    both = stands[1:] & stands[:-1]
    step = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)
    assert both.any()
    assert step[both].max() < 0.002 * figure.proportions.height


def test_figures_are_built_differently() -> None:
    bodies = [Figure.from_seed(seed).proportions for seed in range(200)]
    heights = np.array([body.height for body in bodies])
    heads = heights / np.array([body.head for body in bodies])
    girths = np.array([body.waist_radius for body in bodies]) / heights
    assert heights.min() < 1.2
    assert heights.max() > 2.0
    assert heads.min() < 5.0
    assert heads.max() > 7.5
    assert girths.max() > 1.8 * girths.min()
