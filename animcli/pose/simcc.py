"""Joints in a crop, by networks that classify x and y apart (SimCC).

Source: Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose
Estimation", arXiv:2107.03332; RTMPose's crops and normalisation, arXiv:2303.07399.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

ROOM: Final = 1.25  # of the box, so that hands and feet are in the crop
SPLIT: Final = 2.0  # classes per pixel of the crop
MEAN: Final = np.array([123.675, 116.28, 103.53])  # of ImageNet, RGB
SPREAD: Final = np.array([58.395, 57.12, 57.375])
NORMAL: Final = ((np.arange(256) - MEAN[:, None]) / SPREAD[:, None]).astype(np.float32)
"""`(3, 256)`: the normalised value of each level of each channel."""


@dataclass(frozen=True)
class Crop:
    """A part of a picture, as wide and high as the network wants it to look.

    x, y: its middle. width, height: in pixels of the picture.
    """

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, box: NDArray[np.floating], size: tuple[int, int]) -> "Crop":
        """Around left, top, right, bottom; the shorter side grows to the aspect of `size`,
        `(height, width)`.
        """
        left, top, right, bottom = (float(edge) for edge in box[:4])
        aspect = size[1] / size[0]
        width, height = (right - left) * ROOM, (bottom - top) * ROOM
        if width > aspect * height:
            height = width / aspect
        else:
            width = height * aspect
        return cls((left + right) / 2, (top + bottom) / 2, width, height)

    def matrix(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """`(2, 3)`: from the picture to a crop of `(height, width)` pixels."""
        k = size[1] / self.width
        return np.array(
            [[k, 0, size[1] / 2 - k * self.x], [0, k, size[0] / 2 - k * self.y]]
        )

    def cut(self, picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """The crop, black beyond the picture."""
        cut = cv2.warpAffine(
            picture, self.matrix(size), (size[1], size[0]), flags=cv2.INTER_LINEAR
        )
        return np.asarray(cut, np.uint8)


def normalise(crop: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Write a crop `(h, w, 3)` to `out` `(3, h, w)` as networks want it."""
    for plane, levels, to in zip(cv2.split(crop), NORMAL, out, strict=True):
        cv2.LUT(plane, levels, to)


def decode(
    simcc_x: NDArray[np.float32],
    simcc_y: NDArray[np.float32],
    crops: list[Crop],
    size: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Joints in pixels of the picture, `(n, joints, 2)`, and scores `(n, joints)`.

    simcc_x, simcc_y: `(n, joints, classes)`. The score is the lower one of the two; where
    it isn't positive, the joint lies left of and above the crop, as upstream has it.
    """
    place = np.stack([simcc_x.argmax(axis=2), simcc_y.argmax(axis=2)], axis=2)
    score = np.minimum(simcc_x.max(axis=2), simcc_y.max(axis=2))
    inside = np.where(score[..., None] > 0, place / SPLIT, -1 / SPLIT)
    middle = np.array([[crop.x, crop.y] for crop in crops])
    scale = np.array([[crop.width, crop.height] for crop in crops])
    corner = middle - scale / 2
    share = inside / np.array([size[1], size[0]])
    return share * scale[:, None] + corner[:, None], score
