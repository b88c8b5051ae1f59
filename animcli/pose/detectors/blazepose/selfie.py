"""Selfie segmentation: how surely each pixel belongs to a person, from one small network.

Unlike the outline that comes with BlazePose's landmarks it needs nobody to be found first:
it says what is person in any crop. 3 ms a crop; each is looked at mirrored as well.

Source: the model of MediaPipe 0.10.21 (Apache-2.0).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.detector import ROI, LiteRTModel, Network

SELFIE: Final = Network("selfie_segmentation.tflite", 256, ((256, 256, 1),))
MOST: Final = 1e-3
"""Probabilities are kept this far from 0 and 1, so that one crop can't outvote another."""
FADE: Final = 16
"""Pixels of the crop over which it fades out towards its border."""


class SelfieSegmentation:
    """The network in memory; `folder` holds its model."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._look = LiteRTModel(SELFIE, folder, threads)

    def logits(
        self, picture: NDArray[np.uint8], rois: Sequence[tuple[ROI, float]]
    ) -> NDArray[np.float32]:
        """`(h, w)` float32, positive where a person is; 0 outside of all crops.

        rois: squares to look into, and how much each counts in the mean.
        """
        height, width = picture.shape[:2]
        total = np.zeros((height, width), np.float32)
        weight = np.full((height, width), 1e-3, np.float32)
        for roi, counts in rois:
            for side in (roi, replace(roi, width=-roi.width)):
                likely = np.clip(self._look(picture, side)[0][..., 0], MOST, 1 - MOST)
                reach = counts * _placed(_FADING, side, (width, height))
                total += reach * _placed(
                    np.log(likely / (1 - likely)), side, (width, height)
                )
                weight += reach
        return total / weight


def _placed(
    crop: NDArray[np.float32], roi: ROI, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Values of a crop where they lie in a picture of `size` (w, h), 0 outside of it."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    placed = cv2.warpPerspective(crop, roi.to_crop(SELFIE.size), size, flags=flags)
    return np.asarray(placed, np.float32)


def _fading() -> NDArray[np.float32]:
    step = np.arange(SELFIE.size, dtype=np.float32)
    edge = np.minimum(1, (np.minimum(step, step[::-1]) + 1) / FADE)
    return np.minimum(edge[:, None], edge)


_FADING: Final = _fading()
