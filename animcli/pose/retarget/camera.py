"""Tell a camera that zooms or moves from a figure that walks towards it.

All make the figure grow. Under a zoom everything moves away from the middle of the picture
at the rate of the growth, a foot that rests too; under a walk the resting foot stays where
it is. The slower foot of each frame is the witness. Before a camera that pans or is carried
along both feet are often drawn aside together, at one speed, as nobody does who walks; one
who jumps goes up and down. Where such a figure stands can't be told from its keypoints.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from animcli.pose.retarget.bone_lengths import START
from animcli.pose.retarget.foot_contact import (
    ANKLES,
    HELD,
    REST,
    SPEED_WINDOW,
    STEPS,
    find_contacts,
    follow_steps,
)

GROWING: Final = 0.001  # a frame; a scale that changes less bears no witness
ENOUGH: Final = 10  # frames of witness
ZOOM_ADVANTAGE: Final = 0.7  # a zoom must explain the feet this much better than a walk

SAME_SPEED: Final = 0.5  # of their mean speed: feet that differ by less are drawn along
ASIDE: Final = 0.5  # of the way down: less far to the side, it may be a jump
PANNING_SHARE: Final = (
    0.1  # of the frames. A still camera: up to 0.03, street footage: 0.23
)
LOCKED: Final = 1e4  # weight of a lower foot that stays, beside a figure that does


class Camera(Enum):
    """Cause of changes of the figure's scale."""

    AUTO = "auto"
    ZOOM = "zoom"  # the camera's doing: taken out
    WALK = "walk"  # the figure's own: kept
    MOVING = "moving"  # the camera's, and the figure's place with it


@dataclass(frozen=True, eq=False)
class SteadyMotion:
    """A motion as a camera that neither zooms nor moves would have seen it.

    places: `(frames, 136, 2)`. scale: `(frames,)`, how large the figure was as filmed, by
    which lengths are told. kept: `(frames,)`, how large it still is. seen: `still`, `zoom`,
    `walk` or `moving`.
    """

    places: NDArray[np.float64]
    scale: NDArray[np.float64]
    kept: NDArray[np.float64]
    kind: str


def steady(
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
    scale: NDArray[np.float64],
    size: tuple[int, int],
    height: float,
    camera: Camera,
) -> SteadyMotion:
    """Take the camera's own doings out of a motion, if there were any.

    places: `(frames, 136, 2)`, whole. known: `(136,)`. scale: `(frames,)`. size: `(width,
    height)` of the picture, whose middle a zoom keeps. height: of the figure, pixels.
    """
    middle = np.array(size) / 2
    grows = bool((scale != 1).any())
    if camera is Camera.AUTO and grows and is_zoom(places, known, scale, middle):
        camera = Camera.ZOOM
    elif camera is Camera.AUTO and is_drawn(places, known, scale * height):
        camera = Camera.MOVING
    if camera is Camera.MOVING:
        one_size = middle + (places - middle) / scale[:, None, None]
        return SteadyMotion(
            stand_still(one_size, known), scale, np.ones_like(scale), "moving"
        )
    if camera is Camera.ZOOM and grows:
        visible = places - middle
        contact = find_contacts(
            middle + visible / scale[:, None, None], known, height
        ).contact
        scale = refine_scale(visible[:, ANKLES], contact, scale)
        flat = middle + visible / scale[:, None, None]
        return SteadyMotion(flat, scale, np.ones_like(scale), "zoom")
    return SteadyMotion(places, scale, scale, "walk" if grows else "still")


def refine_scale(
    feet: NDArray[np.float64], contact: NDArray[np.bool_], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scale by how far resting feet move, which is finer than how long bones look.

    feet: `(frames, 2, 2)` from the middle of the picture. rests: `(frames, 2)`.
    """
    log_scale = np.log(scale)
    at = (feet[1:] + feet[:-1]) / 2
    growth = (at * np.diff(feet, axis=0)).sum(axis=2) / (at**2).sum(axis=2)
    weight = (contact[1:] & contact[:-1]).astype(float)
    held = weight.sum(axis=1)
    steps = (growth * weight).sum(axis=1) / np.maximum(held, 1)
    steps = np.where(held > 0, steps, np.diff(log_scale))
    finer = follow_steps(log_scale, steps, np.where(held > 0, HELD, STEPS))
    return np.asarray(np.exp(finer - np.median(finer[:START])))


def is_zoom(
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
    scale: NDArray[np.float64],
    middle: NDArray[np.float64],
) -> bool:
    """Tell if the feet go with the scale."""
    if not known[list(ANKLES)].all() or len(places) < 2:
        return False
    feet = places[:, ANKLES] - middle
    growth = np.diff(np.log(scale))
    step = uniform_filter1d(np.diff(feet, axis=0), SPEED_WINDOW, axis=0, mode="nearest")
    blown = (feet[:-1] + feet[1:]) / 2 * growth[:, None, None]
    telling = np.abs(growth) > GROWING
    if telling.sum() < ENOUGH:
        return False
    by_walk = np.linalg.norm(step, axis=2).min(axis=1)
    by_zoom = np.linalg.norm(step - blown, axis=2).min(axis=1)
    return bool(np.median(by_zoom[telling]) < ZOOM_ADVANTAGE * np.median(by_walk[telling]))


def is_drawn(
    places: NDArray[np.float64], known: NDArray[np.bool_], height: NDArray[np.float64]
) -> bool:
    """Tell if both feet often move aside together. height: `(frames,)`, in pixels."""
    if not known[list(ANKLES)].all() or len(places) < 2:
        return False
    step = np.diff(places[:, ANKLES], axis=0) / height[1:, None, None]
    speed = uniform_filter1d(step, SPEED_WINDOW, axis=0, mode="nearest")
    mean = speed.mean(axis=1)
    apart = np.linalg.norm(speed[:, 0] - speed[:, 1], axis=1) / 2
    drawn = (
        (np.linalg.norm(speed, axis=2).min(axis=1) > REST)
        & (apart < SAME_SPEED * np.linalg.norm(mean, axis=1))
        & (np.abs(mean[:, 0]) > ASIDE * np.abs(mean[:, 1]))
    )
    return bool(drawn.mean() > PANNING_SHARE)


def stand_still(
    places: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """A figure of one size with its lower foot on the ground, where it stays for a while.

    In the long run the figure is as far to the side as it was in the picture: one who
    walks before a camera that goes along walks on the spot. Jumps are lost.
    """
    if not known[list(ANKLES)].all():
        return places
    feet = places[:, ANKLES]
    now = np.arange(len(feet))
    lower = feet[..., 1].argmax(axis=1)
    lowest = feet[now, lower, 1]
    steps = -np.diff(feet[..., 0], axis=0)
    same = lower[1:] == lower[:-1]
    steps = np.where(same, steps[now[1:] - 1, lower[1:]], steps.mean(axis=1))
    weight = np.full(len(steps), LOCKED)
    aside = follow_steps(np.zeros(len(feet)), steps, weight, near=1.0)
    shift = np.stack([aside, np.median(lowest) - lowest], axis=1)
    return np.asarray(places + shift[:, None])
