"""Turned rectangles of a picture, and cutting them out.

Every BlazePose network sees a square crop of the picture, turned upright first, and answers
in the crop's coordinates. The rule for cutting is the same for all, and the answers are
sensitive to it: the corners of the rectangle go to those of the crop, with no shift by
half a pixel, linear interpolation, and for landmarks a border that repeats the picture's
edge (a black border costs up to 16 px).

Source: MediaPipe 0.10.21, whose models these are (Apache-2.0); the rule was established by
comparing results.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Roi:
    """A rectangle of a picture, turned by `angle` (radians, clockwise on the screen).

    x, y is its centre; all lengths in pixels.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def to_picture(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points `(n, 2)` of the crop, 0..1 across it, in pixels of the picture."""
        across = (points[:, 0] - 0.5) * self.width
        down = (points[:, 1] - 0.5) * self.height
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.stack(
            [self.x + across * cos - down * sin, self.y + across * sin + down * cos], axis=1
        )

    def to_crop(self, size: int) -> NDArray[np.float64]:
        """The 3x3 matrix that takes picture pixels to pixels of the crop, `size` wide."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cos, sin], [-sin, cos]]) * (
            [[size / self.width], [size / self.height]]
        )
        matrix = np.eye(3)
        matrix[:2, :2] = turn
        matrix[:2, 2] = size / 2 - turn @ (self.x, self.y)
        return matrix

    def grown(self, factor: float) -> "Roi":
        """A square about the same centre, `factor` times the longer side wide."""
        side = max(self.width, self.height) * factor
        return Roi(self.x, self.y, side, side, self.angle)

    def raised(self, share: float) -> "Roi":
        """The same rectangle, moved up its own vertical axis by a share of its height."""
        step = share * self.height
        x = self.x + step * math.sin(self.angle)
        y = self.y - step * math.cos(self.angle)
        return Roi(x, y, self.width, self.height, self.angle)


def whole(picture: NDArray[np.uint8]) -> Roi:
    """The square that holds all of a picture, in the middle."""
    height, width = picture.shape[:2]
    side = float(max(height, width))
    return Roi(width / 2, height / 2, side, side)


def turn(start: NDArray[np.floating], end: NDArray[np.floating], upright: float) -> float:
    """How far a rectangle is turned in which the way from `start` to `end` has the
    direction `upright` (radians, anticlockwise from the right); in -pi..pi.
    """
    across, down = end - start
    angle = upright - math.atan2(-down, across)
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


class Border(IntEnum):
    """What a crop shows where it leaves the picture."""

    BLACK = cv2.BORDER_CONSTANT
    EDGE = cv2.BORDER_REPLICATE


def cut(
    picture: NDArray[np.uint8], roi: Roi, size: int, border: Border
) -> NDArray[np.uint8]:
    """The part of a picture in `roi`, turned upright, `(size, size, 3)`."""
    crop = cv2.warpPerspective(
        picture,
        roi.to_crop(size),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
    )
    return crop.astype(np.uint8, copy=False)
