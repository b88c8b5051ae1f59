"""Denoise every few frames only, and fill in the latents between them.

Source: the authors' code (MooreThreads/Moore-AnimateAnyone at a914ef3, its interpolation
factor), written anew and compared with its numbers. Differs: the last frame is always
denoised, so that a clip may have any length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from animcli.rendering.renderer import RenderRequest

Filling = Literal["linear", "spherical"]

ALMOST_PARALLEL: Final = 0.9995  # cosine; beyond it the arc's formula divides by nothing


def key_frames(frames: int, spacing: int) -> list[int]:
    """The frames that are denoised: every `spacing`th from the first on, and the last."""
    return [*range(0, frames - 1, spacing), frames - 1]


def only_frames(request: RenderRequest, chosen: Sequence[int]) -> RenderRequest:
    """The request for these of its frames alone, as if there were no others."""
    motion, control = request.motion, request.control
    if motion is not None:
        index = list(chosen)
        motion = replace(
            motion,
            points=motion.points[index],
            scores=motion.scores[index],
            ticks=motion.ticks[index],
        )

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        if control is not None:
            for index in span:
                yield from control(range(chosen[index], chosen[index] + 1))

    return replace(
        request,
        motion=motion,
        control=None if control is None else frames,
        frames=len(chosen),
    )


def fill_between(latents: Tensor, frames: Sequence[int], filling: Filling) -> Tensor:
    """The latents of all frames from those of some, (len(frames), c, h, w).

    frames: which they are, rising from 0.
    filling: along the line between two frames; or `spherical`, along the arc between them
        taken as vectors, which keeps their length (Shoemake, "Animating Rotation with
        Quaternion Curves", 1985), and where they point almost the same way, along the line.
    """
    between = spherical if filling == "spherical" else torch.lerp
    made = [
        between(left, right, latents.new_tensor(part / (after - before)))
        for (left, right), (before, after) in zip(
            pairwise(latents), pairwise(frames), strict=True
        )
        for part in range(after - before)
    ]
    return torch.stack([*made, latents[-1]])


def spherical(left: Tensor, right: Tensor, part: Tensor) -> Tensor:
    """The point `part` of the way along the arc from `left` to `right`."""
    cosine = F.cosine_similarity(left.flatten(), right.flatten(), dim=0)
    if cosine.abs() > ALMOST_PARALLEL:
        return torch.lerp(left, right, part)
    angle = torch.acos(cosine)
    return (torch.sin((1 - part) * angle) * left + torch.sin(part * angle) * right) / (
        torch.sin(angle)
    )
