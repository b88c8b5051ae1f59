"""Samples to train on: cut from footage or drawn, encoded once and kept on the disk.

A sample is a few frames of one person and a reference. Encoding it costs far more than a
training step, so it is prepared once: the latents as the autoencoder is unsure of them, the
drawn conditioning as bytes, the CLIP embedding. A file per sample, whole or absent, is read
through the page cache, frame by frame.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from animcli.errors import InputError, ProjectError
from animcli.files import atomic_path
from animcli.pose.draw import draw_pose
from animcli.pose.io_pose import read_pose
from animcli.pose.keypoints import BODY
from animcli.pose.sequence import PoseSequence
from animcli.settings import setting
from animcli.video.images import IMAGE_SUFFIXES, read_picture
from animcli.video.reader import open_footage

REFERENCE_DISTANCE: Final = (
    30  # frames between reference and target, where there are as many; authors'
)
LEAST_VISIBLE: Final = 8  # keypoints of the body, for a frame to be of use
NEIGHBOURS: Final = 8  # frames apart; those between are decoded rather than skipped

Tensors = dict[str, Tensor]
"""Content of samples, by name, each with the samples first. `latents` (b, k, 2 c, h, w) and
`reference` (b, 2 c, h, w) are means, then deviations; `conditions` is (b, k, 3, 8 h, 8 w)
uint8, `keypoints` (b, k, 18, 3) and `reference_keypoints` (b, 18, 3) x and y in 0..1 of the
picture and 1 where visible, `masks` (b, k, 1, h, w) uint8 share of the figure, `context`
(b, m, width), `motion` (b,)."""

BY_FRAME = frozenset({"latents", "conditions", "keypoints", "masks"})


@dataclass(frozen=True)
class TrainingSource:
    """Footage of one person, a video or one picture, and what is known of it.

    pose: its `.pose`. drawn: the same frames in DensePose's colours. text: a description.
    """

    footage: Path
    pose: Path | None = None
    densepose: Path | None = None
    text: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """Frames to train on, all cut alike.

    reference: `(h, w, 3)` uint8 RGB. whole: the same picture uncut. frames, conditions:
    `(k, h, w, 3)`; there are no conditions where nothing is drawn.
    keypoints: `(1 + k, 18, 3)` float32, the reference's first: x and y in 0..1 of the
    picture, and 1 where visible. masks: `(k, h, w)` uint8, the figure, where it is known.
    """

    reference: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    frames: NDArray[np.uint8]
    conditions: NDArray[np.uint8] | None = None
    keypoints: NDArray[np.float32] | None = None
    masks: NDArray[np.uint8] | None = None
    _: KW_ONLY
    text: str = ""


@dataclass(frozen=True)
class SampleCutter:
    """Number of a sample -> a sample of one of the sources.

    size: `(width, height)`. frames: of a sample. every: the least and the most frames of
        the footage from one to the next, consecutive; None for frames at least
        `REFERENCE_DISTANCE` from the reference, wherever they are.
    """

    sources: tuple[TrainingSource, ...]
    size: tuple[int, int]
    frames: int
    every: tuple[int, int] | None

    def __call__(self, number: int) -> Sample:
        """Raises InputError for footage that is too short."""
        rng = np.random.default_rng([number, 19])
        source = self.sources[int(rng.integers(len(self.sources)))]
        motion = None if source.pose is None else read_pose(source.pose)
        length = len(motion) if motion is not None else count_frames(source.footage)
        usable = np.arange(length)
        if motion is not None:
            visible = (motion.visible.sum(axis=1) >= LEAST_VISIBLE).nonzero()[0]
            usable = visible if len(visible) else usable
        reference = int(rng.choice(usable))
        chosen = self._choose(source, length, usable, reference, rng)
        pictures = dict(decoded_frames(source.footage, [reference, *chosen]))
        whole = pictures[reference]
        matrix = crop(whole.shape[1::-1], self.size, rng)
        return Sample(
            reference=warp_crop(whole, matrix, self.size),
            whole=whole,
            frames=np.stack([warp_crop(pictures[n], matrix, self.size) for n in chosen]),
            conditions=self._draw(source, motion, chosen, matrix, whole.shape[:2]),
            keypoints=None
            if motion is None
            else target_keypoints(motion, [reference, *chosen], matrix, self.size),
            text=source.text,
        )

    def _choose(
        self,
        source: TrainingSource,
        length: int,
        usable: NDArray[np.int64],
        reference: int,
        rng: np.random.Generator,
    ) -> list[int]:
        if length == 1:  # a picture is its own reference
            return [0] * (1 if self.every is None else self.frames)
        if self.every is None:
            far = usable[np.abs(usable - reference) >= min(REFERENCE_DISTANCE, length)]
            pool = far if len(far) else usable
            return [int(n) for n in rng.choice(pool, self.frames)]
        if length < self.frames:
            raise InputError(
                f"{source.footage} has {length} frames, samples of {self.frames} are "
                "wanted",
                "give longer videos, or set fewer frames",
            )
        low, high = self.every
        most = (length - 1) // max(self.frames - 1, 1)
        step = min(int(rng.integers(low, high + 1)), max(most, 1))
        start = int(rng.integers(0, length - step * (self.frames - 1)))
        return [start + step * n for n in range(self.frames)]

    def _draw(
        self,
        source: TrainingSource,
        motion: PoseSequence | None,
        chosen: Sequence[int],
        matrix: NDArray[np.float64],
        shape: tuple[int, ...],
    ) -> NDArray[np.uint8] | None:
        """Skeletons drawn at the size of the sample, as they are when rendering, or
        DensePose pictures cut without mixing colours.
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
        if source.densepose is None:
            return None
        densepose = dict(decoded_frames(source.densepose, chosen))
        for picture in densepose.values():
            if picture.shape[:2] != shape:
                raise InputError(
                    f"{source.densepose} is another size than {source.footage}",
                    "draw it again from the footage as it is",
                )
        return np.stack(
            [warp_crop(densepose[n], matrix, self.size, mix=False) for n in chosen]
        )


def target_keypoints(
    motion: PoseSequence,
    frames: Sequence[int],
    matrix: NDArray[np.float64],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Body keypoints `(k, 18, 3)` of frames cut by `matrix` (2x3) to `size`.

    x and y in 0..1 of the cut, and 1 where visible in it.
    """
    points = motion.points[frames][:, BODY] @ matrix[:, :2].T + matrix[:, 2]
    points = points / np.array(size)
    inside = ((points > 0) & (points < 1)).all(axis=-1)
    visible = motion.visible[frames][:, BODY] & inside
    return np.dstack([points, visible]).astype(np.float32)


def count_frames(footage: Path) -> int:
    """Number of frames of a video; a picture has one."""
    if is_picture(footage):
        return 1
    with open_footage(footage) as reader:
        return reader.info.frames or sum(1 for _ in reader.frames())


def is_picture(footage: Path) -> bool:
    """Tell if this is a still picture, by its name."""
    return footage.suffix.lower() in IMAGE_SUFFIXES - {".gif", ".apng"}


def decoded_frames(
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
    given: tuple[int, ...], size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Map (2x3) from a frame `(width, height)` to 90 to 100 % of it at `size`."""
    scale = max(size[0] / given[0], size[1] / given[1]) / np.sqrt(rng.uniform(0.9, 1.0))
    slack = [scale * have - want for have, want in zip(given, size, strict=True)]
    left, top = (rng.uniform(0, max(room, 0)) for room in slack)
    return np.array([[scale, 0, -left], [0, scale, -top]])


def warp_crop(
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


@dataclass(frozen=True)
class SampleStore:
    """Prepared samples in a folder, a file each.

    make: number of a sample -> its content, for those that aren't there yet.
    """

    folder: Path
    count: int
    make: Callable[[int], Tensors] | None = None

    def path(self, number: int) -> Path:
        """File of sample `number`."""
        return self.folder / f"{number:06}.safetensors"

    def prepare(self, number: int) -> None:
        """Make sample `number`, whole or not at all, unless it is there."""
        path = self.path(number)
        if self.make is None or path.is_file():
            return
        tensors = {name: each.contiguous() for name, each in self.make(number).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            save_file(tensors, part)

    def draw(
        self, numbers: Iterable[int], frames: int, rng: np.random.Generator
    ) -> Tensors:
        """`frames` consecutive ones of each of the samples `numbers`, starting anywhere.

        Samples with fewer frames, of pictures, give all they have.
        """
        return collate([self._read(number, frames, rng) for number in numbers])

    def first(self, samples: int, frames: int) -> Tensors:
        """The first `frames` of the first `samples`."""
        return collate(
            [self._read(n, frames, None) for n in range(min(samples, self.count))]
        )

    def _read(self, number: int, frames: int, rng: np.random.Generator | None) -> Tensors:
        self.prepare(number)
        with safe_open(str(self.path(number)), framework="pt") as file:
            names = list(file.keys())
            held = file.get_slice("latents").get_shape()[0]
            last = max(held - frames, 0)
            start = 0 if rng is None else int(rng.integers(0, last + 1))
            tensors = {
                name: file.get_slice(name)[start : start + frames]
                if name in BY_FRAME
                else file.get_tensor(name)
                for name in names
            }
        # Halves are for the disk: CPUs can't stack them under autocast.
        return {n: x.float() if x.is_floating_point() else x for n, x in tensors.items()}


def collate(samples: Sequence[Tensors]) -> Tensors:
    """Samples with the same names in one, the samples first."""
    return {name: torch.stack([each[name] for each in samples]) for name in samples[0]}


@dataclass(frozen=True)
class SampleSchedule:
    """Number of samples at each update: more and more, prepared along the way."""

    first_samples: int = setting(
        0, "Samples before the first update; 0 prepares all of them before it.", low=0
    )
    samples_per_update: float = setting(1.0, "Samples that each update adds.", low=0)

    def at(self, step: int, count: int) -> int:
        """Samples to choose from at update `step`, of `count` in all."""
        if not self.first_samples:
            return count
        return min(count, int(self.first_samples + self.samples_per_update * step))


@dataclass(frozen=True)
class Shares:
    """Shares of updates from single pictures, and from single frames of clips.

    Source: Xu et al., "MagicAnimate", arXiv:2311.16498, section 3.3 (joint training).
    """

    single_pictures: float = setting(
        0.0, "Share of updates from single pictures.", low=0, high=1
    )
    single_frames: float = setting(
        0.0, "Share of updates from single frames of clips.", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Raises ProjectError for shares that leave nothing for clips, or less."""
        pictures, frames = self.single_pictures, self.single_frames
        if pictures + frames > 1:
            raise ProjectError(
                f"single_pictures = {pictures}, single_frames = {frames} are more than 1",
                "what is left of 1 is the share of clips",
            )


@dataclass(frozen=True)
class SampleDataset(Dataset[Tensors]):
    """Batch number -> a batch of samples; a function of (seed, number) alone.

    pictures: samples of single pictures, where there are any.
    """

    clips: SampleStore
    pictures: SampleStore
    shares: Shares
    sample_schedule: SampleSchedule
    batch: int
    frames: int
    _: KW_ONLY
    seed: int

    def __getitem__(self, number: int) -> Tensors:
        """Different samples, or all where they are fewer than a batch."""
        rng = np.random.default_rng([self.seed, number])
        r = rng.random()
        if r < self.shares.single_pictures:
            store, frames, count = self.pictures, 1, self.pictures.count
        else:
            single = r < self.shares.single_pictures + self.shares.single_frames
            store, frames = self.clips, 1 if single else self.frames
            count = self.sample_schedule.at(number, store.count)
        numbers = rng.choice(count, min(self.batch, count), replace=False)
        return store.draw(map(int, numbers), frames, rng)


def sample_latents(moments: Tensor, rng: torch.Generator) -> Tensor:
    """Latents (..., c, h, w) from means and deviations (..., 2 c, h, w)."""
    mean, deviation = moments.chunk(2, dim=-3)
    noise = torch.randn(mean.shape, generator=rng).to(mean.device)
    return mean + deviation * noise
