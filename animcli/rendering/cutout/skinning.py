"""Skinning: bind a mesh to bones, and bend it.

Weights are found by letting heat flow from each bone through the figure (Baran and Popovic,
"Automatic rigging and animation of 3D characters", 2007): smooth, between 0 and 1, and an
arm beside the trunk does not drag it, as heat goes the way the figure goes.

Bending turns every node about a centre between the bones that move it (Le and Hodgins,
"Real-time skeletal skinning with optimized centers of rotation", 2016), which keeps the
thickness of an elbow or a knee that blending of matrices would pinch.

An elbow or a knee that is bent in the picture has more limb outside its bend than a
straight one has room for, and its tip is further from the joint than the limb is thick.
Weights by nearness change too fast there: the tip would stick out as a step. So they follow
the angle about the joint, and what opens is drawn in towards it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import dijkstra, laplacian
from scipy.sparse.linalg import splu

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.head_pose import head_pose
from animcli.rendering.cutout.mesh import Mesh
from animcli.rendering.cutout.motion import BoneTransforms, rotation
from animcli.rendering.cutout.rig import HEAD_KEYPOINTS, PARENTS, Bone, RestPose, distance

_BENT: Final = np.radians(30)  # below, a joint counts as straight and has no tip
_EASE: Final = 1.0  # radians past the bend, each way, over which the bones take turns
_LEAST: Final = 0.6  # cosine of half a bend: how pointed a bend's tip may be
_FACE: Final = (1.15, 1.5)  # half distances of the ears: half a face's width and height
_FACE_ENDS: Final = 1.3  # times that from its middle, where nothing more is of the head
_HAT: Final = (1.3, 1.7)  # times a face: within hair and hat, and beyond them
_BOWED: Final = np.radians(
    [8.0, 20.0]
)  # of pitch: a chin lies clear of the throat, or over it
_FAR: Final = (Bone.RIGHT_FOREARM, Bone.LEFT_FOREARM, Bone.RIGHT_SHIN, Bone.LEFT_SHIN)


@dataclass(frozen=True, eq=False)
class BentJoint:
    """An elbow or a knee that is bent in the picture.

    near, far: the bones that meet there. joint: `(2,)` px.
    bend: radians that the far bone turns on against the near one, clockwise on the screen.
    outward: `(2,)`, unit vector from the joint to the bend's tip.
    onward: `(2,)`, unit vector across it, from the near bone's side to the far one's.
    """

    near: Bone
    far: Bone
    keypoint: NDArray[np.float64]
    bend: float
    outward: NDArray[np.float64]
    onward: NDArray[np.float64]

    def share(
        self, nodes: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`weights` `(n, 15)` with what both bones move outside the bend shared by angle.

        nodes: `(n, 2)` px.
        """
        away = nodes - self.keypoint
        angle = np.arctan2(away @ self.onward, away @ self.outward)
        half = abs(self.bend) / 2
        outside = np.abs(angle) < np.pi / 2 + half
        part = np.clip(0.5 + 0.5 * angle / (half + _EASE), 0, 1)
        both = weights[:, self.near] + weights[:, self.far]
        shared = weights.copy()
        shared[outside, self.far] = (part * both)[outside]
        shared[outside, self.near] = ((1 - part) * both)[outside]
        return shared

    def mitre(
        self, weights: NDArray[np.float64], angle: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`(n, 2, 2)`: what draws each node in as far as the bend opens, as a mitre does.

        weights: `(n, 15)`. angle: `(15,)` radians that the bones turn. A bend that closes
        leaves all as it is.
        """
        now = self.bend + float(angle[self.far] - angle[self.near])
        by = min(_tip(now) / _tip(self.bend), 1.0) - 1
        part = 4 * by * weights[:, self.far] * weights[:, self.near]
        return np.asarray(
            np.eye(2) + part[:, None, None] * np.outer(self.outward, self.outward)
        )


def bent_joints(rest: RestPose) -> tuple[BentJoint, ...]:
    """The elbows and knees of `rest` that are clearly bent."""
    found = []
    for far in _FAR:
        near = Bone(PARENTS[far])
        if not rest.present[far]:
            continue
        one, other = _unit(rest, near), _unit(rest, far)
        bend = float(np.arctan2(one[0] * other[1] - one[1] * other[0], one @ other))
        if abs(bend) < _BENT:
            continue
        outward = (one - other) / np.linalg.norm(one - other)
        onward = np.array([-outward[1], outward[0]]) * np.sign(bend)
        found.append(BentJoint(near, far, rest.start[far], bend, outward, onward))
    return tuple(found)


def _tip(bend: float) -> float:
    """Distance of a bend's tip from the joint, in half thicknesses of the limb."""
    return float(1 / max(np.cos(bend / 2), _LEAST))


def _unit(rest: RestPose, bone: Bone) -> NDArray[np.float64]:
    own = rest.end[bone] - rest.start[bone]
    return np.asarray(own / max(float(np.linalg.norm(own)), 1e-6))


_EVEN: Final = 1e-6  # two ways are equally long if they differ by no more than this share
_PURE: Final = 1e-3  # below this product of two weights a node has one bone, and any centre


@dataclass(frozen=True, eq=False)
class SkinnedMesh:
    """A mesh bound to bones.

    weights: `(n, 15)`, how much each bone moves each node; rows sum to 1.
    centres: `(n, 2)` px, what each node turns about.
    bent_joints: the elbows and knees that are bent in the picture.
    """

    mesh: Mesh
    rest: RestPose
    weights: NDArray[np.float64]
    centres: NDArray[np.float64]
    bent_joints: tuple[BentJoint, ...]

    def bend(
        self,
        transforms: BoneTransforms,
        frame: int,
        only: NDArray[np.intp] | slice = slice(None),
        nodes: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """`(n, 2)` px: where the nodes are in `frame`, or `only` some of them.

        nodes: `(n, 2)` px, where they are before the bones move them, if elsewhere than in
        the picture.
        """
        own = (self.mesh.nodes if nodes is None else nodes)[only]
        weights, centres = self.weights[only], self.centres[only]
        turn = rotation(transforms.angle[frame])
        shape = transforms.shape[frame]
        whole = turn @ shape  # (15, 2, 2)
        shift = transforms.place[frame] - np.einsum("bij,bj->bi", whole, self.rest.start)
        count = len(weights)
        blended = (weights @ whole.reshape(-1, 4)).reshape(count, 2, 2)
        moved = np.einsum("nij,nj->ni", blended, centres) + weights @ shift
        turned = rotation(weights @ transforms.angle[frame])
        shaped = (weights @ shape.reshape(-1, 4)).reshape(count, 2, 2)
        for bent_joint in self.bent_joints:
            shaped = shaped @ bent_joint.mitre(weights, transforms.angle[frame])
        arm = np.einsum("nij,nj->ni", shaped, own - centres)
        return np.asarray(moved + np.einsum("nij,nj->ni", turned, arm))


def bind(
    mesh: Mesh, rest: RestPose, layer_bones: list[tuple[Bone, ...]], spacing: int
) -> SkinnedMesh:
    """Bind each layer of `mesh` to its bones; `spacing` px between nodes."""
    sown, bones = _seeds(mesh, rest, layer_bones, spacing)
    weights = _heat(mesh, sown, bones)
    bends = bent_joints(rest)
    weights = _along_spine(mesh, rest, weights)
    weights = _whole_head(mesh, rest, weights)
    for bent_joint in bends:
        weights = bent_joint.share(mesh.nodes, weights)
    return SkinnedMesh(mesh, rest, weights, _centres(mesh, rest, weights), bends)


def _along_spine(
    mesh: Mesh, rest: RestPose, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`weights` `(n, 15)` with what chest and pelvis move shared along the spine.

    A spine bends all along; by heat alone a trunk would fold in its middle.
    """
    neck, hips = rest.start[Bone.CHEST], rest.start[Bone.PELVIS]
    along = (mesh.nodes - neck) @ (hips - neck) / max(rest.trunk, 1e-3) ** 2
    part = np.clip(along, 0, 1)
    part = part * part * (3 - 2 * part)
    both = weights[:, Bone.CHEST] + weights[:, Bone.PELVIS]
    shared = weights.copy()
    shared[:, Bone.PELVIS], shared[:, Bone.CHEST] = part * both, (1 - part) * both
    return shared


def _whole_head(
    mesh: Mesh, rest: RestPose, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`weights` `(n, 15)` with a head that no arm beside it moves, and a bowed face that it
    moves as a whole.

    The chin of that lies over the throat, or below it: by heat alone it would stay with the
    chest.
    """
    own = head_pose(rest.keypoints[None], rest.visible)
    if own is None:
        return weights
    places = (mesh.nodes - own.middle[0]) @ rotation(own.roll[0]) / float(own.scale[0])
    away = np.linalg.norm(places / _FACE, axis=1)
    arms = [*range(Bone.RIGHT_UPPER_ARM, Bone.LEFT_HAND + 1)]
    beside = np.clip((_HAT[1] - away) / (_HAT[1] - _HAT[0]), 0, 1)
    part = np.clip((_FACE_ENDS - away) / (_FACE_ENDS - 1), 0, 1)
    part *= np.clip((own.pitch[0] - _BOWED[0]) / (_BOWED[1] - _BOWED[0]), 0, 1)
    part[places[:, 1] < 0] = 0  # above the ears all is head
    if not rest.visible[list(HEAD_KEYPOINTS)].all():
        part[:] = 0
    on_arm = np.unique(mesh.triangles[mesh.layer > 0])
    part[on_arm], beside[on_arm] = 0, 0
    shared = weights.copy()
    shared[:, arms] *= 1 - beside[:, None]
    shared[:, Bone.HEAD] += 1 - shared.sum(axis=1)
    part = np.maximum(part, shared[:, Bone.HEAD])
    others = np.maximum(1 - shared[:, Bone.HEAD], 1e-9)
    shared *= ((1 - part) / others)[:, None]
    shared[:, Bone.HEAD] = part
    return shared


def _axes(
    rest: RestPose, bone: Bone
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The lines that heat comes from: the bone, and across shoulders and hips."""
    start, end = rest.start[bone], rest.end[bone]
    lines = [(start, end)]
    if bone in (Bone.CHEST, Bone.PELVIS):
        across = (
            (keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER)
            if bone is Bone.CHEST
            else (keypoint.RIGHT_HIP, keypoint.LEFT_HIP)
        )
        lines += [(start, start + 0.7 * (rest.keypoints[side] - start)) for side in across]
    elif bone in (Bone.RIGHT_THIGH, Bone.LEFT_THIGH):
        lines = [(start + 0.25 * (end - start), end)]  # the hip joint is the pelvis's
    elif bone in (Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM):
        lines = [(start + 0.1 * (end - start), end)]
    return lines


def _seeds(
    mesh: Mesh, rest: RestPose, layer_bones: list[tuple[Bone, ...]], spacing: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The nodes that lie on bones, and which bone each lies on."""
    bone_of = np.full(len(mesh.nodes), -1, np.intp)
    nearest = np.full(len(mesh.nodes), np.inf)
    for layer, bones in enumerate(layer_bones):
        mine = np.unique(mesh.triangles[mesh.layer == layer])
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
    # specks of the figure, to which no way leads, go with the nearest node that has one
    for node in np.flatnonzero(~reached):
        gaps = np.linalg.norm(mesh.nodes[reached] - mesh.nodes[node], axis=1)
        near[node] = near[np.flatnonzero(reached)[gaps.argmin()]]
    distance = np.where(reached, distance, 1.0)

    flow = coo_array((mesh.conductance, (one, other)), (count, count)).tocsr()
    push_pull = csr_array(laplacian(flow + flow.T))
    given = near / np.maximum(distance, 0.5)[:, None] ** 2
    system = (push_pull + diags_array(given.sum(axis=1))).tocsc()
    weights = np.clip(splu(system).solve(given), 0, 1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _centres(
    mesh: Mesh, rest: RestPose, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
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
