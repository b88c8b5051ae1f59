"""Foot contacts and the path of the root: feet that rest, rest; what jumps, jumps.

The figure that `recompose` makes hangs from its pelvis. Here the pelvis gets its path: a
foot on the ground moves as it does in the source (not at all, mostly), scaled by the legs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import uniform_filter1d

from animcli.pose import keypoints as s
from animcli.pose.bones import PELVIS

REST: Final = 0.006  # of the height per frame: a foot slower than that comes to rest
LEAVE: Final = 0.012  # and rests until it is faster than that: hysteresis
LIFTED: Final = (
    0.08  # of the height: a foot this much above the lower one isn't on the ground
)
SPEED_WINDOW: Final = 5  # frames

# Weights of the path: of a resting foot per frame, of the source's own steps where none
# rests, and of staying near the source's path in the long run. Across, the path is a guess.
# Down, every frame tells how far the lower foot is from the ground: the errors of noisy
# steps fade within the root of HELD / NEAR_DOWN frames, a hundred, and don't add up.
HELD, STEPS, NEAR, NEAR_DOWN = 1e4, 1.0, 1e-4, 1.0

ANKLES: Final = (s.RIGHT_ANKLE, s.LEFT_ANKLE)


@dataclass(frozen=True, eq=False)
class Contacts:
    """`(frames, 2)`: whether the right and the left foot rest on the ground."""

    contact: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """In how many frames some foot rests."""
        return int(self.contact.any(axis=1).sum())


def find_contacts(
    places: NDArray[np.float64], known: NDArray[np.bool_], height: float
) -> Contacts:
    """Find the frames in which each foot of the source rests.

    places: `(frames, 136, 2)`, whole, camera movement taken out. known: `(136,)`.
    height: of the figure, pixels.
    """
    frames = len(places)
    contact = np.zeros((frames, 2), bool)
    if not known[list(ANKLES)].all() or frames < 2 or height <= 0:
        return Contacts(contact)
    feet = places[:, ANKLES]
    step = np.diff(feet, axis=0, prepend=feet[:1]) / height
    step[0] = step[1]
    # The mean of the steps first, then its length: noise goes to and fro and cancels.
    speed = np.linalg.norm(
        uniform_filter1d(step, SPEED_WINDOW, axis=0, mode="nearest"), axis=2
    )
    lowest = feet[..., 1].max(axis=1, keepdims=True)
    low = lowest - feet[..., 1] < LIFTED * height
    for foot in (0, 1):
        contact[:, foot] = hysteresis(
            low[:, foot] & (speed[:, foot] < REST), low[:, foot] & (speed[:, foot] < LEAVE)
        )
    return Contacts(contact)


def hysteresis(begins: NDArray[np.bool_], lasts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The runs of `lasts` in which `begins` holds in two frames running."""
    sure = begins & (np.roll(begins, 1) | np.roll(begins, -1))
    edges = np.flatnonzero(np.diff(lasts.astype(np.int8), prepend=0, append=0))
    result = np.zeros_like(lasts)
    for start, stop in edges.reshape(-1, 2):
        result[start:stop] = sure[start:stop].any()
    return result


def root_path(
    source: NDArray[np.float64],
    hanging: NDArray[np.float64],
    contacts: Contacts,
    ratio: float,
    legs: bool,
) -> NDArray[np.float64]:
    """`(frames, 2)`: the pelvis' path, up to a constant shift.

    source: `(frames, 136, 2)`, whole. hanging: the same, retargeted, pelvis at the origin.
    ratio: of the legs' lengths. legs: whether the source has feet to stand on.
    """
    path = source[:, PELVIS] * ratio
    if not legs:
        return path
    feet = list(ANKLES)
    # Down: the lower foot is as far from the ground as in the source, scaled.
    lowest = source[:, feet, 1].max(axis=1) * ratio
    path[:, 1] = lowest - hanging[:, feet, 1].max(axis=1)
    wanted = np.diff(source[:, feet] * ratio - hanging[:, feet], axis=0)  # (f - 1, 2, 2)
    contact = (contacts.contact[1:] & contacts.contact[:-1]).astype(float)
    held = contact.sum(axis=1)
    steps = np.einsum("fsc,fs->fc", wanted, contact) / np.maximum(held, 1)[:, None]
    steps = np.where(held[:, None] > 0, steps, np.diff(path, axis=0))
    weight = np.where(held > 0, HELD, STEPS)
    return np.stack(
        [
            follow_steps(path[:, axis], steps[:, axis], weight, near)
            for axis, near in ((0, NEAR), (1, NEAR_DOWN))
        ],
        axis=1,
    )


def follow_steps(
    path: NDArray[np.float64],
    steps: NDArray[np.float64],
    weight: NDArray[np.float64],
    near: float = NEAR,
) -> NDArray[np.float64]:
    """The line nearest to `path` whose steps are nearest to `steps`, by `weight`.

    It minimises sum(near (x - path)^2) + sum(weight (x[t+1] - x[t] - steps[t])^2), which
    is one tridiagonal system.
    """
    frames = len(path)
    if frames < 2:
        return path
    diagonal = np.full(frames, near)
    diagonal[:-1] += weight
    diagonal[1:] += weight
    right = near * path
    right[:-1] -= weight * steps
    right[1:] += weight * steps
    upper = np.concatenate([[0.0], -weight])
    return np.asarray(solveh_banded(np.stack([upper, diagonal]), right))
