"""Close the gaps of a motion, and see how large its figure is in each frame."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import keypoints as joint
from animcli.rendering.cutout.bones import ANCHORS, LIMBS, MOVING_JOINTS, Rest

_SIZE_FRAMES: Final = 12  # each way; a figure comes nearer no faster than in a second


def close_gaps(
    points: NDArray[np.float64], seen: NDArray[np.bool_], rest: Rest
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The figure's size in each frame, and its joints in all of them.

    A joint that isn't seen keeps its direction and distance from the one it hangs on,
    between those of the frames before and after; one that is never seen, those of the
    picture.
    """
    shoulders = [joint.RIGHT_SHOULDER, joint.LEFT_SHOULDER]
    joints = points.copy()
    found = seen.copy()
    both = seen[:, joint.RIGHT_SHOULDER] & seen[:, joint.LEFT_SHOULDER]
    joints[:, joint.NECK] = np.where(
        both[:, None], points[:, shoulders].mean(axis=1), points[:, joint.NECK]
    )
    found[:, joint.NECK] |= both
    at = np.flatnonzero(found[:, joint.NECK])
    if len(at) == 0:
        raise InputError(
            "the motion shows nobody's shoulders in any frame",
            "choose a video in which the upper body is in the picture",
        )
    every = np.arange(len(points))
    for axis in range(2):
        joints[:, joint.NECK, axis] = np.interp(every, at, joints[at, joint.NECK, axis])
    size = _size(joints, found, rest)
    for moved, anchor in ANCHORS.items():
        if moved not in MOVING_JOINTS:
            continue
        offset = joints[:, moved] - joints[:, anchor]
        # from a joint that was seen itself: a guessed anchor would bend the bone
        at = np.flatnonzero(found[:, moved] & found[:, anchor])
        if len(at) == 0:
            kept = size[:, None] * (rest.joints[moved] - rest.joints[anchor])
        else:
            length = np.interp(every, at, np.linalg.norm(offset[at], axis=1))
            turn = np.unwrap(np.arctan2(offset[at, 1], offset[at, 0]))
            turn = np.interp(every, at, turn)
            kept = length[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        joints[:, moved] = np.where(
            found[:, moved, None], joints[:, moved], joints[:, anchor] + kept
        )
    return size, joints


def _size(
    joints: NDArray[np.float64], found: NDArray[np.bool_], rest: Rest
) -> NDArray[np.float64]:
    """How large the figure is in each frame, as a share of its size in the picture.

    Projection only shortens, so in any frame the bones that are longest against their own
    long ones show the size; and something is always stretched out across the view.
    """
    lengths: list[NDArray[np.float64]] = []
    pairs = [LIMBS[bone] for bone in LIMBS if rest.present[bone]]
    for near, far in pairs:
        length = np.linalg.norm(joints[:, far] - joints[:, near], axis=1)
        own = float(np.linalg.norm(rest.joints[far] - rest.joints[near]))
        lengths.append(np.where(found[:, near] & found[:, far], length / own, np.nan))
    right, left = joint.RIGHT_HIP, joint.LEFT_HIP
    if rest.known[right] and rest.known[left]:
        middle = (joints[:, right] + joints[:, left]) / 2
        length = np.linalg.norm(joints[:, joint.NECK] - middle, axis=1) / rest.trunk
        lengths.append(np.where(found[:, right] & found[:, left], length, np.nan))
    lengths = [length for length in lengths if not np.isnan(length).all()]
    if not lengths:
        return np.ones(len(joints))
    shares = np.stack(lengths)  # (bones, frames)
    whole = np.nanpercentile(shares, 90, axis=1)
    relative = np.sort(np.nan_to_num(shares / whole[:, None], nan=-1.0), axis=0)[-3:]
    counted = relative >= 0
    held = np.flatnonzero(counted.any(axis=0))
    each = (relative * counted).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    each = np.interp(np.arange(len(joints)), held, each[held])
    window = np.ones(2 * _SIZE_FRAMES + 1)
    even = np.convolve(each, window) / np.convolve(np.ones(len(each)), window)
    return np.asarray(np.median(whole) * even[_SIZE_FRAMES : _SIZE_FRAMES + len(each)])
