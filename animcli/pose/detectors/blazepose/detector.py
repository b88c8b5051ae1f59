"""BlazePose's networks in memory, the crops they see, and its two single-shot detectors.

Every BlazePose network sees a square crop of the picture, turned upright first, and answers
in the crop's coordinates. The rule for cutting is the same for all, and the answers are
sensitive to it: the corners of the rectangle go to those of the crop, with no shift by
half a pixel, linear interpolation, and for landmarks a border that repeats the picture's
edge (a black border costs up to 16 px).

A detector, of people or of faces, gives one box with some keypoints for every anchor of a
fixed grid, and how sure it is. Boxes that overlap are averaged, weighted by their scores,
instead of keeping the best alone; that makes the rectangle steadier.

Sources: Bazarevsky et al., "BlazeFace", arXiv:1907.05047, and "BlazePose",
arXiv:2006.10204; MediaPipe 0.10.21, whose models these are (Apache-2.0); the rule was
established by comparing results.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from animcli.errors import WeightsError


@dataclass(frozen=True)
class ROI:
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

    def grown(self, factor: float) -> "ROI":
        """A square about the same centre, `factor` times the longer side wide."""
        side = max(self.width, self.height) * factor
        return ROI(self.x, self.y, side, side, self.angle)

    def raised(self, share: float) -> "ROI":
        """The same rectangle, moved up its own vertical axis by a share of its height."""
        step = share * self.height
        x = self.x + step * math.sin(self.angle)
        y = self.y - step * math.cos(self.angle)
        return ROI(x, y, self.width, self.height, self.angle)


def whole(picture: NDArray[np.uint8]) -> ROI:
    """The square that holds all of a picture, in the middle."""
    height, width = picture.shape[:2]
    side = float(max(height, width))
    return ROI(width / 2, height / 2, side, side)


def rotation_of(
    start: NDArray[np.floating], end: NDArray[np.floating], upright: float
) -> float:
    """Angle of a rectangle in which the way from `start` to `end` has the direction
    `upright` (radians, anticlockwise from the right); in -pi..pi.
    """
    across, down = end - start
    angle = upright - math.atan2(-down, across)
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


class Border(IntEnum):
    """Fill of a crop where it leaves the picture."""

    BLACK = cv2.BORDER_CONSTANT
    EDGE = cv2.BORDER_REPLICATE


def crop_roi(
    picture: NDArray[np.uint8], roi: ROI, size: int, border: Border
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


PULL = "get the models with: anim weights pull blazepose"


@dataclass(frozen=True)
class Network:
    """Inputs and outputs of one model.

    size: side of its square input in pixels.
    outputs: shapes of the outputs that are wanted, without the leading 1s; the first
        output of each shape is meant.
    signed: the input runs from -1 to 1 (detectors), else from 0 to 1 (landmarks).
    """

    file: str
    size: int
    outputs: tuple[tuple[int, ...], ...]
    signed: bool = False


class LiteRTModel:
    """A model in memory, that looks at rectangles of pictures."""

    def __init__(self, network: Network, folder: Path, threads: int) -> None:
        path = folder / network.file
        if not path.is_file():
            raise WeightsError(f"{path} isn't there", PULL)
        try:
            with _silence():
                self._interpreter = Interpreter(str(path), num_threads=threads)
        except (ValueError, RuntimeError) as error:
            if "Mmap" in str(error):  # the bytes themselves were checked by the store
                raise MemoryError(f"{path}: {error}") from error
            raise WeightsError(f"{path} isn't a LiteRT model: {error}", PULL) from error
        try:
            with _silence():
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:  # a model that is whole asks for memory
            raise MemoryError(f"{path}: {error}") from error
        self._network = network
        self._input = _find(
            path, self._interpreter.get_input_details(), (network.size, network.size, 3)
        )
        self._outputs = [
            _find(path, self._interpreter.get_output_details(), shape)
            for shape in network.outputs
        ]

    def __call__(self, picture: NDArray[np.uint8], roi: ROI) -> list[NDArray[np.float32]]:
        """Run the model on the picture inside `roi`; outputs in the order of `outputs`."""
        signed = self._network.signed
        crop = crop_roi(
            picture, roi, self._network.size, Border.BLACK if signed else Border.EDGE
        )
        visible = self._interpreter.tensor(self._input)()[0]
        np.multiply(crop, np.float32(1 / 127.5 if signed else 1 / 255), out=visible)
        if signed:
            visible -= 1
        del visible  # LiteRT refuses to run while its memory is held
        self._interpreter.invoke()
        return [
            self._interpreter.get_tensor(index).reshape(shape)
            for index, shape in zip(self._outputs, self._network.outputs, strict=True)
        ]


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what a library writes to the process's stderr, past Python: LiteRT greets there.

    What goes wrong it raises as well.
    """
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _find(path: Path, tensors: Sequence[Mapping[str, Any]], wanted: tuple[int, ...]) -> int:
    for tensor in tensors:
        shape = [int(side) for side in tensor["shape"]]
        if shape == [1] * (len(shape) - len(wanted)) + [*wanted]:
            return int(tensor["index"])
    raise WeightsError(f"{path} has no tensor of shape {wanted}: another model?", PULL)


SSD_NMS_IOU = 0.3
"""Boxes that share more than this of their union are the same person."""

PERSON_DETECTOR = Network(
    "pose_detection.tflite", 224, ((2254, 12), (2254, 1)), signed=True
)
PERSON_GRIDS = ((28, 2), (14, 2), (7, 6))
"""(cells along a side, anchors in a cell): strides 8, 16 and three times 32."""

FACE_DETECTOR = Network(
    "face_detection_short_range.tflite", 128, ((896, 16), (896, 1)), signed=True
)
FACE_GRIDS = ((16, 2), (8, 6))

BODY_MARGIN = 1.25  # of the circle about the body, in the published pipeline


@dataclass(frozen=True, eq=False)
class BoxDetection:
    """Something that a detector found.

    box: `(2, 2)`, top left and bottom right in the crop that was searched, 0..1.
    keypoints: `(n, 2)` in pixels of the picture.
    score: 0..1.
    """

    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    score: float


class SSDDetector:
    """One detector: `search` gives what it found in a part of a picture, best first."""

    def __init__(
        self,
        network: Network,
        grids: tuple[tuple[int, int], ...],
        folder: Path,
        threads: int,
    ) -> None:
        self._look = LiteRTModel(network, folder, threads)
        self._size = network.size
        self._anchors = anchors(grids)

    def search(
        self, picture: NDArray[np.uint8], roi: ROI, threshold: float
    ) -> list[BoxDetection]:
        """Detections within `roi` with a score of at least `threshold`."""
        rows, logits = self._look(picture, roi)
        boxes, keypoints, scores = decode(
            rows, logits[:, 0], self._anchors, self._size, threshold
        )
        return [
            BoxDetection(box, roi.to_picture(points), score)
            for box, points, score in merge_overlapping(boxes, keypoints, scores)
        ]


def anchors(grids: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """Centres of all anchors `(n, 2)`, 0..1, row by row, coarse grids after fine ones."""
    centres = []
    for cells, in_cell in grids:
        middle = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middle, middle, indexing="ij")
        centres.append(np.stack([x, y], axis=-1).reshape(-1, 2).repeat(in_cell, axis=0))
    return np.concatenate(centres)


def decode(
    rows: NDArray[np.float32],
    logits: NDArray[np.float32],
    centres: NDArray[np.float64],
    size: int,
    threshold: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Boxes `(n, 2, 2)`, keypoints `(n, k, 2)` and scores of the rows above `threshold`.

    A row holds a box (centre, width, height) and keypoints, in pixels of a crop `size`
    wide, counted from the anchor's centre. What comes out is 0..1.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))
    sure = np.flatnonzero(scores >= threshold)
    values = rows[sure].astype(np.float64).reshape(-1, rows.shape[1] // 2, 2) / size
    centre = centres[sure]
    middle = values[:, 0] + centre
    half = values[:, 1] / 2
    boxes = np.stack([middle - half, middle + half], axis=1)
    return boxes, values[:, 2:] + centre[:, None], scores[sure]


def merge_overlapping(
    boxes: NDArray[np.float64], keypoints: NDArray[np.float64], scores: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    """The weighted mean of each group of overlapping boxes, with the best one's score."""
    merged = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best = left[0]
        same = overlap(boxes[best], boxes[left]) > SSD_NMS_IOU
        same[0] = True  # a box without area overlaps nothing, itself included
        group, left = left[same], left[~same]
        weights = scores[group] / scores[group].sum()
        merged.append(
            (
                np.tensordot(weights, boxes[group], 1),
                np.tensordot(weights, keypoints[group], 1),
                float(scores[best]),
            )
        )
    return merged


def overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box `(2, 2)` with others `(n, 2, 2)`."""
    sides = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(box[1] - box[0]) + np.prod(others[:, 1] - others[:, 0], axis=1) - shared
    shares: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return shares


def body_roi(hips: NDArray[np.floating], rim: NDArray[np.floating]) -> ROI:
    """The square about a body, from the middle of its hips and a point on the circle that
    holds it, straight above the head.
    """
    side = 2 * float(np.hypot(*(rim - hips)))
    angle = rotation_of(hips, rim, upright=math.pi / 2)
    return ROI(float(hips[0]), float(hips[1]), side, side, angle).grown(BODY_MARGIN)


def find_people(
    detector: SSDDetector, picture: NDArray[np.uint8], region: ROI, threshold: float
) -> list[ROI]:
    """The square about each person in a region of the picture, the surest first."""
    return [
        body_roi(found.keypoints[0], found.keypoints[1])
        for found in detector.search(picture, region, threshold)
    ]
