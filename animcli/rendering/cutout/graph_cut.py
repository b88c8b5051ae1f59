"""Split a picture in two along its edges and by its colours (GrabCut).

Source: Rother, Kolmogorov and Blake, "GrabCut", 2004, as OpenCV has it.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

BACK: Final = cv2.GC_BGD
FRONT: Final = cv2.GC_FGD
MAYBE_BACK: Final = cv2.GC_PR_BGD
MAYBE_FRONT: Final = cv2.GC_PR_FGD

_WHOLE: Final = (0, 0, 0, 0)  # no rectangle: the labels say it all


def graph_cut(
    picture: NDArray[np.uint8], labels: NDArray[np.uint8], rounds: int
) -> NDArray[np.bool_]:
    """`(h, w)`, where `picture` `(h, w, 3)` is front.

    labels: `(h, w)`, what each pixel is, surely or maybe. rounds: of learning both sides'
    colours and cutting again.
    """
    found = np.ascontiguousarray(labels)
    if found is labels:
        found = labels.copy()
    if not (np.isin(found, (FRONT, MAYBE_FRONT)).any() and (found % 2 == 0).any()):
        return np.isin(found, (FRONT, MAYBE_FRONT))
    # colours are first clustered from random starts; the same picture gets the same cut
    cv2.setRNGSeed(0)
    back, front = np.zeros((1, 65)), np.zeros((1, 65))
    seen = np.ascontiguousarray(picture)
    cv2.grabCut(seen, found, _WHOLE, back, front, rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(found, (FRONT, MAYBE_FRONT))
