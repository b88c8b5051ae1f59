"""The parts of the cutout renderer: matte, fill, mesh, skin, depth, movement."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import SIZE, STANDING, Joints, doll, pose, turned, unseen

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.draw_order import DrawGroup, draw_orders
from animcli.rendering.cutout.inpaint import inpaint_rows, push_pull
from animcli.rendering.cutout.layers import occluded_body, split_layers
from animcli.rendering.cutout.matting import Matte, estimate_matte, matte_from_alpha
from animcli.rendering.cutout.mesh import build_mesh, rasterise
from animcli.rendering.cutout.motion import bone_transforms
from animcli.rendering.cutout.puppet import build_puppet
from animcli.rendering.cutout.rig import Bone, RestPose, rest_pose
from animcli.rendering.cutout.skinning import SkinnedMesh, bind
from animcli.rendering.cutout.yaw import trunk_yaw


def standing() -> RestPose:
    shown = pose(STANDING)
    return rest_pose(shown.points[0], shown.visible[0])


def skin() -> SkinnedMesh:
    shown = doll()
    matte = matte_from_alpha(shown.picture, shown.alpha)
    parts = split_layers(shown.picture, matte, standing(), 4)
    mesh = build_mesh(parts, 4)
    return bind(mesh, standing(), [sheet.bones for sheet in parts.layers], 4)


def test_filling_leaves_what_is_known() -> None:
    picture = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    known = np.ones((40, 50), bool)
    known[10:30, 20:35] = False
    np.testing.assert_array_equal(push_pull(picture, known)[known], picture[known])


def test_filling_carries_a_gradient_across_a_hole() -> None:
    down, across = np.mgrid[:60, :80].astype(np.float32)
    picture = np.stack([down, across, down + across], axis=-1)
    known = np.ones((60, 80), bool)
    known[20:40, 25:50] = False
    # of a hole 25 px wide: a tenth of the difference between its sides
    np.testing.assert_allclose(push_pull(picture, known), picture, atol=2.5)


def test_nothing_known_fills_with_nothing() -> None:
    picture = np.full((9, 7, 3), 5, np.float32)
    np.testing.assert_array_equal(push_pull(picture, np.zeros((9, 7), bool)), 0 * picture)


def test_a_hem_goes_on_across_a_hole() -> None:
    cloth, skin = (60, 90, 180), (220, 170, 140)
    picture = np.empty((40, 60, 3), np.float32)
    picture[:20], picture[20:] = cloth, skin
    hole = np.zeros((40, 60), bool)
    hole[10:30, 20:45] = True
    dark = np.where(hole[..., None], 0, picture).astype(np.float32)
    filled = inpaint_rows(dark, ~hole, hole, reach=30)
    # weighted means of equal colours, in float32; over three rows, they mix at the hem
    for rows in (np.s_[:19], np.s_[21:]):
        np.testing.assert_allclose(filled[rows], picture[rows], atol=1e-3)


def test_what_is_carried_into_a_hole_meets_the_shade_below_it() -> None:
    light, shaded = 200, 170
    picture = np.full((40, 60, 3), shaded, np.float32)
    picture[:30, 40:] = light
    hole = np.zeros((40, 60), bool)
    hole[:30, 10:40] = True
    known = np.zeros((40, 60), bool)
    known[:30, 40:], known[30:] = True, True
    filled = inpaint_rows(np.where(hole[..., None], 0, picture), known, hole, reach=30)
    # the known side alone would make it 200; the membrane from the border mixes the rest
    np.testing.assert_allclose(filled[29, 10:38], np.full((28, 3), shaded), atol=5)


def test_what_lies_too_far_from_any_edge_is_left() -> None:
    picture = np.full((50, 50, 3), 7, np.float32)
    known = np.zeros((50, 50), bool)
    known[:5] = True
    picture[:5] = 100
    filled = inpaint_rows(picture, known, ~known, reach=10)
    # a weighted mean of equal colours, in float32
    np.testing.assert_allclose(filled[:15], np.full((15, 50, 3), 100), rtol=1e-6)
    np.testing.assert_array_equal(filled[15:], np.full((35, 50, 3), 7))


def test_a_fill_meets_a_shade_that_grows_deep_along_its_edge() -> None:
    # a leg, dark at its left, of which a hand hides the upper left corner
    light = np.linspace(140, 240, 60, dtype=np.float32)
    picture = np.broadcast_to(light[None, :, None], (60, 60, 3))
    known = np.ones((60, 60), bool)
    known[:30, :50] = False
    filled = inpaint_rows(picture, known, ~known, reach=60)
    # in the last row above the edge; 38 levels off where deep shades count as cloth
    assert np.abs(filled[29] - picture[29]).max() < 10


@pytest.mark.parametrize("over", [0, 14], ids=["beside", "over"])
def test_a_body_ends_at_its_outline_by_an_arm(over: int) -> None:
    rest = standing()
    middle = round(rest.start[Bone.CHEST][0])
    top, bottom = round(rest.start[Bone.CHEST][1]), round(rest.start[Bone.PELVIS][1])
    rows = np.s_[top + 20 : bottom - 10]
    # 40 px to either side, of which the arm hides `over` on one
    body, arm = np.zeros((SIZE[1], SIZE[0]), bool), np.zeros((SIZE[1], SIZE[0]), bool)
    body[:, middle - 40 : middle + 41] = True
    arm[rows, middle + 41 - over : middle + 60] = True
    own = body & ~arm
    behind = occluded_body(own, arm, np.zeros_like(own), rest)
    last = np.flatnonzero((own | behind)[(top + bottom) // 2]).max()
    # a pixel further, so that sampling at the outline meets no gap
    assert 0 <= last - (middle + 40) <= 1


def test_an_arm_along_a_trunk_from_the_side_leaves_it_in_one_piece() -> None:
    rest = standing()
    neck, hips = rest.start[Bone.CHEST], rest.start[Bone.PELVIS]
    figure = np.zeros(SIZE[::-1], bool)
    x, top, bottom = round(neck[0]), round(neck[1]), round(hips[1])
    figure[top - 40 : bottom + 80, x - 22 : x + 23] = True
    arm = np.zeros_like(figure)
    arm[top + 15 : bottom - 10, x - 22 : x + 23] = True  # all that there is of it
    behind = occluded_body(figure & ~arm, arm, np.zeros_like(figure), rest)
    assert behind[top + 15 : bottom - 10, x].all()
    assert (behind.sum(axis=1)[top + 20 : bottom - 15] > 0.25 * rest.trunk).all()


def disc(blur: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A red disc before a blue ground, and how much of each pixel it covers."""
    down, across = np.mgrid[:200, :200]
    away = np.hypot(down - 100, across - 100)
    share = np.clip((60 - away) / (2 * blur) + 0.5, 0, 1).astype(np.float32)[..., None]
    picture = share * (200, 40, 30) + (1 - share) * (40, 60, 190)
    return np.rint(picture).astype(np.uint8), share[..., 0]


@pytest.mark.parametrize("off", [-4, 0, 4])
def test_the_matte_finds_the_edge_that_the_mask_misses_by_pixels(off: int) -> None:
    picture, share = disc(blur=1)
    down, across = np.mgrid[:200, :200]
    away = np.hypot(down - 100, across - 100)
    likely = np.clip((60 + off - away) / 10 + 0.5, 0, 1).astype(np.float32)
    matte = estimate_matte(picture, likely)
    # 8-bit colours that differ by 160 levels tell the share to within a hundredth; what is
    # drawn towards a smooth outline adds some
    np.testing.assert_allclose(matte.alpha, share, atol=0.12)


def test_before_another_ground_nothing_of_the_old_one_is_left() -> None:
    picture, share = disc(blur=1)
    matte = estimate_matte(picture, (share > 0.5).astype(np.float32))
    green = np.array([0, 200, 0])
    drawn = matte.alpha[..., None] * matte.colours + (1 - matte.alpha[..., None]) * green
    true = share[..., None] * (200, 40, 30) + (1 - share[..., None]) * green
    # the old blue, 190, would be 95 levels off in the middle of the edge
    assert np.abs(drawn - true)[..., 2].max() < 12


@given(st.integers(0, 2**32 - 1))
def test_neighbouring_triangles_share_out_the_pixels_between_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:5, :5]
    nodes = np.stack([across, down], axis=-1).reshape(-1, 2) * 8.0 + 4
    # up to 3 px each way keeps a lattice of 8 px from folding over
    nodes += random.uniform(-2, 2, nodes.shape).round(random.integers(0, 3))
    corner = (down[:-1, :-1] * 5 + across[:-1, :-1]).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 6], axis=1),
            np.stack([corner, corner + 6, corner + 5], axis=1),
        ]
    )
    count = np.zeros((48, 48), int)
    for face in faces:
        patch = rasterise(nodes[face][None], nodes[face][None], (48, 48))
        if patch is not None:
            rows, columns = np.nonzero(patch.source[..., 0] > -1000)
            count[rows + patch.top, columns + patch.left] += 1
    assert count.max() <= 1
    assert (count[9:33, 9:33] == 1).all()


def test_an_unmoved_mesh_looks_up_its_own_places() -> None:
    corners = np.array([[[2.0, 3], [20, 5], [9, 22]], [[20, 5], [9, 22], [25, 24]]])
    patch = rasterise(corners, corners, (40, 40))
    assert patch is not None
    rows, columns = np.nonzero(patch.source[..., 0] > -1000)
    own = np.stack([columns + patch.left, rows + patch.top], axis=1)
    # float32 at coordinates of some tens
    np.testing.assert_allclose(patch.source[rows, columns], own, atol=1e-4)


def test_what_lies_outside_of_the_frame_is_no_patch() -> None:
    corners = np.array([[[-20.0, -20], [-5, -20], [-5, -3]]])
    assert rasterise(corners, corners, (40, 40)) is None


def test_weights_are_shares() -> None:
    weights = skin().weights
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)


def test_each_bone_has_the_nodes_on_it_to_itself() -> None:
    bound = skin()
    for bone in (Bone.RIGHT_FOREARM, Bone.LEFT_SHIN, Bone.HEAD, Bone.CHEST):
        middle = (bound.rest.start[bone] + bound.rest.end[bone]) / 2
        nearest = np.linalg.norm(bound.mesh.nodes - middle, axis=1).argsort()[:4]
        assert (bound.weights[nearest, bone] > 0.8).any()


def test_at_rest_the_mesh_does_not_move() -> None:
    bound = skin()
    movement = bone_transforms(pose(STANDING), bound.rest)
    np.testing.assert_allclose(bound.bend(movement, 0), bound.mesh.nodes, atol=1e-6)


def test_a_figure_that_is_moved_turned_and_scaled_as_a_whole_keeps_its_shape() -> None:
    bound = skin()
    c, d = 1.3 * np.cos(0.7), 1.3 * np.sin(0.7)
    turn = np.array([[c, -d], [d, c]])
    whole: Joints = {
        j: tuple(turn @ np.array(place) + (30, -20)) for j, place in STANDING.items()
    }
    movement = bone_transforms(pose(whole), bound.rest)
    there = bound.mesh.nodes @ turn.T + (30, -20)
    # joints are float32, at some hundreds of pixels
    np.testing.assert_allclose(bound.bend(movement, 0), there, atol=1e-3)


def test_angles_go_on_past_half_a_turn() -> None:
    around = [
        turned(STANDING, s.RIGHT_SHOULDER, (s.RIGHT_ELBOW, s.RIGHT_WRIST), degrees)
        for degrees in range(0, 200, 20)
    ]
    angle = bone_transforms(pose(*around), standing()).angle[:, Bone.RIGHT_UPPER_ARM]
    np.testing.assert_allclose(angle, np.radians(range(0, 200, 20)), atol=1e-4)


def test_a_limb_towards_the_viewer_does_not_vanish() -> None:
    folded = {**STANDING, s.RIGHT_WRIST: STANDING[s.RIGHT_ELBOW]}
    motion = pose(STANDING, folded)
    shape = bone_transforms(motion, standing()).shape[1, Bone.RIGHT_FOREARM]
    assert np.linalg.svd(shape)[1].min() > 0.2


def test_a_gap_is_crossed_along_the_arc() -> None:
    arc = [
        turned(STANDING, s.LEFT_ELBOW, (s.LEFT_WRIST,), degrees)
        for degrees in (0, -30, -60)
    ]
    whole = bone_transforms(pose(*arc), standing())
    gap = bone_transforms(unseen(pose(*arc), 1, s.LEFT_WRIST), standing())
    np.testing.assert_allclose(
        gap.keypoints[1, s.LEFT_WRIST], whole.keypoints[1, s.LEFT_WRIST], atol=1e-3
    )


def orders(motion: PoseSequence, rest: RestPose) -> list[tuple[DrawGroup, ...]]:
    movement = bone_transforms(motion, rest)
    return draw_orders(movement, rest, trunk_yaw(movement, motion.visible, rest))


def test_the_lower_foot_is_in_front() -> None:
    stepping = {**STANDING, s.LEFT_ANKLE: (150, 352), s.LEFT_BIG_TOE: (154, 366)}
    rest = standing()
    [order] = orders(pose(stepping), rest)
    assert order.index(DrawGroup.LEFT_SHIN) > order.index(DrawGroup.RIGHT_THIGH)
    mirrored = {**STANDING, s.RIGHT_ANKLE: (106, 352), s.RIGHT_BIG_TOE: (102, 366)}
    [order] = orders(pose(mirrored), rest)
    assert order.index(DrawGroup.RIGHT_SHIN) > order.index(DrawGroup.LEFT_THIGH)


def test_noise_does_not_change_what_is_in_front() -> None:
    still = pose(*[STANDING] * 60)
    noise = np.random.default_rng(3).normal(0, 1.5, still.points.shape)
    noisy = replace(still, points=(still.points + noise).astype(np.float32))
    rest = standing()
    assert len(set(orders(noisy, rest))) == 1


def test_seen_from_the_side_the_far_arm_is_behind() -> None:
    aside = {
        **STANDING,
        s.NOSE: (150, 62),
        s.RIGHT_SHOULDER: (122, 102),
        s.LEFT_SHOULDER: (134, 102),
    }
    rest = standing()
    order = orders(pose(*[aside] * 9), rest)[4]
    # looking to the screen's right, the left arm is the far one
    assert order.index(DrawGroup.LEFT_UPPER_ARM) < order.index(DrawGroup.TRUNK)
    assert order.index(DrawGroup.RIGHT_UPPER_ARM) > order.index(DrawGroup.TRUNK)


def test_arms_of_a_figure_seen_from_behind_are_behind_its_trunk() -> None:
    swap = {joint: joint + 3 for joint in (2, 3, 4)} | {
        joint: joint - 3 for joint in (5, 6, 7)
    }
    back = {swap.get(joint, joint): place for joint, place in STANDING.items()}
    shown = pose(back)
    rest = rest_pose(shown.points[0], shown.visible[0])
    [order] = orders(shown, rest)
    arms = (DrawGroup.RIGHT_FOREARM, DrawGroup.LEFT_FOREARM)
    assert max(order.index(arm) for arm in arms) < order.index(DrawGroup.TRUNK)
    # a picture of the front has no back to lie behind
    [order] = orders(shown, standing())
    assert min(order.index(arm) for arm in arms) > order.index(DrawGroup.TRUNK)


def test_what_the_room_beside_a_picture_repeats_is_no_part_of_the_figure() -> None:
    whole = doll()
    cut = matte_from_alpha(whole.picture[:240], whole.alpha[:240])
    rows, columns = slice(20, 260), slice(0, SIZE[0])
    around = ((20, 50), (0, 0))
    padded = Matte(
        np.pad(cut.alpha, around, "edge"), np.pad(cut.colours, (*around, (0, 0)), "edge")
    )
    picture = np.pad(whole.picture[:240], (*around, (0, 0)), "edge")
    down = pose({joint: (x, y + 20) for joint, (x, y) in STANDING.items()})
    lower = rest_pose(down.points[0], down.visible[0])
    beside = build_puppet(picture, padded, lower, (rows, columns))
    alone = build_puppet(
        whole.picture[:240], cut, standing(), (slice(0, 240), slice(0, SIZE[0]))
    )
    np.testing.assert_array_equal(beside.skinned.mesh.nodes, alone.skinned.mesh.nodes)
    for one, other in zip(beside.textures, alone.textures, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_sheets_together_are_the_figure() -> None:
    shown = doll()
    matte = matte_from_alpha(shown.picture, shown.alpha)
    parts = split_layers(shown.picture, matte, standing(), 4)
    assert len(parts.layers) == 3
    covered = np.max([sheet.alpha for sheet in parts.layers], axis=0)
    # an arm's soft edge ends over what the body has three pixels further under it
    np.testing.assert_allclose(covered, matte.alpha, atol=0.03)
    assert matte.alpha.shape == SIZE[::-1]
