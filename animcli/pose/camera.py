"""Tell a zooming camera from a figure that walks towards it.

Both make the figure grow. Under a zoom everything moves away from the middle of the picture
at the rate of the growth, a foot that rests too; under a walk the resting foot stays where
it is. The slower foot of each frame is the witness.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from animcli.pose.ground import FEET, HELD, SPEED_WINDOW, STEPS, find_stance, follow
from animcli.pose.statistics import START

GROWING: Final = 0.001  # a frame; a scale that changes less bears no witness
ENOUGH: Final = 10  # frames of witness
SURE: Final = 0.7  # a zoom must explain the feet this much better than a walk


class Camera(Enum):
    """What changes of the figure's scale mean."""

    AUTO = "auto"
    ZOOM = "zoom"  # the camera's doing: taken out
    WALK = "walk"  # the figure's own: kept


@dataclass(frozen=True, eq=False)
class Shot:
    """A motion as a camera that doesn't zoom would have seen it.

    places: `(frames, 136, 2)`. scale: `(frames,)`, how large the figure was as filmed, by
    which lengths are told. kept: `(frames,)`, how large it still is. seen: `still`, `zoom`
    or `walk`.
    """

    places: NDArray[np.float64]
    scale: NDArray[np.float64]
    kept: NDArray[np.float64]
    seen: str


def steady(
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
    scale: NDArray[np.float64],
    size: tuple[int, int],
    height: float,
    camera: Camera,
) -> Shot:
    """Take a zoom out of a motion, if there was one.

    places: `(frames, 136, 2)`, whole. known: `(136,)`. scale: `(frames,)`. size: `(width,
    height)` of the picture, whose middle a zoom keeps. height: of the figure, pixels.
    """
    if (scale == 1).all():
        return Shot(places, scale, scale, "still")
    middle = np.array(size) / 2
    zooms = camera is Camera.ZOOM or (
        camera is Camera.AUTO and is_zoom(places, known, scale, middle)
    )
    if not zooms:
        return Shot(places, scale, scale, "walk")
    seen = places - middle
    rests = find_stance(middle + seen / scale[:, None, None], known, height).rests
    scale = refine(seen[:, FEET], rests, scale)
    return Shot(middle + seen / scale[:, None, None], scale, np.ones_like(scale), "zoom")


def refine(
    feet: NDArray[np.float64], rests: NDArray[np.bool_], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scale by how far resting feet move, which is finer than how long bones look.

    feet: `(frames, 2, 2)` from the middle of the picture. rests: `(frames, 2)`.
    """
    log_scale = np.log(scale)
    at = (feet[1:] + feet[:-1]) / 2
    growth = (at * np.diff(feet, axis=0)).sum(axis=2) / (at**2).sum(axis=2)
    weight = (rests[1:] & rests[:-1]).astype(float)
    held = weight.sum(axis=1)
    steps = (growth * weight).sum(axis=1) / np.maximum(held, 1)
    steps = np.where(held > 0, steps, np.diff(log_scale))
    finer = follow(log_scale, steps, np.where(held > 0, HELD, STEPS))
    return np.asarray(np.exp(finer - np.median(finer[:START])))


def is_zoom(
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
    scale: NDArray[np.float64],
    middle: NDArray[np.float64],
) -> bool:
    """Whether the feet go with the scale."""
    if not known[list(FEET)].all() or len(places) < 2:
        return False
    feet = places[:, FEET] - middle
    growth = np.diff(np.log(scale))
    step = uniform_filter1d(np.diff(feet, axis=0), SPEED_WINDOW, axis=0, mode="nearest")
    blown = (feet[:-1] + feet[1:]) / 2 * growth[:, None, None]
    telling = np.abs(growth) > GROWING
    if telling.sum() < ENOUGH:
        return False
    by_walk = np.linalg.norm(step, axis=2).min(axis=1)
    by_zoom = np.linalg.norm(step - blown, axis=2).min(axis=1)
    return bool(np.median(by_zoom[telling]) < SURE * np.median(by_walk[telling]))
