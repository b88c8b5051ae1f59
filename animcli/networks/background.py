"""A picture without its figure.

Shapes: b pictures, h and w pixels.
"""

from typing import Final

from torch import Tensor
from torch.nn import functional as F

_SMOOTHING: Final = 12
"""How often each scale of what is filled is smoothed; the coarser ones did the rest."""


def background(pictures: Tensor, figure: Tensor) -> Tensor:
    """The pictures (b, 3, h, w) without `figure` (b, 1, h, w), of which one is not sure."""
    return fill_figure(pictures, perhaps(figure))


def perhaps(figure: Tensor) -> Tensor:
    """Where a figure (b, 1, h, w) may be, of which one is not sure: the same, in 0..1.

    A pixel about it counts too: nothing of its edge may shine through.
    """
    return ((F.max_pool2d(figure, 3, stride=1, padding=1) - 0.1) / 0.4).clamp(0, 1)


def fill_figure(pictures: Tensor, figure: Tensor) -> Tensor:
    """The pictures (b, 3, h, w) with the colours around it where `figure` (b, 1, h, w) is.

    Means of what is known of 2, 4, 8... pixels, from coarse to fine ("push and pull"), at
    each of which what isn't known is smoothed until it lies there like a membrane.
    """
    known = 1 - figure
    sums, shares = [pictures * known], [known]
    while min(sums[-1].shape[-2:]) > 1:
        sums.append(F.avg_pool2d(sums[-1], 2, ceil_mode=True))
        shares.append(F.avg_pool2d(shares[-1], 2, ceil_mode=True))
    filled = sums[-1] / shares[-1].clamp_min(1e-4)
    for total, share in zip(sums[-2::-1], shares[-2::-1], strict=True):
        filled = F.interpolate(filled, total.shape[-2:], mode="bilinear")
        filled = total + (1 - share) * filled
        for _ in range(_SMOOTHING):
            near = F.avg_pool2d(filled, 3, 1, 1, count_include_pad=False)
            filled = total + (1 - share) * near
    return filled
