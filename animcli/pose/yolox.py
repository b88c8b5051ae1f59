"""People in a picture, by YOLOX.

Source: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430; the export of
DWPose's repository, whose classes are COCO's 80 and whose scores are probabilities already.
Only people are wanted: other classes are never decoded.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDES: Final = (8, 16, 32)
PERSON: Final = 0  # COCO's first class
GREY: Final = 114  # what is beside the picture
CANDIDATE: Final = 0.1  # score from which a box can suppress others
FOUND: Final = 0.3  # score from which it is somebody
OVERLAP: Final = 0.45


def letterbox(
    picture: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], float]:
    """The picture in the top left corner of `(height, width)`, and how much it shrank."""
    height, width = picture.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    small = cv2.resize(
        picture, (int(width * ratio), int(height * ratio)), interpolation=cv2.INTER_LINEAR
    )
    padded = np.full((*size, 3), GREY, np.uint8)
    padded[: small.shape[0], : small.shape[1]] = small
    return padded, ratio


def grid(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cells `(n, 2)` x, y and their strides `(n, 1)`, in the order of the rows."""
    cells, strides = [], []
    for stride in STRIDES:
        down, across = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([across.ravel(), down.ravel()], axis=1))
        strides.append(np.full((across.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(
        np.float32
    )


def decode(
    raw: NDArray[np.float32],
    cells: NDArray[np.float32],
    strides: NDArray[np.float32],
    ratio: float,
) -> NDArray[np.float32]:
    """People as `(n, 5)`: left, top, right, bottom in pixels, score; the surest first.

    raw: `(rows, 85)`: centre, log size, objectness, classes.
    """
    score = raw[:, 4] * raw[:, 5 + PERSON]
    kept = score > CANDIDATE
    # Of all classes the candidate's own must be the likeliest, as far as suppression goes
    # it makes no difference: it works per class.
    raw, score = raw[kept], score[kept]
    middle = (raw[:, :2] + cells[kept]) * strides[kept]
    half = np.exp(raw[:, 2:4]) * strides[kept] / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1) / ratio
    order = score.argsort(kind="stable")[::-1]
    people = np.concatenate([boxes, score[:, None]], axis=1)[order]
    people = people[suppress(people)]
    return people[people[:, 4] > FOUND]


def suppress(boxes: NDArray[np.float32]) -> list[int]:
    """Which of `(n, 5)` boxes, the surest first, stand for themselves.

    Widths count the last pixel too, as they do upstream.
    """
    wide = boxes[:, 2:4] - boxes[:, :2] + 1
    area = wide[:, 0] * wide[:, 1]
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        corner = np.minimum(boxes[best, 2:4], boxes[left, 2:4])
        shared = corner - np.maximum(boxes[best, :2], boxes[left, :2]) + 1
        common = shared.clip(min=0).prod(axis=1)
        left = left[common / (area[best] + area[left] - common) <= OVERLAP]
    return kept
