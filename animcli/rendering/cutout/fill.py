"""Fill the unseen part of a picture from what surrounds it.

The fill is a membrane: the smoothest surface through the known pixels, made from coarse to
fine.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 12
"""Sweeps of the membrane equation per level; the coarser levels have done the rest."""


def spread(picture: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`picture` `(h, w, c)` with every pixel that isn't `known` `(h, w)` filled smoothly.

    Known pixels come back unchanged. With nothing known, zeros.
    """
    seen = np.where(known[..., None], picture, 0).astype(np.float32)
    return _spread(seen, known.astype(np.float32))


def _spread(
    picture: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    height, width = weight.shape
    if weight.all() or max(height, width) == 1:
        return picture
    half = ((width + 1) // 2, (height + 1) // 2)
    mass = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    # the sum of the known colours in each coarse pixel, over how many they were
    colour = cv2.resize(picture * weight[..., None], half, interpolation=cv2.INTER_AREA)
    colour = colour.reshape(*mass.shape, -1) / np.maximum(mass, 1e-6)[..., None]
    known = np.asarray(mass > 0, np.float32)
    coarse = _spread((colour * known[..., None]).astype(np.float32), known)
    guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    guess = guess.reshape(picture.shape)
    fixed = weight[..., None] > 0
    filled = np.where(fixed, picture, guess)
    for _ in range(_SMOOTHING):
        smooth = cv2.blur(filled, (3, 3)).reshape(picture.shape)
        filled = np.where(fixed, picture, smooth)
    return filled.astype(np.float32)
