"""The Fréchet distance of two sets of features, taken for Gaussians.

Source: Dowson and Landau, "The Fréchet distance between multivariate normal distributions",
1982; Heusel et al., arXiv:1706.08500, for pictures, and Unterthiner et al.,
arXiv:1812.01717, for clips.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]

FEWEST: Final = 2
"""Samples a side. One has no spread, and its distance is that of two points."""

TRUSTED: Final = 256
"""Samples a side, below which a distance says more about their number than about them."""


def frechet_distance(left: Features, right: Features) -> float:
    """The squared distance of two Gaussians fitted to features `(n, d)` and `(m, d)`.

    `|m1 - m2|^2 + tr C1 + tr C2 - 2 tr sqrt(C1 C2)`, the covariances divided by n - 1. With
    centred features X and Y, divided by sqrt(n - 1), the last trace is the sum of the
    singular values of X Y^T: exact where there are fewer samples than dimensions, which the
    usual square root of a matrix isn't, and without complex numbers.

    A set of one sample counts as a point. Raises ValueError for none, or for features of
    different lengths.
    """
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(f"can't compare features of {left.shape} and {right.shape}")
    if not len(left) or not len(right):
        raise ValueError("no features to compare")
    mean_x, x = _centred(left)
    mean_y, y = _centred(right)
    between = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    means = np.square(mean_x - mean_y).sum()
    return float(max(means + np.square(x).sum() + np.square(y).sum() - 2 * between, 0))


def windows(frames: int, length: int = 16, stride: int = 1) -> Iterator[range]:
    """The clips of `length` frames that a video is cut into, `stride` frames apart.

    DisCo's protocol has every one, at stride 1: hundreds of samples that depend on each
    other. A stride as long as the clip gives independent ones.
    """
    for start in range(0, frames - length + 1, stride):
        yield range(start, start + length)


def _centred(
    features: Features,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean `(d,)`, and rows whose products are the covariance, d of them at most."""
    exact = features.astype(np.float64)  # float32 statistics are too coarse
    mean = exact.mean(0)
    centred = (exact - mean) / np.sqrt(max(len(exact) - 1, 1))
    if len(centred) > centred.shape[1]:  # the same products from fewer rows
        centred = np.linalg.qr(centred, mode="r")
    return mean, centred
