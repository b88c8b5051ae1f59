"""Landmarks move to the light of their heatmap, where there is some nearby."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from animcli.pose.blazepose_body import REACH, refine, sigmoid

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
        refine(point, heatmap(lit)), [np.array(lit) / 64], atol=1e-12
    )


def test_light_further_away_doesnt_count() -> None:
    point = np.array([[0.5, 0.5]])
    lit = heatmap((32 + REACH + 1, 32))
    np.testing.assert_array_equal(refine(point, lit), point)


def test_between_two_lit_cells_a_point_goes_to_their_middle() -> None:
    point = np.array([[0.5, 0.5]])
    np.testing.assert_allclose(
        refine(point, heatmap((31, 32), (34, 32))), [[32.5 / 64, 0.5]], atol=1e-12
    )


@given(st.floats(-3, 4), st.floats(-3, 4))
def test_a_point_in_the_dark_or_outside_stays(x: float, y: float) -> None:
    point = np.array([[x, y]])
    np.testing.assert_array_equal(refine(point, heatmap()), point)


def test_each_point_has_its_own_channel() -> None:
    light = np.concatenate([heatmap((10, 10)), heatmap(), heatmap((12, 11))], axis=2)
    points = np.full((2, 2), 11 / 64)
    expected = [[10 / 64, 10 / 64], [11 / 64, 11 / 64]]
    np.testing.assert_allclose(refine(points, light), expected, atol=1e-12)


def test_extreme_logits_dont_overflow() -> None:
    np.testing.assert_array_equal(sigmoid(np.array([-1e9, 0.0, 1e9])), [0, 0.5, 1])
