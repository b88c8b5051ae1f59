"""Bringing a picture to the size of the result as Cinemo's authors do.

Source: the authors' code (maxin-cn/Cinemo at 7cd7f27), written anew and compared with its
numbers.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from animcli.rendering.latents import to_unit


def cover(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (h, w, channels) that covers `size` (width, height), cut at its middle."""
    covered = cover_exactly(picture, size) * 255
    return np.ascontiguousarray(covered.round().to(torch.uint8)[0].permute(1, 2, 0).numpy())


def cover_exactly(picture: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """The same before rounding: (1, channels, height, width) in 0..1.

    The picture is made one pixel larger than is needed, with straight lines between its
    pixels and no smoothing before.
    """
    width, height = size
    scale = max((height + 1) / picture.shape[0], (width + 1) / picture.shape[1])
    larger = F.interpolate(
        to_unit(picture), scale_factor=scale, mode="bilinear", align_corners=False
    )
    top = round((larger.shape[-2] - height) / 2)
    left = round((larger.shape[-1] - width) / 2)
    return larger[..., top : top + height, left : left + width]
