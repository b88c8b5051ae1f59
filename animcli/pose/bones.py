"""The skeleton as a tree of bones, whole in every frame.

Two places are added to the 134 keypoints, so that every joint hangs on another by one bone:
the pelvis between the hips, which is the root, and the chest between the shoulders.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s

PELVIS: Final = s.KEYPOINTS
CHEST: Final = s.KEYPOINTS + 1
NODES: Final = s.KEYPOINTS + 2


def grow_tree() -> dict[int, int]:
    """Parent of each keypoint; parents come before their children."""
    tree = {
        s.NECK: PELVIS,
        CHEST: s.NECK,
        s.RIGHT_SHOULDER: CHEST,
        s.LEFT_SHOULDER: CHEST,
        s.RIGHT_HIP: PELVIS,
        s.LEFT_HIP: PELVIS,
        s.RIGHT_ELBOW: s.RIGHT_SHOULDER,
        s.RIGHT_WRIST: s.RIGHT_ELBOW,
        s.LEFT_ELBOW: s.LEFT_SHOULDER,
        s.LEFT_WRIST: s.LEFT_ELBOW,
        s.RIGHT_KNEE: s.RIGHT_HIP,
        s.RIGHT_ANKLE: s.RIGHT_KNEE,
        s.LEFT_KNEE: s.LEFT_HIP,
        s.LEFT_ANKLE: s.LEFT_KNEE,
        s.NOSE: s.NECK,
    }
    for joint in (s.RIGHT_EYE, s.LEFT_EYE, s.RIGHT_EAR, s.LEFT_EAR):
        tree[joint] = s.NOSE
    for joint in (s.LEFT_BIG_TOE, s.LEFT_SMALL_TOE, s.LEFT_HEEL):
        tree[joint] = s.LEFT_ANKLE
    for joint in (s.RIGHT_BIG_TOE, s.RIGHT_SMALL_TOE, s.RIGHT_HEEL):
        tree[joint] = s.RIGHT_ANKLE
    for joint in range(s.FACE.start, s.FACE.stop):
        tree[joint] = s.NOSE
    for wrist, hand in ((s.LEFT_WRIST, s.LEFT_HAND), (s.RIGHT_WRIST, s.RIGHT_HAND)):
        tree[hand.start] = wrist
        for near, far in s.HAND_LIMBS:
            tree[hand.start + far] = hand.start + near
    return tree


KEYPOINT_PARENTS: Final = grow_tree()

MIDDLES: Final = {
    PELVIS: (s.RIGHT_HIP, s.LEFT_HIP),
    CHEST: (s.RIGHT_SHOULDER, s.LEFT_SHOULDER),
}


def with_middles(
    points: NDArray[np.float64], visible: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """`(frames, 136, 2)` and `(frames, 136)` out of `(frames, 134, ...)`.

    A middle is seen where both its sides are; if they never are at once, where one is.
    """
    frames = len(points)
    places = np.zeros((frames, NODES, 2))
    known = np.zeros((frames, NODES), bool)
    places[:, : s.KEYPOINTS], known[:, : s.KEYPOINTS] = points, visible
    for middle, sides in MIDDLES.items():
        both = visible[:, sides].all(axis=1)
        weight = visible[:, sides].astype(float)
        known[:, middle] = both if both.any() else weight.any(axis=1)
        total = np.maximum(weight.sum(axis=1), 1)
        places[:, middle] = (
            np.einsum("fsc,fs->fc", points[:, sides], weight) / total[:, None]
        )
    return places, known


def complete(
    points: NDArray[np.float64], visible: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A place for every joint that is seen at all, in every frame.

    points: `(frames, 134, 2)`. seen: `(frames, 134)`.
    Returns places `(frames, 136, 2)` and which of the 136 were ever seen. Gaps are filled
    by turning and stretching the bone evenly from one end of the gap to the other, held
    beyond the ends. What was never seen lies on what it hangs on.
    """
    places, known = with_middles(points, visible)
    root_track(places, known)
    for joint, parent in KEYPOINT_PARENTS.items():
        fill_bone(places, known[:, joint], joint, parent)
    return places, np.asarray(known.any(axis=0))


def root_track(places: NDArray[np.float64], known: NDArray[np.bool_]) -> None:
    """Fill the pelvis in place: from the neck where only that is seen."""
    neck = known[:, s.NECK]
    pelvis = known[:, PELVIS]
    if not pelvis.any():  # half a body: the neck stands for the root
        upper = s.NECK if neck.any() else CHEST
        places[:, PELVIS] = fill_track(places[:, upper], known[:, upper])
        return
    both = neck & pelvis
    if both.any():
        down = fill_vector(places[:, PELVIS] - places[:, s.NECK], both)
        only_neck = neck & ~pelvis
        places[only_neck, PELVIS] = places[only_neck, s.NECK] + down[only_neck]
        pelvis = pelvis | neck
    places[:, PELVIS] = fill_track(places[:, PELVIS], pelvis)


def fill_bone(
    places: NDArray[np.float64], known: NDArray[np.bool_], joint: int, parent: int
) -> None:
    """Fill the gaps of one joint in place, its parent being whole already."""
    bone = places[:, joint] - places[:, parent]
    filled = fill_vector(bone, known)
    places[:, joint] = np.where(
        known[:, None], places[:, joint], places[:, parent] + filled
    )


def fill_vector(
    vectors: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """`(frames, 2)` with gaps filled evenly in direction (the short way) and length."""
    if known.all():
        return vectors
    if not known.any():
        return np.zeros_like(vectors)
    at = np.flatnonzero(known)
    frames = np.arange(len(vectors))
    kept = vectors[at]
    angle = np.interp(frames, at, np.unwrap(np.arctan2(kept[:, 1], kept[:, 0])))
    length = np.interp(frames, at, np.hypot(kept[:, 0], kept[:, 1]))
    turned = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(length[:, None] * turned)


def fill_track(
    places: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """`(frames, 2)` with gaps filled on straight lines; zeros if nothing is known."""
    if not known.any():
        return np.zeros_like(places)
    at = np.flatnonzero(known)
    frames = np.arange(len(places))
    return np.stack([np.interp(frames, at, places[at, axis]) for axis in (0, 1)], axis=1)
