"""Yaw is found from keypoints alone, and a trunk turns in depth."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, Joints, doll, pose
from builders.posed_figure import SIZE, many, seen
from builders.turned_doll import built, faced, turned_areas
from test_cutout import drawn

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset
from animcli.rendering.cutout.draw_order import draw_orders
from animcli.rendering.cutout.figure import Figure
from animcli.rendering.cutout.motion import bone_transforms
from animcli.rendering.cutout.rig import Bone, rest_pose
from animcli.rendering.cutout.trunk import TrunkTurn
from animcli.rendering.cutout.yaw import TrunkYaw, facing_as_pictured, trunk_yaw
from animcli.rendering.renderer import RenderRequest
from animcli.synthetic.body import at_rest, pose_figure
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.draw import draw


def yaw_of(still: PoseSequence, motion: PoseSequence) -> TrunkYaw:
    rest = rest_pose(still.points[0], still.visible[0])
    return trunk_yaw(bone_transforms(motion, rest), motion.visible, rest)


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_whole_turn_is_followed_all_the_way_round(seed: int) -> None:
    figure = Character.from_seed(seed)
    true = np.linspace(0, 2 * np.pi, 49, dtype=np.float32)
    turning = replace(many(at_rest(), 49), facing=true)
    found = yaw_of(seen(figure, at_rest()), seen(figure, turning)).frames
    assert np.degrees(np.abs(found[:, 0] - true).max()) < 16
    assert np.degrees(np.abs(found[-1] - 2 * np.pi)).max() < 16
    assert np.degrees(np.abs(np.diff(found, axis=0))).max() < 25  # nowhere does it jump


@pytest.mark.parametrize("side", [-1, 1])
def test_a_figure_seen_from_the_side_in_its_picture_is_known_to_be(side: int) -> None:
    figure = Character.from_seed(2)
    turned = replace(at_rest(), facing=np.array([side * 1.2], np.float32))
    found = yaw_of(seen(figure, turned), seen(figure, many(at_rest(), 9)))
    np.testing.assert_allclose(np.degrees(found.rest[0]), side * 69, atol=12)
    np.testing.assert_allclose(np.degrees(found.frames[4, 0]), 0, atol=12)


def test_a_head_that_looks_aside_does_not_turn_the_hips() -> None:
    figure = Character.from_seed(2)
    looking = many(at_rest(), 9)
    looking = replace(looking, head=np.tile(np.array([[0.5, 0, 0]], np.float32), (9, 1)))
    found = yaw_of(seen(figure, at_rest()), seen(figure, looking)).frames
    assert np.degrees(np.abs(found[:, 1])).max() < 8


def from_behind(joints: Joints) -> Joints:
    """The same outline, of somebody who shows the back: left is on the left."""
    names = {
        s.RIGHT_EYE: s.LEFT_EYE, s.RIGHT_EAR: s.LEFT_EAR,
        s.RIGHT_SHOULDER: s.LEFT_SHOULDER, s.RIGHT_ELBOW: s.LEFT_ELBOW,
        s.RIGHT_WRIST: s.LEFT_WRIST, s.RIGHT_HIP: s.LEFT_HIP,
        s.RIGHT_KNEE: s.LEFT_KNEE, s.RIGHT_ANKLE: s.LEFT_ANKLE,
        s.RIGHT_BIG_TOE: s.LEFT_BIG_TOE,
    }  # fmt: skip
    both = names | {left: right for right, left in names.items()}
    return {both.get(joint, joint): place for joint, place in joints.items()}


WAVING = {**STANDING, s.LEFT_ELBOW: (200, 80), s.LEFT_WRIST: (214, 40)}


@pytest.mark.parametrize("back", [False, True])
def test_who_faces_the_other_way_than_the_picture_keeps_limbs_where_they_are(
    back: bool,
) -> None:
    own, other = (
        (from_behind(STANDING), WAVING) if back else (STANDING, from_behind(WAVING))
    )
    same = from_behind(WAVING) if back else WAVING
    still = pose(own)
    rest = rest_pose(still.points[0], still.visible[0])
    found = facing_as_pictured(pose(*[other] * 5), rest)
    wanted = pose(*[same] * 5)
    np.testing.assert_array_equal(found.points, wanted.points)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert facing_as_pictured(wanted, rest) is wanted


def test_limbs_do_not_jump_when_a_figure_turns_round() -> None:
    figure = Character.from_seed(2)
    true = np.linspace(0, 2 * np.pi, 97, dtype=np.float32)
    motion = seen(figure, replace(many(at_rest(), 97), facing=true))
    still = seen(figure, at_rest())
    rest = rest_pose(still.points[0], still.visible[0])
    found = facing_as_pictured(motion, rest)
    right, left = (found.points[:, joint, 0] for joint in (s.RIGHT_HIP, s.LEFT_HIP))
    assert (left - right > -4).all()  # legs never cross
    assert (found.points[0] == motion.points[0]).all()
    assert not (found.points[48] == motion.points[48]).all()


def test_a_figure_from_the_side_keeps_its_sides() -> None:
    figure = Character.from_seed(2)
    aside = replace(at_rest(), facing=np.array([1.55], np.float32))
    still = seen(figure, aside)
    rest = rest_pose(still.points[0], still.visible[0])
    away = replace(many(at_rest(), 9), facing=np.full(9, 1.6, np.float32))
    motion = seen(figure, away)
    assert facing_as_pictured(motion, rest) is motion


def narrowed(share: float, nose: float) -> Joints:
    """The doll with shoulders and hips `share` as far apart, nose aside, arms out."""
    joints = faced(nose)
    for joint in (s.RIGHT_SHOULDER, s.LEFT_SHOULDER, s.RIGHT_HIP, s.LEFT_HIP):
        x, y = STANDING[joint]
        joints[joint] = (128 + share * (x - 128), y)
    for side, shoulder, elbow, wrist in (
        (-1, s.RIGHT_SHOULDER, s.RIGHT_ELBOW, s.RIGHT_WRIST),
        (1, s.LEFT_SHOULDER, s.LEFT_ELBOW, s.LEFT_WRIST),
    ):
        x, y = joints[shoulder]
        joints[elbow], joints[wrist] = (x + 45 * side, y), (x + 90 * side, y)
    return joints


def width(figure: Figure, frame: int, row: int) -> int:
    """Pixels of the figure in a row, in the run through its middle column."""
    canvas = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    figure.draw(canvas, frame)
    covered = canvas[row, :, 3] > 127
    left = int(np.flatnonzero(~covered[:128]).max())
    right = 128 + int(np.flatnonzero(~covered[128:]).min())
    return right - left - 1


def turning(share: float, nose: float) -> tuple[Figure, TrunkTurn]:
    """A doll from the front, first as it is and then turned for nine frames."""
    still, turned = narrowed(1, 0), narrowed(share, nose)
    figure = built(replace(doll(), pose=pose(faced(0))), *[still] * 9, *[turned] * 9)
    [turn] = [turn for turn in figure.turns if isinstance(turn, TrunkTurn)]
    return figure, turn


@pytest.mark.parametrize("nose", [-14.0, 14.0])
def test_the_front_of_a_trunk_goes_the_way_it_turns(nose: float) -> None:
    figure, turn = turning(0.6, nose)
    moved = turn.offsets(14)[:, 0] * np.sign(nose)
    rest = figure.puppet.skinned.rest
    middle = rest.start[[Bone.CHEST, Bone.PELVIS]].mean(axis=0)
    own = figure.puppet.skinned.mesh.nodes[turn.nodes]
    assert moved[np.linalg.norm(own - middle, axis=1).argmin()] > 6
    # an ellipse, of which .6 of the longer axis shows
    assert 0.78 < width(figure, 14, 160) / width(figure, 0, 160) < 0.92


def test_a_trunk_from_the_side_is_as_wide_as_it_is_deep() -> None:
    figure, _ = turning(0.02, 14.0)
    assert 0.6 < width(figure, 16, 160) / width(figure, 0, 160) < 0.75


@pytest.mark.parametrize("share", [0.6, 0.02])
def test_a_trunk_that_turns_folds_nowhere(share: float) -> None:
    figure, turn = turning(share, 14.0)
    mesh = figure.puppet.skinned.mesh
    moved = mesh.nodes.copy()
    moved[turn.nodes] += turn.offsets(16)
    trunk = np.zeros(len(moved), bool)
    trunk[turn.nodes[turn.share.sum(axis=1) > 0.9]] = True
    inside = trunk[mesh.triangles].all(axis=1)
    assert inside.sum() > 300
    assert (turned_areas(figure, moved)[inside] > 0).all()


def test_a_trunk_pictured_from_the_side_is_not_turned() -> None:
    still = replace(doll(), pose=pose(narrowed(0.02, 14.0)))
    figure = built(still, *[narrowed(1, 0)] * 9)
    assert not any(isinstance(turn, TrunkTurn) for turn in figure.turns)


def test_a_trunk_that_does_not_turn_stays_as_it_is() -> None:
    figure = built(replace(doll(), pose=pose(faced(0))), *[faced(0)] * 9)
    [turn] = [turn for turn in figure.turns if isinstance(turn, TrunkTurn)]
    assert np.abs(turn.offsets(4)).max() < 0.1


@pytest.mark.blazepose
def test_a_cut_edge_stays_out_of_a_frame_that_is_larger_than_the_picture(
    blazepose_models: Path,
) -> None:
    figure = Character.from_seed(11)
    (standing,) = pose_figure(at_rest(), figure.proportions)
    whole = draw(figure, standing, CameraShot(backdrop=11), SIZE)
    still = seen(figure, at_rest())
    cut = int(still.points[0, [s.RIGHT_KNEE, s.LEFT_KNEE], 1].max()) + 8
    picture = whole.picture.copy()
    picture[cut:] = picture[cut - 1]
    alpha = np.zeros(SIZE[::-1], np.uint8)
    alpha[:cut] = 255
    still.scores[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE]] = 0
    raised = replace(still, points=still.points - np.float32([0, 40]))
    request = RenderRequest(
        picture, alpha, still, raised, None, 1, size=SIZE, preset=Preset("cutout"),
        weights={"blazepose": blazepose_models}, device="cpu", alpha=True,
    )  # fmt: skip
    [frame] = drawn(request)
    assert (frame[-1, :, 3] > 127).sum() > 10


def test_a_shoulder_that_goes_up_with_its_arm_turns_no_trunk() -> None:
    figure = Character.from_seed(2)
    up = np.array([[[-0.3, 0.95, 0], [0.35, -0.94, 0]]], np.float32)
    raised = replace(at_rest(), upper_arms=up, forearms=up)
    still = seen(figure, at_rest())
    rest = rest_pose(still.points[0], still.visible[0])
    [chest] = bone_transforms(seen(figure, raised), rest).angle[:, Bone.CHEST]
    assert abs(np.degrees(chest)) < 2  # 4.7 where the line of the shoulders turns it


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("span", [(0, 0), (0, 200), (200, 0), (200, 200)])
def test_keypoints_that_lie_anyhow_have_a_size_a_yaw_and_an_order(
    span: tuple[int, int],
) -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        shown, motion = pose(STANDING), pose(*[STANDING] * 5)
        for each in (shown, motion):
            each.points[:] = 300 + span * rng.normal(0, 1, each.points.shape)
            each.scores[:] = rng.random(each.scores.shape) < 0.7
            each.scores[:, [s.RIGHT_SHOULDER, s.LEFT_SHOULDER]] = 1
        rest = rest_pose(shown.points[0], shown.visible[0])
        turned = facing_as_pictured(motion, rest)
        movement = bone_transforms(turned, rest)
        yaw = trunk_yaw(movement, turned.visible, rest)
        assert len(draw_orders(movement, rest, yaw)) == 5
        for found in (movement.size, movement.place, movement.angle, yaw.frames, yaw.rest):
            assert np.isfinite(found).all()
