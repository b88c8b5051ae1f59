"""What Cinemo is taught: the noise in how a clip differs from its first frame.

Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.1. The authors published no
training code; what the paper leaves open (the schedule of noise) is as in their sampling.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from animcli.networks.motion_unet import MotionUNet
from animcli.training.diffusion import Diffusion

DROP_TEXT: Final = 0.5
"""Share of the clips that are shown without their text, so that guidance works."""

PUBLISHED: Final = Diffusion(
    prediction="epsilon",
    betas="linear",
    beta_start=0.0001,
    beta_end=0.02,
    zero_snr=False,
    snr_weights="none",
    noise_offset=0,
)


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips to learn from, and how much noise each gets.

    clips: clean latents, (b, c, 1 + f, h, w); the first frame is shown as it is.
    text: what the text encoder says of each clip, (b, m, context channels).
    motion: the number for how much each clip moves, (b,); see `stages.likeness`.
    noise: (b, c, f, h, w).
    timesteps: (b,), whole numbers.
    """

    clips: Tensor
    text: Tensor
    motion: Tensor
    noise: Tensor
    timesteps: Tensor

    @property
    def first(self) -> Tensor:
        """The first frame, (b, c, 1, h, w)."""
        return self.clips[:, :, :1]

    @property
    def latents(self) -> Tensor:
        """How the others differ from it, (b, c, f, h, w): what noise is added to."""
        return self.clips[:, :, 1:] - self.first


def predict(
    unet: MotionUNet, batch: Batch, noisy: Tensor, *, checkpointing: bool
) -> Tensor:
    """What the network tells of noisy residuals (b, c, f, h, w), same shape.

    checkpointing: recompute in the backward pass instead of keeping.
    """
    return unet(
        noisy,
        batch.timesteps,
        unet.see_clip(batch.text, noisy.shape[2]),
        first=batch.first,
        motion=unet.add_embedding(batch.motion),
        checkpointing=checkpointing,
    )


def animation_loss(
    unet: MotionUNet, batch: Batch, diffusion: Diffusion, *, checkpointing: bool = False
) -> Tensor:
    """The weighted error of what the network tells of a batch's residuals, a scalar."""
    noisy = diffusion.mix(batch.latents, batch.noise, batch.timesteps)
    told = predict(unet, batch, noisy, checkpointing=checkpointing)
    return diffusion.loss(told, batch.latents, batch.noise, batch.timesteps)


def drop_text(
    text: Tensor, nothing: Tensor, random: torch.Generator, share: float = DROP_TEXT
) -> Tensor:
    """`text` (b, m, width), a share of whose rows say `nothing` (1, m, width) instead."""
    dropped = torch.rand(len(text), generator=random) < share
    return torch.where(dropped[:, None, None].to(text.device), nothing, text)
