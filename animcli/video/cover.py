"""Bringing a picture to a size as Cinemo's authors do: it covers that, and is cut.

Source: the authors' code (maxin-cn/Cinemo at 7cd7f27), written anew and compared with its
numbers.
"""

import math

import numpy as np
from numpy.typing import NDArray


def covering(
    source: tuple[int, int], size: tuple[int, int]
) -> tuple[float, tuple[int, int]]:
    """How much larger a picture gets that covers `size`, and what is cut off before it.

    source, size: (width, height). What is cut off is (left, top), in pixels of the larger
    picture, which is made one pixel larger than is needed.
    """
    scale = max((size[1] + 1) / source[1], (size[0] + 1) / source[0])
    left, top = (
        round((math.floor(there * scale) - wanted) / 2)
        for there, wanted in zip(source, size, strict=True)
    )
    return scale, (left, top)


def cover(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (h, w, channels) that covers `size` (width, height), cut at its middle."""
    return np.round(cover_exactly(picture, size) * 255).astype(np.uint8)


def cover_exactly(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """The same before rounding, (height, width, channels) in 0..1.

    Along straight lines between pixels, and with no smoothing before.
    """
    scale, (left, top) = covering((picture.shape[1], picture.shape[0]), size)
    pixels: NDArray[np.float32] = picture.astype(np.float32) / np.float32(255)
    for axis, (length, cut) in enumerate([(size[1], top), (size[0], left)]):
        last = picture.shape[axis] - 1
        # Rounded to float32 where upstream is: that moves a sharp edge by more than 1e-6.
        at = float(np.float32(1 / scale)) * (np.arange(cut, cut + length) + 0.5) - 0.5
        at = np.clip(at, 0, None).astype(np.float32)
        before = np.minimum(at.astype(np.intp), last)
        part = (at - before).astype(np.float32)
        part = np.expand_dims(part, (1, 2) if axis == 0 else (0, 2))
        first = pixels.take(before, axis)
        pixels = first + part * (pixels.take(np.minimum(before + 1, last), axis) - first)
    return pixels
