"""Differences of two pictures, pixel by pixel: L1, PSNR, SSIM, and changes over time.

Pictures are RGB uint8 `(h, w, 3)`; two that are compared have one size. The names of the
tables of papers on dancing people go back to DisCo's evaluation (Wang et al.,
arXiv:2307.00040; Wangt-CN/DisCo at c4fa48a): what its numbers really are stands beside each
function that ends on `_disco`.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float64]

IDENTICAL_DB: Final = 100.0
"""PSNR of equal pictures, as in DisCo: an infinite one would make the mean infinite."""

GAUSSIAN: Final = cv2.getGaussianKernel(11, 1.5)
C1: Final = (0.01 * 255) ** 2
C2: Final = (0.03 * 255) ** 2


def l1(result: Pixels, truth: Pixels) -> float:
    """Mean absolute difference in levels, 0..255."""
    return float(cv2.absdiff(result, truth).mean())


def l1_disco(result: Pixels, truth: Pixels) -> float:
    """The tables' L1: that in levels, divided by the number of pixels.

    It depends on the size, and the tables' are of 256 x 256: 3.13E-04 there is 20.5 levels.
    """
    height, width = truth.shape[:2]
    return l1(result, truth) / float(height * width)


def psnr(result: Pixels, truth: Pixels) -> float:
    """Peak signal to noise ratio in dB; 100 for equal pictures."""
    return _decibels(float(np.square(result.astype(np.float64) - truth).mean()))


def psnr_published(result: Pixels, truth: Pixels) -> float:
    """The tables' PSNR, which is no PSNR: difference and square wrap modulo 256.

    Wrong in DisCo's code until April 2024, and in the tables that were made with it. It is
    never below the right one; two unrelated pictures score 27.9 dB, since the mean of
    d * d mod 256 over all d is 105.5.
    """
    wrapped = result - truth
    return _decibels(float((wrapped * wrapped).mean(dtype=np.float64)))


def ssim_wang(result: Pixels, truth: Pixels) -> float:
    """Structural similarity; 1 for equal pictures.

    Source: Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004: a Gaussian window of 11 x 11 with sigma 1.5, population covariance,
    windows that lie whole in the picture, the mean over the channels.

    Raises ValueError for pictures smaller than the window.
    """

    def blur(x: Plane) -> Plane:
        return np.asarray(cv2.sepFilter2D(x, cv2.CV_64F, GAUSSIAN, GAUSSIAN), np.float64)

    return _similarity(result, truth, blur, 11, 1.0)


def ssim_disco(result: Pixels, truth: Pixels) -> float:
    """The tables' SSIM: scikit-image's, of grey pictures, with a plain window of 7 x 7."""

    def blur(x: Plane) -> Plane:
        return np.asarray(cv2.blur(x, (7, 7)), np.float64)

    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (result, truth)]
    return _similarity(np.asarray(grey[0]), np.asarray(grey[1]), blur, 7, 49 / 48)


def dtssd(before: tuple[Pixels, Pixels], after: tuple[Pixels, Pixels]) -> float:
    """Difference of two changes: (result, truth) of a frame and of the next.

    The mean over pixels of the squared difference between what changes in the result and
    what changes in the truth, in levels squared; 0 is best. DisCo's has only the first
    pair of every clip.
    """
    (result_0, truth_0), (result_1, truth_1) = before, after
    change = result_1.astype(np.float64) - result_0
    true_change = truth_1.astype(np.float64) - truth_0
    return float(np.square(change - true_change).mean())


def resize(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture at `size` (width, height), bilinear without antialiasing, as DisCo does."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def crop_square(picture: Pixels) -> Pixels:
    """The square in the middle of a picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def gradient_energy(picture: Pixels, mask: NDArray[np.bool_]) -> float:
    """Mean squared step between neighbouring pixels where `mask` is, in levels squared.

    NaN where nothing is.
    """
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float64)
    inner = mask[:-1, :-1]
    if not inner.any():
        return float("nan")
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return float((across[inner] ** 2 + down[inner] ** 2).mean())


def _decibels(squared: float) -> float:
    return IDENTICAL_DB if squared == 0 else float(10 * np.log10(255**2 / squared))


def _similarity(
    left: Pixels, right: Pixels, blur: Callable[[Plane], Plane], window: int, bias: float
) -> float:
    """Mean SSIM over all whole windows. bias: of the covariance, n / (n - 1) or 1."""
    if min(left.shape[:2]) < window:
        raise ValueError(f"a window of {window} pixels doesn't fit into {left.shape}")
    edge = slice(window // 2, -(window // 2))
    x, y = left.astype(np.float64), right.astype(np.float64)
    mean_x, mean_y = blur(x), blur(y)
    spread_x = bias * (blur(x * x) - mean_x * mean_x)
    spread_y = bias * (blur(y * y) - mean_y * mean_y)
    shared = bias * (blur(x * y) - mean_x * mean_y)
    means = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    spreads = (2 * shared + C2) / (spread_x + spread_y + C2)
    return float((means * spreads)[edge, edge].mean())
