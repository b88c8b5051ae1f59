"""How a large system learns from takes, whichever system it is.

Shapes: b takes, f frames, h by w latent positions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.errors import ProjectError
from animcli.settings import key
from animcli.training.diffusion import Diffusion
from animcli.training.loop import Judgement, follower
from animcli.training.magic_animate import draw_kind
from animcli.training.takes import Rows, TakeFolder

SEEN = 3  # takes of validation
SAMPLED = 10  # steps of DDIM
PROBES = (100, 300, 500, 700, 900)  # time steps at which validation measures the loss


@dataclass(frozen=True)
class LargeRecipe:
    """What an update learns from, and what it is spared."""

    batch: int = key(1, "Takes of an update.", low=1)
    frames: int = key(24, "Frames of a take, on end; 1 in stage 1.", low=1, high=32)
    dropped: float = key(
        0.1,
        "Share of takes without what guidance strengthens: reference, or Cinemo's text.",
        low=0,
        high=1,
    )
    pictures: float = key(
        0.0, "Share of updates from single pictures; MagicAnimate only.", low=0, high=1
    )
    singles: float = key(
        0.0, "Share from single frames of takes; MagicAnimate only.", low=0, high=1
    )
    checkpointing: bool = key(
        False, "Recompute layers in the backward pass instead of keeping them."
    )

    def __post_init__(self) -> None:
        """Raises ProjectError for shares that leave nothing for clips, or less."""
        if self.pictures + self.singles > 1:
            raise ProjectError(
                f"pictures = {self.pictures} and singles = {self.singles} are more than 1",
                "what is left of 1 is the share of clips",
            )


class AnyBatch(Protocol):
    """What every system's batch has: latents to clean, their noise, and its amount."""

    @property
    def latents(self) -> Tensor:
        """(b, 4, f, h, w)."""

    @property
    def noise(self) -> Tensor:
        """The same shape."""

    @property
    def timesteps(self) -> Tensor:
        """(b,)."""


N = TypeVar("N", bound=nn.Module)
N_contra = TypeVar("N_contra", bound=nn.Module, contravariant=True)
B = TypeVar("B", bound=AnyBatch)


class Lesson(Protocol[N_contra, B]):
    """What differs from system to system."""

    def batch(
        self, rows: Rows, shown: int, diffusion: Diffusion, random: torch.Generator
    ) -> B:
        """Takes made ready; the last `shown` with what guidance strengthens."""

    def tell(
        self, network: N_contra, batch: B, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        """What the network tells of noisy latents (b, 4, f, h, w), same shape."""

    def clip(self, batch: B, clean: Tensor) -> Tensor:
        """Latents of frames (b, 4, f, h, w), from what `tell` would clean."""


@dataclass(eq=False)
class LargeCourse(Generic[N, B]):
    """A large system learns from takes.

    decode: latents of pictures (n, 4, h, w) -> pictures (n, 3, 8 h, 8 w) in -1..1.
    pictures: takes of single pictures, where there are any.
    averaged: whether averages are kept, in as much memory again as what learns.
    """

    network: N
    lesson: Lesson[N, B]
    takes: TakeFolder
    pictures: TakeFolder
    validation: TakeFolder
    recipe: LargeRecipe
    diffusion: Diffusion
    decode: Callable[[Tensor], Tensor]
    seed: int
    averaged: bool
    average: N = field(init=False)
    samples: int = field(init=False)

    def __post_init__(self) -> None:
        if self.recipe.pictures and not self.pictures.count:
            raise ProjectError(
                f"pictures = {self.recipe.pictures}, and the data holds no picture",
                "put pictures beside the videos, or set pictures = 0",
            )
        self.average = follower(self.network) if self.averaged else self.network
        self.samples = self.recipe.batch * self.recipe.frames

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        """Of clips, or of single frames or pictures where the recipe wants some."""
        recipe, chance = self.recipe, np.random.default_rng([self.seed, step])
        kind = draw_kind(recipe.pictures, recipe.singles, random)
        folder = self.pictures if kind == "picture" else self.takes
        frames = recipe.frames if kind == "clip" else 1
        rows = self._here(folder.draw(recipe.batch, frames, chance))
        known = torch.rand(len(rows["latents"]), generator=random) >= recipe.dropped
        # What is dropped comes first: a reference belongs to the last takes of a batch.
        order = torch.argsort(known.long(), stable=True)
        rows = {name: each[order.to(each.device)] for name, each in rows.items()}
        batch = self.lesson.batch(rows, int(known.sum()), self.diffusion, random)
        return self._error(self.network, batch)

    @torch.no_grad()
    def judge(self) -> Judgement:
        """The loss on takes that are kept apart, and what is made of them."""
        rows = self._here(self.validation.first(SEEN, self.recipe.frames))
        takes, random = len(rows["latents"]), torch.Generator().manual_seed(1)
        batch = self.lesson.batch(rows, takes, self.diffusion, random)
        losses = [
            float(self._error(self.average, _at(batch, step)).float()) for step in PROBES
        ]

        def clean(noisy: Tensor, step: int) -> Tensor:
            told = self.lesson.tell(
                self.average, _at(batch, step), noisy, checkpointing=False
            )
            return self.diffusion.clean(told.float(), noisy, step)

        made = descend(batch.noise, clean, self.diffusion.shares, SAMPLED)
        middle = self.recipe.frames // 2
        found, right = (
            self.decode(self.lesson.clip(batch, latents)[:, :, middle]).float().cpu()
            for latents in (made, batch.latents)
        )
        found = found.clamp(-1, 1)
        error = (found - right.clamp(-1, 1)).square().mean(dim=(1, 2, 3))
        figures = {
            "loss_validation": sum(losses) / len(losses),
            "psnr": float((10 * torch.log10(4 / error.clamp_min(1e-10))).mean()),
            "ssim": float(structural_similarity(found, right).mean()),
        }
        reference = self.decode(rows["reference"].chunk(2, dim=1)[0]).float().cpu()
        return Judgement(figures, (reference, right, found))

    def _error(self, network: N, batch: B) -> Tensor:
        noisy = self.diffusion.mix(batch.latents, batch.noise, batch.timesteps)
        recompute = self.recipe.checkpointing and torch.is_grad_enabled()
        told = self.lesson.tell(network, batch, noisy, checkpointing=recompute)
        return self.diffusion.loss(told, batch.latents, batch.noise, batch.timesteps)

    def _here(self, rows: Rows) -> Rows:
        device = next(self.network.parameters()).device
        return {name: each.to(device) for name, each in rows.items()}


def _at(batch: B, step: int) -> B:
    """The batch with another time step, the same for all."""
    timesteps = torch.full_like(batch.timesteps, step)
    return replace(batch, timesteps=timesteps)  # type: ignore[type-var]


def descend(
    noisy: Tensor, clean: Callable[[Tensor, int], Tensor], shares: Tensor, steps: int
) -> Tensor:
    """DDIM (Song et al., arXiv:2010.02502) from noise to what is clean, in `steps` steps.

    clean: (noisy, time step) -> the clean latents in it. shares: alphas_cumprod.
    """
    times = [round(len(shares) * (1 - i / steps)) - 1 for i in range(steps)]
    for time, later in zip(times, [*times[1:], None], strict=True):
        guess = clean(noisy, time)
        if later is None:
            return guess
        noise = (noisy - shares[time].sqrt() * guess) / (1 - shares[time]).sqrt()
        noisy = shares[later].sqrt() * guess + (1 - shares[later]).sqrt() * noise
    return noisy


def structural_similarity(left: Tensor, right: Tensor) -> Tensor:
    """SSIM (b,) of the luminance of pictures (b, 3, h, w) in -1..1.

    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity", 2004: a Gaussian window of 11 pixels, deviation 1.5.
    """
    luma = left.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    x, y = (((each + 1) / 2 * luma).sum(dim=1, keepdim=True) for each in (left, right))
    places = torch.arange(11, dtype=left.dtype) - 5
    bell = torch.exp(-places.square() / (2 * 1.5**2))
    bell = (bell / bell.sum())[None, None]

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(z, bell[:, :, None]), bell[..., None])

    mx, my = blur(x), blur(y)
    vx, vy, both = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    a, b = 0.01**2, 0.03**2
    ratio = (2 * mx * my + a) * (2 * both + b) / ((mx**2 + my**2 + a) * (vx + vy + b))
    return ratio.mean(dim=(1, 2, 3))
