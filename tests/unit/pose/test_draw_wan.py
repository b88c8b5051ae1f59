"""The skeletons that Wan-Animate learnt to follow, by the numbers of its authors' code."""

import cv2
import numpy as np
import pytest

from animcli.pose.draw import Strokes, draw_pose, draw_wan_pose
from animcli.pose.keypoints import (
    BODY,
    BODY_LIMBS,
    FACE,
    KEYPOINT_COLOURS,
    KEYPOINTS,
    LEFT_ANKLE,
    LEFT_BIG_TOE,
    LEFT_HAND,
    LEFT_KNEE,
    LEFT_SMALL_TOE,
    RIGHT_ANKLE,
    RIGHT_BIG_TOE,
    RIGHT_SMALL_TOE,
)

SIZE = (480, 832)


def drawn(
    points: dict[int, tuple[float, float]], size: tuple[int, int] = SIZE
) -> np.ndarray:
    places, scores = np.zeros((KEYPOINTS, 2), np.float32), np.zeros(KEYPOINTS, np.float32)
    for joint, place in points.items():
        places[joint], scores[joint] = place, 1
    return draw_wan_pose(places, scores, size, threshold=0.5)


@pytest.mark.parametrize(
    ("short", "stroke", "finger"),
    [(64, 1, 1), (480, 1, 1), (512, 1, 1), (720, 2, 1), (1080, 4, 2), (1440, 6, 3)],
)
def test_strokes_grow_with_the_short_side(short: int, stroke: int, finger: int) -> None:
    strokes = Strokes.of_wan((2 * short, short))
    assert strokes == Strokes(stroke, stroke, finger, finger, 0)


def test_a_limb_is_a_slim_ellipse_in_six_tenths_of_its_colour_under_whole_dots() -> None:
    expected = np.zeros((832, 480, 3), np.uint8)
    ellipse = cv2.ellipse2Poly((200, 250), (50, 1), 90, 0, 360, 1)
    colour = BODY_LIMBS.index((LEFT_KNEE, LEFT_ANKLE))
    cv2.fillConvexPoly(
        expected, ellipse, tuple(int(0.6 * c) for c in KEYPOINT_COLOURS[colour])
    )
    for joint, place in ((LEFT_KNEE, (200, 200)), (LEFT_ANKLE, (200, 300))):
        cv2.circle(expected, place, 1, KEYPOINT_COLOURS[joint], -1)
    angled = drawn({LEFT_KNEE: (200, 200), LEFT_ANKLE: (200, 300)})
    np.testing.assert_array_equal(angled, expected)


def test_toes_are_the_middle_of_two_with_a_limb_in_another_colour_than_the_dot() -> None:
    picture = drawn(
        {
            LEFT_ANKLE: (100, 100), LEFT_BIG_TOE: (140, 130), LEFT_SMALL_TOE: (160, 130),
            RIGHT_ANKLE: (300, 100), RIGHT_BIG_TOE: (340, 130), RIGHT_SMALL_TOE: (360, 130),
        }
    )  # fmt: skip
    assert picture[130, 150].tolist() == [200, 200, 0]
    assert picture[130, 350].tolist() == [100, 100, 0]
    assert picture[115, 125].tolist() == [153, 0, 51]  # 255, 0, 85 in the shade
    assert picture[115, 325].tolist() == [120, 120, 0]


def test_a_big_toe_alone_is_the_toe() -> None:
    picture = drawn({LEFT_ANKLE: (100, 100), LEFT_BIG_TOE: (140, 130)})
    assert picture[130, 140].tolist() == [200, 200, 0]


def test_nothing_of_the_face_is_drawn() -> None:
    assert not drawn(
        {joint: (50.0 + joint, 60.0) for joint in range(FACE.start, FACE.stop)}
    ).any()


def test_hands_have_thin_fingers_and_blue_dots() -> None:
    hand = LEFT_HAND.start
    picture = drawn({hand: (100, 100), hand + 1: (120, 100)})
    assert picture[100, 110].tolist() == [255, 0, 0]
    assert picture[100, 120].tolist() == [0, 0, 255]
    assert not picture[98].any()


def test_bodies_differ_from_openposes_in_strokes_and_toes_only() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(20, 440, (KEYPOINTS, 2)).astype(np.float32)
    scores = np.zeros(KEYPOINTS, np.float32)
    scores[BODY] = 1
    thick = draw_pose(places, scores, (448, 448), face=False)
    thin = draw_wan_pose(places, scores, (448, 448), threshold=0.5)
    assert 0 < thin.any(axis=2).sum() < thick.any(axis=2).sum()
