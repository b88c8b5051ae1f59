"""Footage from anybody's videos of one person each, with the joints found in them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animcli.networks.limbs import limb_code
from animcli.pose.posefile import read_pose
from animcli.pose.skeleton import BODY
from animcli.training.shards import Footage
from animcli.video.read import open_footage

APART = 30  # frames between reference and target, where there are as many; the authors'
LEAST_SEEN = 8  # joints of the body, for a frame to be of use
NEAR = 0.2  # of a limb's code: inside the figure, roughly


@dataclass(frozen=True)
class Film:
    """A video, and the joints that were found in it."""

    video: Path
    pose: Path


@dataclass(frozen=True)
class VideoClips:
    """Number of a clip -> frames of one of the films, cut to a square.

    The numbers from `validation` on are of the last film, the others of those before it; of
    one film alone all numbers are.
    """

    films: tuple[Film, ...]
    validation: int
    targets: int
    size: int

    def __call__(self, number: int) -> Footage:
        """A reference, and targets away from it; all cut alike, nearly all of the frame."""
        chance = np.random.default_rng([number, 13])
        known = self.films[:-1] or self.films
        film = (
            self.films[-1]
            if number >= self.validation
            else known[chance.integers(len(known))]
        )
        motion = read_pose(film.pose)
        points, seen = motion.points[:, BODY], motion.seen[:, BODY]
        usable = np.flatnonzero(seen.sum(axis=1) >= LEAST_SEEN)
        if len(usable) == 0:
            usable = np.arange(len(motion))
        reference = int(chance.choice(usable))
        far = usable[np.abs(usable - reference) >= min(APART, len(motion))]
        targets = chance.choice(far if len(far) else usable, self.targets)
        chosen = [reference, *map(int, targets)]

        matrix = self._square(motion.size, chance)
        pictures = {
            frame: _cut(_read(film.video, frame), matrix, self.size)
            for frame in sorted(set(chosen))
        }
        placed = points[chosen] @ matrix[:, :2].T + matrix[:, 2]
        joints = (placed / self.size).astype(np.float32)
        inside = ((joints > 0) & (joints < 1)).all(axis=-1)
        return Footage(
            pictures=np.stack([pictures[frame] for frame in chosen]),
            masks=figure_masks(joints, seen[chosen], self.size),
            joints=joints,
            seen=seen[chosen] & inside,
        )

    def _square(
        self, size: tuple[int, int], chance: np.random.Generator
    ) -> NDArray[np.float64]:
        """The 2x3 map from a frame (width, height) to a square with nearly all of it."""
        width, height = size
        side = max(width, height) * np.sqrt(chance.uniform(0.9, 1.0))  # of the area
        left = (width - side) * chance.uniform(0.4, 0.6)
        top = (height - side) * chance.uniform(0.4, 0.6)
        scale = self.size / side
        return np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])


def figure_masks(
    joints: NDArray[np.float32], seen: NDArray[np.bool_], size: int
) -> NDArray[np.uint8]:
    """Where the figure is, about: `(k, size, size)` uint8, from joints (k, 18, 2)."""
    code = limb_code(torch.from_numpy(joints), torch.from_numpy(seen), (size, size))
    near = code[:, 0:48:4].amax(dim=1)
    return ((near > NEAR).to(torch.uint8) * 255).numpy()


def _cut(
    picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: int
) -> NDArray[np.uint8]:
    """A square of a frame; what lies beyond its border continues it."""
    scale = float(matrix[0, 0])
    # Averages where it gets smaller, so that fine patterns don't turn into others.
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=smooth)
    shift = np.array([[1, 0, matrix[0, 2]], [0, 1, matrix[1, 2]]])
    cut = cv2.warpAffine(scaled, shift, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _read(video: Path, frame: int) -> NDArray[np.uint8]:
    with open_footage(video) as reader:
        return next(reader.frames(frame, frame + 1)).picture
