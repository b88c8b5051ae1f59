"""Things that touch a figure go along or leave the picture, and none does so by halves."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, doll

from animcli.pose import keypoints as s
from animcli.rendering.cutout.accessories import (
    Accessories,
    Surroundings,
    find_accessories,
    with_accessories,
)
from animcli.rendering.cutout.background import inpaint_background
from animcli.rendering.cutout.matting import matte_from_alpha
from animcli.rendering.cutout.rig import RestPose, rest_pose

Point = tuple[int, int]
BLACK = (30, 30, 34)
POLE: list[Point] = [(60, 190), (38, 320)]  # from the right wrist to beside the foot
SKI: list[Point] = [(40, 352), (230, 356)]  # under both feet


class Drawn:
    """A doll with a line drawn beside or under it, and its matte without the line."""

    def __init__(self, line: list[Point], ink: tuple[int, int, int], wide: int) -> None:
        plain = doll()
        self.without = plain.picture
        self.alpha = plain.alpha
        shown = np.zeros(self.alpha.shape, np.uint8)
        cv2.polylines(shown, [np.array(line, np.int32)], False, 255, wide)
        self.line = (shown > 0) & (self.alpha < 128)
        self.picture = plain.picture.copy()
        self.picture[self.line] = ink
        self.rest: RestPose = rest_pose(plain.pose.points[0], plain.pose.visible[0])

    def found(self) -> Accessories:
        share = (self.alpha / 255).astype(np.float32)
        around = Surroundings.about(self.picture, share, self.rest.trunk)
        return find_accessories(around, share, self.rest)


def share_of(mask: NDArray[np.bool_], line: NDArray[np.bool_]) -> float:
    return float(mask[line].mean())


def test_a_pole_in_a_hand_goes_along_whole() -> None:
    drawn = Drawn(POLE, BLACK, 4)
    found = drawn.found()
    assert share_of(found.worn, drawn.line) > 0.9
    assert not found.left.any()
    matte = with_accessories(
        drawn.picture, matte_from_alpha(drawn.picture, drawn.alpha), drawn.rest
    )
    assert share_of(matte.alpha > 0.5, drawn.line) > 0.9
    # in its own colour: the sky hasn't mixed in
    clear = drawn.line & (matte.alpha > 0.9)
    assert np.abs(matte.colours[clear] - BLACK).max() < 25


def test_a_ski_under_the_feet_leaves_the_picture_whole() -> None:
    drawn = Drawn(SKI, BLACK, 6)
    found = drawn.found()
    assert not found.worn.any()
    matte = with_accessories(
        drawn.picture, matte_from_alpha(drawn.picture, drawn.alpha), drawn.rest
    )
    assert not (matte.alpha[drawn.line] > 0.5).any()
    empty = inpaint_background(drawn.picture, matte.hidden)
    free = drawn.line & (drawn.alpha == 0)
    assert np.abs(empty.astype(float) - drawn.without)[free].max() < 8  # 190 if it stays


@pytest.mark.parametrize(
    ("line", "wide"),
    [
        ([(0, 150), (256, 150)], 4),  # a rope behind the trunk, across the picture
        ([(60, 190), (0, 320)], 4),  # from a hand to the border: a banister
        ([(128, 60), (250, 20)], 4),  # longer than hair, and in no hand
    ],
)
def test_what_belongs_to_the_place_stays(line: list[Point], wide: int) -> None:
    found = Drawn(line, BLACK, wide).found()
    assert not (found.worn | found.left).any()


def test_a_wisp_of_hair_goes_along() -> None:
    drawn = Drawn([(146, 50), (168, 62), (172, 80)], (90, 60, 40), 3)
    assert share_of(drawn.found().worn, drawn.line) > 0.8


def test_a_soft_shadow_is_no_thing() -> None:
    drawn = Drawn([(110, 350), (220, 352)], (0, 0, 0), 12)
    light = 1 - 0.5 * cv2.GaussianBlur(drawn.line.astype(np.float32), (0, 0), 5)
    drawn.picture = np.where(
        drawn.alpha[..., None] < 128, drawn.without * light[..., None], drawn.without
    ).astype(np.uint8)
    found = drawn.found()
    assert not (found.worn | found.left).any()


def test_among_many_things_none_is_taken_for_the_figures() -> None:
    drawn = Drawn(POLE, BLACK, 4)
    rng = np.random.default_rng(0)
    twigs = np.zeros(drawn.alpha.shape, np.uint8)
    for x, y, right, down in rng.integers((0, 0, -40, -40), (256, 384, 40, 40), (400, 4)):
        cv2.line(twigs, (int(x), int(y)), (int(x + right), int(y + down)), 255, 3)
    drawn.picture[(twigs > 0) & (drawn.alpha < 128)] = BLACK
    found = drawn.found()
    assert not (found.worn | found.left).any()


def test_where_two_walls_meet_behind_a_figure_there_is_nothing() -> None:
    drawn = Drawn(POLE, BLACK, 1)
    drawn.picture = drawn.without.copy()
    floor = np.zeros(drawn.alpha.shape, bool)
    floor[int(STANDING[s.RIGHT_HIP][1]) :] = True
    drawn.picture[floor & (drawn.alpha < 128)] = (60, 90, 60)
    found = drawn.found()
    assert not (found.worn | found.left).any()


@pytest.mark.parametrize("left", [20, 44])
def test_the_bars_of_a_window_behind_a_hand_stay_on_the_wall(left: int) -> None:
    right, top, bottom = left + 44, 150, 210  # around the right wrist, or from it on
    bars: list[Point] = [
        (left, top), (right, top), (right, bottom), (left, bottom), (left, top),
        (left, (top + bottom) // 2), (right, (top + bottom) // 2),
    ]  # fmt: skip
    found = Drawn(bars, BLACK, 3).found()
    assert not found.worn.any()
    assert not found.left.any()
