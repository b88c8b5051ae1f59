"""The small model: Animate Anyone's architecture at a size that a processor can train.

It differs from the large one in three ways. The pose guider takes limb coordinates instead
of a drawn skeleton, for the reference too, so that reference attention finds its match
early. The guider can also take a hint: the latent of the reference with its limbs moved to
their new places. And the denoising network is its own reference network.
Source: Hu et al., "Animate Anyone", arXiv:2311.17117; limb coordinates: `limbs.py`.

Shapes: b samples, f frames, r references, z latent channels, h by w latent positions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.appearance import look_at
from animcli.networks.levels import MotionConfig, UNetConfig
from animcli.networks.limbs import CODE
from animcli.networks.unet import UNet


@dataclass(frozen=True)
class MiniConfig:
    """The sizes of a small model.

    positions: most frames of a window; 0 for a model of single frames.

    There is no attention at the full size: on a processor it took six sevenths of an update
    (2.3 samples a second with it, 15 without), and the hint brings the fine detail.
    """

    latent_channels: int = 12
    widths: tuple[int, ...] = (64, 80, 96)
    attention: tuple[bool, ...] = (False, True, True)
    layers: int = 1
    heads: int = 2
    groups: int = 16
    positions: int = 24

    @property
    def unet(self) -> UNetConfig:
        """The shape of the denoising network."""
        motion = MotionConfig(self.positions, True, self.heads, self.groups)
        return UNetConfig(
            channels=self.latent_channels,
            widths=self.widths,
            layers=self.layers,
            attention=self.attention,
            heads=self.heads,
            groups=self.groups,
            context=0,
            motion=motion if self.positions else None,
        )


class LimbGuider(nn.Module):
    """Limb codes, and a hint where there is one, to what is added after the first layer."""

    def __init__(self, width: int, hint_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(CODE, 48, 3, padding=1)
        self.conv_down = nn.Conv2d(48, width, 4, stride=2, padding=1)
        self.conv_hint = nn.Conv2d(hint_channels, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, code: Tensor, hint: Tensor | None) -> Tensor:
        """`code` (b, CODE, 2 h, 2 w) and `hint` (b, z, h, w) to (b, width, h, w).

        Rows of `hint` that are all zero say that there is none.
        """
        x = self.conv_down(F.silu(self.conv_in(code)))
        if hint is not None:
            x = x + self.conv_hint(hint)
        return self.conv_out(F.silu(x))


class MiniModel(nn.Module):
    """Predicts clean latents from noisy ones, the target's joints and the reference."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet)
        self.guider = LimbGuider(config.widths[0], config.latent_channels)
        self.reference_guider = LimbGuider(config.widths[0], config.latent_channels)

    def look(self, reference: Tensor, code: Tensor) -> dict[str, Tensor]:
        """Features of references (r, z, h, w) with their limb codes (r, CODE, 2 h, 2 w)."""
        pose = self.reference_guider(code, None)
        clean = torch.zeros((), device=reference.device)
        return look_at(self.unet, reference, clean, self.unet.see(), pose)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        features: dict[str, Tensor],
        pose: Tensor,
        hint: Tensor | None = None,
    ) -> Tensor:
        """The clean latents (b, z, f, h, w) that noisy `latents` of that shape hide.

        timestep: () or (b,).
        features: what `look` gave, for the last samples of the batch.
        pose: (b, width, f, h, w), what the guider gave for each frame.
        hint: (b, z, f, h, w), the same that the guider got: the network predicts what is to
            be added to it.
        """
        sight = self.unet.see(None, features)
        clean = self.unet(latents, timestep, sight, pose=pose)
        return clean if hint is None else clean + hint
