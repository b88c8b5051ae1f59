"""What MagicAnimate is taught, from videos and single pictures in one loop.

Source: Xu et al., "MagicAnimate", arXiv:2311.16498, section 3.3 (the objectives of both
stages, image-video joint training). The authors published no training code; what the paper
leaves open is as in their rendering.

Shapes: b samples, f frames, h by w latent positions.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceUNet
from animcli.networks.unet import Residuals, UNet
from animcli.training.diffusion import Diffusion
from animcli.training.recompute import run
from animcli.training.takes import Rows, sample


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips to learn from; single frames and pictures are clips of one.

    latents: clean, (b, 4, f, h, w). noise: the same shape.
    timesteps: (b,), whole numbers.
    reference: latents of the references of the last r samples, (r, 4, h, w). The samples
        before have none.
    text: what the text encoder says of no text, (1, m, context channels).
    control: DensePose pictures, (b, 3, f, 8 h, 8 w) in 0..1.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    reference: Tensor
    text: Tensor
    control: Tensor


class Networks(nn.Module):
    """What learns, and the UNet."""

    def __init__(
        self, unet: UNet, appearance_encoder: ReferenceUNet, controlnet: ControlNet
    ) -> None:
        super().__init__()
        self.unet = unet
        self.appearance_encoder = appearance_encoder
        self.controlnet = controlnet

    def choose(self, stage: Literal["1", "2"]) -> None:
        """Let learn what a stage is about: the appearance encoder and the ControlNet, or
        the motion modules.
        """
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(
                "motion_modules" in name if stage == "2" else not name.startswith("unet.")
            )

    def forward(self, batch: Batch, noisy: Tensor, *, checkpointing: bool) -> Tensor:
        """The prediction for `noisy` (b, 4, f, h, w), same shape.

        checkpointing: recompute in the backward pass instead of keeping.
        """

        def look(latents: Tensor, timesteps: Tensor) -> dict[str, Tensor]:
            sight = self.appearance_encoder.see(batch.text)
            features = self.appearance_encoder(latents, timesteps, sight)
            # The way down doesn't look at the reference.
            return {path: x for path, x in features.items() if path[:4] != "down"}

        def steer(latents: Tensor, timesteps: Tensor, pictures: Tensor) -> Residuals:
            sight = self.controlnet.see(batch.text)
            return self.controlnet(latents, timesteps, sight, pictures)

        time, features = batch.timesteps, {}
        if shown := len(batch.reference):
            features = run(look, batch.reference, time[-shown:], twice=checkpointing)
        return self.unet(
            noisy,
            time,
            self.unet.see(batch.text, features),
            residuals=run(steer, noisy, time, batch.control, twice=checkpointing),
            checkpointing=checkpointing,
        )


def joint_loss(
    networks: Networks, batch: Batch, diffusion: Diffusion, *, checkpointing: bool = False
) -> Tensor:
    """The weighted error of what the UNet tells of a batch, a scalar.

    It is the same for clips and for single pictures, which are their own reference.
    """
    noisy = diffusion.mix(batch.latents, batch.noise, batch.timesteps)
    told = networks(batch, noisy, checkpointing=checkpointing)
    return diffusion.loss(told, batch.latents, batch.noise, batch.timesteps)


Kind = Literal["picture", "frame", "clip"]


def draw_kind(pictures: float, frames: float, random: torch.Generator) -> Kind:
    """What an update learns from: r of 0..1 is compared with two thresholds.

    pictures: share of single pictures (the first threshold of the paper). frames: share of
    single frames of videos (between the first and the second).
    """
    r = float(torch.rand((), generator=random))
    if r < pictures:
        return "picture"
    return "frame" if r < pictures + frames else "clip"


@dataclass(frozen=True, eq=False)
class Lesson:
    """MagicAnimate, taught from takes; guidance strengthens the reference.

    text: what the text encoder says of no text, (1, m, context channels).
    """

    text: Tensor

    def batch(
        self, rows: Rows, shown: int, diffusion: Diffusion, random: torch.Generator
    ) -> Batch:
        """Takes made ready; the last `shown` with their reference."""
        latents = sample(rows["latents"], random).transpose(1, 2)
        reference = sample(rows["reference"], random)
        timesteps, noise = diffusion.draw(latents.shape, random)
        return Batch(
            latents,
            noise.to(latents.device),
            timesteps.to(latents.device),
            reference[len(latents) - shown :],
            self.text.to(latents),
            rows["conditions"].transpose(1, 2).float() / 255,
        )

    def tell(
        self, network: Networks, batch: Batch, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        """The prediction for `noisy` (b, 4, f, h, w), same shape."""
        told: Tensor = network(batch, noisy, checkpointing=checkpointing)
        return told

    def clip(self, batch: Batch, clean: Tensor) -> Tensor:
        """The same: it cleans the frames themselves."""
        return clean
