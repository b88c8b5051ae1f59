"""Footage from anybody's videos of one person each, with the joints found in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.networks.limbs import limb_code
from animcli.pose.posefile import read_pose
from animcli.pose.sequence import PoseSequence
from animcli.pose.skeleton import BODY
from animcli.training.shards import Footage
from animcli.video.read import open_footage

APART = 30  # frames between reference and target, where there are as many; the authors'
RATES = (12.0, 24.0)  # frames a second of clips
LEAST_SEEN = 8  # joints of the body, for a frame to be of use
NEIGHBOURS = 8  # frames apart; those between are decoded rather than skipped
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

    on_end: targets follow one another, 12 to 24 a second, wherever they are.
    """

    films: tuple[Film, ...]
    validation: int
    targets: int
    size: int
    on_end: bool = False

    def __call__(self, number: int) -> Footage:
        """A reference, and targets; all cut alike, nearly all of the frame.

        Raises InputError for a film with fewer frames than there are to follow one another.
        """
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
        if self.on_end:
            targets = follow(motion, self.targets, film, chance)
        else:
            far = usable[np.abs(usable - reference) >= min(APART, len(motion))]
            targets = chance.choice(far if len(far) else usable, self.targets)
        chosen = [reference, *map(int, targets)]

        matrix = self._square(motion.size, chance)
        pictures = {
            frame: cut(picture, matrix, (self.size, self.size))
            for frame, picture in read_frames(film.video, chosen)
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


def follow(
    motion: PoseSequence, frames: int, film: Film, chance: np.random.Generator
) -> NDArray[np.int64]:
    """Which frames of a film to take for a clip, 12 to 24 a second if it is long enough.

    Raises InputError for a film with fewer frames.
    """
    most = (len(motion) - 1) // max(frames - 1, 1)  # frames from one to the next
    if len(motion) < frames:
        raise InputError(
            f"{film.video} has {len(motion)} frames, clips of {frames} are wanted",
            "give longer videos, or set fewer frames",
        )
    seconds = float((motion.ticks[-1] - motion.ticks[0]) * motion.time_base)
    rate = (len(motion) - 1) / seconds
    step = min(max(1, round(rate / chance.uniform(*RATES))), max(most, 1))
    start = int(chance.integers(0, len(motion) - step * (frames - 1)))
    return start + step * np.arange(frames)


def read_frames(
    video: Path, frames: Iterable[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each of `frames` once, in their order in the video."""
    wanted = sorted(set(frames))
    gaps = np.flatnonzero(np.diff(wanted) > NEIGHBOURS) + 1
    with open_footage(video) as reader:
        for near in np.split(np.array(wanted), gaps):
            chosen = set(near.tolist())
            for frame in reader.frames(min(chosen), max(chosen) + 1):
                if frame.index in chosen:
                    yield frame.index, frame.picture


def figure_masks(
    joints: NDArray[np.float32], seen: NDArray[np.bool_], size: int
) -> NDArray[np.uint8]:
    """Where the figure is, about: `(k, size, size)` uint8, from joints (k, 18, 2)."""
    code = limb_code(torch.from_numpy(joints), torch.from_numpy(seen), (size, size))
    near = code[:, 0:48:4].amax(dim=1)
    return ((near > NEAR).to(torch.uint8) * 255).numpy()


def cut(
    picture: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    size: tuple[int, int],
    *,
    mix: bool = True,
) -> NDArray[np.uint8]:
    """A part of a frame at `size` (width, height); beyond its border its edge goes on.

    matrix: 2x3, from the frame to the part, without turning. mix: whether colours may be
        mixed.
    """
    scale = float(matrix[0, 0])
    if not mix:
        near = cv2.INTER_NEAREST
        drawn = cv2.warpAffine(
            picture, matrix, size, flags=near, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(drawn, np.uint8)
    # Averages where it gets smaller, so that fine patterns don't turn into others.
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=smooth)
    shift = np.array([[1, 0, matrix[0, 2]], [0, 1, matrix[1, 2]]])
    part = cv2.warpAffine(scaled, shift, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(part, np.uint8)
