"""What Cinemo is taught: the noise in how a clip differs from its first frame.

Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.1. The authors published no
training code; what the paper leaves open (the schedule of noise) is as in their sampling.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from animcli.networks.unet import MotionUNet
from animcli.training.diffusion import Diffusion
from animcli.training.takes import Rows, sample

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


@dataclass(frozen=True, eq=False)
class Lesson:
    """Cinemo, taught from takes; guidance strengthens the text.

    nothing: what the text encoder says of no text, (1, m, context channels).
    """

    nothing: Tensor

    def batch(
        self, rows: Rows, shown: int, diffusion: Diffusion, random: torch.Generator
    ) -> Batch:
        """Takes made ready; the last `shown` with their text."""
        clips = sample(rows["latents"], random).transpose(1, 2)
        timesteps, noise = diffusion.draw(clips[:, :, 1:].shape, random)
        text = rows["context"]
        hidden = len(clips) - shown
        silent = self.nothing.to(text).expand(hidden, -1, -1)
        return Batch(
            clips,
            torch.cat([silent, text[hidden:]]),
            rows["motion"],
            noise.to(clips.device),
            timesteps.to(clips.device),
        )

    def tell(
        self, network: MotionUNet, batch: Batch, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        """The prediction for `noisy` (b, 4, f, h, w), same shape."""
        return predict(network, batch, noisy, checkpointing=checkpointing)

    def clip(self, batch: Batch, clean: Tensor) -> Tensor:
        """The first frame, and after it all that differ from it by `clean`."""
        return torch.cat([batch.first, batch.first + clean], dim=2)
