"""Turned rectangles of a picture, and the networks that look into them.

Every BlazePose network sees a square crop of the picture, turned upright first, and answers
in the crop's coordinates. The rule for cutting is the same for all, and the answers are
sensitive to it: the corners of the rectangle go to those of the crop, with no shift by
half a pixel, linear interpolation, and for landmarks a border that repeats the picture's
edge (a black border costs up to 16 px).

Source: MediaPipe 0.10.21, whose models these are (Apache-2.0); the rule was established by
comparing results.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from animcli.errors import WeightsError

PULL = "get the models with: anim weights pull blazepose"


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
    return cv2.warpPerspective(
        picture,
        roi.to_crop(size),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
    )


@dataclass(frozen=True)
class Network:
    """What one model takes and gives.

    size: side of its square input in pixels.
    outputs: shapes of the outputs that are wanted, without the leading 1s; the first
        output of each shape is meant.
    signed: the input runs from -1 to 1 (detectors), else from 0 to 1 (landmarks).
    """

    file: str
    size: int
    outputs: tuple[tuple[int, ...], ...]
    signed: bool = False


class Looker:
    """A model in memory, that looks at rectangles of pictures."""

    def __init__(self, network: Network, folder: Path, threads: int) -> None:
        path = folder / network.file
        if not path.is_file():
            raise WeightsError(f"{path} isn't there", PULL)
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{path} isn't a LiteRT model: {error}", PULL) from error
        self._network = network
        self._input = _find(path, self._interpreter.get_input_details(), _square(network))
        self._outputs = [
            _find(path, self._interpreter.get_output_details(), shape)
            for shape in network.outputs
        ]

    def __call__(self, picture: NDArray[np.uint8], roi: Roi) -> list[NDArray[np.float32]]:
        """What the model says about the picture inside `roi`, in the order of `outputs`."""
        signed = self._network.signed
        crop = cut(
            picture, roi, self._network.size, Border.BLACK if signed else Border.EDGE
        )
        seen = self._interpreter.tensor(self._input)()[0]
        np.multiply(crop, np.float32(1 / 127.5 if signed else 1 / 255), out=seen)
        if signed:
            seen -= 1
        del seen  # LiteRT refuses to run while its memory is held
        self._interpreter.invoke()
        return [
            self._interpreter.get_tensor(index).reshape(shape)
            for index, shape in zip(self._outputs, self._network.outputs, strict=True)
        ]


def _square(network: Network) -> tuple[int, ...]:
    return (network.size, network.size, 3)


def _find(path: Path, tensors: Sequence[dict], wanted: tuple[int, ...]) -> int:
    for tensor in tensors:
        shape = tuple(int(side) for side in tensor["shape"])
        if shape[len(shape) - len(wanted) :] == wanted and math.prod(shape) == math.prod(
            wanted
        ):
            return int(tensor["index"])
    raise WeightsError(f"{path} has no tensor of shape {wanted}: another model?", PULL)
