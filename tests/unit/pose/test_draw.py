"""Skeleton pictures have exactly the pixels that pose guiders were trained on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import dancer

from animcli.pose.draw import ControlKind, Strokes, draw_pose, recognise
from animcli.pose.keypoints import (
    BODY,
    FACE,
    KEYPOINTS,
    LEFT_ANKLE,
    LEFT_HAND,
    LEFT_KNEE,
    RIGHT_HAND,
)

SIZE = (512, 768)


def golden_joints(goldens: Path, body: str = "full") -> tuple[np.ndarray, np.ndarray]:
    golden = np.load(goldens / "dwpose" / "draw_inputs.npz")
    points = np.zeros((KEYPOINTS, 2), np.float32)
    scores = np.zeros(KEYPOINTS, np.float32)
    points[BODY], scores[BODY] = golden["body18"], golden[f"score_{body}"]
    points[FACE], scores[FACE] = golden["face"], 1
    points[LEFT_HAND], scores[LEFT_HAND] = golden["left_hand"], 1
    points[RIGHT_HAND], scores[RIGHT_HAND] = golden["right_hand"], 1
    return points, scores


def golden_picture(goldens: Path, name: str) -> np.ndarray:
    file = goldens / "dwpose" / f"draw_{name}_512x768.png"
    return cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("name", "hands", "face"),
    [
        ("full", True, True),
        ("missing", True, True),
        ("nohands", False, True),
        ("noface", True, False),
        ("bodyonly", False, False),
    ],
)
def test_a_drawing_is_the_golden_one(
    goldens: Path, name: str, hands: bool, face: bool
) -> None:
    keypoints = golden_joints(goldens, "missing" if name == "missing" else "full")
    picture = draw_pose(*keypoints, SIZE, hands=hands, face=face)
    np.testing.assert_array_equal(picture, golden_picture(goldens, name))


def test_a_hand_with_three_keypoints_unseen_is_the_golden_one(goldens: Path) -> None:
    points, scores = golden_joints(goldens)
    scores[LEFT_HAND][[3, 4, 8]] = 0
    picture = draw_pose(points, scores, SIZE, body=False, face=False)
    np.testing.assert_array_equal(picture, golden_picture(goldens, "partialhand"))


def test_nobody_is_black() -> None:
    picture = draw_pose(np.zeros((KEYPOINTS, 2)), np.zeros(KEYPOINTS), (64, 48))
    np.testing.assert_array_equal(picture, np.zeros((48, 64, 3), np.uint8))


def test_a_score_of_the_threshold_itself_is_not_drawn() -> None:
    points = np.full((KEYPOINTS, 2), 100, np.float32)
    scores = np.full(KEYPOINTS, 0.5, np.float32)
    assert not draw_pose(points, scores, SIZE, threshold=0.5).any()


def test_a_limb_reaches_in_from_outside() -> None:
    points, scores = np.zeros((KEYPOINTS, 2), np.float32), np.zeros(KEYPOINTS, np.float32)
    points[LEFT_KNEE], points[LEFT_ANKLE] = (-40, 300), (60, 300)
    scores[[LEFT_KNEE, LEFT_ANKLE]] = 1
    assert draw_pose(points, scores, SIZE)[300, 0].tolist() == [0, 51, 153]


@pytest.mark.parametrize("place", [np.nan, np.inf, -1e30, 1e30])
def test_a_joint_beyond_all_bounds_is_drawn_nowhere(place: float) -> None:
    points = np.full((KEYPOINTS, 2), place, np.float32)
    assert not draw_pose(points, np.ones(KEYPOINTS, np.float32), (64, 64))[2:, 2:].any()


@pytest.mark.parametrize(
    ("size", "strokes"),
    [
        ((512, 768), Strokes(4, 4, 2, 4, 3)),
        ((1920, 1080), Strokes(8, 8, 4, 8, 6)),
        ((256, 256), Strokes(2, 2, 1, 2, 2)),
        ((64, 64), Strokes(1, 1, 1, 1, 1)),
    ],
)
def test_strokes_grow_with_the_short_side(size: tuple[int, int], strokes: Strokes) -> None:
    assert Strokes.for_size(size) == strokes


def test_a_drawing_at_twice_the_size_is_the_same_drawing(goldens: Path) -> None:
    points, scores = golden_joints(goldens)
    small = draw_pose(points, scores, SIZE).astype(float)
    large = draw_pose(points * 2, scores, (1024, 1536))
    halved = cv2.resize(large, SIZE, interpolation=cv2.INTER_AREA).astype(float)
    # Edges fall between pixels; a stroke of the wrong width would be off by far more.
    assert np.abs(small - halved).mean() < 0.02 * small[small > 0].mean()


def some_of(clip: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(clip))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return pictures[:: max(1, len(pictures) // 8)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("skeleton_video.mp4", ControlKind.SKELETON),
        ("densepose_dancing.mp4", ControlKind.DENSEPOSE),
        ("densepose_running.mp4", ControlKind.DENSEPOSE),
        ("dance_stage.mp4", ControlKind.FOOTAGE),  # on a black stage
        ("talking_head_audio.mp4", ControlKind.FOOTAGE),
        ("cinemo_people_walking_result.mp4", ControlKind.FOOTAGE),
        ("street_walk_audio.avi", ControlKind.FOOTAGE),
    ],
)
def test_real_clips(media: Path, name: str, kind: ControlKind) -> None:
    assert recognise(some_of(media / name)) is kind


def test_our_own_drawings_are_skeletons() -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1)), dancer.STAGE)
    drawings = [draw_pose(motion.points[t], motion.scores[t], motion.size) for t in (0, 90)]
    blank = np.zeros((720, 1280, 3), np.uint8)
    assert recognise([blank, *drawings]) is ControlKind.SKELETON


def test_one_filmed_picture_makes_it_footage() -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1)), dancer.STAGE)
    drawing = draw_pose(motion.points[0], motion.scores[0], motion.size)
    filmed = np.random.default_rng(0).integers(60, 200, (720, 1280, 3), np.uint8)
    assert recognise([drawing, filmed]) is ControlKind.FOOTAGE


def lit(colour: tuple[float, float, float], grain: int = 0) -> np.ndarray:
    """Somebody broad on a black stage, in light of one colour that falls off downwards."""
    light = np.zeros((240, 320), np.uint8)
    cv2.circle(light, (160, 50), 18, 220, -1)
    cv2.line(light, (160, 75), (160, 150), 200, 50)
    for foot in (130, 190):
        cv2.line(light, (160, 150), (foot, 225), 160, 24)
        cv2.line(light, (160, 90), (foot * 3 - 320, 110), 180, 18)
    light = (light * np.linspace(1, 0.6, 240)[:, None]).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, grain + 1, (240, 320, 3))
    return (light[..., None] * np.array(colour) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("grain", [0, 12])
@pytest.mark.parametrize(
    "colour", [(1, 0, 0), (0.05, 0.05, 1), (0.9, 0.02, 1), (1, 0.6, 0.1), (0.1, 1, 0.2)]
)
def test_people_in_coloured_light_on_a_dark_stage_are_footage(
    colour: tuple[float, float, float], grain: int
) -> None:
    assert recognise([lit(colour, grain)] * 3) is ControlKind.FOOTAGE


@pytest.mark.parametrize("saturation", [1.2, 1.5, 3.0])
def test_a_stage_in_strong_colours_is_footage(media: Path, saturation: float) -> None:
    for picture in some_of(media / "dance_stage.mp4")[:3]:
        grey = picture @ np.array([0.299, 0.587, 0.114])
        strong = grey[..., None] + saturation * (picture - grey[..., None])
        for size in ((1280, 720), (320, 180)):
            small = cv2.resize(strong.clip(0, 255).astype(np.uint8), size)
            assert recognise([small]) is ControlKind.FOOTAGE


@pytest.mark.parametrize("quality", [100, 30])
@pytest.mark.parametrize("size", [(1280, 720), (320, 180)])
def test_a_small_and_badly_compressed_drawing_is_a_skeleton(
    size: tuple[int, int], quality: int
) -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1)), dancer.STAGE)
    drawing = draw_pose(motion.points[0], motion.scores[0], motion.size)
    small = cv2.resize(drawing, size, interpolation=cv2.INTER_AREA)
    told = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert (
        recognise([cv2.imdecode(told, cv2.IMREAD_COLOR)[..., ::-1]]) is ControlKind.SKELETON
    )


def test_black_pictures_alone_are_footage() -> None:
    assert recognise([np.zeros((64, 64, 3), np.uint8)]) is ControlKind.FOOTAGE
