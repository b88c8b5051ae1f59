"""A figure's size in a motion is what most of its lengths agree on."""

from dataclasses import replace

import numpy as np
import pytest
from builders.paper_doll import STANDING, pose
from builders.posed_figure import many, seen

from animcli.pose import keypoints as s
from animcli.rendering.cutout.motion import bone_transforms
from animcli.rendering.cutout.rig import rest_pose
from animcli.synthetic.body import at_rest
from animcli.synthetic.character import Character


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_arms_that_point_at_the_viewer_in_the_picture_do_not_make_a_giant(
    seed: int,
) -> None:
    figure = Character.from_seed(seed)
    ahead = np.array([[[-0.2, -0.1, 1], [0.2, -0.1, 1]]], np.float32)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    pointing = replace(at_rest(), upper_arms=ahead, forearms=ahead)
    still = seen(figure, pointing)
    legs = [s.RIGHT_KNEE, s.RIGHT_ANKLE, s.LEFT_KNEE, s.LEFT_ANKLE]
    still.scores[:, legs] = 0  # a half-length picture: of bones only arms and the trunk
    rest = rest_pose(still.points[0], still.visible[0])
    size = bone_transforms(seen(figure, many(at_rest(), 9)), rest).size
    np.testing.assert_allclose(size, 1, atol=0.04)


def test_a_figure_all_of_whose_lengths_agree_has_exactly_that_size() -> None:
    larger = {joint: (1.3 * x, 1.3 * y) for joint, (x, y) in STANDING.items()}
    shown = pose(STANDING)
    rest = rest_pose(shown.points[0], shown.visible[0])
    size = bone_transforms(pose(*[larger] * 3), rest).size
    np.testing.assert_allclose(size, 1.3, atol=1e-4)


def test_a_motion_that_never_shows_its_face_has_a_size_too() -> None:
    shown = pose(STANDING)
    rest = rest_pose(shown.points[0], shown.visible[0])
    motion = pose(*[STANDING] * 3)
    motion.scores[:, [s.NOSE, s.RIGHT_EYE, s.LEFT_EYE, s.RIGHT_EAR, s.LEFT_EAR]] = 0
    np.testing.assert_allclose(bone_transforms(motion, rest).size, 1, atol=1e-4)
