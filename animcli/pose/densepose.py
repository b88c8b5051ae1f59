"""DensePose's 24 parts of a body, and the colours that MagicAnimate knows them by.

Source: Gueler et al., "DensePose", arXiv:1802.00434, for the parts; the colours are those
of detectron2's picture of part indices: index i has step `i * 255 / 24`, cut to a whole
number, of the palette viridis.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

PARTS: Final = (
    "background",
    "torso, back",
    "torso, front",
    "right hand",
    "left hand",
    "left foot",
    "right foot",
    "right thigh, back",
    "left thigh, back",
    "right thigh, front",
    "left thigh, front",
    "right shin, back",
    "left shin, back",
    "right shin, front",
    "left shin, front",
    "left upper arm, inside",
    "right upper arm, inside",
    "left upper arm, outside",
    "right upper arm, outside",
    "left forearm, inside",
    "right forearm, inside",
    "left forearm, outside",
    "right forearm, outside",
    "head, right",
    "head, left",
)
"""By index. An arm's inside is on the side of the palm, its outside on the other."""

COLOURS: Final = np.array(
    [
        (68, 1, 84), (71, 16, 99), (72, 31, 112), (71, 44, 122), (68, 57, 131),
        (64, 70, 136), (59, 81, 139), (54, 93, 141), (49, 104, 142), (44, 113, 142),
        (40, 124, 142), (37, 133, 142), (33, 144, 141), (31, 154, 138), (32, 163, 134),
        (39, 173, 129), (53, 183, 121), (70, 192, 111), (92, 200, 99), (115, 208, 86),
        (142, 214, 69), (170, 220, 50), (197, 224, 33), (226, 228, 24), (253, 231, 37),
    ],
    np.uint8,
)  # fmt: skip
"""`(25, 3)` RGB, by index. In compressed clips they are off by a few levels."""

BACKGROUND: Final = (68, 1, 84)

_PALETTE: Final = np.concatenate([COLOURS, np.zeros((256 - len(COLOURS), 3), np.uint8)])


def paint(parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture `(h, w, 3)` uint8 RGB of part indices `(h, w)` uint8."""
    return np.asarray(cv2.applyColorMap(parts, _PALETTE[:, None]), np.uint8)


def read_parts(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part indices `(h, w)` uint8 of a DensePose picture: the nearest colours."""
    best = np.full(picture.shape[:2], 1000, np.int16)
    parts = np.zeros(picture.shape[:2], np.uint8)
    signed = picture.astype(np.int16)
    for index, colour in enumerate(COLOURS.astype(np.int16)):
        off = np.abs(signed - colour).sum(axis=2, dtype=np.int16)
        nearer = off < best
        parts[nearer] = index
        np.minimum(best, off, out=best)
    return parts
