"""SSIM of two pictures, and so how much moves from one frame to the next.

Source: Wang et al., "Image quality assessment: from error visibility to structural
similarity", 2004, with the plain window of 7 by 7 pixels and the unbiased covariance that
scikit-image has as its defaults.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW: Final = 7  # pixels
RANGE: Final = 255.0
FLOOR_OF_MEANS: Final = (0.01 * RANGE) ** 2
FLOOR_OF_SPREADS: Final = (0.03 * RANGE) ** 2
"""Keep flat and dark places from being divided by nothing (there, section III-B)."""


def ssim(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    """The mean structural similarity of two pictures, (h, w) or (h, w, 3); 1 if equal.

    Raises ValueError for pictures smaller than the window.
    """
    if left.shape != right.shape or min(left.shape[:2]) < WINDOW:
        raise ValueError(f"can't compare pictures of {left.shape} and {right.shape}")
    x, y = left.astype(np.float64), right.astype(np.float64)
    mean_x, mean_y = _mean(x), _mean(y)
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    spread_x = unbiased * (_mean(x * x) - mean_x * mean_x)
    spread_y = unbiased * (_mean(y * y) - mean_y * mean_y)
    shared = unbiased * (_mean(x * y) - mean_x * mean_y)
    means = (2 * mean_x * mean_y + FLOOR_OF_MEANS) / (
        mean_x * mean_x + mean_y * mean_y + FLOOR_OF_MEANS
    )
    spreads = (2 * shared + FLOOR_OF_SPREADS) / (spread_x + spread_y + FLOOR_OF_SPREADS)
    return float((means * spreads).mean())


def neighbour_ssim(frames: Iterable[NDArray[np.uint8]]) -> float | None:
    """The mean SSIM of each frame to the next; None if there are fewer than two."""
    each = [ssim(left, right) for left, right in pairwise(frames)]
    return float(np.mean(each)) if each else None


def motion_bucket(ssim: float) -> int:
    """Motion bucket of a mean SSIM: whole hundredths, 0 (much motion) to 99.

    Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.2, which counts buckets without
    saying where they begin; the published weights seem to know this one.
    """
    return max(0, min(99, int(100 * ssim)))


def motion_strength(ssim: float) -> int:
    """The nearest `--motion-strength`, 1 to 20, to a mean SSIM."""
    return max(1, min(20, 100 - motion_bucket(ssim)))


def _mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of every window that lies whole in `x` (h, w, ...)."""
    edge = WINDOW // 2
    blurred = cv2.blur(x, (WINDOW, WINDOW))
    return np.asarray(blurred[edge:-edge, edge:-edge], dtype=np.float64)
