"""Fill the unseen part of a picture from what surrounds it.

Either by a membrane, the smoothest surface through the known pixels, made from coarse to
fine; or by mirrors at the hole's two sides, which keep what the surroundings are made of.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 12
"""Sweeps of the membrane equation per level; the coarser levels have done the rest."""
_DEPTH_PX = 6
"""How far into its surroundings a mirror at a hole's edge looks."""


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


def carried_across(
    picture: NDArray[np.float32],
    known: NDArray[np.bool_],
    hole: NDArray[np.bool_],
    reach: int,
) -> NDArray[np.float32]:
    """`picture` `(h, w, 3)` with its `hole` filled from what is `known` in the same row.

    Rows are mirrored at the hole's ends, within `reach` pixels, which keeps the weave of
    cloth and lets a hem go on. Where a row has nothing, its column serves likewise, and
    where neither has, `picture` is left as it is.
    """
    by_row, weight = _mirrored_rows(picture, known, reach)
    turned, other = _mirrored_rows(picture.transpose(1, 0, 2), known.T, reach)
    found = np.where(weight[..., None] > 0, by_row, turned.transpose(1, 0, 2))
    filled = hole & ((weight > 0) | (other.T > 0))
    return np.where(filled[..., None], found, picture).astype(np.float32)


def _mirrored_rows(
    picture: NDArray[np.float32], known: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What each pixel is mirrored at the nearest known ones before and after it in its row,
    and how much these weigh together: more the nearer they are, 0 beyond `reach`.
    """
    height, width = known.shape
    column = np.broadcast_to(np.arange(width), known.shape)
    row = np.arange(height)[:, None]
    before = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, column, width)[:, ::-1], axis=1)[:, ::-1]
    total = np.zeros((height, width, 1), np.float32)
    colours = np.zeros(picture.shape, np.float32)
    for edge, there in ((before, before >= 0), (after, after < width)):
        edge = edge.clip(0, width - 1)
        far = np.abs(column - edge)
        # there and back, so that only what is near to the edge is repeated
        depth = _DEPTH_PX - np.abs(far % (2 * _DEPTH_PX) - _DEPTH_PX)
        mirror = (edge + np.sign(edge - column) * depth).clip(0, width - 1)
        # a part narrower than the hole ends before its mirror image does
        at = np.where(known[row, mirror], mirror, edge)
        share = np.where(there & (far <= reach), 1 / (far + 1.0), 0)[..., None]
        colours += (share * picture[row, at]).astype(np.float32)
        total += share.astype(np.float32)
    return (colours / np.maximum(total, np.float32(1e-6))).astype(np.float32), total[..., 0]
