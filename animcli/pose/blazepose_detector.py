"""Finding people, and faces, in a picture: the two single-shot detectors of BlazePose.

Each gives one box with some keypoints for every anchor of a fixed grid, and how sure it is.
Boxes that overlap are averaged, weighted by their scores, instead of keeping the best
alone; that makes the rectangle steadier.

Source: Bazarevsky et al., "BlazeFace", arXiv:1907.05047, and "BlazePose", arXiv:2006.10204.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose_crop import Roi, turn
from animcli.pose.blazepose_network import Looker, Network

OVERLAP = 0.3
"""Boxes that share more than this of their union are the same person."""

PERSON = Network("pose_detection.tflite", 224, ((2254, 12), (2254, 1)), signed=True)
PERSON_GRIDS = ((28, 2), (14, 2), (7, 6))
"""(cells along a side, anchors in a cell): strides 8, 16 and three times 32."""

FACE = Network("face_detection_short_range.tflite", 128, ((896, 16), (896, 1)), signed=True)
FACE_GRIDS = ((16, 2), (8, 6))

BODY_MARGIN = 1.25  # of the circle about the body, in the published pipeline


@dataclass(frozen=True, eq=False)
class Found:
    """Something that a detector found.

    box: `(2, 2)`, top left and bottom right in the crop that was searched, 0..1.
    keypoints: `(n, 2)` in pixels of the picture.
    score: 0..1.
    """

    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    score: float


class Detector:
    """One detector: `search` gives what it found in a part of a picture, best first."""

    def __init__(
        self,
        network: Network,
        grids: tuple[tuple[int, int], ...],
        folder: Path,
        threads: int,
    ) -> None:
        self._look = Looker(network, folder, threads)
        self._size = network.size
        self._anchors = anchors(grids)

    def search(self, picture: NDArray[np.uint8], roi: Roi, threshold: float) -> list[Found]:
        """What is at least as sure as `threshold` within `roi`."""
        rows, logits = self._look(picture, roi)
        boxes, keypoints, scores = decode(
            rows, logits[:, 0], self._anchors, self._size, threshold
        )
        return [
            Found(box, roi.to_picture(points), score)
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
        same = overlap(boxes[best], boxes[left]) > OVERLAP
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


def body_roi(hips: NDArray[np.floating], rim: NDArray[np.floating]) -> Roi:
    """The square about a body, from the middle of its hips and a point on the circle that
    holds it, straight above the head.
    """
    side = 2 * float(np.hypot(*(rim - hips)))
    angle = turn(hips, rim, upright=math.pi / 2)
    return Roi(float(hips[0]), float(hips[1]), side, side, angle).grown(BODY_MARGIN)


def find_people(
    detector: Detector, picture: NDArray[np.uint8], region: Roi, threshold: float
) -> list[Roi]:
    """The square about each person in a region of the picture, the surest first."""
    return [
        body_roi(found.keypoints[0], found.keypoints[1])
        for found in detector.search(picture, region, threshold)
    ]
