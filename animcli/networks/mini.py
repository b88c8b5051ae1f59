"""The small model: Animate Anyone's architecture at a size that a processor can train.

It differs from the large one in three ways. The pose guider takes limb coordinates instead
of a drawn skeleton, for the reference too, so that reference attention finds its match
early. The guider can also take a clue: the reference with its limbs moved to their new
places, its single parts, itself, and where its limbs were. And the denoising network is its
own reference network.

What the network answers is added to the best guess that needs no network: if latents were
normal numbers about the moved one, or about 0 where there is none, that guess would be
their mean, given the noisy ones, and the answer is in units of what it leaves open. At low
noise that is next to nothing. The network sees the guess and not the noisy latents: both
say the same, but near pure noise the guess is quiet, where loud noise drowned joints and
clue in the first layer (12,000 samples later it hadn't learnt to follow either).
Source: Hu et al., "Animate Anyone", arXiv:2311.17117; limb coordinates: `limbs.py`.

Shapes: b samples, f frames, r references, z latent channels, h by w latent positions.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.appearance import look_at
from animcli.networks.attention import SpatialTransformer
from animcli.networks.autoencoder import LATENT_CHANNELS, fold
from animcli.networks.levels import MotionConfig, Sight, UNetConfig
from animcli.networks.limbs import CODE
from animcli.networks.unet import UNet
from animcli.networks.warp import PARTS, Moved


@dataclass(frozen=True)
class MiniConfig:
    """The sizes of a small model.

    positions: most frames of a window; 0 for a model of single frames.

    The first level has few channels and many positions, where single pixels of limbs and
    clothes are told from what is behind them, and where attention would cost too much.
    """

    widths: tuple[int, ...] = (32, 64, 96, 96)
    attention: tuple[bool, ...] = (False, True, True, True)
    layers: int = 1
    heads: int = 2
    groups: int = 16
    positions: int = 24

    @property
    def unet(self) -> UNetConfig:
        """The shape of the denoising network."""
        motion = MotionConfig(self.positions, True, self.heads, self.groups)
        return UNetConfig(
            channels=LATENT_CHANNELS,
            widths=self.widths,
            layers=self.layers,
            attention=self.attention,
            heads=self.heads,
            groups=self.groups,
            context=0,
            motion=motion if self.positions else None,
        )


class LimbGuider(nn.Module):
    """Limb codes, and a clue where there is one, to what is added after the first layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(CODE, width, 1)
        self.conv_clue = nn.Conv2d(CLUE, width, 1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, code: Tensor, clue: Tensor | None = None) -> Tensor:
        """`code` (b, CODE, h, w) and `clue` (b, CLUE, h, w) to (b, width, h, w).

        Rows of `clue` that are all zero say that there is none.
        """
        x = self.conv_in(code)
        if clue is not None:
            x = x + self.conv_clue(clue)
        return self.conv_out(F.silu(x))


CLUE: Final = (PARTS + 2) * LATENT_CHANNELS + CODE
"""Channels of a clue: the parts, the guess and the reference as latents, and its limbs."""


def make_clue(moved: Moved, reference: Tensor, code: Tensor) -> Tensor:
    """What can be said of a frame before looking: (b, CLUE, h, w).

    moved: what `move_parts` made of the halved reference. reference: `(b, z, h, w)`, its
    latent. code: `(b, CODE, h, w)`, its limbs.
    """
    parts = fold(moved.parts.flatten(1, 2))
    return torch.cat([parts, fold(moved.whole), reference, code], dim=1)


def clean_shares(steps: int = 1000) -> Tensor:
    """How much of the clean latent is left at each time step (alphas_cumprod), `(steps,)`.

    Scaled-linear betas, rescaled so that nothing is left at the last step: Lin et al.,
    "Common Diffusion Noise Schedules and Sample Steps Are Flawed", arXiv:2305.08891.
    """
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64) ** 2
    roots = (1 - betas).cumprod(0).sqrt()
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return roots.square().float()


SHARES: Final = clean_shares()

MOVED_ERROR: Final = 0.1
"""Mean squared error of moved latents, measured on drawn people. That of 0 is about 1, the
variance of latents."""


class MiniModel(nn.Module):
    """Predicts clean latents from noisy ones, the target's joints and the reference."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet)
        self.guider = LimbGuider(config.widths[0])
        # What it adds to the guess begins as nothing, and a place begins by looking at
        # those that are like it.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            for module in self.unet.modules():
                if isinstance(module, SpatialTransformer):
                    module.block.attn1.to_k.weight.copy_(module.block.attn1.to_q.weight)

    def look(self, reference: Tensor, code: Tensor) -> dict[str, Tensor]:
        """Features of references (r, z, h, w) with their limb codes (r, CODE, h, w)."""
        clean = torch.zeros((), device=reference.device)
        return look_at(self.unet, reference, clean, self.unet.see(), self.guider(code))

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        sight: Sight,
        pose: Tensor,
        moved: Tensor | None = None,
    ) -> Tensor:
        """The clean latents (b, z, f, h, w) that noisy `latents` of that shape hide.

        timestep: () or (b,).
        sight: what `unet.see` made of what `look` gave, for the last samples of the batch.
        pose: (b, width, f, h, w), what the guider gave for each frame.
        moved: (b, z, f, h, w) of the clue that the guider got; zeros stand for none.
        """
        share = SHARES.to(latents.device)[timestep].view(-1, 1, 1, 1, 1)
        about = torch.zeros_like(latents) if moved is None else moved
        told = about.flatten(1).any(dim=1).view(-1, 1, 1, 1, 1)
        spread = torch.where(told, MOVED_ERROR, 1.0)
        seen = share * spread + 1 - share  # variance of the noisy latents about the guess
        off = latents - share.sqrt() * about
        guess = about + share.sqrt() * spread / seen * off
        answer = self.unet(guess, timestep, sight, pose=pose)
        return guess + (spread * (1 - share) / seen).sqrt() * answer
