"""BlazePose's landmarks of body, hands and face, put into the order of `keypoints`.

The body's network gives 39 landmarks in two ways, as numbers and as small heatmaps; the
numbers are steady and the heatmaps exact. So each landmark is moved to the middle of its
heatmap nearby, where that is lit at all. This is worth 3 to 8 px on a figure of 800 px.

A hand is looked for where the body's wrist and fingers are. The square that follows from
three body landmarks is coarse, so a small network straightens it first (without it: 2 to 14
px, and most small hands are lost). Which hand it is follows from the body; the network's
own opinion is unreliable on crops such as these. The 468 points of a face are looked for
where the body's eyes, ears and mouth are.

Source: Bazarevsky et al., "BlazePose", arXiv:2006.10204.
"""

import math
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.detector import (
    FACE_DETECTOR,
    FACE_GRIDS,
    ROI,
    LiteRTModel,
    Network,
    SSDDetector,
    rotation_of,
)
from animcli.pose.keypoints import BODY, FACE, FEET, KEYPOINTS, LEFT_HAND, NECK, RIGHT_HAND

BODY_NETWORK = Network(
    "pose_landmark_full.tflite",
    256,
    ((195,), (1,), (256, 256, 1), (64, 64, 39), (117,)),
)
LANDMARKS = 33
"""Public landmarks; rows 33 and 34 are the hips' middle and the rim of the next square."""

HEATMAP_REACH = 4
"""Cells of the heatmap on each side of a landmark. MediaPipe's published graph says 3; its
program behaves as 4 (0.02 px from it; with 3 up to 1.4 px)."""

LIT = 0.5


@dataclass(frozen=True, eq=False)
class Body:
    """Landmarks of a body, as the network gives them.

    points: `(33, 2)` float64, pixels of the picture.
    depth: `(33,)` the same unit, less is nearer, 0 at the hips.
    visibility, presence: `(33,)` 0..1; not hidden by something, and in the crop.
    world: `(33, 3)` metres, from the middle of the hips; x right, y down.
    sure: 0..1, that there is a body at all.
    hips, rim: `(2,)`, from which the next frame's square is made.
    mask: `(256, 256)` float32 logits in the crop, positive where the figure is.
    """

    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    world: NDArray[np.float64]
    sure: float
    _: KW_ONLY
    hips: NDArray[np.float64]
    rim: NDArray[np.float64]
    mask: NDArray[np.float32]


class BodyNetwork:
    """The landmark network, and the reading of what it says."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._look = LiteRTModel(BODY_NETWORK, folder, threads)

    def read(self, picture: NDArray[np.uint8], roi: ROI) -> Body:
        """The body within `roi`, whether there is one or not: see `Body.sure`."""
        numbers, sure, outline, heatmap, world = self._look(picture, roi)
        rows = numbers.reshape(39, 5).astype(np.float64)
        crop = refine_by_heatmap(rows[: LANDMARKS + 2, :2] / BODY_NETWORK.size, heatmap)
        points = roi.to_picture(crop)
        in_space = world.reshape(39, 3)[:LANDMARKS].astype(np.float64)
        cos, sin = np.cos(roi.angle), np.sin(roi.angle)
        in_space[:, :2] = in_space[:, :2] @ np.array([[cos, sin], [-sin, cos]])
        return Body(
            points=points[:LANDMARKS],
            depth=rows[:LANDMARKS, 2] / BODY_NETWORK.size * roi.width,
            visibility=sigmoid(rows[:LANDMARKS, 3]),
            presence=sigmoid(rows[:LANDMARKS, 4]),
            world=in_space,
            sure=float(sure[0]),
            hips=points[LANDMARKS],
            rim=points[LANDMARKS + 1],
            mask=outline[..., 0],
        )


def refine_by_heatmap(
    points: NDArray[np.float64], heatmap: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Points `(n, 2)`, 0..1, moved to the mean of what is lit around them.

    heatmap: `(cells, cells, at least n)` logits; channel i belongs to point i. A point
    outside of the map, or with nothing lit near it, stays where it is.
    """
    cells = heatmap.shape[0]
    count = len(points)
    cell = np.trunc(points * cells).astype(np.int64)
    inside = ((cell >= 0) & (cell < cells)).all(axis=1)
    steps = np.arange(-HEATMAP_REACH, HEATMAP_REACH + 1)
    rows = np.where(inside, cell[:, 1], 0)[:, None] + steps  # (n, 9)
    columns = np.where(inside, cell[:, 0], 0)[:, None] + steps
    on_map = ((rows >= 0) & (rows < cells))[:, :, None] & (
        (columns >= 0) & (columns < cells)
    )[:, None]
    window = heatmap[
        rows.clip(0, cells - 1)[:, :, None],
        columns.clip(0, cells - 1)[:, None],
        np.arange(count)[:, None, None],
    ]
    light = sigmoid(window.astype(np.float64)) * on_map  # (n, 9, 9)
    moved = inside & (light.max(axis=(1, 2)) >= LIT)
    total = light.sum(axis=(1, 2))
    total[~moved] = 1
    x = (light.sum(axis=1) * columns).sum(axis=1) / (cells * total)
    y = (light.sum(axis=2) * rows).sum(axis=1) / (cells * total)
    return np.where(moved[:, None], np.stack([x, y], axis=1), points)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))


RECROP = Network("hand_recrop.tflite", 256, ((4,),))
HAND_NETWORK = Network("hand_landmark_full.tflite", 224, ((63,), (1,)))

LEFT_HAND_FROM = (15, 17, 19)
RIGHT_HAND_FROM = (16, 18, 20)
"""Body landmarks of a hand: wrist, little finger, index finger."""

WRIST_SEEN = 0.1
HAND_FOUND = 0.5


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand: points `(21, 2)` float64 in pixels of the picture, wrist, then thumb to
    little finger, root to tip; sure: 0..1, that there is a hand.
    """

    points: NDArray[np.float64]
    sure: float


class HandNetwork:
    """The two networks that find the keypoints of a hand."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._straighten = LiteRTModel(RECROP, folder, threads)
        self._look = LiteRTModel(HAND_NETWORK, folder, threads)

    def read(
        self, picture: NDArray[np.uint8], body: Body, side: tuple[int, int, int]
    ) -> Hand | None:
        """The hand at landmarks `side` of a body; None if there's none to be seen."""
        wrist, little, index = side
        if body.visibility[wrist] <= WRIST_SEEN:
            return None
        coarse = hand_roi(body.points[wrist], body.points[little], body.points[index])
        if coarse.width < 1:
            return None
        (ends,) = self._straighten(picture, coarse)
        centre, top = coarse.to_picture(ends.reshape(2, 2).astype(np.float64) / RECROP.size)
        width = 2 * float(np.hypot(*(top - centre)))
        if width < 1:
            return None
        angle = rotation_of(centre, top, upright=-math.pi / 2)
        roi = ROI(float(centre[0]), float(centre[1]), width, width, angle).raised(0.1)
        keypoints, sure = self._look(picture, roi)
        points = keypoints.reshape(21, 3)[:, :2].astype(np.float64) / HAND_NETWORK.size
        if sure[0] <= HAND_FOUND:
            return None
        return Hand(roi.to_picture(points), float(sure[0]))


def hand_roi(
    wrist: NDArray[np.float64], little: NDArray[np.float64], index: NDArray[np.float64]
) -> ROI:
    """The coarse square about a hand; the middle finger's root is its centre."""
    middle = (2 * index + little) / 3
    width = 2 * float(np.hypot(*(middle - wrist)))
    angle = rotation_of(wrist, middle, upright=math.pi / 2)
    return (
        ROI(float(middle[0]), float(middle[1]), width, width, angle).raised(0.1).grown(2.7)
    )


MESH = Network("face_landmark.tflite", 192, ((1404,), (1,)))
HEAD_LANDMARKS = slice(0, 11)
RIGHT_EYE, LEFT_EYE = 5, 2
FACE_FOUND = 0.5


@dataclass(frozen=True, eq=False)
class Face:
    """One face: points `(468, 2)` float64 in pixels of the picture, in MediaPipe's order;
    sure: 0..1, that there is a face.
    """

    points: NDArray[np.float64]
    sure: float


class FaceNetwork:
    """A face detector that looks near the head, and the network for the points."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._detector = SSDDetector(FACE_DETECTOR, FACE_GRIDS, folder, threads)
        self._look = LiteRTModel(MESH, folder, threads)

    def read(self, picture: NDArray[np.uint8], body: Body) -> Face | None:
        """The face of a body; None if it can't be seen, as from behind."""
        head = body.points[HEAD_LANDMARKS]
        near = face_roi(head, head[RIGHT_EYE], head[LEFT_EYE]).grown(3)
        if near.width < 1:
            return None
        found = self._detector.search(picture, near, FACE_FOUND)
        if not found:
            return None
        keypoints = found[0].keypoints
        roi = face_roi(keypoints, keypoints[0], keypoints[1]).raised(0.1).grown(2)
        if roi.width < 1:
            return None
        mesh, logit = self._look(picture, roi)
        points = mesh.reshape(468, 3)[:, :2].astype(np.float64) / MESH.size
        sure = float(sigmoid(logit.astype(np.float64))[0])
        return Face(roi.to_picture(points), sure) if sure > FACE_FOUND else None


def face_roi(
    points: NDArray[np.float64],
    right_eye: NDArray[np.float64],
    left_eye: NDArray[np.float64],
) -> ROI:
    """The upright box about some points of a face, turned so that the eyes are level."""
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = (low + high) / 2
    width, height = high - low
    angle = rotation_of(right_eye, left_eye, upright=0)
    return ROI(float(x), float(y), float(width), float(height), angle)


LEFT_SHOULDER, RIGHT_SHOULDER = 11, 12
LEFT_WRIST, RIGHT_WRIST = 15, 16
LEFT_HIP, RIGHT_HIP = 23, 24

HAND_DISTANCE = 0.3
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

OUTSIDE_MARGIN = 0.02
"""Keypoints further out of the picture than this share of its sides are guesses: score
0."""


def to_keypoints(
    body: Body,
    face: Face | None,
    left: Hand | None,
    right: Hand | None,
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points `(134, 2)` and scores `(134,)` of one person in a picture of `size` (w, h).

    A body joint's score is visibility times presence; a face or a hand has one for all.
    """
    points = np.zeros((KEYPOINTS, 2))
    scores = np.zeros(KEYPOINTS)
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
    outside = (points < -OUTSIDE_MARGIN * sides) | (points > (1 + OUTSIDE_MARGIN) * sides)
    scores[outside.any(axis=1)] = 0
    return points.astype(np.float32), scores.astype(np.float32)


def belongs(hand: Hand, body: Body, wrist: int) -> bool:
    """Tell if a hand is at the body's landmark `wrist`; else it is another's, or a
    sleeve.
    """
    away = float(np.hypot(*(hand.points[0] - body.points[wrist])))
    return away <= HAND_DISTANCE * trunk_length(body)


def trunk_length(body: Body) -> float:
    """From the middle of the shoulders to that of the hips, in pixels, were it upright."""
    flat, deep = (
        places[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=0)
        - places[[LEFT_HIP, RIGHT_HIP]].mean(axis=0)
        for places in (body.points, body.world)
    )
    visible = max(float(np.hypot(*deep[:2])), 1e-6)
    return float(np.hypot(*flat)) * float(np.linalg.norm(deep)) / visible


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
