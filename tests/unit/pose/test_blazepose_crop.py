"""A crop shows the rectangle that was asked for, and points come back from it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.pose.blazepose_crop import Border, Roi, cut, turn, whole

sides = st.floats(2, 2000)
rois = st.builds(
    Roi,
    st.floats(-500, 2000),
    st.floats(-500, 2000),
    sides,
    sides,
    st.floats(-math.pi, math.pi),
)


@given(rois, st.integers(1, 512))
def test_what_goes_to_the_crop_comes_back_to_the_picture(roi: Roi, size: int) -> None:
    inside = np.array([[0.0, 0.0], [1.0, 0.0], [0.3, 0.9]])
    there = roi.to_picture(inside)
    back = np.c_[there, np.ones(3)] @ roi.to_crop(size).T
    # 1e-6 of the crop: coordinates up to 5000 px in double precision
    np.testing.assert_allclose(back[:, :2], inside * size, atol=1e-6 * size)


@given(rois)
def test_a_mirrored_rectangle_has_its_sides_exchanged(roi: Roi) -> None:
    mirrored = Roi(roi.x, roi.y, -roi.width, roi.height, roi.angle)
    points = np.array([[0.2, 0.7]])
    np.testing.assert_allclose(
        mirrored.to_picture(points), roi.to_picture([1, 0] + points * [-1, 1]), atol=1e-6
    )


def test_a_crop_of_the_whole_picture_at_its_size_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut(picture, whole(picture), 64, Border.BLACK), picture)


def test_a_quarter_turn_lays_the_right_side_on_top() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    crop = cut(picture, Roi(32, 32, 64, 64, math.pi / 2), 64, Border.EDGE)
    # the row in the middle is a mixture, since pixels lie on corners and not in the middle
    assert (crop[:31] == 255).all()
    assert (crop[33:] == 0).all()


def test_beyond_the_picture_a_crop_is_black_or_goes_on_with_the_edge() -> None:
    picture = np.full((40, 40, 3), 200, np.uint8)
    beyond = Roi(100, 20, 20, 20)
    assert (cut(picture, beyond, 32, Border.BLACK) == 0).all()
    assert (cut(picture, beyond, 32, Border.EDGE) == 200).all()


@pytest.mark.parametrize(
    ("end", "angle"),
    [((0, -1), 0.0), ((1, 0), math.pi / 2), ((-1, 0), -math.pi / 2), ((0, 1), -math.pi)],
)
def test_a_body_is_turned_by_where_its_head_is(end: tuple[int, int], angle: float) -> None:
    found = turn(np.zeros(2), np.array(end, float), upright=math.pi / 2)
    assert found == pytest.approx(angle)


def test_raising_moves_along_the_rectangles_own_axis() -> None:
    roi = Roi(10, 20, 4, 8, math.pi / 2).raised(0.25)
    assert (roi.x, roi.y) == pytest.approx((12, 20))
