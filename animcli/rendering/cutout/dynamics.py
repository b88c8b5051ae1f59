"""Dynamics: what moves by itself when the bones move, and turns in depth.

Hair, skirts and loose sleeves lag behind the bones that carry them and swing: each node of
the mesh that lies off the body hangs on a damped spring from where its bones would put it.
The springs start at rest with the first frame of the motion and only look back, so that a
frame is the same whichever range is asked for, and a shorter motion the start of a longer.

A head that turns or nods shows another part of itself. It is taken for half a round thing
with the picture on it: what is near shifts the way it turns, the far half is pressed
together, and its outline, hair and all, stays.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.head_pose import MOST_YAW, head_pose
from animcli.rendering.cutout.motion import BoneTransforms, smoothed
from animcli.rendering.cutout.rig import HEAD_KEYPOINTS, Bone
from animcli.rendering.cutout.segmentation import body_distance
from animcli.rendering.cutout.skinning import SkinnedMesh

_OFF: Final = 0.22  # trunk lengths off the body at which cloth or hair hangs freely
_FALL: Final = 0.5  # trunk lengths below head or hips, likewise
_CHEEK: Final = 0.22  # trunk lengths: half the width of a head whose ears aren't found
_HERTZ: Final = 1.7  # of a swing: hair or a skirt half a metre long
_DAMPING: Final = 0.32  # share of what would stop it without swinging
_MOST: Final = 0.12  # trunk lengths that anything lags at most
_STEPS: Final = 4  # of the springs in each frame

_PITCH: Final = np.radians(12)  # either way; beyond, a forehead would have to be invented
_FRONT: Final = 0.5  # cosine of the yaw from which on a picture shows a head from the side
_TALL: Final = 1.3  # times as high as wide
_WIDE: Final = 1.15  # half widths of a head for half the distance of its ears
_HEAD_NODE: Final = 0.2  # share of the head's bone from which on a node is of the head
_TURN_FRAMES: Final = 1.5  # sigma; noses are found to within a few degrees


@dataclass(frozen=True, eq=False)
class Sway:
    """The lag of the nodes that hang loose.

    nodes: `(k,)`, which they are. offsets: `(frames, k, 2)` float32 px, beside where the
    bones put them.
    """

    nodes: NDArray[np.intp]
    offsets: NDArray[np.float32]


def sway(
    skinned: SkinnedMesh, transforms: BoneTransforms, rate: float, strength: float
) -> Sway:
    """Let loose nodes swing through a motion of `rate` frames a second."""
    loose = _looseness(skinned) * strength
    nodes = np.flatnonzero(loose > 0.02)
    frames = len(transforms.size)
    offsets = np.zeros((frames, len(nodes), 2), np.float32)
    if len(nodes) == 0:
        return Sway(nodes, offsets)
    loose = loose[nodes, None]
    stiff = (2 * np.pi * _HERTZ) ** 2
    drag = 2 * _DAMPING * 2 * np.pi * _HERTZ
    step = 1 / (rate * _STEPS)
    target = place = skinned.bend(transforms, 0, nodes)
    speed = np.zeros_like(place)
    for frame in range(1, frames):
        last, target = target, skinned.bend(transforms, frame, nodes)
        for part in range(1, _STEPS + 1):
            pull = last + (target - last) * (part / _STEPS) - place
            speed = speed + step * (stiff * pull - drag * speed)
            place = place + step * speed
        lag = loose * (place - target)
        most = _MOST * skinned.rest.trunk * float(transforms.size[frame])
        long = np.linalg.norm(lag, axis=1, keepdims=True)
        offsets[frame] = lag * most / (long + most)
    return Sway(nodes, offsets)


def _looseness(skinned: SkinnedMesh) -> NDArray[np.float64]:
    """`(n,)` in 0..1: how freely each node hangs."""
    rest, nodes, weights = skinned.rest, skinned.mesh.nodes, skinned.weights
    columns, rows = np.rint(nodes).astype(np.intp).T.clip(0)
    away = body_distance(rest, (int(columns.max()) + 1, int(rows.max()) + 1))
    off = np.clip(away[rows, columns] / _OFF, 0, 1)
    trunk = max(rest.trunk, 1.0)
    head = weights[:, Bone.HEAD] + weights[:, Bone.CHEST]
    eyes = rest.start[Bone.HEAD] + 0.6 * (rest.end[Bone.HEAD] - rest.start[Bone.HEAD])
    hair = head * np.clip((nodes[:, 1] - eyes[1]) / (_FALL * trunk) + 0.2, 0, 1)
    ears = rest.keypoints[[keypoint.RIGHT_EAR, keypoint.LEFT_EAR]]
    half = _WIDE * float(np.linalg.norm(ears[1] - ears[0])) / 2
    cheek = max(half, _CHEEK * trunk) * 1.3
    # a face keeps its shape, however large its cheeks are drawn
    hair *= np.clip(np.linalg.norm(nodes - eyes, axis=1) / cheek - 1, 0, 0.5) * 2
    legs = weights[:, Bone.RIGHT_THIGH :].sum(axis=1) + weights[:, Bone.PELVIS]
    hips = rest.start[Bone.PELVIS][1]
    skirt = legs * np.clip((nodes[:, 1] - hips) / (_FALL * trunk), 0, 1)
    arms = weights[:, Bone.RIGHT_UPPER_ARM : Bone.LEFT_HAND + 1].sum(axis=1)
    return np.asarray(off * (hair + skirt + 0.5 * arms))


@dataclass(frozen=True, eq=False)
class HeadTurn:
    """A head as half a paraboloid, and how it turns.

    nodes: `(k,)`, those of the head. share: `(k, 1)`, how far each goes along.
    across, down: `(k,)`, where they are on it, -1..1 within its outline.
    near: `(k,)`, how far they come forward, 0..1.
    axes: `(2, 2)` px, its half width and half height as vectors in the picture.
    yaw, pitch: `(frames,)` radians beyond the picture's; positive to the screen's right
        and down.
    """

    nodes: NDArray[np.intp]
    share: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    near: NDArray[np.float64]
    axes: NDArray[np.float64]
    _: KW_ONLY
    yaw: NDArray[np.float64]
    pitch: NDArray[np.float64]

    def offsets(self, frame: int) -> NDArray[np.float64]:
        """`(k, 2)` px in the picture by which the nodes have shifted."""
        yaw, pitch = float(self.yaw[frame]), float(self.pitch[frame])
        right = np.sin(yaw) * self.near + (np.cos(yaw) - 1) * self.across * self.near
        below = np.sin(pitch) * self.near + (np.cos(pitch) - 1) * self.down * self.near
        shift = right[:, None] * self.axes[0] + below[:, None] * self.axes[1]
        return np.asarray(self.share * shift)


def turn_head(
    skinned: SkinnedMesh, transforms: BoneTransforms, visible: NDArray[np.bool_]
) -> HeadTurn | None:
    """The head's turn in depth, or None for a face that the picture doesn't show well.

    visible: `(frames, 134)`, the keypoints that the motion shows; while it doesn't show
    nose and eyes, the head stays as it is in the picture.
    """
    rest = skinned.rest
    needed = list(HEAD_KEYPOINTS)
    own = head_pose(rest.keypoints[None], rest.visible)
    now = head_pose(transforms.keypoints, rest.visible)
    if own is None or now is None or not rest.visible[needed].all():
        return None
    half = _WIDE * float(own.scale[0])
    if half < 0.1 * rest.trunk or np.cos(own.yaw[0]) < _FRONT:
        return None
    now = now.seen_from(own)
    right = np.array([np.cos(own.roll[0]), np.sin(own.roll[0])])
    axes = np.stack([right, np.array([-right[1], right[0]])])
    yaw, pitch = now.yaw - own.yaw, now.pitch - own.pitch
    known = visible[:, needed].all(axis=1)
    yaw, pitch = (np.where(known, turn, 0.0) for turn in (yaw, pitch))
    nodes = np.flatnonzero(skinned.weights[:, Bone.HEAD] > _HEAD_NODE)
    place = (skinned.mesh.nodes[nodes] - own.middle[0]) @ axes.T / (half, _TALL * half)
    # not an ellipsoid, whose sides are so steep that the outline would fold over
    near = np.clip(1 - (place**2).sum(axis=1), 0, 1)
    return HeadTurn(
        nodes=nodes,
        share=np.clip(skinned.weights[nodes, Bone.HEAD], 0, 1)[:, None],
        across=place[:, 0],
        down=place[:, 1],
        near=near,
        axes=axes * half,
        yaw=np.clip(smoothed(yaw, _TURN_FRAMES), -MOST_YAW, MOST_YAW),
        pitch=np.clip(smoothed(pitch, _TURN_FRAMES), -_PITCH, _PITCH),
    )
