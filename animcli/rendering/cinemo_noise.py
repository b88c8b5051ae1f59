"""Noise that already knows the picture's layout: Cinemo's refinement by cosine transform.

The low frequencies of the noise are replaced by those of the first frame with noise added.
Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.3. The paper takes a transform over
frames, rows and columns, but its filter lets every frequency in time pass, so that the
transform over frames undoes itself. What is left is done here, for each frame alone.

Shapes: f frames, c channels, h by w latent positions.
"""

import math

import torch
from torch import Tensor


def refine(noise: Tensor, first: Tensor, signal: float, fraction: float) -> Tensor:
    """`noise` (f, c, h, w) with the low frequencies of the noised first frame (c, h, w).

    signal: how much of the variance is the picture where it is noised (alphas_cumprod).
    fraction: of the frequencies down and across, which count as low; 0 changes nothing.
    """
    wide, picture = noise.double(), first.double()
    guide = math.sqrt(signal) * picture + math.sqrt(1 - signal) * wide
    return (wide + low_pass(guide - wide, fraction)).to(noise.dtype)


def low_pass(x: Tensor, fraction: float) -> Tensor:
    """The part of `x` (..., h, w) in the lowest `fraction` of its frequencies each way."""
    down, across = (
        dct_matrix(side, int(side * fraction)).to(x) for side in (x.shape[-2], x.shape[-1])
    )
    return down.T @ (down @ x @ across.T) @ across


def dct_matrix(size: int, frequencies: int | None = None) -> Tensor:
    """The lowest rows of the orthonormal cosine transform, (frequencies, size) float64.

    Source: Ahmed et al., "Discrete Cosine Transform", 1974 (type II).
    """
    frequency = torch.arange(size if frequencies is None else frequencies)[:, None]
    place = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * (place + 0.5) * frequency) * math.sqrt(2 / size)
    rows[:1] /= math.sqrt(2)
    return rows
