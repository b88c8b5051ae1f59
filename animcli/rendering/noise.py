"""The noise that a render starts from: a frame's depends on the seed and the frame alone.

A longer render therefore begins like a shorter one, and a frame can be made again alone.
"""

import hashlib
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["independent", "tiled", "shared"]

TILE = 16
"""Frames after which tiled noise repeats: MagicAnimate's clips have as many."""

SHARE = 0.5
"""Of the variance of shared noise that all frames have in common (Ge et al., "Preserve Your
Own Correlation", arXiv:2305.10474, section 4: mixed noise with alpha = 1)."""


def clip_noise(kind: Kind, frames: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Normal noise for `frames` frames of `shape` (c, h, w): (frames, c, h, w) float32.

    kind: `independent` frames; `tiled`, which repeats every `TILE` frames, as MagicAnimate
        was published with; `shared`, of which every frame has a part in common.
    """
    if kind == "tiled":
        return torch.stack([frame_noise(shape, seed, i % TILE) for i in range(frames)])
    own = torch.stack([frame_noise(shape, seed, i) for i in range(frames)])
    if kind == "independent":
        return own
    common = frame_noise(shape, seed, -1)
    return SHARE**0.5 * common + (1 - SHARE) ** 0.5 * own


def frame_noise(
    shape: tuple[int, int, int], seed: int, frame: int, step: int = 0
) -> Tensor:
    """Normal noise of one frame at one step, `shape` (c, h, w) float32, on the processor.

    It is drawn there for all devices, so that all start from the same.
    """
    return torch.randn(shape, generator=frame_generator(seed, frame, step))


def frame_generator(seed: int, frame: int, step: int = 0) -> torch.Generator:
    """The random numbers of one frame at one step."""
    digest = hashlib.sha256(f"{seed} {frame} {step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
