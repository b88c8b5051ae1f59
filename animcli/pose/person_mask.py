"""Masks of one person in a video: the part of each frame that is to be made anew.

Source: the preprocessing of Wan-Animate's authors (Wan-Video/Wan2.2, preprocess/utils.py):
a mask that is grown by 9 pixels of a 720 high picture, and cut into cells of its box, each
of which counts as a whole once it holds any of the mask. Differs: the person is found by
MediaPipe's selfie segmentation (Apache-2.0) beside the keypoints that are there already,
not by SAM 2.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.detector import ROI
from animcli.pose.detectors.blazepose.selfie import SelfieSegmentation
from animcli.pose.sequence import PoseSequence

Mask = NDArray[np.bool_]

_AROUND: Final = 1.5
"""Keypoints' boxes that the square is wide that is looked into: hair and feet stick out."""
OF_HEIGHT: Final = 720  # px, of the picture that growth is told for


@dataclass(frozen=True)
class MaskShape:
    """Widening of a mask.

    grow: pixels of a picture 720 high.
    cells: of its box, across and down; None keeps the outline.
    """

    grow: int = 9
    cells: tuple[int, int] | None = (1, 1)

    @classmethod
    def parse(cls, grow: int, cells: str) -> "MaskShape":
        """The shape that a preset's two keys say."""
        if cells == "outline":
            return cls(grow, None)
        across, down = (int(each) for each in cells.split("x"))
        return cls(grow, (across, down))

    def widen(self, mask: Mask) -> Mask:
        """A mask `(h, w)` grown, then filled cell by cell."""
        return fill_cells(grown(mask, self.grow * len(mask) / OF_HEIGHT), self.cells)


def grown(mask: Mask, pixels: float) -> Mask:
    """A mask `(h, w)` that reaches so many pixels further, in squares."""
    reach = round(pixels)
    if reach <= 0:
        return mask
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), square)) > 0


def fill_cells(mask: Mask, cells: tuple[int, int] | None) -> Mask:
    """A mask whose box is cut into cells, each whole or empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if cells is None or len(rows) == 0:
        return mask
    filled = np.zeros_like(mask)
    across = np.linspace(columns[0], columns[-1] + 1, cells[0] + 1).astype(int)
    down = np.linspace(rows[0], rows[-1] + 1, cells[1] + 1).astype(int)
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            filled[top:bottom, left:right] = mask[top:bottom, left:right].any()
    return filled


def joints_box(motion: PoseSequence, frame: int) -> NDArray[np.float32] | None:
    """Left, top, right, bottom of the keypoints seen in a frame; None where nobody is."""
    points = motion.points[frame][motion.visible[frame]]
    if len(points) == 0:
        return None
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


class PersonMasks:
    """Masks of the person whose keypoints a motion holds, frame by frame."""

    def __init__(self, motion: PoseSequence, folder: Path) -> None:
        """`folder` holds the models of the weights `blazepose`."""
        self._motion = motion
        self._selfie = SelfieSegmentation(folder)

    def __call__(self, frame: int, picture: NDArray[np.uint8]) -> Mask:
        """The person in the picture `(h, w, 3)` of a frame; empty where nobody is.

        The box of the keypoints belongs to it, so that no limb is left over.
        """
        box = joints_box(self._motion, frame)
        if box is None:
            return np.zeros(picture.shape[:2], bool)
        left, top, right, bottom = box.tolist()
        roi = ROI((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        mask = self._selfie.logits(picture, ((roi.grown(_AROUND), 1.0),)) > 0
        for x, y in self._motion.points[frame][self._motion.visible[frame]].astype(int):
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                mask[y, x] = True
        return mask
