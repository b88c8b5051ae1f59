"""Faces: which ones count, where they are put, and how they are compared."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.helper import (
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
)

from animcli.metrics.identity import (
    ARCFACE,
    DLIB,
    LEAST_WIDTH,
    Template,
    align,
    compare_faces,
    face_points,
    face_width,
    sface_embedding,
)

FRONT = np.array([[80.0, 100], [120, 100], [100, 122]])


def body(points: np.ndarray, score: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    joints, scores = np.zeros((1, 18, 2)), np.zeros((1, 18))
    joints[0, [14, 15, 0]] = points
    scores[0, [14, 15, 0]] = score
    return joints, scores


def has_face(points: np.ndarray, score: float = 1.0) -> bool:
    return not np.isnan(face_points(*body(points, score), 0.5)).any()


def counts(points: np.ndarray) -> bool:
    """Tell if a face is compared with a large one."""
    pictures = coloured(1)
    reference = (pictures[0], FRONT)
    found = compare_faces(
        reference, pictures, points[None], mean_colours, DLIB, cosine=False
    )
    assert found is not None
    return found.share == 100


def test_a_face_from_the_front_counts() -> None:
    assert has_face(FRONT)
    np.testing.assert_array_equal(face_points(*body(FRONT), 0.5)[0], FRONT)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(FRONT[[1, 0, 2]], id="the back of a head"),
        pytest.param(
            FRONT + np.array([[0, 0], [0, 0], [18, 0]]), id="a head that looks aside"
        ),
    ],
)
def test_others_do_not(points: np.ndarray) -> None:
    assert not has_face(points)


def test_nor_does_a_face_that_was_not_seen() -> None:
    assert not has_face(FRONT, score=0.4)


def test_a_head_may_be_turned_in_the_picture() -> None:
    for angle in (0.6, 2.0, -2.5):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert has_face((FRONT - 100) @ turn.T + 100)


def test_face_landmarks_are_taken_where_a_pose_has_them() -> None:
    joints, scores = np.zeros((2, 134, 2)), np.zeros((2, 134))
    joints[:, [14, 15, 0]], scores[:, [14, 15, 0]] = FRONT * 3, 1
    joints[0, 24 + 36 : 24 + 42] = FRONT[0]
    joints[0, 24 + 42 : 24 + 48] = FRONT[1]
    joints[0, 24 + 30] = FRONT[2]
    scores[0, 24:92] = 1
    found = face_points(joints, scores, 0.5)
    np.testing.assert_array_equal(found[0], FRONT)
    assert np.isnan(found[1]).all()  # the body's guess doesn't stand in for them


@given(
    st.floats(-3, 3),
    st.floats(0.7, 4),
    st.floats(-30, 30),
    st.sampled_from([DLIB, ARCFACE]),
)
def test_a_face_is_put_to_its_place_however_it_lies(
    angle: float, scale: float, shift: float, template: Template
) -> None:
    """Marks at the three points come to the template's points."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    goal = np.array(template.points)
    points = scale * (goal - goal.mean(0)) @ turn.T + 300 + shift
    picture = np.zeros((640, 640, 3), np.uint8)
    for channel, point in enumerate(points):
        centre = tuple(int(v) for v in np.round(point))
        mark = np.zeros(picture.shape[:2], np.uint8)
        cv2.circle(mark, centre, round(3 * scale) + 1, 255, -1)
        picture[..., channel] = mark
    face = align(picture, points, template)
    assert face.shape == (template.side, template.side, 3)
    for channel, point in enumerate(goal):
        y, x = np.nonzero(face[..., channel] > 127)
        np.testing.assert_allclose([x.mean(), y.mean()], point, atol=1.2)


def mean_colours(faces: list[np.ndarray]) -> np.ndarray:
    return np.array([face.reshape(-1, 3).mean(0) for face in faces], np.float32)


def coloured(*levels: int) -> list[np.ndarray]:
    return [np.full((240, 240, 3), (level, 50, 50), np.uint8) for level in levels]


def test_every_frame_with_a_face_is_compared_with_the_reference() -> None:
    frames = coloured(100, 110, 130, 100)
    points = np.stack([FRONT, FRONT, np.full((3, 2), np.nan), FRONT])
    reference = (coloured(100)[0], FRONT)
    found = compare_faces(reference, frames, points, mean_colours, DLIB, cosine=False)
    np.testing.assert_allclose(found.values, [0, 10, np.nan, 0], atol=1e-4)
    assert found.share == 75
    assert found.median == 0
    assert found.worst == pytest.approx(9, abs=0.01)


def test_a_cosine_is_worst_at_its_low_end() -> None:
    frames = coloured(100, 0)
    points = np.stack([FRONT, FRONT])
    reference = (coloured(100)[0], FRONT)
    found = compare_faces(reference, frames, points, mean_colours, DLIB, cosine=True)
    assert found.values[0] == pytest.approx(1)
    assert found.values[1] == pytest.approx(
        5000 / np.hypot(70.7107, 0) / 122.4745, abs=1e-3
    )
    assert found.worst < found.median


def test_without_a_face_in_the_reference_there_is_nothing_to_compare() -> None:
    nowhere = np.full((3, 2), np.nan)
    points = FRONT[None]
    reference = (coloured(1)[0], nowhere)
    assert (
        compare_faces(reference, coloured(1), points, mean_colours, DLIB, cosine=False)
        is None
    )
    reference = (coloured(1)[0], FRONT)
    found = compare_faces(
        reference, coloured(1), nowhere[None], mean_colours, DLIB, cosine=False
    )
    assert found.share == 0
    assert np.isnan(found.median)


def test_sface_is_given_faces_in_rgb(tmp_path: Path) -> None:
    """By a network with SFace's input that answers with the mean of each channel."""
    shapes = ("data", [1, 3, 112, 112]), ("mean", [1, 3])
    given, mean = (make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes)
    nodes = [
        make_node("GlobalAveragePool", ["data"], ["pooled"]),
        make_node("Flatten", ["pooled"], ["mean"]),
    ]
    graph = make_graph(nodes, "means", [given], [mean])
    path = tmp_path / "means.onnx"
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 11)], ir_version=7), path)
    face = np.full((112, 112, 3), (200, 10, 50), np.uint8)
    found = sface_embedding(path)([face, face])
    np.testing.assert_allclose(found, [[200, 10, 50]] * 2, atol=1e-3)


def test_the_least_face_is_what_it_says() -> None:
    apart = LEAST_WIDTH * 0.526
    face = (FRONT - FRONT[0]) * apart / 40 + 50
    assert face_width(face) == pytest.approx(LEAST_WIDTH)
    assert counts(face * 1.01)
    assert not counts(face * 0.99)


def test_a_small_face_of_the_reference_is_none() -> None:
    reference = (coloured(1)[0], FRONT * 0.4)
    points = FRONT[None]
    assert (
        compare_faces(reference, coloured(1), points, mean_colours, DLIB, cosine=False)
        is None
    )
