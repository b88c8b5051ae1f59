"""Tell clips that somebody drew from clips that somebody filmed, by their colours.

A skeleton clip is black with few, saturated strokes; a DensePose clip has the darkest
purple of the palette viridis behind bodies in its other colours. Such clips are conditions
already: nobody has to be looked for in them.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

VIRIDIS: Final = np.array(
    [
        *[(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142)],
        *[(31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37)],
    ],
    np.int16,
)
"""RGB of ten even steps; the first is the background."""
LIKE: Final = 40  # levels from the nearest of the ten: about half a step
NEAR: Final = 24  # levels that compression may shift a plain colour by
BRIGHT: Final = 60  # level of the strongest channel from which a pixel is a stroke
PLAIN: Final = 0.6  # of the picture's pixels are background
SATURATED: Final = 0.5  # of the other pixels have the colours; soft edges, white faces not
STEP: Final = 4  # px: every fourth pixel across and down is looked at


class Kind(Enum):
    """What the pictures of a clip are."""

    FOOTAGE = "footage"
    SKELETON = "skeleton"
    DENSEPOSE = "densepose"


def recognise(pictures: Iterable[NDArray[np.uint8]]) -> Kind:
    """What a clip is, by some of its pictures, each `(h, w, 3)` uint8 RGB.

    It is drawn only if all of the pictures are, blank ones aside.
    """
    kinds = {kind for kind in map(kind_of, pictures) if kind is not None}
    return kinds.pop() if len(kinds) == 1 else Kind.FOOTAGE


def kind_of(picture: NDArray[np.uint8]) -> Kind | None:
    """What one picture is; None if it is black all over, which anything can begin with."""
    pixels = picture[::STEP, ::STEP].reshape(-1, 3).astype(np.int16)
    strongest = pixels.max(axis=1)
    black = strongest < NEAR
    if black.all():
        return None
    if black.mean() >= PLAIN and saturation(pixels[strongest >= BRIGHT]) >= SATURATED:
        return Kind.SKELETON
    off = np.abs(pixels[:, None] - VIRIDIS).max(axis=2)
    purple = off[:, 0] < NEAR
    bodies = off[~purple].min(axis=1) < LIKE
    if purple.mean() >= PLAIN and (not len(bodies) or bodies.mean() >= SATURATED):
        return Kind.DENSEPOSE
    return Kind.FOOTAGE


def saturation(pixels: NDArray[np.int16]) -> float:
    """The share of pixels whose weakest channel is under a quarter of their strongest.

    1 where there are no pixels.
    """
    if not len(pixels):
        return 1.0
    strongest = pixels.max(axis=1)
    return float((strongest - pixels.min(axis=1) > 0.75 * strongest).mean())
