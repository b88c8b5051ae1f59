"""BlazePose's landmarks land in the right rows of the skeleton."""

import numpy as np
import pytest

from animcli.pose import skeleton
from animcli.pose.blazepose_body import Body
from animcli.pose.blazepose_face import Face
from animcli.pose.blazepose_hands import LEFT, RIGHT, Hand
from animcli.pose.blazepose_skeleton import evenly, to_68, to_skeleton, trunk_length

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
        outline=np.zeros((256, 256), np.float32),
    )


def test_body_joints_come_from_landmarks_of_the_same_name() -> None:
    points, scores = to_skeleton(body(), None, None, None, (400, 400))
    for row, name in enumerate(skeleton.BODY_NAMES):
        if name != "neck":
            landmark = NAMES.index(name)
            np.testing.assert_array_equal(points[row], [10 * landmark, 5 * landmark])
            assert scores[row] == pytest.approx(np.linspace(0.5, 1, 33)[landmark])


def test_feet_come_from_landmarks_and_small_toes_from_nowhere() -> None:
    points, scores = to_skeleton(body(), None, None, None, (400, 400))
    meant = {"left_big_toe": "left_foot_index", "right_big_toe": "right_foot_index"}
    for row, name in enumerate(skeleton.FEET_NAMES, start=skeleton.FEET.start):
        if name.endswith("small_toe"):
            assert scores[row] == 0
        else:
            landmark = NAMES.index(meant.get(name, name))
            np.testing.assert_array_equal(points[row], [10 * landmark, 5 * landmark])


def test_the_neck_is_between_the_shoulders_and_as_sure_as_the_worse() -> None:
    points, scores = to_skeleton(body(), None, None, None, (400, 400))
    np.testing.assert_array_equal(points[skeleton.NECK], [115, 57.5])
    assert scores[skeleton.NECK] == scores[skeleton.LEFT_SHOULDER]


def test_a_hidden_joint_scores_visibility_times_presence() -> None:
    full = to_skeleton(body(1.0), None, None, None, (400, 400))[1]
    half = to_skeleton(body(0.5), None, None, None, (400, 400))[1]
    np.testing.assert_allclose(half, full / 2)


def test_joints_more_than_two_percent_outside_score_nothing() -> None:
    _, scores = to_skeleton(body(), None, None, None, (100, 400))
    seen = {name for name, score in zip(skeleton.BODY_NAMES, scores, strict=False) if score}
    assert seen == {"nose", "right_eye", "left_eye", "right_ear", "left_ear"}
    assert to_skeleton(body(), None, None, None, (79, 400))[1][skeleton.RIGHT_EAR] > 0
    assert to_skeleton(body(), None, None, None, (78, 400))[1][skeleton.RIGHT_EAR] == 0


def test_hands_and_face_take_their_rows() -> None:
    left, right = Hand(np.full((21, 2), 140.0), 0.75), Hand(np.full((21, 2), 150.0), 0.875)
    left.points[:, 1], right.points[:, 1] = 70, 90
    face = Face(np.full((468, 2), 3.0), 0.625)
    points, scores = to_skeleton(body(), face, left, right, (400, 400))
    for rows, value, score in (
        (skeleton.LEFT_HAND, (140, 70), 0.75),
        (skeleton.RIGHT_HAND, (150, 90), 0.875),
        (skeleton.FACE, 3, 0.625),
    ):
        np.testing.assert_array_equal(
            points[rows], np.broadcast_to(value, points[rows].shape)
        )
        np.testing.assert_array_equal(scores[rows], score)


@pytest.mark.parametrize(("away", "score"), [(39, 0.75), (41, 0)])
def test_a_hand_far_from_its_wrist_is_not_taken(away: float, score: float) -> None:
    wrist = np.array([150.0, 75.0])  # and 0.3 trunk lengths are 40.2 px
    hand = Hand(np.tile(wrist + np.array([0, away]), (21, 1)), 0.75)
    _, scores = to_skeleton(body(), None, hand, None, (400, 400))
    np.testing.assert_array_equal(scores[skeleton.LEFT_HAND], score)


def test_a_trunk_that_points_at_us_is_longer_than_it_looks() -> None:
    bowed = body()
    bowed.world[[11, 12], 2] = -0.5
    assert trunk_length(bowed) == pytest.approx(np.sqrt(2) * trunk_length(body()))


def test_without_hands_and_face_their_rows_score_nothing() -> None:
    _, scores = to_skeleton(body(), None, None, None, (400, 400))
    assert not scores[skeleton.FACE.start :].any()


def test_each_hand_hangs_on_landmarks_of_its_side() -> None:
    for side, landmarks in (("left", LEFT), ("right", RIGHT)):
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
