"""Turn a motion into what each bone of a cut-out figure does in each frame.

A bone turns, is shortened where it points towards or away from the viewer, and starts where
the bone before it ends. Everything that looks at more than one frame (gaps, the figure's
overall size, full turns) happens here, once for the whole motion, so that afterwards every
frame can be drawn by itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as joint
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.bones import HEAD_JOINTS, LIMBS, PARENTS, TIPS, Bone, Rest
from animcli.rendering.cutout.gaps import close_gaps

# How far a picture of a bone may be pressed or pulled along its length, as a share of its
# length at the figure's size in that frame. Below, a limb towards the viewer would vanish;
# above, it would look like rubber.
_LIMB_STRETCH: Final = (0.25, 1.35)
_TRUNK_STRETCH: Final = (0.5, 1.3)
_CHEST_WIDTH: Final = (0.45, 1.15)  # a chest seen from the side is half as wide
_HIP_WIDTH: Final = (0.6, 1.1)
_SHEAR: Final = 0.45  # of the width: shoulders that drop on one side, about 25 degrees
_HEAD_TURN: Final = np.radians(55)  # against the chest; necks go no further
_HAND_TURN: Final = np.radians(60)  # against its forearm
_FOOT_TURN: Final = np.radians(35)  # against its shin; the rest is a foot turning in depth
_TIP_FRAMES: Final = (
    3.0  # sigma; hands are found in some frames and not in their neighbours
)
_WRAP: Final = (
    1.25 * np.pi
)  # a joint may pass half a turn by this much before it flips over


@dataclass(frozen=True, eq=False)
class Movement:
    """What each bone does.

    A point p of it goes to place + rotation(angle) @ shape @ (p - start).

    place: `(frames, 15, 2)` px, where the bone starts.
    angle: `(frames, 15)` radians, clockwise on the screen, without jumps between frames.
    shape: `(frames, 15, 2, 2)`, what stretches or narrows it before it turns.
    joints: `(frames, 134, 2)` px, the joints it follows, with gaps closed.
    size: `(frames,)`, the figure's size as a share of its size in the picture.
    """

    place: NDArray[np.float64]
    angle: NDArray[np.float64]
    shape: NDArray[np.float64]
    joints: NDArray[np.float64]
    size: NDArray[np.float64]


def follow(motion: PoseSequence, rest: Rest) -> Movement:
    """What the bones of `rest` do to follow `motion`."""
    seen = motion.seen
    size, joints = close_gaps(motion.points.astype(np.float64), seen, rest)
    frames = len(joints)
    place = np.zeros((frames, len(Bone), 2))
    angle = np.zeros((frames, len(Bone)))
    shape = np.zeros((frames, len(Bone), 2, 2))
    for bone in Bone:
        parent = PARENTS[bone]
        if bone in (Bone.PELVIS, Bone.CHEST):
            place[:, bone], turn, shape[:, bone] = _trunk(bone, joints, size, rest)
        elif bone is Bone.HEAD:
            place[:, bone], turn = _head(joints, size, angle[:, parent], rest)
            shape[:, bone] = size[:, None, None] * np.eye(2)
        else:
            if bone in (Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM) or (
                bone in (Bone.RIGHT_THIGH, Bone.LEFT_THIGH)
            ):
                place[:, bone] = joints[:, LIMBS[bone][0]]
            else:
                place[:, bone] = _carried(rest, place, angle, shape, Bone(parent))
            if bone in LIMBS:
                turn, shape[:, bone] = _limb(bone, joints, size, rest)
            else:
                turn = angle[:, parent] + _tip(bone, joints, seen, angle[:, parent], rest)
                shape[:, bone] = size[:, None, None] * np.eye(2)
        if parent < 0:
            angle[:, bone] = np.unwrap(turn)
        else:
            angle[:, bone] = angle[:, parent] + _without_flips(turn - angle[:, parent])
    return Movement(place, angle, shape, joints, size)


def rotation(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(..., 2, 2)` matrices that turn by `angle` `(...)` radians, x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def _trunk(
    bone: Bone, joints: NDArray[np.float64], size: NDArray[np.float64], rest: Rest
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Place, turn and shape of the chest or the pelvis.

    Both turn with the spine. Their width follows the shoulders or hips: less of it shows
    when the figure turns aside, and it is mirrored when seen from behind.
    """
    if bone is Bone.CHEST:
        right, left, limits = joint.RIGHT_SHOULDER, joint.LEFT_SHOULDER, _CHEST_WIDTH
    else:
        right, left, limits = joint.RIGHT_HIP, joint.LEFT_HIP, _HIP_WIDTH
    middle = joints[:, [joint.RIGHT_HIP, joint.LEFT_HIP]].mean(axis=1)
    neck = joints[:, joint.NECK]
    spine = middle - neck
    own_spine = rest.start[Bone.PELVIS] - rest.start[Bone.CHEST]
    turn = _direction(spine) - _direction(own_spine)
    long = np.linalg.norm(spine, axis=1) / (np.linalg.norm(own_spine) * size)
    long = np.clip(long, *_TRUNK_STRETCH)

    down = own_spine / np.linalg.norm(own_spine)
    aside = np.array([-down[1], down[0]])
    across = joints[:, left] - joints[:, right]
    across = np.einsum("tij,tj->ti", rotation(-turn), across) / size[:, None]
    own = rest.joints[left] - rest.joints[right]
    own_wide = own @ aside
    if abs(own_wide) < 0.1 * rest.trunk:  # pictured from the side: no width to follow
        wide, shear = np.ones(len(joints)), np.zeros(len(joints))
    else:
        wide = across @ aside / own_wide
        wide = np.where(wide < 0, -1, 1) * np.clip(np.abs(wide), *limits)
        shear = np.clip((across @ down - long * (own @ down)) / own_wide, -_SHEAR, _SHEAR)
    shape = (
        np.einsum("t,i,j->tij", long, down, down)
        + np.einsum("t,i,j->tij", wide, aside, aside)
        + np.einsum("t,i,j->tij", shear, down, aside)
    ) * size[:, None, None]
    return (neck if bone is Bone.CHEST else middle), turn, shape


def _head(
    joints: NDArray[np.float64],
    size: NDArray[np.float64],
    chest: NDArray[np.float64],
    rest: Rest,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place and turn of the head: the best fit of the face, which keeps its shape.

    The neck counts a little in the turn, so that a face seen from the side or from behind,
    whose eyes lie in one place or the wrong way round, still stands upright.
    """
    face = [j for j in HEAD_JOINTS if rest.known[j]]
    if not face:
        return joints[:, joint.NECK].copy(), chest.copy()
    own_middle = rest.joints[face].mean(axis=0)
    middle = joints[:, face].mean(axis=1)
    own = rest.joints[[*face, joint.NECK]] - own_middle
    now = joints[:, [*face, joint.NECK]] - middle[:, None]
    weight = np.array([1.0] * len(face) + [0.3])
    straight = (weight * (own * now).sum(-1)).sum(-1)
    turned = (weight * (own[:, 0] * now[..., 1] - own[:, 1] * now[..., 0])).sum(-1)
    nod = _wrapped(np.arctan2(turned, straight) - chest)
    turn = chest + np.clip(nod, -_HEAD_TURN, _HEAD_TURN)
    offset = np.einsum("tij,j->ti", rotation(turn), rest.start[Bone.HEAD] - own_middle)
    return middle + size[:, None] * offset, turn


def _limb(
    bone: Bone, joints: NDArray[np.float64], size: NDArray[np.float64], rest: Rest
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn and shape of a bone between two joints."""
    near, far = LIMBS[bone]
    own = rest.end[bone] - rest.start[bone]
    now = joints[:, far] - joints[:, near]
    reach = max(float(np.linalg.norm(own)), 1e-3)
    long = np.clip(np.linalg.norm(now, axis=1) / (reach * size), *_LIMB_STRETCH)
    along = own / reach
    stretch = np.eye(2) + np.einsum("t,i,j->tij", long - 1, along, along)
    return _direction(now) - _direction(own), size[:, None, None] * stretch


def _tip(
    bone: Bone,
    joints: NDArray[np.float64],
    seen: NDArray[np.bool_],
    limb: NDArray[np.float64],
    rest: Rest,
) -> NDArray[np.float64]:
    """How far a hand or foot turns against its limb, and not where it isn't seen."""
    near, far = TIPS[bone]
    if not rest.known[far]:
        return np.zeros(len(joints))
    own = rest.end[bone] - rest.start[bone]
    bend = _wrapped(_direction(joints[:, far] - joints[:, near]) - _direction(own) - limb)
    most = _FOOT_TURN if bone in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) else _HAND_TURN
    bend = np.clip(bend, -most, most)
    reach = int(3 * _TIP_FRAMES)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _TIP_FRAMES) ** 2)
    there = (seen[:, near] & seen[:, far]).astype(np.float64)
    # straight counts as much as one frame does, so that a turn fades in and out
    total = np.convolve(there * bend, bell)[reach:-reach]
    weight = np.convolve(there, bell)[reach:-reach]
    return np.asarray(total / (weight + 1 - there))


def _carried(
    rest: Rest,
    place: NDArray[np.float64],
    angle: NDArray[np.float64],
    shape: NDArray[np.float64],
    bone: Bone,
) -> NDArray[np.float64]:
    """`(frames, 2)`: where the far end of `bone` goes."""
    reach = np.einsum("tij,j->ti", shape[:, bone], rest.end[bone] - rest.start[bone])
    turned = np.einsum("tij,tj->ti", rotation(angle[:, bone]), reach)
    return np.asarray(place[:, bone] + turned)


def _without_flips(bend: NDArray[np.float64]) -> NDArray[np.float64]:
    """`bend` `(frames,)` modulo a full turn, near zero and without jumps between frames."""
    smooth = _wrapped(bend)
    for frame in range(1, len(smooth)):
        last = smooth[frame - 1]
        following = last + _wrapped(bend[frame] - last)
        # a limb that has gone all the way round comes back the short way
        smooth[frame] = following if abs(following) < _WRAP else smooth[frame]
    return smooth


def _wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """`angle` in -pi .. pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _direction(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.arctan2(vector[..., 1], vector[..., 0]))
