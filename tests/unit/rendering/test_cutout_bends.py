"""Elbows and knees that are bent in the picture are straightened without steps."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from test_cutout_clothes import APART, ON_HIPS, OUT, SIZE, motion, posed

from animcli.pose import keypoints as joint
from animcli.rendering.cutout.draw_order import draw_orders
from animcli.rendering.cutout.matting import matte_from_alpha
from animcli.rendering.cutout.motion import bone_transforms
from animcli.rendering.cutout.puppet import build_puppet
from animcli.rendering.cutout.rig import rest_pose
from animcli.rendering.cutout.skinning import bent_joints
from animcli.rendering.cutout.yaw import trunk_yaw
from animcli.synthetic.body import at_rest, pose_figure
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.draw import Drawing, draw

EXACT = np.zeros((18, 2), np.float32)
WHOLE = (slice(0, SIZE[1]), slice(0, SIZE[0]))


def in_sleeves(seed: int) -> Character:
    figure = Character.from_seed(seed)
    worn = replace(figure.outfit, top="sweater", bottom="skirt", sleeve=1.0)
    return replace(figure, outfit=worn)


def bent_to(shown: Drawing, wanted: Drawing) -> NDArray[np.uint8]:
    """`(h, w)`: the alpha of the figure of `shown`, moved as in `wanted`."""
    pose = motion(shown, off=EXACT)
    rest = rest_pose(pose.points[0], pose.visible[0])
    puppet = build_puppet(
        shown.picture, matte_from_alpha(shown.picture, shown.mask), rest, WHOLE
    )
    driving = motion(wanted, off=EXACT)
    movement = bone_transforms(driving, rest)
    order = draw_orders(movement, rest, trunk_yaw(movement, driving.visible, rest))[0]
    black = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    white = np.full_like(black, 255)
    for canvas in (black, white):
        puppet.draw(canvas, movement, 0, order)
    return np.asarray(255 - (white.astype(int) - black).max(axis=-1), np.uint8)


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_an_arm_bent_in_the_picture_has_no_step_where_it_is_straightened(seed: int) -> None:
    figure = in_sleeves(seed)
    shown, out = posed(figure, ON_HIPS), posed(figure, OUT)
    alpha = bent_to(shown, out) / 255
    for elbow in (joint.RIGHT_ELBOW, joint.LEFT_ELBOW):
        x, y = np.rint(out.keypoints[elbow]).astype(int)
        # arms that are held out lie along a row: a column's alpha is their thickness
        near = np.s_[y - 30 : y + 30, x - 15 : x + 16]
        thick = alpha[near].sum(axis=0)
        true = (out.mask[near] / 255).sum(axis=0)
        # 0.15 at most as it is; 0.26 to 0.30 where the tip sticks out
        assert np.abs(thick / true - 1).max() < 0.2


def standing(figure: Character, drawn_up: float) -> Drawing:
    """On its left leg, the right foot `drawn_up` legs high with the knee out to the side;
    at 0, on both.
    """
    arms = np.array([[[-1, 0, 0], [1, 0, 0]]], np.float32)
    right = (0.02, drawn_up, 0) if drawn_up else (-0.2, 0, 0)
    angles = replace(
        at_rest(),
        upper_arms=arms,
        forearms=arms,
        feet=np.array([[right, (0.2, 0, 0)]], np.float32),
        turns=np.array([[-np.pi / 2 if drawn_up else 0, 0]], np.float32),
    )
    (pose,) = pose_figure(angles, figure.proportions)
    return draw(figure, pose, CameraShot(backdrop=figure.seed), SIZE)


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_leg_bent_in_the_picture_has_no_step_where_it_is_straightened(seed: int) -> None:
    figure = in_sleeves(seed)
    figure = replace(figure, outfit=replace(figure.outfit, bottom="leggings"))
    shown, straight = standing(figure, 0.35), standing(figure, 0)
    alpha = bent_to(shown, straight) / 255
    x, y = np.rint(straight.keypoints[joint.RIGHT_KNEE]).astype(int)
    near = np.s_[y - 15 : y + 16, x - 30 : x + 30]
    thick = alpha[near].sum(axis=1)
    true = (straight.mask[near] / 255).sum(axis=1)
    # 0.06 at most as it is; 0.24 to 0.35 where the knee's tip sticks out
    assert np.abs(thick / true - 1).max() < 0.12


def test_only_hinges_that_are_clearly_bent_have_a_tip() -> None:
    def found(arms: object) -> list[str]:
        pose = motion(posed(in_sleeves(1), arms), off=EXACT)
        rest = rest_pose(pose.points[0], pose.visible[0])
        return [hinge.far.name for hinge in bent_joints(rest)]

    assert found(ON_HIPS) == ["RIGHT_FOREARM", "LEFT_FOREARM"]
    assert found(APART) == found(OUT) == []
