"""How a mesh hangs on its bones follows from the figure, and from nothing else."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, doll

from animcli.rendering.cutout.layers import Layer, Layers
from animcli.rendering.cutout.mesh import Mesh, build_mesh
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
