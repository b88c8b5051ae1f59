"""How a mesh hangs on its bones follows from the figure, and from nothing else."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, doll, pose

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.layers import Layer, Layers
from animcli.rendering.cutout.mesh import Mesh, build_mesh
from animcli.rendering.cutout.motion import (
    BoneTransforms,
    bone_transforms,
    kept_inside,
    rotation,
)
from animcli.rendering.cutout.rig import Bone, rest_pose
from animcli.rendering.cutout.skinning import SkinnedMesh, bind

SPACING = 4


def doll_mesh() -> Mesh:
    """The doll as a single sheet."""
    shown = doll()
    alpha = (shown.alpha / 255).astype(np.float32)
    return build_mesh(Layers((Layer(alpha, shown.picture, tuple(Bone)),), (), ()), SPACING)


def bound(mesh: Mesh) -> SkinnedMesh:
    standing = doll(STANDING).pose
    rest = rest_pose(standing.points[0], standing.visible[0])
    return bind(mesh, rest, [tuple(Bone)], SPACING)


def test_weights_do_not_hang_on_the_order_of_the_nodes() -> None:
    mesh = doll_mesh()
    order = np.random.default_rng(0).permutation(len(mesh.nodes))
    place = np.argsort(order)
    shuffled = Mesh(
        mesh.nodes[order],
        place[mesh.triangles],
        mesh.layer,
        place[mesh.edges],
        mesh.conductance,
    )
    # float64 sums in another order
    np.testing.assert_allclose(
        bound(shuffled).weights, bound(mesh).weights[order], atol=1e-9
    )


def test_a_spine_bends_all_along() -> None:
    mesh = doll_mesh()
    skinned = bound(mesh)
    middle = np.abs(mesh.nodes[:, 0] - 128) < SPACING
    down = (mesh.nodes[:, 1] > 104) & (mesh.nodes[:, 1] < 190)
    spine = np.flatnonzero(middle & down)
    spine = spine[mesh.nodes[spine, 1].argsort()]
    pelvis = skinned.weights[spine, Bone.PELVIS]
    assert pelvis[0] < 0.1
    assert pelvis[-1] > 0.9
    assert np.diff(pelvis).min() > -0.01
    assert np.diff(pelvis).max() < 0.1  # by heat alone .3 between neighbours


@pytest.mark.parametrize("drop", [-14.0, 14.0])
def test_a_chest_turns_with_shoulders_that_drop_on_one_side(drop: float) -> None:
    dropped = dict(STANDING)
    for joint, sign in ((s.RIGHT_SHOULDER, -1), (s.LEFT_SHOULDER, 1)):
        x, y = STANDING[joint]
        dropped[joint] = (x, y + sign * drop)
    standing, motion = doll().pose, pose(dropped)
    rest = rest_pose(standing.points[0], standing.visible[0])
    transforms = bone_transforms(motion, rest)
    chest = np.degrees(transforms.angle[0, Bone.CHEST]) * np.sign(drop)
    assert 12 < chest < 28  # the line itself, by 27
    assert abs(np.degrees(transforms.angle[0, Bone.PELVIS])) < 1
    # and its corners are where the shoulders are, to a few pixels
    for joint in (s.RIGHT_SHOULDER, s.LEFT_SHOULDER):
        own = rest.keypoints[joint] - rest.start[Bone.CHEST]
        shape = rotation(transforms.angle[0, Bone.CHEST]) @ transforms.shape[0, Bone.CHEST]
        at = transforms.place[0, Bone.CHEST] + shape @ own
        assert np.linalg.norm(at - dropped[joint]) < 4


def beside_the_edge(*right: float) -> tuple[BoneTransforms, PoseSequence]:
    """The doll, led `right` px out of its place, one after the other."""
    moved = [{j: (x + by, y) for j, (x, y) in STANDING.items()} for by in right]
    motion = pose(*moved)
    standing = doll().pose
    rest = rest_pose(standing.points[0], standing.visible[0])
    transforms = bone_transforms(motion, rest)
    return kept_inside(transforms, motion.visible, rest, 256), motion


@pytest.mark.parametrize("side", [-1, 1])
def test_a_figure_whose_trunk_the_motion_shows_does_not_dance_out_of_the_frame(
    side: int,
) -> None:
    kept, _ = beside_the_edge(0, side * 60, side * 120)
    shoulders = kept.keypoints[:, [s.RIGHT_SHOULDER, s.LEFT_SHOULDER], 0]
    assert shoulders.min() > 10
    assert shoulders.max() < 246
    np.testing.assert_allclose(np.diff(kept.place[:, 0, 0]), side * 60, atol=1e-6)


def test_a_figure_that_stays_in_the_frame_is_where_its_motion_is() -> None:
    kept, motion = beside_the_edge(0, 40, -50)
    trunk = [s.RIGHT_SHOULDER, s.LEFT_SHOULDER, s.RIGHT_HIP, s.LEFT_HIP]
    np.testing.assert_array_equal(kept.keypoints[:, trunk], motion.points[:, trunk])


def test_a_figure_may_walk_out_of_the_frame() -> None:
    kept, motion = beside_the_edge(0, 200, 400)
    trunk = [s.RIGHT_SHOULDER, s.LEFT_SHOULDER, s.RIGHT_HIP, s.LEFT_HIP]
    np.testing.assert_array_equal(kept.keypoints[:, trunk], motion.points[:, trunk])
