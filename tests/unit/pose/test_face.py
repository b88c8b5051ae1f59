"""Face crops: the box rule, boxes held through gaps, and empty crops."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from animcli.pose.face import SIDE, cut_face, face_box, face_boxes
from animcli.pose.keypoints import FACE, KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks

SIZE = (1280, 720)


def faces(seen: list[bool]) -> PoseSequence:
    """A face that moves ten pixels a frame."""
    points = np.zeros((len(seen), KEYPOINTS, 2), np.float32)
    corner = np.random.default_rng(0).uniform(0, 1, (68, 2)) * (200, 200)
    corner[0], corner[1] = (0, 0), (200, 200)
    for frame in range(len(seen)):
        points[frame, FACE] = corner + np.array([400 + 10 * frame, 300])
    scores = np.zeros((len(seen), KEYPOINTS), np.float32)
    scores[:, FACE] = np.array(seen, np.float32)[:, None]
    ticks, base = even_ticks(len(seen), Fraction(30))
    return PoseSequence(points, scores, ticks, base, SIZE)


def test_a_box_is_thirty_percent_larger_and_reaches_further_up_than_down() -> None:
    corners = np.array([[400, 300], [600, 500]], np.float32)
    assert face_box(corners, SIZE) == (385, 278, 614, 507)


def test_a_box_ends_at_the_picture() -> None:
    corners = np.array([[2, 1], [1278, 700]], np.float32)
    left, top, right, bottom = face_box(corners, SIZE)
    assert (left, top, right, bottom) == (0, 0, 1280, 720)


def test_a_box_stays_through_a_gap_and_begins_with_the_first_face() -> None:
    boxes = face_boxes(faces([False, True, False, False, True]))
    assert boxes is not None
    assert boxes[:, 0].tolist() == [395, 395, 395, 395, 425]


def test_without_any_face_there_is_no_box() -> None:
    assert face_boxes(faces([False, False])) is None
    few = faces([True])
    scores = few.scores.copy()
    scores[0, FACE.start : FACE.start + 40] = 0
    assert face_boxes(replace(few, scores=scores)) is None


def test_a_crop_is_stretched_to_a_square_and_an_empty_one_is_black() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[100:200, 300:500] = (9, 8, 7)
    crop = cut_face(picture, np.array([300, 100, 500, 200]))
    assert crop.shape == (SIDE, SIDE, 3)
    assert (crop == (9, 8, 7)).all()
    assert not cut_face(picture + 1, np.array([300, 200, 500, 200])).any()
