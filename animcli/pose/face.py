"""Faces cut out of a driving video, for renderers that take a face's expression from it.

Source: the preprocessing of Wan-Animate's authors (Wan-Video/Wan2.2, preprocess/utils.py),
written anew from its numbers. Differs: a frame whose face wasn't seen keeps the box of the
last one that was; their box there is made of what wasn't found.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.keypoints import FACE
from animcli.pose.sequence import PoseSequence

SIDE: Final = 512  # px, of a crop
AREA: Final = 1.3  # of the box about the points, in whole
ABOVE: Final = 0.75  # of what is added to the height; the rest goes below
_ENOUGH: Final = 0.5  # of the 68 points, for a face that counts as seen


def face_box(
    points: NDArray[np.float32], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in whole pixels, of a face's points `(n, 2)`, in a picture
    of `size` (width, height)."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    more = math.sqrt(AREA) - 1
    aside, up = (right - left) * more / 2, (bottom - top) * more
    box = (left - aside, top - ABOVE * up, right + aside, bottom + (1 - ABOVE) * up)
    width, height = size
    limits = (width, height, width, height)
    return tuple(int(min(max(x, 0), most)) for x, most in zip(box, limits, strict=True))  # type: ignore[return-value]


def face_boxes(motion: PoseSequence) -> NDArray[np.int64] | None:
    """The box `(frames, 4)` of the face in every frame; None where none was ever seen.

    Through a gap the last box stays; before the first face there is that one's.
    """
    visible = motion.visible[:, FACE]
    good = np.flatnonzero(visible.mean(axis=1) >= _ENOUGH)
    if len(good) == 0:
        return None
    boxes = np.array(
        [face_box(motion.points[i, FACE][visible[i]], motion.size) for i in good], np.int64
    )
    last = np.searchsorted(good, np.arange(len(motion)), side="right") - 1
    return boxes[np.maximum(last, 0)]


def cut_face(picture: NDArray[np.uint8], box: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The stretched crop `(512, 512, 3)` of a picture `(h, w, 3)`; black where empty."""
    left, top, right, bottom = box.tolist()
    if right <= left or bottom <= top:
        return np.zeros((SIDE, SIDE, 3), np.uint8)
    crop = picture[top:bottom, left:right]
    resized = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
