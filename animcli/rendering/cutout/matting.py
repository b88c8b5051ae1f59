"""Matting: the figure's share of each pixel of a picture, and its own colour there.

A segmentation network gives the figure to within a few pixels. GrabCut (Rother,
Kolmogorov and Blake, 2004, in OpenCV) moves the outline onto the picture's edges;
across the outline each pixel is then a mixture of the colours on either side of it, and
both the share and the figure's own colour follow from that. Using the own colour instead of
the mixed one is what keeps the old background from coming along as a halo.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.inpaint import push_pull

BACK: Final = cv2.GC_BGD
FRONT: Final = cv2.GC_FGD
MAYBE_BACK: Final = cv2.GC_PR_BGD
MAYBE_FRONT: Final = cv2.GC_PR_FGD

_WHOLE: Final = (0, 0, 0, 0)  # no rectangle: the labels say it all


def graph_cut(
    picture: NDArray[np.uint8], labels: NDArray[np.uint8], rounds: int
) -> NDArray[np.bool_]:
    """`(h, w)`, where `picture` `(h, w, 3)` is front.

    labels: `(h, w)`, what each pixel is, surely or maybe. rounds: of learning both sides'
    colours and cutting again.
    """
    found = np.ascontiguousarray(labels)
    if found is labels:
        found = labels.copy()
    if not (np.isin(found, (FRONT, MAYBE_FRONT)).any() and (found % 2 == 0).any()):
        return np.isin(found, (FRONT, MAYBE_FRONT))
    # colours are first clustered from random starts; the same picture gets the same cut
    cv2.setRNGSeed(0)
    back, front = np.zeros((1, 65)), np.zeros((1, 65))
    pixels = np.ascontiguousarray(picture)
    cv2.grabCut(pixels, found, _WHOLE, back, front, rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(found, (FRONT, MAYBE_FRONT))


_CUTS = 4  # rounds of colour models and graph cut; the outline no longer moves after that
_AROUND = 4  # times the reach of doubt, of the background that colours are learnt from
_SURE = 0.995
_DOUBT = 25.0
"""Levels of colour difference across the outline at which the mixture says as much about
a pixel's share as the outline itself does."""


@dataclass(frozen=True, eq=False)
class Matte:
    """A figure without its background.

    alpha: `(h, w)` float32 in 0..1, the figure's share of each pixel.
    colours: `(h, w, 3)` float32 in 0..255, the figure's own colour, continued smoothly
        beyond its outline.
    left: `(h, w)` bool, what leaves the picture with the figure and isn't drawn again; None
        where there is nothing.
    """

    alpha: NDArray[np.float32]
    colours: NDArray[np.float32]
    left: NDArray[np.bool_] | None = None

    @property
    def hidden(self) -> NDArray[np.float32]:
        """`(h, w)` in 0..1: the share of each pixel that the background lacks."""
        return self.alpha if self.left is None else np.maximum(self.alpha, self.left)


def estimate_matte(
    picture: NDArray[np.uint8],
    probability: NDArray[np.float32],
    front: NDArray[np.bool_] | None = None,
    back: NDArray[np.bool_] | None = None,
    doubtful: NDArray[np.bool_] | None = None,
) -> Matte:
    """Refine a rough `probability` `(h, w)`, 0..1, to the matte of `picture`.

    front, back: `(h, w)`, what is figure or background whatever the colours say.
    doubtful: `(h, w)`, where the colours decide, however sure the probability is.
    """
    inside = _on_edges(picture, probability, front, back, doubtful)
    return _soften(picture, inside)


def matte_from_alpha(picture: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Matte:
    """The matte that the picture's own alpha channel `(h, w)` gives."""
    share = (alpha / 255).astype(np.float32)
    # files store a colour for each pixel unmixed, but under a low alpha often anything
    return Matte(share, push_pull(picture.astype(np.float32), share > 0.9))


def _band(shape: tuple[int, ...]) -> int:
    """Half the width, in pixels, of the strip along an outline that may be mixed."""
    return max(2, round(max(shape[:2]) / 256))


def _disk(radius: int) -> NDArray[np.uint8]:
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _on_edges(
    picture: NDArray[np.uint8],
    probability: NDArray[np.float32],
    front: NDArray[np.bool_] | None,
    back: NDArray[np.bool_] | None,
    doubtful: NDArray[np.bool_] | None,
) -> NDArray[np.bool_]:
    """The figure with its outline on the picture's edges."""
    reach = 4 * _band(picture.shape)  # the networks' masks have 256 pixels to a side
    core = cv2.erode((probability > 0.85).astype(np.uint8), _disk(reach), borderValue=1)
    hull = cv2.dilate((probability > 0.2).astype(np.uint8), _disk(reach))
    labels = np.where(probability > 0.5, MAYBE_FRONT, MAYBE_BACK).astype(np.uint8)
    # thin limbs have no core; what the networks are that sure of is always figure
    labels[(core > 0) | (probability > _SURE)] = FRONT
    if doubtful is not None:
        labels[doubtful & (labels == FRONT)] = MAYBE_FRONT
    if front is not None:
        labels[front] = FRONT
    labels[hull == 0] = BACK
    if back is not None:
        labels[back] = BACK
    if not ((labels == FRONT).any() and (labels == BACK).any()):
        return probability > 0.5
    rows, columns = (
        slice(max(int(at[0]) - _AROUND * reach, 0), int(at[-1]) + 1 + _AROUND * reach)
        for at in (np.flatnonzero(hull.any(axis=axis)) for axis in (1, 0))
    )
    inside = np.zeros(probability.shape, bool)
    inside[rows, columns] = graph_cut(picture[rows, columns], labels[rows, columns], _CUTS)
    return _without_specks(inside)


def _without_specks(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`inside` without specks: parts under a fiftieth of the largest, and pinholes."""
    kept = inside.copy()
    for value in (True, False):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            (kept == value).astype(np.uint8), connectivity=4
        )
        areas = stats[:, cv2.CC_STAT_AREA]
        if count < 2:
            continue
        least = areas[1:].max() / 50 if value else inside.sum() / 2000
        small = np.flatnonzero(areas < least)
        kept[np.isin(labels, small[small > 0])] = not value
    return kept


def _soften(picture: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Matte:
    """Unmix the strip along the outline of `inside`."""
    band = _band(picture.shape)
    mask = inside.astype(np.uint8)
    surely_in = cv2.erode(mask, _disk(band), borderValue=1) > 0
    surely_out = cv2.dilate(mask, _disk(band)) == 0
    pixels = picture.astype(np.float32)
    figure = push_pull(pixels, surely_in)
    ground = push_pull(pixels, surely_out)
    outline = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), band / 2)

    # the share that explains the pixel best, drawn towards the blurred outline
    span = figure - ground
    agreement = ((pixels - ground) * span).sum(-1)
    alpha = (agreement + _DOUBT**2 * outline) / ((span**2).sum(-1) + _DOUBT**2)
    alpha = np.where(surely_in, 1, np.where(surely_out, 0, np.clip(alpha, 0, 1)))
    alpha = alpha.astype(np.float32)

    # the figure's colour that explains the pixel, drawn towards that of the inside
    share = alpha[..., None]
    unmixed = figure + share * (pixels - share * figure - (1 - share) * ground) / (
        share**2 + 0.05
    )
    colours = np.where(surely_in[..., None], pixels, np.clip(unmixed, 0, 255))
    return Matte(alpha, colours.astype(np.float32))
