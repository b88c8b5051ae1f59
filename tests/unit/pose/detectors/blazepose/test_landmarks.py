"""Landmarks move to the light of their heatmap, where there is some nearby."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.pose import keypoints
from animcli.pose.detectors.blazepose.landmarks import (
    HEATMAP_REACH,
    LEFT_HAND_FROM,
    RIGHT_HAND_FROM,
    Body,
    Face,
    Hand,
    evenly,
    refine_by_heatmap,
    sigmoid,
    to_68,
    to_keypoints,
    trunk_length,
)

DARK, BRIGHT = -40.0, 40.0


def heatmap(*lit: tuple[int, int], cells: int = 64) -> np.ndarray:
    """One channel, dark but for some (column, row)."""
    light = np.full((cells, cells, 1), DARK, np.float32)
    for column, row in lit:
        light[row, column] = BRIGHT
    return light


@given(st.integers(0, 63), st.integers(0, 63), st.integers(-4, 4), st.integers(-4, 4))
def test_a_point_goes_to_the_one_cell_that_is_lit(x: int, y: int, dx: int, dy: int) -> None:
    lit = (min(max(x + dx, 0), 63), min(max(y + dy, 0), 63))
    point = np.array([[(x + 0.5) / 64, (y + 0.5) / 64]])
    np.testing.assert_allclose(
        refine_by_heatmap(point, heatmap(lit)), [np.array(lit) / 64], atol=1e-12
    )


def test_light_further_away_doesnt_count() -> None:
    point = np.array([[0.5, 0.5]])
    lit = heatmap((32 + HEATMAP_REACH + 1, 32))
    np.testing.assert_array_equal(refine_by_heatmap(point, lit), point)


def test_between_two_lit_cells_a_point_goes_to_their_middle() -> None:
    point = np.array([[0.5, 0.5]])
    np.testing.assert_allclose(
        refine_by_heatmap(point, heatmap((31, 32), (34, 32))),
        [[32.5 / 64, 0.5]],
        atol=1e-12,
    )


@given(st.floats(-3, 4), st.floats(-3, 4))
def test_a_point_in_the_dark_or_outside_stays(x: float, y: float) -> None:
    point = np.array([[x, y]])
    np.testing.assert_array_equal(refine_by_heatmap(point, heatmap()), point)


def test_each_point_has_its_own_channel() -> None:
    light = np.concatenate([heatmap((10, 10)), heatmap(), heatmap((12, 11))], axis=2)
    points = np.full((2, 2), 11 / 64)
    expected = [[10 / 64, 10 / 64], [11 / 64, 11 / 64]]
    np.testing.assert_allclose(refine_by_heatmap(points, light), expected, atol=1e-12)


def test_extreme_logits_dont_overflow() -> None:
    np.testing.assert_array_equal(sigmoid(np.array([-1e9, 0.0, 1e9])), [0, 0.5, 1])


# fmt: off
NAMES = [
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index",
]
# fmt: on
"""The 33 landmarks, as MediaPipe's documentation lists them."""


def body(visibility: float = 1.0) -> Body:
    """Landmark i is at (10 i, 5 i); the trunk is 134 px long, and half a metre upright."""
    points = np.arange(33)[:, None] * [10.0, 5.0]
    world = np.zeros((33, 3))
    world[[11, 12], 1] = -0.5
    return Body(
        points=points,
        depth=np.zeros(33),
        visibility=np.full(33, visibility),
        presence=np.linspace(0.5, 1, 33),
        world=world,
        sure=1.0,
        hips=points[23],
        rim=points[0],
        mask=np.zeros((256, 256), np.float32),
    )


def test_body_keypoints_come_from_landmarks_of_the_same_name() -> None:
    points, scores = to_keypoints(body(), None, None, None, (400, 400))
    for row, name in enumerate(keypoints.BODY_NAMES):
        if name != "neck":
            landmark = NAMES.index(name)
            np.testing.assert_array_equal(points[row], [10 * landmark, 5 * landmark])
            assert scores[row] == pytest.approx(np.linspace(0.5, 1, 33)[landmark])


def test_feet_come_from_landmarks_and_small_toes_from_nowhere() -> None:
    points, scores = to_keypoints(body(), None, None, None, (400, 400))
    meant = {"left_big_toe": "left_foot_index", "right_big_toe": "right_foot_index"}
    for row, name in enumerate(keypoints.FEET_NAMES, start=keypoints.FEET.start):
        if name.endswith("small_toe"):
            assert scores[row] == 0
        else:
            landmark = NAMES.index(meant.get(name, name))
            np.testing.assert_array_equal(points[row], [10 * landmark, 5 * landmark])


def test_the_neck_is_between_the_shoulders_and_as_sure_as_the_worse() -> None:
    points, scores = to_keypoints(body(), None, None, None, (400, 400))
    np.testing.assert_array_equal(points[keypoints.NECK], [115, 57.5])
    assert scores[keypoints.NECK] == scores[keypoints.LEFT_SHOULDER]


def test_a_hidden_joint_scores_visibility_times_presence() -> None:
    full = to_keypoints(body(1.0), None, None, None, (400, 400))[1]
    half = to_keypoints(body(0.5), None, None, None, (400, 400))[1]
    np.testing.assert_allclose(half, full / 2)


def test_joints_more_than_two_percent_outside_score_nothing() -> None:
    _, scores = to_keypoints(body(), None, None, None, (100, 400))
    seen = {
        name for name, score in zip(keypoints.BODY_NAMES, scores, strict=False) if score
    }
    assert seen == {"nose", "right_eye", "left_eye", "right_ear", "left_ear"}
    assert to_keypoints(body(), None, None, None, (79, 400))[1][keypoints.RIGHT_EAR] > 0
    assert to_keypoints(body(), None, None, None, (78, 400))[1][keypoints.RIGHT_EAR] == 0


def test_hands_and_face_take_their_rows() -> None:
    left, right = Hand(np.full((21, 2), 140.0), 0.75), Hand(np.full((21, 2), 150.0), 0.875)
    left.points[:, 1], right.points[:, 1] = 70, 90
    face = Face(np.full((468, 2), 3.0), 0.625)
    points, scores = to_keypoints(body(), face, left, right, (400, 400))
    for rows, value, score in (
        (keypoints.LEFT_HAND, (140, 70), 0.75),
        (keypoints.RIGHT_HAND, (150, 90), 0.875),
        (keypoints.FACE, 3, 0.625),
    ):
        np.testing.assert_array_equal(
            points[rows], np.broadcast_to(value, points[rows].shape)
        )
        np.testing.assert_array_equal(scores[rows], score)


@pytest.mark.parametrize(("away", "score"), [(39, 0.75), (41, 0)])
def test_a_hand_far_from_its_wrist_is_not_taken(away: float, score: float) -> None:
    wrist = np.array([150.0, 75.0])  # and 0.3 trunk lengths are 40.2 px
    hand = Hand(np.tile(wrist + np.array([0, away]), (21, 1)), 0.75)
    _, scores = to_keypoints(body(), None, hand, None, (400, 400))
    np.testing.assert_array_equal(scores[keypoints.LEFT_HAND], score)


def test_a_trunk_that_points_at_us_is_longer_than_it_looks() -> None:
    bowed = body()
    bowed.world[[11, 12], 2] = -0.5
    assert trunk_length(bowed) == pytest.approx(np.sqrt(2) * trunk_length(body()))


def test_without_hands_and_face_their_rows_score_nothing() -> None:
    _, scores = to_keypoints(body(), None, None, None, (400, 400))
    assert not scores[keypoints.FACE.start :].any()


def test_each_hand_hangs_on_landmarks_of_its_side() -> None:
    for side, landmarks in (("left", LEFT_HAND_FROM), ("right", RIGHT_HAND_FROM)):
        parts = [f"{side}_{part}" for part in ("wrist", "pinky", "index")]
        assert [NAMES[landmark] for landmark in landmarks] == parts


def test_a_face_of_468_points_gives_68_with_the_chin_in_the_middle_of_the_jaw() -> None:
    mesh = np.random.default_rng(0).uniform(0, 100, (468, 2))
    points = to_68(mesh)
    assert points.shape == (68, 2)
    np.testing.assert_allclose(points[[0, 8, 16]], mesh[[127, 152, 356]])
    np.testing.assert_array_equal(points[30], mesh[4])
    np.testing.assert_array_equal(points[[36, 39, 42, 45]], mesh[[33, 133, 362, 263]])


def test_a_line_is_divided_by_its_length_not_by_its_points() -> None:
    line = np.array([[0.0, 0], [1, 0], [2, 0], [2, 6]])
    expected = [[0, 0], [2, 0], [2, 2], [2, 4], [2, 6]]
    np.testing.assert_allclose(evenly(line, 5), expected)
