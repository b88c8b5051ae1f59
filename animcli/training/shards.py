"""Prepared training data: halved pictures and joints of clips, a file of a few dozen each.

Drawing or decoding a picture costs as much as a training step; a clip is therefore
prepared once and used many times. The embedded model's latents are halved pictures,
folded: these are kept, as bytes. A shard is a safetensors file, whole or absent, that is
read through the page cache, so that the data may be larger than memory.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from animcli.keys import key
from animcli.networks.autoencoder import halve
from animcli.networks.limbs import facing, with_middles


@dataclass(frozen=True, eq=False)
class Footage:
    """Pictures of one person before training: the first is the reference.

    pictures: `(k, h, w, 3)` uint8 RGB. masks: `(k, h, w)` uint8, where the person is.
    joints: `(k, 18, 2)` float32, x and y in 0..1 of the picture.
    seen: `(k, 18)` bool.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    joints: NDArray[np.float32]
    seen: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a training step looks at; b references with t targets each.

    reference: `(b, 3, h, w)`, halved pictures in -1..1. targets: `(b, t, 3, h, w)`.
    joints: `(b, 1 + t, 18, 2)` in 0..1, the reference's first. seen: `(b, 1 + t, 18)`.
    weights: `(b, t, 1, h / 4, w / 4)`, 1 to 2: the more of it the target's person fills.
    figure: `(b, 1, h, w)` in 0..1, how much of it the reference's person fills.
    """

    reference: Tensor
    targets: Tensor
    joints: Tensor
    seen: Tensor
    weights: Tensor
    figure: Tensor

    def halved(self) -> "Batch":
        """The same at half the size."""

        def half(x: Tensor) -> Tensor:
            return halve(x.flatten(0, -4)).reshape(
                *x.shape[:-2], x.shape[-2] // 2, x.shape[-1] // 2
            )

        return replace(
            self,
            reference=half(self.reference),
            targets=half(self.targets),
            weights=half(self.weights),
            figure=half(self.figure),
        )


def showing_new_faces(joints: Tensor, seen: Tensor) -> Tensor:
    """Which targets show the face of somebody whose back the reference shows, (b, t) bool.

    joints: `(b, 1 + t, 18, 2)`, the reference's first. seen: `(b, 1 + t, 18)`.
    """
    people = with_middles(joints.flatten(0, 1), seen.flatten(0, 1))
    turned = facing(*people).unflatten(0, joints.shape[:2])
    return (turned[:, :1] < 0) & (turned[:, 1:] > 0)


def prepare(footage: Iterable[Footage], path: Path) -> None:
    """Write one shard of clips that all have the same number of pictures."""
    parts: dict[str, list[NDArray[np.generic]]] = {}
    for clip in footage:
        pictures = torch.from_numpy(clip.pictures).permute(0, 3, 1, 2).float()
        cells = torch.nn.functional.avg_pool2d(
            torch.from_numpy(clip.masks)[1:, None].float() / 255, 8
        )
        for name, values in (
            ("pictures", _bytes(pictures)),
            ("joints", clip.joints),
            ("seen", clip.seen),
            ("masks", cells.half().numpy()),
            ("figure", _bytes(torch.from_numpy(clip.masks)[:1].float())[0]),
        ):
            parts.setdefault(name, []).append(values)
    part = path.with_suffix(".part")
    # Files hold what lies in memory, which for pictures would be channels last.
    save_file({n: np.ascontiguousarray(np.stack(v)) for n, v in parts.items()}, part)
    part.replace(path)


def _bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Halved."""
    return np.asarray(halve(pictures).round().byte())


class Shards:
    """All shards of a folder as one long list of clips."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [safe_open(str(path), framework="pt") for path in sorted(paths)]
        lengths = [file.get_slice("joints").get_shape()[0] for file in self._files]
        self._ends = np.cumsum(lengths)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def targets(self) -> int:
        """Targets of every clip."""
        return self._files[0].get_slice("masks").get_shape()[1]

    def batch(self, clips: Sequence[int], targets: Sequence[Sequence[int]]) -> Batch:
        """The clips of these numbers, with these of their targets (from 0)."""
        read = [
            self._read(clip, list(wanted))
            for clip, wanted in zip(clips, targets, strict=True)
        ]
        pictures, joints, seen, masks, figure = (
            torch.stack(part) for part in zip(*read, strict=True)
        )
        return Batch(
            reference=pictures[:, 0],
            targets=pictures[:, 1:],
            joints=joints,
            seen=seen,
            weights=1 + masks,
            figure=figure[:, None],
        )

    @cached_property
    def faces_to_invent(self) -> NDArray[np.intp]:
        """The numbers of clips whose reference shows the back of a head that a third of the
        targets, or more, show from the front.
        """
        shares = [
            showing_new_faces(file.get_tensor("joints"), file.get_tensor("seen"))
            for file in self._files
        ]
        return np.flatnonzero(torch.cat(shares).float().mean(dim=1).numpy() >= 1 / 3)

    def _read(self, clip: int, targets: list[int]) -> tuple[Tensor, ...]:
        number = int(np.searchsorted(self._ends, clip, side="right"))
        row = clip - (int(self._ends[number - 1]) if number else 0)
        file = self._files[number]
        all_ = [0] + [1 + target for target in targets]
        return (
            file.get_slice("pictures")[row][all_].float() / 127.5 - 1,
            file.get_slice("joints")[row][all_],
            file.get_slice("seen")[row][all_],
            file.get_slice("masks")[row][targets].float(),
            file.get_slice("figure")[row].float() / 255,
        )


@dataclass(frozen=True)
class Growth:
    """How many shards an update may draw from, so that training needn't wait for all data.

    It is a function of the update alone: a run that was stopped goes on with the same data.
    """

    first: int = key(2, "Shards before the first update.", low=1)
    every: int = key(10, "Updates after which there is one more.", low=1)
    most: int = key(600, "Shards in all.", low=1)

    def at(self, step: int) -> int:
        """Shards that update `step` draws from."""
        return min(self.most, self.first + step // self.every)


class ShardFolder:
    """A folder that shards appear in, one after another, while it is being read."""

    def __init__(self, folder: Path, growth: Growth) -> None:
        self._folder, self._growth = folder, growth
        self._open = Shards([])
        self._files = 0

    def at(self, step: int) -> Shards | None:
        """The shards that update `step` draws from; None while one of them is missing."""
        wanted = self._growth.at(step)
        paths = [shard_path(self._folder, number) for number in range(wanted)]
        if wanted != self._files:
            if not all(path.is_file() for path in paths[self._files :]):
                return None
            self._open, self._files = Shards(paths), wanted
        return self._open

    def wait(self, step: int) -> Shards:
        """The shards that update `step` draws from, once they are all there."""
        while (shards := self.at(step)) is None:
            time.sleep(1)
        return shards


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` is."""
    return folder / f"{number:05}.safetensors"
