"""A wall that shows between limbs is told from cloth in its colour."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.rendering.cutout.segmentation import wall_in_gaps

WALL = (99, 84, 166)
TRUNK = 120.0
HOLE = np.s_[150:280, 112:144]


def before_a_wall(
    grain: float = 1.0,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    """A red block before a wall lit from one side: the picture, where the block is, and a
    probability that takes what is in it and right beside it for figure.
    """
    rng = np.random.default_rng(0)
    light = np.linspace(0.9, 1.1, 256)[None, :, None]
    picture = np.array(WALL) * light + rng.normal(0, grain, (384, 256, 3))
    block = np.zeros((384, 256), bool)
    block[60:330, 70:186] = True
    picture[block] = (190, 30, 40)
    hull = cv2.dilate(block.astype(np.uint8), np.ones((5, 5))) > 0
    probability = np.where(hull, 0.97, 0.01).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8), block, probability


def test_a_wall_between_legs_is_found_to_its_edges() -> None:
    picture, _, probability = before_a_wall()
    light = np.linspace(0.9, 1.1, 256)[None, 112:144, None]
    picture[HOLE] = np.array(WALL) * light
    assert not wall_in_gaps(picture, probability, TRUNK).any()  # all there is surely figure
    probability[260:280, 112:144] = 0.6
    found = wall_in_gaps(picture, probability, TRUNK)
    assert found[HOLE].mean() > 0.85
    found[HOLE] = False
    assert not found.any()


def test_cloth_that_shades_off_into_the_colour_of_the_wall_is_no_gap() -> None:
    picture, _, probability = before_a_wall()
    probability[300:320, 80:176] = 0.6
    folds = 25 * np.abs(np.cos(np.linspace(0, np.pi, 116)))[None, :, None]
    light = np.linspace(0.9, 1.1, 256)[None, 70:186, None]
    picture[60:330, 70:186] = np.array(WALL) * light + folds
    assert not wall_in_gaps(picture, probability, TRUNK).any()


@pytest.mark.parametrize("grain", [4.5, 6.0])
def test_a_wall_with_texture_says_nothing(grain: float) -> None:
    picture, _, probability = before_a_wall(grain)
    light = np.linspace(0.9, 1.1, 256)[None, 112:144, None]
    noise = np.random.default_rng(1).normal(0, grain, (130, 32, 3))
    picture[HOLE] = np.clip(np.array(WALL) * light + noise, 0, 255)
    probability[HOLE] = 0.6
    assert not wall_in_gaps(picture, probability, TRUNK).any()


def test_clutter_elsewhere_hides_no_gap_before_a_plain_wall() -> None:
    picture, block, probability = before_a_wall()
    light = np.linspace(0.9, 1.1, 256)[None, 112:144, None]
    gap = np.s_[110:170, 112:144]
    picture[gap] = np.array(WALL) * light
    probability[gap] = 0.6
    meadow = np.random.default_rng(2).integers(20, 200, (134, 256, 3))
    picture[250:] = np.where(block[250:, :, None], picture[250:], meadow)
    # .77 as it is, as the meadow's colour reaches up a little
    assert wall_in_gaps(picture, probability, TRUNK)[gap].mean() > 0.7
