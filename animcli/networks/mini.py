"""The small model: Animate Anyone's architecture at a size that a processor can train.

It differs from the large one in three ways. The pose guider takes limb coordinates instead
of a drawn skeleton, for the reference too, so that reference attention finds its match
early. The guider can also take a clue: the reference with its limbs moved to their new
places, its single parts, itself, and where its limbs were. And the denoising network is its
own reference network.

The network answers three things. How the layers that the clue is made of are to be mixed
anew, and from how far beside their places they are to be taken: what is moved stays sharp,
and a silhouette is learnt sooner than the colours on both sides of it. And what is to be
added. It is added to the best guess that needs no network: if latents were normal numbers
about the mixture, or about 0 where there is none, that guess would be their mean, given the
noisy ones, and the answer is in units of what it leaves open. At low noise that is next to
nothing. The network sees such a guess and not the noisy latents: both say the same, but
near pure noise the guess is quiet, where loud noise drowned joints and clue in the first
layer (12,000 samples later it hadn't learnt to follow either).
Source: Hu et al., "Animate Anyone", arXiv:2311.17117; limb coordinates: `limbs.py`.

Shapes: b samples, f frames, r references, z latent channels, h by w latent positions.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.appearance import look_through
from animcli.networks.attention import SpatialTransformer
from animcli.networks.autoencoder import LATENT_CHANNELS, fold
from animcli.networks.background import perhaps
from animcli.networks.blocks import fold_frames, unfold_frames
from animcli.networks.levels import MotionConfig, Sight, UNetConfig
from animcli.networks.limbs import CODE
from animcli.networks.unet import UNet
from animcli.networks.warp import LAYERS, PARTS, Moved


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
        # At finer levels they would take as long as all the rest of the network.
        motion = MotionConfig(self.positions, True, self.heads, self.groups, finest=2)
        return UNetConfig(
            channels=LATENT_CHANNELS,
            widths=self.widths,
            layers=self.layers,
            attention=self.attention,
            heads=self.heads,
            groups=self.groups,
            context=0,
            motion=motion if self.positions else None,
            answers=sum(_ANSWERS),
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


_ANSWERS: Final = (LATENT_CHANNELS, 4 * LAYERS, 2 * PARTS)
"""Channels of the network's answer: what is added to the guess; how the layers of the guess
are to be mixed, for two by two pixels; and where their parts are to be taken from."""

CLUE: Final = (PARTS + 2) * LATENT_CHANNELS + CODE + 4 * (PARTS + 1)
"""Channels of a clue: the parts, the guess and the reference as latents, its limbs, and the
shares of the background and the parts in the guess."""


def make_clue(moved: Moved, reference: Tensor, code: Tensor) -> Tensor:
    """What can be said of a frame before looking: (b, CLUE, h, w).

    moved: what `move_parts` made of the halved reference. reference: `(b, z, h, w)`, its
    latent. code: `(b, CODE, h, w)`, its limbs.
    """
    parts = fold(moved.parts.flatten(1, 2))
    shares = F.pixel_unshuffle(moved.shares, 2)
    return torch.cat([parts, fold(moved.whole), reference, code, shares], dim=1)


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

DECIDED: Final = 1.25
"""How decided mixtures are once the network has learnt. What it learns is the mean of what
may be seen, which is pale where it doesn't know whether an arm is: docs/models/mini.md has
the figures."""

MOVED_ERROR: Final = 0.1
"""Mean squared error of moved latents, measured on drawn people. That of 0 is about 1, the
variance of latents."""


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen in r references.

    features: what transformers may look at, path -> (r, positions, c).
    figure: `(r, 1, 2 h, 2 w)` in 0..1, how much of each pixel of the halved picture is the
        person, as far as the model can tell.
    """

    features: dict[str, Tensor]
    figure: Tensor


class MiniModel(nn.Module):
    """Predicts clean latents from noisy ones, the target's joints and the reference."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet)
        self.guider = LimbGuider(config.widths[0])
        self.silhouette = nn.Sequential(
            nn.GroupNorm(config.groups, config.widths[0]),
            nn.SiLU(),
            nn.Conv2d(config.widths[0], 4, 3, padding=1),
        )
        # What it adds to the guess begins as nothing, and a place begins by looking at
        # those that are like it.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            for module in self.unet.modules():
                if isinstance(module, SpatialTransformer):
                    module.block.attn1.to_k.weight.copy_(module.block.attn1.to_q.weight)

    def look(self, reference: Tensor, code: Tensor) -> Look:
        """At references (r, z, h, w) with their limb codes (r, CODE, h, w)."""
        clean = torch.zeros((), device=reference.device)
        features, last = look_through(
            self.unet, reference, clean, self.unet.see(), self.guider(code)
        )
        return Look(features, F.pixel_shuffle(self.silhouette(last), 2).float().sigmoid())

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        sight: Sight,
        pose: Tensor,
        moved: Moved | None = None,
        told: Tensor | None = None,
        sure: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """The clean latents (b, z, f, h, w) that noisy `latents` of that shape hide, and
        how much of a pixel is taken from the reference's figure, (b f, 1, 2 h, 2 w).

        timestep: () or (b,).
        sight: what `unet.see` made of what `look` gave, for the last samples of the batch.
        pose: (b, width, f, h, w), what the guider gave for each frame.
        moved: what the clue that the guider got was made of, b f rows.
        told: (b,) bool, which samples had a clue; without it all had, if `moved` is given.
        sure: the network has learnt: mixtures are as `DECIDED`, and nothing is added where
            only the background is seen.
        """
        frames = latents.shape[2]
        if told is None:
            told = torch.full((len(latents),), moved is not None, device=latents.device)
        told = told.view(-1, 1, 1, 1, 1)
        about = torch.zeros_like(latents)
        if moved is not None:
            about = told * unfold_frames(fold(moved.whole).to(latents), frames)
        share = SHARES.to(latents.device)[timestep].view(-1, 1, 1, 1, 1)
        spread = torch.where(told, MOVED_ERROR, 1.0)
        seen = share * spread + 1 - share  # variance of the noisy latents about the guess

        def mean(about: Tensor) -> Tensor:
            return ((1 - share) * about + share.sqrt() * spread * latents) / seen

        answer = self.unet(mean(about), timestep, sight, pose=pose)
        added, leanings, offsets = answer.split(_ANSWERS, dim=1)
        height, width = latents.shape[-2:]
        figure = latents.new_zeros(len(latents) * frames, 1, 2 * height, 2 * width)
        if moved is not None:
            mixed, figure = moved.mix(
                fold_frames(offsets).float(),
                F.pixel_shuffle(fold_frames(leanings).float(), 2),
                DECIDED if sure else 1.0,
            )
            if sure:
                near = F.pixel_unshuffle(perhaps(figure).expand(-1, 3, -1, -1), 2)
                near = near.to(latents)
                added = added * torch.where(told, unfold_frames(near, frames), 1.0)
            about = told * unfold_frames(fold(mixed).to(latents), frames)
        return mean(about) + (spread * (1 - share) / seen).sqrt() * added, figure
