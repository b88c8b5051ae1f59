"""Colour histograms: how often each colour is seen in a part of a picture.

Colours are counted in CIE Lab, coarsely in lightness, as light changes more over a thing
than its colour does, and smoothed. A colour that neither of two parts has says nothing.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

_BIN: Final = (40, 6, 6)  # levels in a bin
_GRAIN: Final = 0.8  # px, sigma
_ALIKE: Final = 1.0  # bins, sigma: what is still the same colour in other light
UNKNOWN_SHARE: Final = (
    2e-5  # a bin's share of a histogram below which a colour says nothing
)

_SIDES: Final = tuple(255 // size + 1 for size in _BIN)


def lab_colours(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` `(h, w, 3)` RGB in CIE Lab, without the finest grain."""
    smooth = cv2.GaussianBlur(picture, (0, 0), _GRAIN)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.uint8)


def bin_numbers(colour: NDArray[np.uint8]) -> NDArray[np.intp]:
    """`(n,)`: the bin of the histogram that each of `colour` `(n, 3)`, CIE Lab, is in."""
    bins = (colour // np.array(_BIN, np.uint8)).astype(np.intp)
    return np.asarray((bins[:, 0] * _SIDES[1] + bins[:, 1]) * _SIDES[2] + bins[:, 2])


def colour_histogram(
    number: NDArray[np.intp], weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Share of each bin, smoothed, among pixels `(n,)` that count as much as `weight`."""
    many = np.bincount(number, weight, int(np.prod(_SIDES))).astype(np.float64)
    smooth = gaussian_filter(many.reshape(_SIDES), _ALIKE, mode="constant")
    return np.asarray(smooth.ravel() / max(smooth.sum(), 1e-9) + UNKNOWN_SHARE)
