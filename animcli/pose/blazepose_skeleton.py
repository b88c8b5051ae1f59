"""BlazePose's landmarks in the order of `skeleton`: OpenPose's body, feet, face, hands."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose_body import Body
from animcli.pose.blazepose_face import Face
from animcli.pose.blazepose_hands import Hand
from animcli.pose.skeleton import BODY, FACE, FEET, JOINTS, LEFT_HAND, NECK, RIGHT_HAND

LEFT_SHOULDER, RIGHT_SHOULDER = 11, 12
LEFT_WRIST, RIGHT_WRIST = 15, 16
LEFT_HIP, RIGHT_HIP = 23, 24

FAR = 0.3
"""Trunk lengths between a body's wrist and its hand's own: in a dance they are 0.02 apart,
in 1 frame of 100 by 0.16. What was 0.34 to 0.53 away was never the hand."""

BODY_FROM: Final = (0, 0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""BlazePose's landmark for each body joint; the neck's (the second) is made otherwise."""

FEET_FROM: Final = (31, None, 29, 32, None, 30)
"""BlazePose's landmark for each joint of the feet; it knows no small toes."""

JAW_RIGHT: Final = (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
JAW_LEFT: Final = (356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)
"""Points of the mesh along the jaw, from the temple to the chin."""

JAW_POINTS = 9  # on each side, the chin being on both

INNER_FROM: Final = (
    70, 63, 105, 66, 107,  # right brow
    336, 296, 334, 293, 300,  # left brow
    168, 197, 195, 4,  # bridge of the nose
    75, 97, 2, 326, 305,  # its base
    33, 160, 158, 133, 153, 144,  # right eye
    362, 385, 387, 263, 373, 380,  # left eye
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)  # fmt: skip
"""Points of the mesh for rows 17 to 67 of the face. Eyes, nose and mouth agree with points
set by hand on real faces within 4 % of the distance of the eyes, brows within 6 %."""

OUTSIDE = 0.02
"""Joints further out of the picture than this share of its sides are guesses: score 0."""


def to_skeleton(
    body: Body,
    face: Face | None,
    left: Hand | None,
    right: Hand | None,
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points `(134, 2)` and scores `(134,)` of one person in a picture of `size` (w, h).

    A body joint's score is visibility times presence; a face or a hand has one for all.
    """
    points = np.zeros((JOINTS, 2))
    scores = np.zeros(JOINTS)
    sure = body.visibility * body.presence
    points[BODY] = body.points[list(BODY_FROM)]
    scores[BODY] = sure[list(BODY_FROM)]
    shoulders = [LEFT_SHOULDER, RIGHT_SHOULDER]
    points[NECK] = body.points[shoulders].mean(axis=0)
    scores[NECK] = sure[shoulders].min()
    for joint, landmark in enumerate(FEET_FROM, start=FEET.start):
        if landmark is not None:
            points[joint], scores[joint] = body.points[landmark], sure[landmark]
    if face is not None:
        points[FACE], scores[FACE] = to_68(face.points), face.sure
    if left is not None and belongs(left, body, LEFT_WRIST):
        points[LEFT_HAND], scores[LEFT_HAND] = left.points, left.sure
    if right is not None and belongs(right, body, RIGHT_WRIST):
        points[RIGHT_HAND], scores[RIGHT_HAND] = right.points, right.sure
    sides = np.array(size)
    outside = (points < -OUTSIDE * sides) | (points > (1 + OUTSIDE) * sides)
    scores[outside.any(axis=1)] = 0
    return points.astype(np.float32), scores.astype(np.float32)


def belongs(hand: Hand, body: Body, wrist: int) -> bool:
    """Whether a hand is where the body's landmark `wrist` is; else it is another's, or a
    sleeve.
    """
    away = float(np.hypot(*(hand.points[0] - body.points[wrist])))
    return away <= FAR * trunk_length(body)


def trunk_length(body: Body) -> float:
    """From the middle of the shoulders to that of the hips, in pixels, were it upright."""
    flat, deep = (
        places[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=0)
        - places[[LEFT_HIP, RIGHT_HIP]].mean(axis=0)
        for places in (body.points, body.world)
    )
    seen = max(float(np.hypot(*deep[:2])), 1e-6)
    return float(np.hypot(*flat)) * float(np.linalg.norm(deep)) / seen


def to_68(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 68 points `(68, 2)` of OpenPose's face from a mesh `(468, 2)`.

    The jaw is divided evenly by length on each side, the chin being fixed, since the mesh
    has its points closer together near the chin.
    """
    right = evenly(mesh[list(JAW_RIGHT)], JAW_POINTS)
    left = evenly(mesh[list(JAW_LEFT)], JAW_POINTS)
    return np.concatenate([right, left[-2::-1], mesh[list(INNER_FROM)]])


def evenly(line: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """`count` points at even distances along a line of points `(n, 2)`, ends included."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    length = np.concatenate([[0], np.cumsum(steps)])
    where = np.linspace(0, length[-1], count)
    return np.stack([np.interp(where, length, line[:, axis]) for axis in (0, 1)], axis=1)
