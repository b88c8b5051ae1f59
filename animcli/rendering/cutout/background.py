"""The picture without its figure: what every frame stands on."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from animcli.rendering.cutout.fill import spread

_GRAIN_PX: Final = 4.0  # sigma: what is finer than this is grain, grass or snow or weave
_GRAIN_LEVELS: Final = 40.0  # what is stronger is an edge of something, and stays alone


def clear_background(
    picture: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """`picture` `(h, w, 3)` with what the figure covers filled from around it."""
    # a little more than the figure: what is left of its outline would show as a ghost
    reach = max(3, round(max(picture.shape[:2]) / 110))
    side = 2 * reach + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    covered = cv2.dilate((alpha > 0.01).astype(np.uint8), disk)
    # slivers between its parts are tinged by it on both sides
    hole = np.asarray(cv2.morphologyEx(covered, cv2.MORPH_CLOSE, disk) > 0)
    seen = picture.astype(np.float32)
    filled = spread(seen, ~hole)
    if hole.all():
        return np.zeros_like(picture)
    filled[hole] += _mirrored_grain(seen, filled, hole)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def _mirrored_grain(
    seen: NDArray[np.float32], filled: NDArray[np.float32], hole: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """`(n, 3)`: fine detail for the pixels in the hole, mirrored at the hole's edge."""
    grain = seen - cv2.GaussianBlur(filled, (0, 0), _GRAIN_PX)
    grain[np.abs(grain).max(axis=-1) > _GRAIN_LEVELS] = 0
    grain[hole] = 0
    rows, columns = np.nonzero(hole)
    nearest = distance_transform_edt(hole, return_distances=False, return_indices=True)
    edge = np.asarray(nearest)[:, rows, columns]
    height, width = hole.shape
    # reflected once more where that lies beyond the picture
    row = _folded(2 * edge[0] - rows, height)
    column = _folded(2 * edge[1] - columns, width)
    return np.asarray(grain[row, column])


def _folded(place: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """`place` back into `0 .. size - 1`, as between two mirrors."""
    around = np.abs(place) % (2 * size - 2) if size > 1 else 0 * place
    return np.asarray(np.where(around < size, around, 2 * size - 2 - around))
