"""Masks of the person who is replaced."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.stages import spot_motion
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose import selfie
from animcli.pose.detectors.blazepose.detector import ROI
from animcli.pose.person_mask import MaskShape, PersonMasks, fill_cells, grown


def box(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_the_authors_example_is_the_box_nine_pixels_larger_all_filled() -> None:
    mask = box((720, 100), slice(40, 51), slice(30, 61))
    mask[45, 35] = False
    expected = box((720, 100), slice(31, 60), slice(21, 70))
    np.testing.assert_array_equal(MaskShape().widen(mask), expected)


def test_growth_goes_with_the_height() -> None:
    mask = box((1440, 200), slice(700, 701), slice(100, 101))
    widened = MaskShape(cells=None).widen(mask)
    assert widened.sum() == 37 * 37  # 18 pixels each way
    assert grown(mask, 0) is mask


def test_cells_that_hold_nothing_stay_as_they_are() -> None:
    mask = box((40, 40), slice(0, 10), slice(0, 10)) | box(
        (40, 40), slice(30, 40), slice(30, 40)
    )
    filled = fill_cells(mask, (2, 2))
    assert filled[:20, :20].all()
    assert filled[20:, 20:].all()
    assert not filled[:20, 20:].any()
    assert not fill_cells(np.zeros((5, 5), bool), (1, 1)).any()


@pytest.mark.parametrize(
    ("word", "cells"), [("outline", None), ("1x1", (1, 1)), ("4x8", (4, 8))]
)
def test_a_presets_word_says_how_many_cells(
    word: str, cells: tuple[int, int] | None
) -> None:
    assert MaskShape.parse(3, word) == MaskShape(3, cells)


class Seen:
    """Stands for the network: half of what it sees is a person, from the middle right."""

    def __init__(self, *_: object) -> None: ...

    def __call__(self, picture: NDArray[np.uint8], roi: ROI) -> list[NDArray[np.float32]]:
        seen = np.zeros((selfie.SELFIE.size, selfie.SELFIE.size), np.float32)
        seen[:, :128] = 0.2 if roi.width > 0 else 0.0
        seen[64:192, 128:] = 0.9
        return [(seen if roi.width > 0 else seen[:, ::-1])[..., None]]


def test_a_person_lies_where_it_was_seen_in_the_square_and_in_its_mirror_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selfie, "LiteRTModel", Seen)
    corners = np.array([[110, 60], [190, 140]], np.float32)  # the square is 120 wide
    still = spot_motion(1)
    points, scores = np.zeros_like(still.points), np.zeros_like(still.scores)
    points[0, :2], scores[0, :2] = corners, 1
    masks = PersonMasks(replace(still, points=points, scores=scores), Path())
    mask = masks(0, np.zeros((200, 300, 3), np.uint8))
    mask[60, 110] = False  # a keypoint, which is a person's whatever was seen
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1]) == pytest.approx((70, 130), abs=10)
    assert (columns[0], columns[-1]) == pytest.approx((150, 210), abs=1)
