"""Cinemo's UNet: it removes noise from how a clip differs from its first frame.

Source: Ma et al., "Cinemo: Consistent and Controllable Image Animation with Motion
Diffusion Models", arXiv:2407.15642, section 3. Attribute names are those of the published
checkpoint.

Shapes: b samples, f frames after the first, h by w latent positions.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.blocks import TimestepEmbedding
from animcli.networks.levels import Sight, UNetConfig
from animcli.networks.unet import WholeUNet

CINEMO: Final = UNetConfig(across_frames=True, over_time=True)

MOTION_WAVES: Final = 256
"""Channels of the sinusoids that tell how much motion there is."""


class MotionUNet(WholeUNet):
    """Predicts the noise in residuals: latents of frames minus those of the first."""

    def __init__(self, config: UNetConfig, motion_waves: int = MOTION_WAVES) -> None:
        super().__init__(config)
        self.add_embedding = TimestepEmbedding(motion_waves, config.time_width)
        nn.init.zeros_(self.add_embedding.linear_2.weight)  # no effect until trained

    def see_clip(self, text: Tensor, frames: int) -> Sight:
        """What the transformers look at besides the pictures; good for all steps.

        text: (b or 1, m, context channels).
        frames: residuals in a clip; the first frame comes on top.
        """
        return self.see(text, frames=1 + frames)

    def forward(
        self,
        residuals: Tensor,
        timestep: Tensor,
        sight: Sight,
        *,
        first: Tensor,
        motion: Tensor,
        checkpointing: bool = False,
    ) -> Tensor:
        """The noise in `residuals` (b, channels, f, h, w), same shape.

        timestep: (), or (b,) for one per sample.
        sight: what `see_clip` gave.
        first: clean latents of the first frame, (b, channels, 1, h, w).
        motion: what `add_embedding` said of how much motion there is, (b or 1, time_width).
        checkpointing: recompute layers in the backward pass instead of keeping them.
        """
        clip = torch.cat([first, first + residuals], dim=2)  # (b, channels, 1 + f, h, w)
        time = F.silu(self.time_embedding(timestep.expand(len(clip))) + motion)
        return self.answer(clip, time, sight, checkpointing=checkpointing)[:, :, 1:]
