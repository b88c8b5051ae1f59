"""A crop shows the rectangle that was asked for, and points come back from it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.pose.detectors.blazepose.detector import (
    FACE_DETECTOR,
    FACE_GRIDS,
    PERSON_DETECTOR,
    PERSON_GRIDS,
    ROI,
    Border,
    Network,
    anchors,
    body_roi,
    crop_roi,
    decode,
    merge_overlapping,
    overlap,
    rotation_of,
    whole,
)

sides = st.floats(2, 2000)
rois = st.builds(
    ROI,
    st.floats(-500, 2000),
    st.floats(-500, 2000),
    sides,
    sides,
    st.floats(-math.pi, math.pi),
)


@given(rois, st.integers(1, 512))
def test_what_goes_to_the_crop_comes_back_to_the_picture(roi: ROI, size: int) -> None:
    inside = np.array([[0.0, 0.0], [1.0, 0.0], [0.3, 0.9]])
    there = roi.to_picture(inside)
    back = np.c_[there, np.ones(3)] @ roi.to_crop(size).T
    # 1e-6 of the crop: coordinates up to 5000 px in double precision
    np.testing.assert_allclose(back[:, :2], inside * size, atol=1e-6 * size)


@given(rois)
def test_a_mirrored_rectangle_has_its_sides_exchanged(roi: ROI) -> None:
    mirrored = ROI(roi.x, roi.y, -roi.width, roi.height, roi.angle)
    points = np.array([[0.2, 0.7]])
    np.testing.assert_allclose(
        mirrored.to_picture(points), roi.to_picture([1, 0] + points * [-1, 1]), atol=1e-6
    )


def test_a_crop_of_the_whole_picture_at_its_size_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        crop_roi(picture, whole(picture), 64, Border.BLACK), picture
    )


def test_a_quarter_turn_lays_the_right_side_on_top() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    crop = crop_roi(picture, ROI(32, 32, 64, 64, math.pi / 2), 64, Border.EDGE)
    # the row in the middle is a mixture, since pixels lie on corners and not in the middle
    assert (crop[:31] == 255).all()
    assert (crop[33:] == 0).all()


def test_beyond_the_picture_a_crop_is_black_or_goes_on_with_the_edge() -> None:
    picture = np.full((40, 40, 3), 200, np.uint8)
    beyond = ROI(100, 20, 20, 20)
    assert (crop_roi(picture, beyond, 32, Border.BLACK) == 0).all()
    assert (crop_roi(picture, beyond, 32, Border.EDGE) == 200).all()


@pytest.mark.parametrize(
    ("end", "angle"),
    [((0, -1), 0.0), ((1, 0), math.pi / 2), ((-1, 0), -math.pi / 2), ((0, 1), -math.pi)],
)
def test_a_body_is_turned_by_where_its_head_is(end: tuple[int, int], angle: float) -> None:
    found = rotation_of(np.zeros(2), np.array(end, float), upright=math.pi / 2)
    assert found == pytest.approx(angle)


def test_raising_moves_along_the_rectangles_own_axis() -> None:
    roi = ROI(10, 20, 4, 8, math.pi / 2).raised(0.25)
    assert (roi.x, roi.y) == pytest.approx((12, 20))


@pytest.mark.parametrize(
    ("grids", "network"),
    [(PERSON_GRIDS, PERSON_DETECTOR), (FACE_GRIDS, FACE_DETECTOR)],
    ids=["person", "face"],
)
def test_there_is_an_anchor_for_every_row_of_the_network(
    grids: tuple[tuple[int, int], ...], network: Network
) -> None:
    assert anchors(grids).shape == (network.outputs[0][0], 2)


def test_anchors_go_row_by_row_and_repeat_within_a_cell() -> None:
    expected = (
        [[0.25, 0.25]] * 2 + [[0.75, 0.25]] * 2 + [[0.25, 0.75]] * 2 + [[0.75, 0.75]] * 2
    )
    np.testing.assert_array_equal(anchors(((2, 2), (1, 1))), [*expected, [0.5, 0.5]])


def test_a_row_counts_from_its_anchor_in_pixels_of_the_crop() -> None:
    rows = np.zeros((2, 6), np.float32)
    rows[1] = [10, -20, 40, 20, 5, 15]
    boxes, keypoints, scores = decode(
        rows, np.array([-9.0, 0.0]), np.array([[0.1, 0.1], [0.5, 0.5]]), 100, 0.5
    )
    np.testing.assert_allclose(boxes, [[[0.4, 0.2], [0.8, 0.4]]])
    np.testing.assert_allclose(keypoints, [[[0.55, 0.65]]])
    np.testing.assert_allclose(scores, [0.5])


def test_rows_below_the_threshold_are_left_out() -> None:
    boxes, keypoints, scores = decode(
        np.zeros((3, 12), np.float32), np.full(3, -1000.0), np.zeros((3, 2)), 224, 0.5
    )
    assert (boxes.shape, keypoints.shape, scores.shape) == ((0, 2, 2), (0, 4, 2), (0,))


def test_overlapping_boxes_are_averaged_by_their_scores() -> None:
    boxes = np.array([[[0, 0], [1, 1]], [[0, 0], [1, 0.8]], [[5, 5], [6, 6]]], float)
    keypoints = np.array([[[0, 0]], [[1, 1]], [[9, 9]]], float)
    near, far = merge_overlapping(boxes, keypoints, np.array([0.6, 0.9, 0.3]))
    np.testing.assert_allclose(near[0], [[0, 0], [1, 0.88]])
    np.testing.assert_allclose(near[1], [[0.6, 0.6]])
    assert near[2] == 0.9
    np.testing.assert_array_equal(far[0], boxes[2])
    assert far[2] == 0.3


def test_a_box_without_area_ends_the_search_all_the_same() -> None:
    boxes = np.zeros((2, 2, 2))
    assert len(merge_overlapping(boxes, np.zeros((2, 1, 2)), np.array([0.5, 0.6]))) == 2


def test_overlap_is_the_shared_part_of_the_union() -> None:
    box = np.array([[0, 0], [2, 2]], float)
    others = np.array([[[1, 0], [3, 2]], [[0, 0], [2, 2]], [[4, 4], [5, 5]]], float)
    np.testing.assert_allclose(overlap(box, others), [1 / 3, 1, 0])


def test_the_square_about_a_body_reaches_a_quarter_beyond_its_circle() -> None:
    roi = body_roi(np.array([50.0, 80.0]), np.array([50.0, 40.0]))
    assert (roi.x, roi.y, roi.width, roi.height) == (50, 80, 100, 100)
    assert roi.angle == pytest.approx(0)
