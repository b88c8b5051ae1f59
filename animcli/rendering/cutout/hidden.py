"""Where a body goes on behind the arms that lie on it.

An arm that leaves the body shows what nobody has seen. How wide the body is there follows
from where its outline shows above and below.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.bones import Bone, Rest

_UNDER_PX: Final = 3  # how far the body goes on under an arm's edge
_BESIDE_PX: Final = 3  # an arm as near to the body's outline as this may hide some of it
_THICK: Final = 0.35  # trunk lengths, of a forearm and its sleeve that lie across
_TOUCHES: Final = 0.05  # trunk lengths, half of the thinnest arm: one that hides less of
# the body's breadth all along only lies beside it
_EVEN: Final = 0.03  # trunk lengths over which the outline is made even


def hidden_body(
    own: NDArray[np.bool_],
    arms: NDArray[np.bool_],
    shoulders: NDArray[np.bool_],
    rest: Rest,
) -> NDArray[np.bool_]:
    """`(h, w)`: the pixels of `arms` behind which the body goes on.

    It shows in `own`, of which the `shoulders` say nothing about how wide it is.
    """
    disk = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (2 * _UNDER_PX + 1, 2 * _UNDER_PX + 1)
    )
    found = arms & (cv2.dilate(own.astype(np.uint8), disk) > 0)
    if not arms.any():
        return found
    upright, middle = _upright(rest, own.shape)
    size = (own.shape[1], own.shape[0])
    shown, covers, shoulder = (
        cv2.warpAffine(mask.astype(np.uint8), upright, size, flags=cv2.INTER_NEAREST) > 0
        for mask in (own & ~shoulders, arms | shoulders, shoulders)
    )
    even = max(1, round(_EVEN * rest.trunk))
    touches = _TOUCHES * rest.trunk
    # from the armpits down; between neck and arm there is no outline
    below = int(np.flatnonzero(shoulder.any(axis=1)).max(initial=-1)) + 1
    away = np.abs(np.arange(size[0]) - middle)
    within, beyond = np.zeros(own.shape, np.uint8), np.zeros(own.shape, np.uint8)
    for side in (np.s_[:, middle:], np.s_[:, middle::-1]):
        reach, between = _reach(shown[side][below:], covers[side][below:], even, touches)
        within[side][below:] = away[side[1]] <= reach[:, None]
        beyond[side][below:] = between[:, None] & (away[side[1]] > reach[:, None] + 1)
    within[_between(shown, covers, round(_THICK * rest.trunk))] = 1
    back, out = (
        cv2.warpAffine(mask, cv2.invertAffineTransform(upright), size) > 0
        for mask in (within, beyond & ~within)
    )
    body = own | found | (arms & back)
    # without spikes where an arm's edge leaves the body's outline
    even_body = cv2.medianBlur(body.astype(np.uint8), 4 * _UNDER_PX + 1) > 0
    close = cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    # and no further than where the outline is known to be
    return np.asarray(arms & (even_body | close) & ~out)


def _between(
    shown: NDArray[np.bool_], covers: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Where something covers the body, which shows right above it and right below, no more
    than `most` pixels apart.
    """
    row = np.broadcast_to(np.arange(len(shown))[:, None], shown.shape)
    column = np.arange(shown.shape[1])
    above = np.maximum.accumulate(np.where(covers, 0, row), axis=0)
    last = len(shown) - 1
    below = np.minimum.accumulate(np.where(covers, last, row)[::-1], axis=0)[::-1]
    both = shown[above, column] & shown[below, column]
    return np.asarray(covers & both & (below - above <= most))


def _upright(rest: Rest, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], int]:
    """A map after which the spine stands in a column, and the column."""
    down = rest.start[Bone.PELVIS] - rest.start[Bone.CHEST]
    middle = (rest.start[Bone.PELVIS] + rest.start[Bone.CHEST]) / 2
    column = shape[1] // 2
    degrees = float(np.degrees(np.arctan2(-down[0], down[1])))
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees, 1)
    turn[0, 2] += column - middle[0]
    return np.asarray(turn), column


def _reach(
    shown: NDArray[np.bool_], covers: NDArray[np.bool_], even: int, touches: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far out from the spine, in the first column, the body goes in each row, and
    whether its outline is hidden there between places where it shows.

    Where what `covers` it hides its outline, that lies between where it shows above and
    below; without those, and where nothing of a stretch of rows would be more than
    `touches` further out, where the body is last seen.
    """
    count, width = shown.shape
    rows = np.arange(count)
    last = np.where(shown.any(axis=1), width - 1 - shown[:, ::-1].argmax(axis=1), 0)
    ends = shown.any(axis=1)
    for step in range(1, _BESIDE_PX + 1):
        ends &= ~covers[rows, np.minimum(last + step, width - 1)]
    if not ends.any():
        return last.astype(np.float64), np.zeros(count, bool)
    between = (rows > rows[ends][0]) & (rows < rows[ends][-1]) & ~ends
    guess = np.interp(rows, rows[ends], last[ends])
    window = np.ones(2 * even + 1)
    smooth = np.convolve(guess, window) / np.convolve(np.ones(count), window)
    hidden = np.where(between, np.maximum(smooth[even : even + count] - last, 0), 0)
    # the stretches of rows in which it is hidden, numbered
    stretch = np.cumsum(np.diff(between, prepend=False))
    deepest = np.zeros(int(stretch[-1]) + 1)
    np.maximum.at(deepest, stretch, hidden)
    return np.where(deepest[stretch] > touches, last + hidden, last), between
