"""Stage `autoencoder`: pictures, there and back. Only the decoder has anything to learn.

It learns from quarters of pictures, so that there are more updates in an hour: they, and
not the number of pixels, are what it lacks at first.
"""

import copy
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.keys import key
from animcli.networks.autoencoder import Autoencoder
from animcli.training.loop import Judgement
from animcli.training.shards import Footage
from animcli.training.validation import Cases, measure


def autoencoder_loss(
    network: Autoencoder, pictures: Tensor, masks: Tensor, random: torch.Generator
) -> Tensor:
    """How far `pictures` (b, 3, h, w), in -1..1, are from what comes back of them.

    masks: `(b, 1, h, w)` in 0..1, where the person is: that counts four times.

    Squared error decides the colours, the absolute error of differences between
    neighbouring pixels keeps outlines, eyes and mouths from going soft. A little noise on
    the latents makes the decoder forgive the errors that a denoiser leaves in them.
    """
    latents = network.encode(pictures)
    noise = torch.randn(latents.shape, generator=random)
    back = network.decode(latents + NOISE * noise).float()
    error = (1 + 3 * masks) / 2 * (back - pictures).square()
    edges = (_edges(back) - _edges(pictures)).abs().mean()
    return error.mean() + 0.05 * edges


NOISE: Final = 0.05
"""Deviation of the noise on latents, whose own is about 1."""


def _edges(x: Tensor) -> Tensor:
    """Differences of neighbours, across and down, side by side: (b, 6, h - 1, w - 1)."""
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    return torch.cat([across, down], dim=1)


@dataclass(frozen=True)
class AutoencoderRecipe:
    """What an autoencoder learns from."""

    clips: int = key(4, "Clips of which an update sees four crops.", low=1)


@dataclass(eq=False)
class AutoencoderCourse:
    """The autoencoder learns from pictures that another process draws or decodes.

    clip: number of a clip -> its footage.
    workers: where footage is made ahead of its update.
    """

    network: Autoencoder
    clip: Callable[[int], Footage]
    workers: Executor
    recipe: AutoencoderRecipe
    cases: Cases
    average: Autoencoder = field(init=False)
    samples: int = field(init=False)
    _ahead: dict[int, list[Future[NDArray[np.uint8]]]] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.samples = CROPS * self.recipe.clips

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        """Of crops of as many clips' pictures."""
        for later in range(step, step + AHEAD):
            if later not in self._ahead:
                first = later * self.recipe.clips
                self._ahead[later] = [
                    self.workers.submit(cut, self.clip, number)
                    for number in range(first, first + self.recipe.clips)
                ]
        crops = np.concatenate([each.result() for each in self._ahead.pop(step)])
        planes = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        pictures = (planes[:, :3] / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        return autoencoder_loss(self.network, pictures, planes[:, 3:] / 255, random)

    @torch.inference_mode()
    def judge(self) -> Judgement:
        """What comes back of pictures that it hasn't seen."""
        made = self.average(self.cases.targets)
        return Judgement(measure(made, self.cases), (self.cases.targets, made))


CROPS = 4  # of each clip
AHEAD = 4  # updates whose pictures are being made


def cut(clip: Callable[[int], Footage], number: int) -> NDArray[np.uint8]:
    """Crops of half a side, (CROPS, h, w, 4), of a clip's pictures and masks, varied."""
    chance = np.random.default_rng([7, number])
    footage = clip(number)
    count, height, width = footage.masks.shape
    height, width = height // 16 * 8, width // 16 * 8
    crops: list[NDArray[np.uint8]] = []
    for which in chance.choice(count, CROPS, replace=count < CROPS):
        top = chance.integers(0, footage.masks.shape[1] - height + 1)
        left = chance.integers(0, footage.masks.shape[2] - width + 1)
        place = (which, slice(top, top + height), slice(left, left + width))
        picture = footage.pictures[place].astype(np.float64)
        if chance.random() < 0.15:  # other contrast and colours
            shift = chance.normal(0, 20, 3)
            picture = (picture - 128) * chance.uniform(0.5, 1.4) + 128 + shift
        if chance.random() < 0.1:
            picture = picture + chance.normal(0, chance.uniform(2, 12), picture.shape)
        planes = np.dstack([picture, footage.masks[place]]).clip(0, 255).astype(np.uint8)
        crops.append(planes[:, ::-1] if chance.random() < 0.5 else planes)
    return np.stack(crops)
