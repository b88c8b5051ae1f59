"""Characters come from their seed alone, and their keypoints are where they are drawn."""

import cv2
import numpy as np
import pytest

from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.draw import draw
from animcli.synthetic.scene import Scene, clip


@pytest.mark.parametrize("seed", [0, 7, 23])
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    for first, again in zip(clip(seed, 3), clip(seed, 3), strict=True):
        np.testing.assert_array_equal(first.picture, again.picture)
        np.testing.assert_array_equal(first.mask, again.mask)
        np.testing.assert_array_equal(first.keypoints, again.keypoints)


@pytest.mark.parametrize("seed", range(12))
def test_joints_in_the_picture_lie_on_the_figure(seed: int) -> None:
    for drawing in clip(seed, 2, rate=1.0):
        # An eye in profile lies on the very edge: two pixels for the edge's softness.
        near = cv2.dilate(drawing.mask, np.ones((5, 5), np.uint8))
        inside = ((drawing.keypoints >= 0) & (drawing.keypoints < 256)).all(-1)
        x, y = drawing.keypoints[inside].astype(int).T
        assert (near[y, x] > 127).all()


def test_figures_are_built_differently() -> None:
    bodies = [Character.from_seed(seed).proportions for seed in range(200)]
    heights = np.array([body.height for body in bodies])
    heads = heights / np.array([body.head for body in bodies])
    girths = np.array([body.waist_radius for body in bodies]) / heights
    assert heights.min() < 1.2
    assert heights.max() > 2.0
    assert heads.min() < 5.0
    assert heads.max() > 7.5
    assert girths.max() > 1.8 * girths.min()


def test_a_side_view_is_narrower_than_a_front_view() -> None:
    scene = Scene.from_seed(3)
    pose = scene.dance.pose(scene.figure, 0.0)
    wide = []
    for azimuth in (0.0, np.pi / 2):
        keypoints = draw(
            scene.figure, pose, CameraShot(azimuth=azimuth), (256, 256)
        ).keypoints
        wide.append(abs(keypoints[2, 0] - keypoints[5, 0]))  # shoulder to shoulder
    assert wide[1] < 0.5 * wide[0]


def test_the_background_stands_still() -> None:
    first, *others = clip(4, 5, rate=4.0)
    for other in others:
        bare = cv2.dilate(np.maximum(first.mask, other.mask), np.ones((9, 9))) == 0
        bare[first.mask.shape[0] // 2 :] = False  # the shadow on the floor moves
        np.testing.assert_array_equal(first.picture[bare], other.picture[bare])


@pytest.mark.parametrize("size", [(512, 768), (256, 256), (96, 160)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    drawing = next(clip(9, 1, size))
    assert drawing.picture.shape == (size[1], size[0], 3)
    assert drawing.mask.shape == (size[1], size[0])
    assert 0.02 < (drawing.mask > 127).mean() < 0.6


def test_joints_without_pictures_are_those_of_the_pictures() -> None:
    scene = Scene.from_seed(11)
    drawn = np.stack([drawing.keypoints for drawing in scene.drawings(4)])
    # The picture's are found at twice the size.
    np.testing.assert_allclose(scene.keypoints(4)[..., :2], drawn, atol=1e-3)
