"""Inpainting: fill what a picture doesn't show from what surrounds it.

Either by a membrane, the smoothest surface through the known pixels, made from coarse to
fine; or row by row, which keeps the things apart that meet at the hole's edge.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 12
"""Sweeps of the membrane equation per level; the coarser levels have done the rest."""
_DEPTH_PX = 4
"""Depth into its surroundings at which a hole's edge looks for the colour that goes on."""
_NEAR_PX = 6
"""Distance from its hole at which a filled pixel is still at its edge."""
_SHADE_LEVELS = 60.0
"""Steps in colour below this are shades of one thing; above, two things meet."""


def push_pull(
    picture: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """`picture` `(h, w, c)` with every pixel that isn't `known` `(h, w)` filled smoothly.

    Known pixels come back unchanged. With nothing known, zeros.
    """
    pixels = np.where(known[..., None], picture, 0).astype(np.float32)
    return _push_pull(pixels, known.astype(np.float32))


def _push_pull(
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
    coarse = _push_pull((colour * known[..., None]).astype(np.float32), known)
    guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    fixed = (weight > 0).astype(np.uint8)
    filled = cv2.copyTo(picture, fixed, guess)
    for _ in range(_SMOOTHING):
        filled = cv2.copyTo(picture, fixed, cv2.blur(filled, (3, 3)))
    return np.asarray(filled.reshape(picture.shape), np.float32)


def inpaint_rows(
    picture: NDArray[np.float32],
    known: NDArray[np.bool_],
    hole: NDArray[np.bool_],
    reach: int,
) -> NDArray[np.float32]:
    """`picture` `(h, w, 3)` with its `hole` filled from what is `known` in the same row.

    Rows go on with what they have at the hole's ends, within `reach` pixels, which lets a
    hem go on. Where a row has nothing, its column serves likewise, and where neither has,
    `picture` is left as it is. Then all is shaded so that it meets what lies around.
    """
    by_row, weight = _rows_on(picture, known, reach)
    turned, other = _rows_on(picture.transpose(1, 0, 2), known.T, reach)
    found = np.where(weight[..., None] > 0, by_row, turned.transpose(1, 0, 2))
    filled = hole & ((weight > 0) | (other.T > 0))
    carried = np.where(filled[..., None], found, picture).astype(np.float32)
    return np.where(filled[..., None], carried + _step(carried, known, filled), carried)


def _rows_on(
    picture: NDArray[np.float32], known: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The colour of each pixel if the nearest known ones beside it in its row go on,
    and how much these weigh together: more the nearer they are, 0 beyond `reach`.
    """
    height, width = known.shape
    column = np.broadcast_to(np.arange(width), known.shape)
    row = np.arange(height)[:, None]
    before = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, column, width)[:, ::-1], axis=1)[:, ::-1]
    even = _mean_known(picture, known, (2 * _DEPTH_PX + 1, 3))
    total = np.zeros((height, width, 1), np.float32)
    colours = np.zeros(picture.shape, np.float32)
    for edge, there in ((before, before >= 0), (after, after < width)):
        edge = edge.clip(0, width - 1)
        far = np.abs(column - edge)
        share = np.where(there & (far <= reach), 1 / (far + 1.0), 0)[..., None]
        colours += (share * even[row, edge]).astype(np.float32)
        total += share.astype(np.float32)
    return (colours / np.maximum(total, np.float32(1e-6))).astype(np.float32), total[..., 0]


def _step(
    picture: NDArray[np.float32], known: NDArray[np.bool_], filled: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The step that lets `filled` meet the shade of what lies above and below;
    where another thing lies there, it needn't. The ends of rows meet what is beside them.
    """
    reach = 2 * _NEAR_PX + 1
    weight = known.astype(np.float32)
    beside = filled & (cv2.blur(weight, (reach, 1)) > 1e-6)
    near = filled & (cv2.blur(weight, (1, reach)) > 1e-6)
    step = _mean_known(picture, known, (1, reach)) - picture
    seam = _one_thing(np.abs(step).max(axis=-1), near)
    return push_pull(np.where(seam[..., None], step, 0), seam | beside)


def _one_thing(level: NDArray[np.float32], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels `near` a seam across which one thing goes on, by the step `level`.

    A shade may be deep at one end of a seam: where it isn't over most of a stretch, twice
    as much is still a shade.
    """
    shade = near & (level < _SHADE_LEVELS)
    deep = near & (level < 2 * _SHADE_LEVELS)
    count, stretch = cv2.connectedComponents(deep.astype(np.uint8))
    many = np.bincount(stretch[deep], minlength=count)
    mostly = 2 * np.bincount(stretch[shade], minlength=count) > many
    return np.asarray(shade | (deep & mostly[stretch]))


def _mean_known(
    picture: NDArray[np.float32], known: NDArray[np.bool_], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The mean of the known pixels in a window `(width, height)` about each pixel."""
    weight = known.astype(np.float32)
    total = cv2.blur(picture * weight[..., None], size)
    return np.asarray(total / np.maximum(cv2.blur(weight, size), 1e-6)[..., None])
