"""Poses against poses: distances, heights, sides, and what isn't there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.metrics.pose_error import (
    JUDGED,
    MIRRORED,
    Keypoints,
    body_mask,
    compare_poses,
    figure_height,
)
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.scene import Scene


def dancer(seed: int = 900001, frames: int = 12) -> Keypoints:
    scene = Scene.from_seed(seed)
    scene = Scene(scene.figure, scene.dance, CameraShot(azimuth=0.2, backdrop=seed))
    return Keypoints(scene.keypoints(frames)[..., :2], np.ones((frames, 18)), 0.5)


def moved(pose: Keypoints, by: tuple[float, float]) -> Keypoints:
    return Keypoints(pose.points + np.array(by), pose.scores, pose.threshold)


def without(pose: Keypoints, *joints: int) -> Keypoints:
    scores = pose.scores.copy()
    scores[:, joints] = 0
    return Keypoints(pose.points, scores, pose.threshold)


@given(st.floats(-40, 40), st.floats(-40, 40))
def test_a_figure_that_is_moved_is_that_far_off(x: float, y: float) -> None:
    pose = dancer()
    found = compare_poses(pose, moved(pose, (x, y)))
    np.testing.assert_allclose(found.error, 100 * np.hypot(x, y) / found.height, atol=1e-3)


def test_the_same_pose_has_no_error() -> None:
    found = compare_poses(dancer(), dancer())
    assert (found.error == 0).all()
    assert (found.pck == 100).all()
    assert found.found.all()
    assert not found.swapped.any()
    assert found.median == 0


def test_pck_counts_what_lies_within_a_tenth_of_the_torso() -> None:
    pose = dancer()
    torso = compare_poses(pose, pose).torso
    points = pose.points.copy()
    points[:, [2, 3, 4]] += [0.11 * torso, 0]
    points[:, [5, 6]] += [0, 0.09 * torso]
    found = compare_poses(pose, Keypoints(points, pose.scores, 0.5))
    np.testing.assert_allclose(found.pck, 75)


def test_joints_that_are_not_found_do_not_count_for_the_error_but_for_pck() -> None:
    pose = dancer()
    found = compare_poses(pose, without(pose, 4, 7, 10))
    assert (found.error == 0).all()
    np.testing.assert_allclose(found.pck, 75)


def test_joints_that_were_not_asked_for_do_not_count() -> None:
    pose = dancer()
    away = moved(pose, (30, 0)).points
    away[:, :8] = pose.points[:, :8]
    found = compare_poses(without(pose, *range(8, 14)), Keypoints(away, pose.scores, 0.5))
    assert (found.error == 0).all()
    np.testing.assert_allclose(found.pck, 100)


def test_a_frame_without_a_person_has_no_error() -> None:
    pose = dancer()
    scores = pose.scores.copy()
    scores[3] = 0
    found = compare_poses(pose, Keypoints(pose.points, scores, 0.5))
    assert found.found.sum() == len(found.found) - 1
    assert np.isnan(found.error[3])
    assert found.pck[3] == 0


def test_exchanged_sides_are_told_from_a_bad_pose() -> None:
    pose = dancer()
    points = pose.points.copy()
    points[:, JUDGED] = pose.points[:, np.array(JUDGED)[list(MIRRORED)]]
    assert compare_poses(pose, Keypoints(points, pose.scores, 0.5)).swapped.all()
    assert not compare_poses(pose, moved(pose, (30, 10))).swapped.any()


@pytest.mark.parametrize("seed", [900000, 900001, 900002, 900003])
def test_the_height_is_the_figures_whatever_it_does(seed: int) -> None:
    scene = Scene.from_seed(seed)
    shot = CameraShot(azimuth=0.2, backdrop=seed)
    scene = Scene(scene.figure, scene.dance, shot)
    pose = Keypoints(scene.keypoints(48)[..., :2], np.ones((48, 18)), 0.5)
    scale = shot.view(scene.figure, (256, 256), 1).scale
    # Drawn heads are larger than people's: 0.935 +- 0.03 of the height over 40 figures,
    # of which the ankle's height is 0.04.
    true = 0.96 * scene.figure.proportions.height * scale
    assert figure_height(pose)[0] == pytest.approx(true, rel=0.13)


def test_half_a_body_has_a_height_too() -> None:
    whole = figure_height(dancer())[0]
    no_legs = without(dancer(), 9, 10, 12, 13)
    assert figure_height(no_legs)[0] == pytest.approx(whole, rel=0.2)
    shoulders = without(dancer(), *range(8, 14))
    assert figure_height(shoulders)[0] == pytest.approx(whole, rel=0.3)
    with pytest.raises(ValueError, match="no body"):
        figure_height(without(dancer(), *range(18)))


def test_poses_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="12 poses wanted, 11 found"):
        compare_poses(dancer(), dancer(frames=11))


@pytest.mark.parametrize("seed", [900000, 900002, 900004, 900006])
def test_a_mask_of_keypoints_covers_the_figure_and_not_everything(seed: int) -> None:
    scene = Scene.from_seed(seed)
    scene = Scene(scene.figure, scene.dance, CameraShot(azimuth=0.2, backdrop=seed))
    (drawing,) = scene.drawings(1)
    pose = Keypoints(drawing.keypoints[None], np.ones((1, 18)), 0.5)
    mask = body_mask(pose, 0, (256, 256))
    figure = drawing.mask > 127
    assert (mask & figure).sum() / figure.sum() > 0.93
    assert mask.mean() < 3 * figure.mean()
