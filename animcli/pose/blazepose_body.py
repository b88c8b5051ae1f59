"""The joints and the outline of one body: BlazePose's landmark network.

The network gives 39 landmarks in two ways, as numbers and as small heatmaps; the numbers
are steady and the heatmaps exact. So each landmark is moved to the middle of its heatmap
nearby, where that is lit at all. This is worth 3 to 8 px on a figure of 800 px.

Source: Bazarevsky et al., "BlazePose", arXiv:2006.10204.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose_crop import Roi
from animcli.pose.blazepose_network import Looker, Network

BODY = Network(
    "pose_landmark_full.tflite",
    256,
    ((195,), (1,), (256, 256, 1), (64, 64, 39), (117,)),
)
LANDMARKS = 33
"""Public landmarks; rows 33 and 34 are the hips' middle and the rim of the next square."""

REACH = 4
"""Cells of the heatmap on each side of a landmark. MediaPipe's published graph says 3; its
program behaves as 4 (0.02 px from it; with 3 up to 1.4 px)."""

LIT = 0.5


@dataclass(frozen=True, eq=False)
class Body:
    """What the network says about a body.

    points: `(33, 2)` float64, pixels of the picture.
    depth: `(33,)` the same unit, less is nearer, 0 at the hips.
    visibility, presence: `(33,)` 0..1; not hidden by something, and in the crop.
    world: `(33, 3)` metres, from the middle of the hips; x right, y down.
    sure: 0..1, that there is a body at all.
    hips, rim: `(2,)`, from which the next frame's square is made.
    outline: `(256, 256)` float32 logits in the crop, positive where the figure is.
    """

    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    world: NDArray[np.float64]
    sure: float
    hips: NDArray[np.float64]
    rim: NDArray[np.float64]
    outline: NDArray[np.float32]


class BodyNetwork:
    """The landmark network, and the reading of what it says."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._look = Looker(BODY, folder, threads)

    def read(self, picture: NDArray[np.uint8], roi: Roi) -> Body:
        """The body within `roi`, whether there is one or not: see `Body.sure`."""
        numbers, sure, outline, heatmap, world = self._look(picture, roi)
        rows = numbers.reshape(39, 5).astype(np.float64)
        crop = refine(rows[: LANDMARKS + 2, :2] / BODY.size, heatmap)
        points = roi.to_picture(crop)
        in_space = world.reshape(39, 3)[:LANDMARKS].astype(np.float64)
        cos, sin = np.cos(roi.angle), np.sin(roi.angle)
        in_space[:, :2] = in_space[:, :2] @ np.array([[cos, sin], [-sin, cos]])
        return Body(
            points=points[:LANDMARKS],
            depth=rows[:LANDMARKS, 2] / BODY.size * roi.width,
            visibility=sigmoid(rows[:LANDMARKS, 3]),
            presence=sigmoid(rows[:LANDMARKS, 4]),
            world=in_space,
            sure=float(sure[0]),
            hips=points[LANDMARKS],
            rim=points[LANDMARKS + 1],
            outline=outline[..., 0],
        )


def refine(
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
    steps = np.arange(-REACH, REACH + 1)
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
