"""Rows of the detectors become boxes and keypoints where the anchors say."""

import numpy as np
import pytest

from animcli.pose.blazepose_detector import (
    FACE,
    FACE_GRIDS,
    PERSON,
    PERSON_GRIDS,
    anchors,
    body_roi,
    decode,
    merge_overlapping,
    overlap,
)
from animcli.pose.blazepose_network import Network


@pytest.mark.parametrize(
    ("grids", "network"),
    [(PERSON_GRIDS, PERSON), (FACE_GRIDS, FACE)],
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
