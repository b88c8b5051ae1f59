"""Takes: what the large systems learn from, cut from footage and kept on the disk.

A take is a few frames of one person and a reference. Encoding it costs far more than a
training step, so it is prepared once: the latents as the autoencoder is unsure of them, the
drawn conditions as bytes, what CLIP says. A file per take, whole or absent, is read through
the page cache, frame by frame.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from animcli.errors import InputError
from animcli.pose.draw import draw_pose
from animcli.pose.io_pose import read_pose
from animcli.pose.sequence import PoseSequence
from animcli.video.images import SUFFIXES, read_picture
from animcli.video.reader import open_footage

Rows = dict[str, Tensor]
"""What is kept of takes, by name, each with the takes first. `latents` (b, k, 8, h, w) and
`reference` (b, 8, h, w) are means, then deviations; `conditions` is (b, k, 3, 8 h, 8 w)
uint8, `context` (b, m, width), `motion` (b,)."""

BY_FRAME = frozenset({"latents", "conditions"})

APART = 30  # frames between reference and target, where there are as many; the authors'
LEAST_SEEN = 8  # joints of the body, for a frame to be of use
NEIGHBOURS = 8  # frames apart; those between are decoded rather than skipped


@dataclass(frozen=True)
class Reel:
    """Footage of one person, a video or one picture, and what is known of it.

    pose: the joints in it. drawn: the same frames in DensePose's colours. text: what is to
    be seen.
    """

    footage: Path
    pose: Path | None = None
    drawn: Path | None = None
    text: str = ""


@dataclass(frozen=True, eq=False)
class Take:
    """Frames to learn from, all cut alike.

    reference: `(h, w, 3)` uint8 RGB. whole: the same picture uncut. frames, conditions:
    `(k, h, w, 3)`; there are no conditions where nothing is drawn.
    """

    reference: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    frames: NDArray[np.uint8]
    conditions: NDArray[np.uint8] | None
    text: str


@dataclass(frozen=True)
class Takes:
    """Number of a take -> a take of one of the reels.

    size: `(width, height)`. frames: of a take. every: the least and the most frames of the
        footage from one to the next, on end; None for frames at least `APART` from the
        reference, wherever they are.
    """

    reels: tuple[Reel, ...]
    size: tuple[int, int]
    frames: int
    every: tuple[int, int] | None

    def __call__(self, number: int) -> Take:
        """Raises InputError for footage that is too short."""
        chance = np.random.default_rng([number, 19])
        reel = self.reels[int(chance.integers(len(self.reels)))]
        motion = None if reel.pose is None else read_pose(reel.pose)
        length = len(motion) if motion is not None else count_frames(reel.footage)
        usable = np.arange(length)
        if motion is not None:
            seen = (motion.seen.sum(axis=1) >= LEAST_SEEN).nonzero()[0]
            usable = seen if len(seen) else usable
        reference = int(chance.choice(usable))
        chosen = self._choose(reel, length, usable, reference, chance)
        pictures = dict(frames_of(reel.footage, [reference, *chosen]))
        whole = pictures[reference]
        matrix = crop(whole.shape[1::-1], self.size, chance)
        return Take(
            reference=cut(whole, matrix, self.size),
            whole=whole,
            frames=np.stack([cut(pictures[n], matrix, self.size) for n in chosen]),
            conditions=self._draw(reel, motion, chosen, matrix, whole.shape[:2]),
            text=reel.text,
        )

    def _choose(
        self,
        reel: Reel,
        length: int,
        usable: NDArray[np.int64],
        reference: int,
        chance: np.random.Generator,
    ) -> list[int]:
        if length == 1:  # a picture is its own reference
            return [0] * (1 if self.every is None else self.frames)
        if self.every is None:
            far = usable[np.abs(usable - reference) >= min(APART, length)]
            pool = far if len(far) else usable
            return [int(n) for n in chance.choice(pool, self.frames)]
        if length < self.frames:
            raise InputError(
                f"{reel.footage} has {length} frames, takes of {self.frames} are wanted",
                "give longer videos, or set fewer frames",
            )
        low, high = self.every
        most = (length - 1) // max(self.frames - 1, 1)
        step = min(int(chance.integers(low, high + 1)), max(most, 1))
        start = int(chance.integers(0, length - step * (self.frames - 1)))
        return [start + step * n for n in range(self.frames)]

    def _draw(
        self,
        reel: Reel,
        motion: PoseSequence | None,
        chosen: Sequence[int],
        matrix: NDArray[np.float64],
        shape: tuple[int, ...],
    ) -> NDArray[np.uint8] | None:
        """What the frames are led by: skeletons drawn at the size of the take, as they are
        when rendering, or DensePose pictures cut without mixing colours.
        """
        if motion is not None:
            moved = motion.points @ matrix[:, :2].T.astype(np.float32)
            moved += matrix[:, 2].astype(np.float32)
            limit = motion.draw_threshold
            return np.stack(
                [
                    draw_pose(moved[n], motion.scores[n], self.size, threshold=limit)
                    for n in chosen
                ]
            )
        if reel.drawn is None:
            return None
        drawn = dict(frames_of(reel.drawn, chosen))
        for picture in drawn.values():
            if picture.shape[:2] != shape:
                raise InputError(
                    f"{reel.drawn} is another size than {reel.footage}",
                    "draw it again from the footage as it is",
                )
        return np.stack([cut(drawn[n], matrix, self.size, mix=False) for n in chosen])


def count_frames(footage: Path) -> int:
    """How many frames a video has; a picture has one."""
    if is_picture(footage):
        return 1
    with open_footage(footage) as reader:
        return reader.info.frames or sum(1 for _ in reader.frames())


def is_picture(footage: Path) -> bool:
    """Whether this is a still picture, by its name."""
    return footage.suffix.lower() in SUFFIXES - {".gif", ".apng"}


def frames_of(
    footage: Path, frames: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each of `frames` once; a picture is its only frame."""
    if is_picture(footage):
        return iter([(0, read_picture(footage).pixels)])
    return read_frames(footage, frames)


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


def crop(
    given: tuple[int, ...], size: tuple[int, int], chance: np.random.Generator
) -> NDArray[np.float64]:
    """The 2x3 map from a frame `(width, height)` to 90 to 100 % of it at `size`."""
    scale = max(size[0] / given[0], size[1] / given[1]) / np.sqrt(chance.uniform(0.9, 1.0))
    slack = [scale * have - want for have, want in zip(given, size, strict=True)]
    left, top = (chance.uniform(0, max(room, 0)) for room in slack)
    return np.array([[scale, 0, -left], [0, scale, -top]])


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


def write_take(tensors: Rows, path: Path) -> None:
    """Keep one take, whole or not at all; here the tensors have no takes in front."""
    part = path.with_suffix(".part")
    save_file({name: each.contiguous() for name, each in tensors.items()}, part)
    part.replace(path)


@dataclass(frozen=True)
class TakeFolder:
    """Prepared takes."""

    folder: Path
    count: int

    def path(self, number: int) -> Path:
        """Where take `number` is."""
        return self.folder / f"{number:06}.safetensors"

    def draw(self, takes: int, frames: int, chance: np.random.Generator) -> Rows:
        """`frames` on end of each of `takes` different ones, or of all if they are fewer.

        Takes with fewer frames, of pictures, give all they have.
        """
        numbers = chance.choice(self.count, min(takes, self.count), replace=False)
        read = [self._read(int(number), frames, chance) for number in numbers]
        return {name: torch.stack([row[name] for row in read]) for name in read[0]}

    def first(self, takes: int, frames: int) -> Rows:
        """The first `frames` of the first `takes`."""
        read = [self._read(n, frames, None) for n in range(min(takes, self.count))]
        return {name: torch.stack([row[name] for row in read]) for name in read[0]}

    def _read(self, number: int, frames: int, chance: np.random.Generator | None) -> Rows:
        with safe_open(str(self.path(number)), framework="pt") as file:
            names = list(file.keys())
            held = file.get_slice("latents").get_shape()[0]
            last = max(held - frames, 0)
            start = 0 if chance is None else int(chance.integers(0, last + 1))
            rows = {
                name: file.get_slice(name)[start : start + frames]
                if name in BY_FRAME
                else file.get_tensor(name)
                for name in names
            }
        # Halves are for the disk: processors can't stack them under autocast.
        return {n: x.float() if x.is_floating_point() else x for n, x in rows.items()}


def sample(rows: Tensor, random: torch.Generator) -> Tensor:
    """Latents (..., 4, h, w) from means and deviations (..., 8, h, w)."""
    mean, deviation = rows.chunk(2, dim=-3)
    noise = torch.randn(mean.shape, generator=random).to(mean.device)
    return mean + deviation * noise
