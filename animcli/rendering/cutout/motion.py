"""Motion of a figure's bones in each frame.

A bone turns, is shortened where it points towards or away from the viewer, and starts where
the bone before it ends. Everything that looks at more than one frame (gaps, the figure's
overall size, full turns) happens here, once for the whole motion, so that
afterwards every frame can be drawn by itself.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import keypoints as keypoint
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.figure_size import figure_size
from animcli.rendering.cutout.head_pose import head_pose
from animcli.rendering.cutout.rig import (
    ANCHORS,
    LIMBS,
    MOVING_KEYPOINTS,
    PARENTS,
    TIPS,
    Bone,
    RestPose,
    wrapped,
)


def fill_gaps(
    points: NDArray[np.float64], visible: NDArray[np.bool_], rest: RestPose
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The figure's size in each frame, and its joints in all of them.

    A joint that isn't seen keeps its direction and distance from the one it hangs on,
    between those of the frames before and after; one that is never seen, those of the
    picture.
    """
    shoulders = [keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER]
    keypoints = points.copy()
    found = visible.copy()
    both = visible[:, keypoint.RIGHT_SHOULDER] & visible[:, keypoint.LEFT_SHOULDER]
    keypoints[:, keypoint.NECK] = np.where(
        both[:, None], points[:, shoulders].mean(axis=1), points[:, keypoint.NECK]
    )
    found[:, keypoint.NECK] |= both
    at = np.flatnonzero(found[:, keypoint.NECK])
    if len(at) == 0:
        raise InputError(
            "the motion shows nobody's shoulders in any frame",
            "choose a video in which the upper body is in the picture",
        )
    every = np.arange(len(points))
    for axis in range(2):
        keypoints[:, keypoint.NECK, axis] = np.interp(
            every, at, keypoints[at, keypoint.NECK, axis]
        )
    size = figure_size(keypoints, found, rest)
    for moved, anchor in ANCHORS.items():
        if moved not in MOVING_KEYPOINTS:
            continue
        offset = keypoints[:, moved] - keypoints[:, anchor]
        # from a joint that was seen itself: a guessed anchor would bend the bone
        at = np.flatnonzero(found[:, moved] & found[:, anchor])
        if len(at) == 0:
            kept = size[:, None] * (rest.keypoints[moved] - rest.keypoints[anchor])
        else:
            length = np.interp(every, at, np.linalg.norm(offset[at], axis=1))
            turn = np.unwrap(np.arctan2(offset[at, 1], offset[at, 0]))
            turn = np.interp(every, at, turn)
            kept = length[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        keypoints[:, moved] = np.where(
            found[:, moved, None], keypoints[:, moved], keypoints[:, anchor] + kept
        )
    return size, keypoints


# How far a picture of a bone may be pressed or pulled along its length, as a share of its
# length at the figure's size in that frame. Below, a limb towards the viewer would vanish;
# above, it would look like rubber.
_LIMB_STRETCH: Final = (0.25, 1.35)
_TRUNK_STRETCH: Final = (0.5, 1.3)
_SHOWN: Final = (
    0.45,
    1.15,
)  # of the width of shoulders or hips, for what follows its slope
_LEAN: Final = 0.7  # share of their drop on one side by which shoulders or hips turn
_TILT: Final = np.radians(28)  # and the most they do, against the spine
_NARROW: Final = 0.6  # of their width: below, a drop says little of how they are turned
_SHRUG: Final = 0.08  # trunk lengths that a shoulder goes up with its arm
_UPPER_ARM: Final = 0.55  # trunk lengths
_SHEAR: Final = 0.3  # of the width: what is left of a drop, as a shoulder blade lifts
_HEAD_SIZE: Final = (0.5, 1.25)  # times the figure's: limbs show that by their longest
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
class BoneTransforms:
    """Transform of each bone in each frame.

    A point p of it goes to place + rotation(angle) @ shape @ (p - start).

    place: `(frames, 15, 2)` px, where the bone starts.
    angle: `(frames, 15)` radians, clockwise on the screen, without jumps between frames.
    shape: `(frames, 15, 2, 2)`, what stretches or narrows it before it turns.
    keypoints: `(frames, 134, 2)` px, the joints it follows, with gaps closed.
    size: `(frames,)`, the figure's size as a share of its size in the picture.
    """

    place: NDArray[np.float64]
    angle: NDArray[np.float64]
    shape: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    size: NDArray[np.float64]

    def shifted(self, by: NDArray[np.float64]) -> "BoneTransforms":
        """The same, moved in each frame `by` `(frames, 2)` px."""
        return replace(
            self,
            place=self.place + by[:, None],
            keypoints=self.keypoints + by[:, None],
        )


def bone_transforms(motion: PoseSequence, rest: RestPose) -> BoneTransforms:
    """Transforms with which the bones of `rest` follow `motion`."""
    visible = motion.visible
    size, keypoints = fill_gaps(motion.points.astype(np.float64), visible, rest)
    frames = len(keypoints)
    place = np.zeros((frames, len(Bone), 2))
    angle = np.zeros((frames, len(Bone)))
    shape = np.zeros((frames, len(Bone), 2, 2))
    for bone in Bone:
        parent = PARENTS[bone]
        if bone in (Bone.PELVIS, Bone.CHEST):
            place[:, bone], turn, shape[:, bone] = _trunk(bone, keypoints, size, rest)
        elif bone is Bone.HEAD:
            place[:, bone], turn, large = _head(keypoints, size, angle[:, parent], rest)
            shape[:, bone] = large[:, None, None] * np.eye(2)
        else:
            if bone in (Bone.RIGHT_UPPER_ARM, Bone.LEFT_UPPER_ARM) or (
                bone in (Bone.RIGHT_THIGH, Bone.LEFT_THIGH)
            ):
                place[:, bone] = keypoints[:, LIMBS[bone][0]]
            else:
                place[:, bone] = _carried(rest, place, angle, shape, Bone(parent))
            if bone in LIMBS:
                turn, shape[:, bone] = _limb(bone, keypoints, size, rest)
            else:
                turn = angle[:, parent] + _tip(
                    bone, keypoints, visible, angle[:, parent], rest
                )
                shape[:, bone] = size[:, None, None] * np.eye(2)
        if parent < 0:
            angle[:, bone] = np.unwrap(turn)
        else:
            angle[:, bone] = angle[:, parent] + _without_flips(turn - angle[:, parent])
    return BoneTransforms(place, angle, shape, keypoints, size)


_TRUNK_JOINTS: Final = (
    keypoint.RIGHT_SHOULDER,
    keypoint.LEFT_SHOULDER,
    keypoint.RIGHT_HIP,
    keypoint.LEFT_HIP,
)
_ROOM: Final = 0.2  # trunk lengths between them and the frame's sides
_LEAVES: Final = 0.75  # trunk lengths past that room from which on it is meant to leave


def kept_inside(
    transforms: BoneTransforms, visible: NDArray[np.bool_], rest: RestPose, width: int
) -> BoneTransforms:
    """`transforms`, moved aside in all frames alike, so that shoulders and hips which the
    motion shows stay in a frame `width` px wide.

    A figure that stands near a side of its picture would else dance half out of it; one
    that goes far out does so on purpose, and may. visible: `(frames, 134)`.
    """
    seen = visible[:, _TRUNK_JOINTS]
    if not seen.any():
        return transforms
    across = transforms.keypoints[:, _TRUNK_JOINTS, 0][seen]
    own = rest.keypoints[_TRUNK_JOINTS, 0]
    room = _ROOM * rest.trunk
    over = max(float(across.max() - max(own.max(), width - room)), 0.0)
    under = max(float(min(own.min(), room) - across.min()), 0.0)
    if max(over, under) > _LEAVES * rest.trunk * float(transforms.size.max()):
        return transforms
    # one that is wider than the frame goes out by as much on both sides
    share = 0.5 if over and under else 1.0
    return transforms.shifted(np.array([share * (under - over), 0.0])[None])


def rotation(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(..., 2, 2)` matrices that turn by `angle` `(...)` radians, x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def _trunk(
    bone: Bone, keypoints: NDArray[np.float64], size: NDArray[np.float64], rest: RestPose
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Place, turn and shape of the chest or the pelvis.

    Both turn with the spine, and on with the line of the shoulders or hips. Their width is
    a matter of depth: `trunk.TrunkTurn`.
    """
    if bone is Bone.CHEST:
        right, left = keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER
    else:
        right, left = keypoint.RIGHT_HIP, keypoint.LEFT_HIP
    middle = keypoints[:, [keypoint.RIGHT_HIP, keypoint.LEFT_HIP]].mean(axis=1)
    neck = keypoints[:, keypoint.NECK]
    spine = middle - neck
    own_spine = rest.start[Bone.PELVIS] - rest.start[Bone.CHEST]
    turn = _direction(spine) - _direction(own_spine)
    own_long = max(float(np.linalg.norm(own_spine)), 1e-3)
    long = np.linalg.norm(spine, axis=1) / (own_long * size)
    long = np.clip(long, *_TRUNK_STRETCH)

    down = own_spine / own_long
    aside = np.array([-down[1], down[0]])
    across = keypoints[:, left] - keypoints[:, right]
    across = np.einsum("tij,tj->ti", rotation(-turn), across) / size[:, None]
    own = rest.keypoints[left] - rest.keypoints[right]
    own_wide = own @ aside
    if abs(own_wide) <= 0.1 * rest.trunk:  # pictured from the side: no width to follow
        wide, shear = np.ones(len(keypoints)), np.zeros(len(keypoints))
    else:
        wide = across @ aside / own_wide
        side, shown = np.where(wide < 0, -1, 1), np.abs(wide)
        drop = across @ down - long * (own @ down)
        if bone is Bone.CHEST:
            now = _raised(keypoints, spine, rest.trunk * size) / size
            still = _raised(rest.keypoints[None], own_spine[None], rest.trunk)
            # a shoulder that stays where it is though its arm is raised says nothing
            lift, sign = long * (still - now), np.sign(drop)
            drop = drop - sign * np.minimum(np.abs(drop), np.maximum(sign * lift, 0))
        drop = drop / own_wide
        tilt = -side * np.arctan2(_LEAN * drop, np.maximum(shown, _NARROW))
        tilt = np.clip(tilt, -_TILT, _TILT)
        turn = turn + tilt
        wide = side * np.clip(shown / np.cos(tilt), *_SHOWN)
        shear = np.clip(drop + wide * np.sin(tilt), -_SHEAR, _SHEAR)
    shape = (
        np.einsum("t,i,j->tij", long, down, down)
        + np.outer(aside, aside)
        + np.einsum("t,i,j->tij", shear / wide, down, aside)
    ) * size[:, None, None]
    return (neck if bone is Bone.CHEST else middle), turn, shape


def _raised(
    keypoints: NDArray[np.float64],
    spine: NDArray[np.float64],
    trunk: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """`(frames,)` px by which the left shoulder is higher up the spine than the right one
    because its arm is raised, which turns no trunk.
    """
    up = -spine / np.maximum(np.linalg.norm(spine, axis=1, keepdims=True), 1e-6)
    lifts = []
    for shoulder, elbow in (
        (keypoint.RIGHT_SHOULDER, keypoint.RIGHT_ELBOW),
        (keypoint.LEFT_SHOULDER, keypoint.LEFT_ELBOW),
    ):
        high = ((keypoints[:, elbow] - keypoints[:, shoulder]) * up).sum(axis=1)
        lifts.append(np.clip(high / (_UPPER_ARM * trunk), 0, 1))
    return np.asarray(_SHRUG * trunk * (lifts[1] - lifts[0]))


def _head(
    keypoints: NDArray[np.float64],
    size: NDArray[np.float64],
    chest: NDArray[np.float64],
    rest: RestPose,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Place, turn and size of the head, which keeps its shape.

    It nods and leans as it does in the motion, but keeps the heading that the picture
    shows, and its size against the figure's in all frames.
    """
    now, own = (
        head_pose(keypoints, rest.visible),
        head_pose(rest.keypoints[None], rest.visible),
    )
    if now is None or own is None:
        return keypoints[:, keypoint.NECK].copy(), chest.copy(), size
    nod = wrapped(now.seen_from(own).roll - own.roll - chest)
    turn = chest + np.clip(nod, -_HEAD_TURN, _HEAD_TURN)
    share = float(np.median(now.scale / (own.scale * size)))
    large = size * np.clip(share, *_HEAD_SIZE)
    offset = np.einsum("tij,j->ti", rotation(turn), rest.start[Bone.HEAD] - own.middle[0])
    return now.middle + large[:, None] * offset, turn, large


def _limb(
    bone: Bone, keypoints: NDArray[np.float64], size: NDArray[np.float64], rest: RestPose
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn and shape of a bone between two joints."""
    near, far = LIMBS[bone]
    own = rest.end[bone] - rest.start[bone]
    now = keypoints[:, far] - keypoints[:, near]
    reach = max(float(np.linalg.norm(own)), 1e-3)
    long = np.clip(np.linalg.norm(now, axis=1) / (reach * size), *_LIMB_STRETCH)
    along = own / reach
    stretch = np.eye(2) + np.einsum("t,i,j->tij", long - 1, along, along)
    return _direction(now) - _direction(own), size[:, None, None] * stretch


def _tip(
    bone: Bone,
    keypoints: NDArray[np.float64],
    visible: NDArray[np.bool_],
    limb: NDArray[np.float64],
    rest: RestPose,
) -> NDArray[np.float64]:
    """Turn of a hand or foot against its limb; none while it isn't visible."""
    near, far = TIPS[bone]
    if not rest.visible[far]:
        return np.zeros(len(keypoints))
    own = rest.end[bone] - rest.start[bone]
    bend = wrapped(
        _direction(keypoints[:, far] - keypoints[:, near]) - _direction(own) - limb
    )
    most = _FOOT_TURN if bone in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) else _HAND_TURN
    bend = np.clip(bend, -most, most)
    reach = int(3 * _TIP_FRAMES)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _TIP_FRAMES) ** 2)
    there = (visible[:, near] & visible[:, far]).astype(np.float64)
    # straight counts as much as one frame does, so that a turn fades in and out
    total = np.convolve(there * bend, bell)[reach:-reach]
    weight = np.convolve(there, bell)[reach:-reach]
    return np.asarray(total / (weight + 1 - there))


def _carried(
    rest: RestPose,
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
    smooth = wrapped(bend)
    for frame in range(1, len(smooth)):
        last = smooth[frame - 1]
        following = last + wrapped(bend[frame] - last)
        # a limb that has gone all the way round comes back the short way
        smooth[frame] = following if abs(following) < _WRAP else smooth[frame]
    return smooth


def _direction(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.arctan2(vector[..., 1], vector[..., 0]))


def smoothed(sign: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """`sign` `(frames,)` averaged by a bell of `sigma` frames."""
    reach = int(3 * sigma)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    total = np.convolve(sign, bell)[reach:-reach]
    return np.asarray(total / np.convolve(np.ones(len(sign)), bell)[reach:-reach])


_GROUND_FRAMES: Final = 12  # each way, in which some foot stands on the ground
_GROUND_SIGMA: Final = 2.0  # frames


@dataclass(frozen=True, eq=False)
class SoleHeights:
    """Feet, and how far they are off the ground.

    soles: `(frames, n, 2)` px, the middle of each foot. air: `(frames, n)` px.
    """

    soles: NDArray[np.float64]
    air: NDArray[np.float64]


def sole_heights(transforms: BoneTransforms, rest: RestPose) -> SoleHeights:
    """Feet that the picture shows, and their height over the lowest of them around."""
    feet = [foot for foot in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) if rest.present[foot]]
    frames = len(transforms.size)
    soles = np.zeros((frames, len(feet), 2))
    for index, foot in enumerate(feet):
        end = _carried(rest, transforms.place, transforms.angle, transforms.shape, foot)
        soles[:, index] = (transforms.place[:, foot] + end) / 2
    if not feet:
        return SoleHeights(soles, np.zeros((frames, 0)))
    lowest = soles[..., 1].max(axis=1)
    wide = np.pad(lowest, _GROUND_FRAMES, "edge")
    around = np.lib.stride_tricks.sliding_window_view(wide, 2 * _GROUND_FRAMES + 1)
    ground = smoothed(around.max(axis=1), _GROUND_SIGMA)
    return SoleHeights(soles, np.maximum(ground[:, None] - soles[..., 1], 0))
