"""The figure is found by what networks and keypoints say together."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.rendering.cutout.matting import estimate_matte
from animcli.rendering.cutout.rig import RestPose, rest_pose
from animcli.rendering.cutout.segmentation import segment
from animcli.synthetic.scene import Scene

pytestmark = pytest.mark.blazepose


def drawn(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], RestPose]:
    """A drawn person: the picture, the true mask, the true keypoints."""
    drawing = next(Scene.from_seed(seed).drawings(1, (512, 768), start=10.0))
    points, visible = np.zeros((134, 2), np.float32), np.zeros(134, bool)
    points[:18] = drawing.keypoints
    visible[:18] = ((points[:18] > 0) & (points[:18] < (512, 768))).all(axis=1)
    return drawing.picture, drawing.mask > 127, rest_pose(points, visible)


@pytest.mark.parametrize("seed", [800003, 800011, 800046])
def test_it_finds_people_whom_the_outline_alone_misses(
    seed: int, blazepose_models: Path
) -> None:
    picture, mask, rest = drawn(seed)
    found = segment(picture, rest, blazepose_models)
    matte = estimate_matte(picture, found.probability, found.front, found.back)
    inside = matte.alpha > 0.5
    # BlazePose's outline and graph cut alone: .00 for seed 800011
    assert (inside & mask).sum() / (inside | mask).sum() > 0.85


def test_nothing_far_from_the_body_is_figure(blazepose_models: Path) -> None:
    picture, _, rest = drawn(800003)
    found = segment(picture, rest, blazepose_models)
    assert not (found.probability[:150] > 0.5).any()  # a room above the head
    assert not (found.front & found.back).any()


def test_a_sleeve_in_a_shade_of_the_wall_is_found_by_its_colour(
    blazepose_models: Path,
) -> None:
    # a green jacket before a green wall, which the networks take for wall: IoU .71
    picture, mask, rest = drawn(910007)
    found = segment(picture, rest, blazepose_models)
    matte = estimate_matte(picture, found.probability, found.front, found.back, found.open)
    inside = matte.alpha > 0.5
    assert (inside & mask).sum() / (inside | mask).sum() > 0.95
