"""The outline of a figure in a still picture, from many looks at it.

One look gives 256 x 256 values for the whole figure, with stray patches and an edge of
steps. The figure is therefore looked at turned to and fro and mirrored, which averages the
patches away, and then closer, part by part, which sharpens the edge. On eight drawn dancers
of 512 x 768 this raises intersection over union from 0.926 to 0.938 and takes a third off
what is wrong far from the edge. 22 looks, about 0.4 s.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.detector import ROI
from animcli.pose.detectors.blazepose.landmarks import BODY_NETWORK, BodyNetwork

TURNS: Final = (-0.35, -0.12, 0.0, 0.12, 0.35)  # radians
CLOSER: Final = (0.65, 0.8)  # of the side of the whole square
SHIFTS: Final = (-0.12, 0.0, 0.12)  # of the same, along the body

WHOLE_WEIGHT: Final = 0.4
"""Of a look at the whole figure; a closer one counts 1 where it reaches."""

MIN_VIEW_SCORE: Final = 0.9
"""Closer looks at less than a body give nonsense, and say so."""

MAX_LOGIT: Final = 8.0
"""Logits are clipped to this: the network's run up to 1700 and would outvote all others."""

BORDER_FADE: Final = 32
"""Pixels of the crop over which a closer look fades out towards its border."""


@dataclass(frozen=True)
class CropView:
    """A square to look into, and whether it holds all of the figure."""

    roi: ROI
    whole: bool


def person_mask(
    network: BodyNetwork, picture: NDArray[np.uint8], roi: ROI
) -> NDArray[np.float32]:
    """Probability that each pixel `(h, w)` belongs to the figure within `roi`, 0..1."""
    mean, _ = outline_logits(network, picture, roi)
    figure: NDArray[np.float32] = 0.5 * (1 + np.tanh(0.5 * mean))
    return figure


def outline_logits(
    network: BodyNetwork, picture: NDArray[np.uint8], roi: ROI
) -> tuple[NDArray[np.float32], float]:
    """The outline within `roi` as logits `(h, w)`, and how sure the looks were of a body,
    0..1 in the mean.
    """
    height, width = picture.shape[:2]
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    sure = []
    for look in crop_views(roi):
        body = network.read(picture, look.roi)
        sure.append(body.sure)
        if not look.whole and body.sure < MIN_VIEW_SCORE:
            continue
        logits = np.clip(body.mask, -MAX_LOGIT, MAX_LOGIT)
        if look.whole:  # there is no figure outside of it
            total += WHOLE_WEIGHT * _back(logits, look.roi, (width, height), -MAX_LOGIT)
            weight += WHOLE_WEIGHT
        else:
            reach = _back(_FADING, look.roi, (width, height), 0)
            total += reach * _back(logits, look.roi, (width, height), 0)
            weight += reach
    return total / weight, float(np.mean(sure))


def crop_views(roi: ROI) -> Iterator[CropView]:
    """Every square to look into, each as it is and mirrored."""
    for mirror in (1, -1):
        for turn in TURNS:
            yield CropView(
                ROI(roi.x, roi.y, mirror * roi.width, roi.height, roi.angle + turn), True
            )
        for closer in CLOSER:
            for shift in SHIFTS:
                near = roi.raised(shift)
                side = roi.width * closer
                yield CropView(ROI(near.x, near.y, mirror * side, side, roi.angle), False)


def _back(
    crop: NDArray[np.float32], roi: ROI, size: tuple[int, int], outside: float
) -> NDArray[np.float32]:
    """Values of a crop where they lie in a picture of `size` (w, h)."""
    back = cv2.warpPerspective(
        crop,
        roi.to_crop(BODY_NETWORK.size),
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )
    return back.astype(np.float32, copy=False)


def _fading() -> NDArray[np.float32]:
    step = np.arange(BODY_NETWORK.size, dtype=np.float32)
    edge = np.minimum(1, np.minimum(step, step[::-1]) / BORDER_FADE)
    return np.minimum(edge[:, None], edge)


_FADING: Final = _fading()
