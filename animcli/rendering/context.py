"""Cut a long clip into overlapping windows, and blend what comes back.

The motion modules see at most a few dozen frames at once. Each denoising step therefore
predicts window by window, and a frame that several windows see gets their weighted mean.
There are two ways to cut: the published one, always the same, which joins the end of the
clip to its start; and one whose seams move from step to step, so that none settles.

Or denoise every few frames only, and fill in the latents between them. Source: the authors'
code (MooreThreads/Moore-AnimateAnyone at a914ef3, its interpolation factor), written anew
and compared with its numbers. Differs: the last frame is always denoised, so that a clip
may have any length.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from animcli.presets import Preset
from animcli.rendering.renderer import FrameFn, RenderRequest


@dataclass(frozen=True)
class ContextWindow:
    """Context window: frames that are denoised together, and how much each counts.

    frames: indices into the clip, in the order that the motion modules see them.
    weights: one for each frame; only their relation to other windows' matters.
    """

    frames: tuple[int, ...]
    weights: tuple[float, ...]


DenoiseFn = Callable[[Tensor, ContextWindow], Tensor]
"""(latents of a window (f, c, h, w), the window) -> the prediction, same shape."""

StepFn = Callable[[int, Tensor, Tensor], DenoiseFn]
"""(step, timestep (), latents of the whole clip (frames, c, h, w)) -> how to predict.

What a renderer works out once per step, it works out here."""

WindowsFn = Callable[[int], list[ContextWindow]]
"""step -> the windows of that step."""


def uniform_windows(
    frames: int,
    size: int,
    overlap: int,
    *,
    stride: int = 1,
    step: int = 0,
    closed: bool = True,
) -> list[ContextWindow]:
    """The schedule that Animate Anyone and MagicAnimate were published with.

    Windows of `size` frames share `overlap` frames with the next. With `stride` 2, 3, ...
    there follow windows over every 2nd, 4th, ... frame, `stride` rounds at most. `closed`
    makes the last windows go on at the start of the clip. Both authors always cut as for
    `step` 0.

    Source: the authors' code (MooreThreads/Moore-AnimateAnyone at a914ef3), written anew
    and compared with its tables. Raises ValueError unless `0 <= overlap < size`.
    """
    _check(size, overlap)
    if frames <= size:
        return [_flat(range(frames))]
    rounds = min(stride, math.ceil(math.log2(frames / size)) + 1)
    turn = bit_reversed(step)
    windows = []
    for spacing in (2**power for power in range(rounds)):
        pad = round(frames * turn)
        first, last = int(turn * spacing) + pad, frames + pad
        if not closed:
            last -= overlap
        for start in range(first, last, size * spacing - overlap):
            windows.append(
                _flat((start + place * spacing) % frames for place in range(size))
            )
    return windows


def moving_windows(
    frames: int, size: int, overlap: int, *, step: int = 0
) -> list[ContextWindow]:
    """Windows whose seams are elsewhere at each `step`; none joins the end to the start.

    Neighbours share at least `overlap` frames, in which the weight of one falls as that of
    the other rises. The first and last window stay at the ends of the clip.

    Raises ValueError unless `0 <= overlap < size`.
    """
    _check(size, overlap)
    if frames <= size:
        return [_flat(range(frames))]
    stride = size - overlap
    shift = int(bit_reversed(step) * stride)
    inner = range(stride - shift, frames - size, stride)
    return [
        ContextWindow(tuple(range(start, start + size)), _tapered(size, overlap))
        for start in (0, *inner, frames - size)
    ]


def context_windows(preset: Preset, frames: int) -> Callable[[int], list[ContextWindow]]:
    """Step -> the windows that a preset asks for, over a clip of `frames` frames."""
    size, overlap = preset.window, preset.overlap
    if preset.windows == "moving":
        return lambda step: moving_windows(frames, size, overlap, step=step)
    fixed = uniform_windows(frames, size, overlap, stride=preset.stride)
    return lambda step: fixed


def bit_reversed(number: int) -> float:
    """`number` with its bits mirrored at the point: 0, 1/2, 1/4, 3/4, 1/8, 5/8, ...

    Each next number lies in the largest gap that those before it left.
    """
    return int(f"{number:064b}"[::-1], 2) / 2**64


def gather(latents: Tensor, window: ContextWindow) -> Tensor:
    """The window's part of `latents` (frames, c, h, w)."""
    return latents[list(window.frames)]


class Blend:
    """The weighted mean of what several windows say about a clip's frames."""

    def __init__(self, like: Tensor) -> None:
        """`like` is a clip (frames, c, h, w) of the same shape."""
        self._total = torch.zeros_like(like)
        self._weight = like.new_zeros(len(like), 1, 1, 1)

    def add(self, window: ContextWindow, said: Tensor) -> None:
        """Add what a window says, (its frames, c, h, w).

        Of a frame that it lists twice, the last counts.
        """
        last = {frame: place for place, frame in enumerate(window.frames)}
        frames, places = list(last), list(last.values())
        weight = torch.tensor([window.weights[place] for place in places])
        weight = weight.to(self._weight)[:, None, None, None]
        self._total[frames] += weight * said[places]
        self._weight[frames] += weight

    def mean(self) -> Tensor:
        """The mean so far, (frames, c, h, w)."""
        return self._total / self._weight


def _check(size: int, overlap: int) -> None:
    if not 0 <= overlap < size:
        raise ValueError(f"overlap must be in 0..{size - 1}, got {overlap}")


def _flat(frames: Iterable[int]) -> ContextWindow:
    chosen = tuple(frames)
    return ContextWindow(chosen, (1.0,) * len(chosen))


def _tapered(size: int, overlap: int) -> tuple[float, ...]:
    """1 inside, and less in the `overlap` frames next to either end."""
    return tuple(
        min(place + 1, size - place, overlap + 1) / (overlap + 1) for place in range(size)
    )


Interpolation = Literal["linear", "spherical"]

ALMOST_PARALLEL: Final = 0.9995  # cosine; beyond it the arc's formula divides by nothing


def keyframes(frames: int, interval: int) -> list[int]:
    """The frames that are denoised: every `spacing`th from the first on, and the last."""
    return [*range(0, frames - 1, interval), frames - 1]


def select_frames(request: RenderRequest, chosen: Sequence[int]) -> RenderRequest:
    """The request for these of its frames alone, as if there were no others."""
    motion = request.motion
    if motion is not None:
        index = list(chosen)
        motion = replace(
            motion,
            points=motion.points[index],
            scores=motion.scores[index],
            ticks=motion.ticks[index],
        )

    def of(source: FrameFn | None) -> FrameFn | None:
        if source is None:
            return None

        def frames(span: range) -> Iterator[NDArray[np.uint8]]:
            for index in span:
                yield from source(range(chosen[index], chosen[index] + 1))

        return frames

    return replace(
        request,
        motion=motion,
        control=of(request.control),
        start=of(request.start),
        frames=len(chosen),
    )


def interpolate(
    latents: Tensor, frames: Sequence[int], interpolation: Interpolation
) -> Tensor:
    """The latents of all frames from those of some, (len(frames), c, h, w).

    frames: which they are, rising from 0.
    filling: along the line between two frames; or `slerp`, along the arc between them
        taken as vectors, which keeps their length (Shoemake, "Animating Rotation with
        Quaternion Curves", 1985), and where they point almost the same way, along the line.
    """
    between = slerp if interpolation == "spherical" else torch.lerp
    made = [
        between(left, right, latents.new_tensor(part / (after - before)))
        for (left, right), (before, after) in zip(
            pairwise(latents), pairwise(frames), strict=True
        )
        for part in range(after - before)
    ]
    return torch.stack([*made, latents[-1]])


def slerp(left: Tensor, right: Tensor, part: Tensor) -> Tensor:
    """The point `part` of the way along the arc from `left` to `right`."""
    cosine = F.cosine_similarity(left.flatten(), right.flatten(), dim=0)
    if cosine.abs() > ALMOST_PARALLEL:
        return torch.lerp(left, right, part)
    angle = torch.acos(cosine)
    return (torch.sin((1 - part) * angle) * left + torch.sin(part * angle) * right) / (
        torch.sin(angle)
    )
