"""What Cinemo is taught: the noise in how a clip differs from its first frame.

Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.1. The authors published no
training code; what the paper leaves open (the schedule of noise) is as in their sampling.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from animcli.networks.motion_unet import MotionUNet

DROP_TEXT: Final = 0.5
"""Share of the clips that are shown without their text, so that guidance works."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips to learn from, and how much noise each gets.

    latents: clean, (b, c, 1 + f, h, w); the first frame is shown as it is.
    text: what the text encoder says of each clip, (b, m, context channels).
    motion: the number for how much each clip moves, (b,); see `stages.likeness`.
    noise: (b, c, f, h, w).
    timesteps: (b,), whole numbers.
    """

    latents: Tensor
    text: Tensor
    motion: Tensor
    noise: Tensor
    timesteps: Tensor

    @property
    def first(self) -> Tensor:
        """The first frame, (b, c, 1, h, w)."""
        return self.latents[:, :, :1]

    @property
    def residuals(self) -> Tensor:
        """How the others differ from it, (b, c, f, h, w)."""
        return self.latents[:, :, 1:] - self.first

    def noisy(self, signal: Tensor) -> Tensor:
        """The residuals with their noise, (b, c, f, h, w).

        signal: how much of the variance is signal at each timestep (alphas_cumprod).
        """
        share = signal.to(self.latents)[self.timesteps, None, None, None, None]
        return share.sqrt() * self.residuals + (1 - share).sqrt() * self.noise

    def predict(self, unet: MotionUNet, signal: Tensor) -> Tensor:
        """What the network takes for the noise, (b, c, f, h, w)."""
        return unet(
            self.noisy(signal),
            self.timesteps,
            unet.see_clip(self.text, self.noise.shape[2]),
            first=self.first,
            motion=unet.add_embedding(self.motion),
        )


def animation_loss(unet: MotionUNet, batch: Batch, signal: Tensor) -> Tensor:
    """The mean squared error of the predicted noise, a scalar."""
    return F.mse_loss(batch.predict(unet, signal), batch.noise)


def drop_text(
    text: Tensor, nothing: Tensor, random: torch.Generator, share: float = DROP_TEXT
) -> Tensor:
    """`text` (b, m, width), a share of whose rows say `nothing` (1, m, width) instead."""
    dropped = torch.rand(len(text), generator=random) < share
    return torch.where(dropped[:, None, None].to(text.device), nothing, text)
