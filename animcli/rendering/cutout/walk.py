"""Tell two things in a picture apart by colours, edges, and what is likely of each pixel.

A walker starts at a pixel and steps to its neighbours, hardly ever across an edge, until it
is caught by one of the two; how likely each pixel is to be caught by the first is a linear
system (Grady, "Multilabel random walker image segmentation using prior models", 2005).
"""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import splu

_BIN: Final = (40, 6, 6)  # levels of CIE Lab in a bin of the colour histograms: light
# changes more over a thing than its colour does
_ALIKE: Final = 1.0  # bins, sigma: what is still the same colour in other light
_UNKNOWN: Final = 2e-5  # a bin's share of a histogram below which a colour says nothing
_MOST: Final = 5.0  # odds that a colour alone gives
_EDGE: Final = 5.0  # levels of difference, sigma, that a walker steps across
_LEAK: Final = 1e-3  # the chance of a step across any edge
_CAUGHT: Final = 0.01  # the chance, a step, of being caught: one walks about 10 pixels


def colour_odds(
    colour: NDArray[np.uint8],
    first: NDArray[np.float64],
    second: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """`(h, w)`: the odds, as natural logarithm, that a colour is one of `first` and not one
    of `second`.

    colour: `(h, w, 3)` CIE Lab. first, second: `(h, w)`, how much each pixel counts as an
    example.
    """
    bins = (colour // np.array(_BIN, np.uint8)).astype(np.intp)
    sides = tuple(255 // size + 1 for size in _BIN)
    number = (bins[..., 0] * sides[1] + bins[..., 1]) * sides[2] + bins[..., 2]
    share = []
    for weight in (first, second.astype(np.float64)):
        many = np.bincount(number.ravel(), weight.ravel(), int(np.prod(sides)))
        smooth = gaussian_filter(many.reshape(sides), _ALIKE, mode="constant")
        share.append(smooth.ravel() / max(smooth.sum(), 1e-9) + _UNKNOWN)
    odds = np.clip(np.log(share[0] / share[1]), -_MOST, _MOST)
    return np.asarray(odds[number])


def walk(
    colour: NDArray[np.uint8], where: NDArray[np.bool_], odds: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """`(h, w)`: the pixels of `where` that a walker from them finds in the first thing.

    odds: `(h, w)`, natural logarithm, that a pixel by itself is of the first thing.
    """
    found = np.zeros(where.shape, bool)
    count = int(where.sum())
    if count == 0:
        return found
    number = np.full(where.shape, -1, np.int32)
    number[where] = np.arange(count)
    levels = colour.astype(np.float32)
    one, other, ease = [], [], []
    for down, right in ((0, 1), (1, 0)):
        here, there = _neighbours(number, down, right)
        from_, to = _neighbours(levels, down, right)
        both = (here >= 0) & (there >= 0)
        change = ((from_ - to) ** 2).sum(axis=-1)[both]
        one.append(here[both])
        other.append(there[both])
        ease.append(np.exp(-change / (2 * _EDGE**2)) + _LEAK)
    steps = coo_array(
        (np.concatenate(ease), (np.concatenate(one), np.concatenate(other))), (count, count)
    ).tocsr()
    ways = csr_array(laplacian(steps + steps.T))
    likely = 1 / (1 + np.exp(-odds[where]))
    system = (ways + diags_array(np.full(count, _CAUGHT))).tocsc()
    found[where] = splu(system).solve(_CAUGHT * likely) > 0.5
    return found


_Grid = TypeVar("_Grid", NDArray[np.int32], NDArray[np.float32])


def _neighbours(grid: _Grid, down: int, right: int) -> tuple[_Grid, _Grid]:
    """`grid` and its neighbour `down` rows and `right` columns on, where both exist."""
    height, width = grid.shape[:2]
    return grid[: height - down, : width - right], grid[down:, right:]
