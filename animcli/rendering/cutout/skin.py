"""Bind a mesh to bones, and bend it.

Weights are found by letting heat flow from each bone through the figure (Baran and Popovic,
"Automatic rigging and animation of 3D characters", 2007): smooth, between 0 and 1, and an
arm beside the trunk does not drag it, as heat goes the way the figure goes.

Bending turns every node about a centre between the bones that move it (Le and Hodgins,
"Real-time skeletal skinning with optimized centers of rotation", 2016), which keeps the
thickness of an elbow or a knee that blending of matrices would pinch. Those that are bent
in the picture have a way of their own.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import dijkstra, laplacian
from scipy.sparse.linalg import splu

from animcli.pose import keypoints as joint
from animcli.rendering.cutout.bones import PARENTS, Bone, Rest, distance
from animcli.rendering.cutout.hinges import Hinge, bent_hinges
from animcli.rendering.cutout.mesh import Mesh
from animcli.rendering.cutout.movement import Movement, rotation

_EVEN: Final = 1e-6  # two ways are equally long if they differ by no more than this share
_PURE: Final = 1e-3  # below this product of two weights a node has one bone, and any centre


@dataclass(frozen=True, eq=False)
class Skin:
    """A mesh bound to bones.

    weights: `(n, 15)`, how much each bone moves each node; rows sum to 1.
    centres: `(n, 2)` px, what each node turns about.
    hinges: the elbows and knees that are bent in the picture.
    """

    mesh: Mesh
    rest: Rest
    weights: NDArray[np.float64]
    centres: NDArray[np.float64]
    hinges: tuple[Hinge, ...]

    def bend(self, movement: Movement, frame: int) -> NDArray[np.float64]:
        """`(n, 2)` px: where the nodes are in `frame`."""
        turn = rotation(movement.angle[frame])
        shape = movement.shape[frame]
        whole = turn @ shape  # (15, 2, 2)
        shift = movement.place[frame] - np.einsum("bij,bj->bi", whole, self.rest.start)
        count = len(self.weights)
        blended = (self.weights @ whole.reshape(-1, 4)).reshape(count, 2, 2)
        moved = np.einsum("nij,nj->ni", blended, self.centres) + self.weights @ shift
        turned = rotation(self.weights @ movement.angle[frame])
        shaped = (self.weights @ shape.reshape(-1, 4)).reshape(count, 2, 2)
        for hinge in self.hinges:
            shaped = shaped @ hinge.draw_in(self.weights, movement.angle[frame])
        arm = np.einsum("nij,nj->ni", shaped, self.mesh.nodes - self.centres)
        return np.asarray(moved + np.einsum("nij,nj->ni", turned, arm))


def bind(mesh: Mesh, rest: Rest, sheet_bones: list[tuple[Bone, ...]], spacing: int) -> Skin:
    """Bind each sheet of `mesh` to its bones; `spacing` px between nodes."""
    sown, bones = _seeds(mesh, rest, sheet_bones, spacing)
    weights = _heat(mesh, sown, bones)
    hinges = bent_hinges(rest)
    for hinge in hinges:
        weights = hinge.share(mesh.nodes, weights)
    return Skin(mesh, rest, weights, _centres(mesh, rest, weights), hinges)


def _axes(rest: Rest, bone: Bone) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The lines that heat comes from: the bone, and across shoulders and hips."""
    start, end = rest.start[bone], rest.end[bone]
    lines = [(start, end)]
    if bone in (Bone.CHEST, Bone.PELVIS):
        across = (
            (joint.RIGHT_SHOULDER, joint.LEFT_SHOULDER)
            if bone is Bone.CHEST
            else (joint.RIGHT_HIP, joint.LEFT_HIP)
        )
        lines += [(start, start + 0.7 * (rest.joints[side] - start)) for side in across]
    elif bone in (Bone.RIGHT_THIGH, Bone.LEFT_THIGH):
        lines = [(start + 0.25 * (end - start), end)]  # the hip joint is the pelvis's
    elif bone in (Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM):
        lines = [(start + 0.1 * (end - start), end)]
    return lines


def _seeds(
    mesh: Mesh, rest: Rest, sheet_bones: list[tuple[Bone, ...]], spacing: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The nodes that lie on bones, and which bone each lies on."""
    bone_of = np.full(len(mesh.nodes), -1, np.intp)
    nearest = np.full(len(mesh.nodes), np.inf)
    for sheet, bones in enumerate(sheet_bones):
        mine = np.unique(mesh.triangles[mesh.sheet == sheet])
        if len(mine) == 0:
            continue
        places = mesh.nodes[mine]
        for bone in bones:
            for start, end in _axes(rest, bone):
                gap = distance(places, start, end)
                closer = (gap < 0.75 * spacing) & (gap < nearest[mine])
                bone_of[mine[closer]] = bone
                nearest[mine[closer]] = gap[closer]
    sown = np.flatnonzero(bone_of >= 0)
    return sown, bone_of[sown]


def _heat(
    mesh: Mesh, sown: NDArray[np.intp], bones: NDArray[np.intp]
) -> NDArray[np.float64]:
    """`(n, 15)`: the share of heat that each node has from each bone, in balance."""
    count = len(mesh.nodes)
    if len(sown) == 0:
        raise ValueError("no bone crosses the figure")
    one, other = mesh.edges.T
    way = coo_array((1 / mesh.conductance, (one, other)), (count, count)).tocsr()
    ways = np.full((count, len(Bone)), np.inf)
    for bone in np.unique(bones):
        ways[:, bone] = dijkstra(
            way, directed=False, indices=sown[bones == bone], min_only=True
        )
    distance = ways.min(axis=1)
    reached = np.isfinite(distance)
    # bones that are equally near all give heat, as in the source: of one of them alone,
    # which one would be the search's whim
    near = (ways <= distance[:, None] * (1 + _EVEN)) & reached[:, None]
    # crumbs of the figure, to which no way leads, go with the nearest node that has one
    for node in np.flatnonzero(~reached):
        gaps = np.linalg.norm(mesh.nodes[reached] - mesh.nodes[node], axis=1)
        near[node] = near[np.flatnonzero(reached)[gaps.argmin()]]
    distance = np.where(reached, distance, 1.0)

    flow = coo_array((mesh.conductance, (one, other)), (count, count)).tocsr()
    spread = csr_array(laplacian(flow + flow.T))
    given = near / np.maximum(distance, 0.5)[:, None] ** 2
    system = (spread + diags_array(given.sum(axis=1))).tocsc()
    weights = np.clip(splu(system).solve(given), 0, 1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _centres(mesh: Mesh, rest: Rest, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, 2)`: the joints between the bones of each node, as far as it hangs on both."""
    total = np.full((len(weights), 1), _PURE)
    centres = _PURE * mesh.nodes
    for bone in Bone:
        parent = PARENTS[bone]
        if parent < 0:
            continue
        # the trunk's two bones meet in its middle, all others where the second starts
        meeting = rest.end[bone] if bone is Bone.CHEST else rest.start[bone]
        shared = (weights[:, bone] * weights[:, parent])[:, None]
        centres = centres + shared * meeting
        total = total + shared
    return np.asarray(centres / total)
