"""Other programs' keypoints, put into our 134 rows.

A layout is known by the names of its parts and their numbers of keypoints. What we have and
a layout lacks gets score 0; only the neck is made, from the shoulders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.landmarks import INNER_FROM
from animcli.pose.keypoints import (
    BODY_NAMES,
    FACE,
    FEET_NAMES,
    KEYPOINTS,
    LEFT_HAND,
    LEFT_SHOULDER,
    NECK,
    RIGHT_HAND,
    RIGHT_SHOULDER,
)

ABSENT: Final = -1

Real = TypeVar("Real", np.float32, np.float64)

BODY_25_ROWS: Final = (*range(8), *range(9, 25))
"""Our body and feet out of OpenPose's 25, which have the middle of the hips besides."""

COCO_BODY_ROWS: Final = (
    *(0, ABSENT, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3),
    *range(17, 23),
)
"""Our body and feet out of COCO-WholeBody's 23, which have no neck."""

# OpenPose's 135 begin with COCO's 17, then upper neck, top of the head, feet.
BODY_135_ROWS: Final = (*COCO_BODY_ROWS[:18], *range(19, 25))


@dataclass(frozen=True)
class Layout:
    """Order of one program's keypoints in its files.

    name: what the program calls it. parts: keypoints in each part, in order.
    rows: for each of our 134 keypoints the place in theirs, or `ABSENT`.
    draw_threshold: from which score on this program's keypoints are worth drawing.
    """

    name: str
    parts: Mapping[str, int]
    rows: tuple[int, ...]
    draw_threshold: float

    def convert(
        self, points: NDArray[Real], scores: NDArray[np.float32]
    ) -> tuple[NDArray[Real], NDArray[np.float32]]:
        """Our `(frames, 134, 2)` and `(frames, 134)` out of theirs; always copies."""
        rows = np.array(self.rows)
        ours = points[:, rows].copy()
        visible = scores[:, rows].copy()
        ours[:, rows == ABSENT] = 0
        visible[:, rows == ABSENT] = 0
        if self.rows[NECK] == ABSENT:
            shoulders = [RIGHT_SHOULDER, LEFT_SHOULDER]
            ours[:, NECK] = ours[:, shoulders].mean(axis=1)
            visible[:, NECK] = visible[:, shoulders].min(axis=1)
        return ours, visible


def lay_out(
    body: Sequence[int],
    face: Sequence[int],
    left_hand: Sequence[int],
    right_hand: Sequence[int],
) -> tuple[int, ...]:
    """The rows of a layout out of those of its parts."""
    rows = (*body, *face, *left_hand, *right_hand)
    if len(rows) != KEYPOINTS:
        raise ValueError(f"a layout has {KEYPOINTS} rows, got {len(rows)}")
    return rows


def count(start: int, keypoints: int) -> range:
    """`keypoints` places in a row from `start`."""
    return range(start, start + keypoints)


NOWHERE_FACE = [ABSENT] * 68
NOWHERE_HAND = [ABSENT] * 21

NATIVE_LAYOUT: Final = Layout(
    "anim",
    {
        "BODY_18": len(BODY_NAMES),
        "FEET": len(FEET_NAMES),
        "FACE_68": FACE.stop - FACE.start,
        "LEFT_HAND": LEFT_HAND.stop - LEFT_HAND.start,
        "RIGHT_HAND": RIGHT_HAND.stop - RIGHT_HAND.start,
    },
    tuple(range(KEYPOINTS)),
    draw_threshold=0.3,
)

COCO_ROWS = lay_out(COCO_BODY_ROWS, count(23, 68), count(91, 21), count(112, 21))

COCO_WHOLE_BODY: Final = Layout(
    "COCO-WholeBody",
    {"BODY": 23, "FACE": 68, "LEFT_HAND": 21, "RIGHT_HAND": 21},
    COCO_ROWS,
    draw_threshold=0.3,
)

LAYOUTS: Final = (
    NATIVE_LAYOUT,
    COCO_WHOLE_BODY,
    Layout(
        "OpenPose",
        {
            "pose_keypoints_2d": 25,
            "face_keypoints_2d": 70,  # the last two are the pupils
            "hand_left_keypoints_2d": 21,
            "hand_right_keypoints_2d": 21,
        },
        lay_out(BODY_25_ROWS, count(25, 68), count(95, 21), count(116, 21)),
        draw_threshold=0.3,
    ),
    Layout(
        "OpenPose body",
        {"pose_keypoints_2d": 25},
        lay_out(BODY_25_ROWS, NOWHERE_FACE, NOWHERE_HAND, NOWHERE_HAND),
        draw_threshold=0.3,
    ),
    Layout(
        "OpenPose 135",
        {"BODY_135": 135},
        lay_out(  # its hands hang on the body's wrists, and have none of their own
            BODY_135_ROWS, count(65, 68), (9, *count(25, 20)), (10, *count(45, 20))
        ),
        draw_threshold=0.3,
    ),
    Layout(
        "AlphaPose",
        {"BODY_133": 23, "FACE_133": 68, "LEFT_HAND_133": 21, "RIGHT_HAND_133": 21},
        COCO_ROWS,
        draw_threshold=0.3,
    ),
)


FEET_OF_HOLISTIC: Final = {
    "left_big_toe": "LEFT_FOOT_INDEX",
    "left_heel": "LEFT_HEEL",
    "right_big_toe": "RIGHT_FOOT_INDEX",
    "right_heel": "RIGHT_HEEL",
}
FACE_OF_HOLISTIC: Final = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *INNER_FROM,
)
"""Points of the mesh for the 68 of the face; the jaw is the nearest there is in it."""


def holistic(parts: Mapping[str, tuple[str, ...]]) -> Layout:
    """The layout of a file of MediaPipe Holistic's, whichever of its keypoints it holds.

    Such files come whole, without the keypoints in metres, or with fewer points in the
    face: the names tell.
    """
    at: dict[tuple[str, str], int] = {}
    for part, names in parts.items():
        for name in names:
            at[part, name] = len(at)
    body = [at.get(("POSE_LANDMARKS", name.upper()), ABSENT) for name in BODY_NAMES]
    feet = [
        at.get(("POSE_LANDMARKS", FEET_OF_HOLISTIC.get(name, "")), ABSENT)
        for name in FEET_NAMES
    ]
    face = [at.get(("FACE_LANDMARKS", str(point)), ABSENT) for point in FACE_OF_HOLISTIC]
    hands = []
    for side in ("LEFT", "RIGHT"):
        part = f"{side}_HAND_LANDMARKS"
        names = parts.get(part, ())
        whole = len(names) == len(NOWHERE_HAND)
        hands.append([at[part, name] for name in names] if whole else NOWHERE_HAND)
    return Layout(
        "MediaPipe Holistic",
        {part: len(names) for part, names in parts.items()},
        lay_out((*body, *feet), face, *hands),
        draw_threshold=0.5,  # it guesses hidden keypoints, with low scores
    )


def find_layout(parts: Mapping[str, tuple[str, ...]]) -> Layout | None:
    """The layout of a file with these parts and these keypoints in them, in this order."""
    if "POSE_LANDMARKS" in parts:
        return holistic(parts)
    counts = {name: len(points) for name, points in parts.items()}
    for layout in LAYOUTS:
        if list(layout.parts.items()) == list(counts.items()):
            return layout
    return None
