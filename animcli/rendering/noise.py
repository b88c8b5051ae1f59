"""The noise that a render starts from: a frame's depends on the seed and the frame alone.

A longer render therefore begins like a shorter one, and a frame can be made again alone.

Cinemo refines it by a cosine transform, so that it already knows the picture's layout: the
low frequencies of the noise are replaced by those of the first frame with noise added.
Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.3. The paper takes a transform over
frames, rows and columns, but its filter lets every frequency in time pass, so that the
transform over frames undoes itself. What is left is done here, for each frame alone.

Shapes: f frames, c channels, h by w latent positions.
"""

import hashlib
import math
from typing import Literal

import torch
from torch import Tensor

NoiseKind = Literal["independent", "tiled", "shared"]

TILED_FRAMES = 16
"""Frames after which tiled noise repeats: MagicAnimate's clips have as many."""

SHARED_VARIANCE = 0.5
"""Of the variance of shared noise that all frames have in common (Ge et al., "Preserve Your
Own Correlation", arXiv:2305.10474, section 4: mixed noise with alpha = 1)."""


def clip_noise(
    kind: NoiseKind, frames: int, shape: tuple[int, int, int], seed: int, step: int = 0
) -> Tensor:
    """Normal noise for `frames` frames of `shape` (c, h, w): (frames, c, h, w) float32.

    kind: `independent` frames; `tiled`, which repeats every `TILED_FRAMES` frames, as
        MagicAnimate was published with; `shared`, of which every frame has a part in
        common.
    step: 0 for what a render starts from, else the step before which it is drawn.
    """
    if kind == "tiled":
        return torch.stack(
            [frame_noise(shape, seed, i % TILED_FRAMES, step) for i in range(frames)]
        )
    own = torch.stack([frame_noise(shape, seed, i, step) for i in range(frames)])
    if kind == "independent":
        return own
    common = frame_noise(shape, seed, -1, step)
    return SHARED_VARIANCE**0.5 * common + (1 - SHARED_VARIANCE) ** 0.5 * own


def frame_noise(
    shape: tuple[int, int, int], seed: int, frame: int, step: int = 0
) -> Tensor:
    """Normal noise of one frame at one step, `shape` (c, h, w) float32, on the CPU.

    It is drawn there for all devices, so that all start from the same.
    """
    return torch.randn(shape, generator=frame_generator(seed, frame, step))


def frame_generator(seed: int, frame: int, step: int = 0) -> torch.Generator:
    """The random numbers of one frame at one step."""
    digest = hashlib.sha256(f"{seed} {frame} {step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def refine_noise(noise: Tensor, first: Tensor, signal: float, fraction: float) -> Tensor:
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
