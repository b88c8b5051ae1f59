"""The picture without its figure: what every frame stands on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.fill import spread


def clear_background(
    picture: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """`picture` `(h, w, 3)` with what the figure covers filled from around it."""
    # a little more than the figure: what is left of its outline would show as a ghost
    reach = max(3, round(max(picture.shape[:2]) / 110))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    hole = cv2.dilate((alpha > 0.01).astype(np.uint8), disk) > 0
    filled = spread(picture.astype(np.float32), ~hole)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)
