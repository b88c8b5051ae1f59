"""What Animate Anyone is taught: to clean latents, led by a skeleton and a reference.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.3, and the open
reproduction of Moore Threads. Differs: the reference is left out for single samples and not
for whole batches; where it is, CLIP's token is zeros, as when rendering, and not what CLIP
says of a black picture. Validation looks at a copy and can't disturb what is being trained.

Shapes: b samples, f frames, h by w latent positions.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from animcli.networks.controlnet import PoseGuider
from animcli.networks.reference_net import ReferenceUNet
from animcli.networks.unet import UNet
from animcli.training.diffusion import Diffusion
from animcli.training.recompute import run
from animcli.training.takes import Rows, sample


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips to learn from; single frames are clips of one.

    latents: clean, (b, 4, f, h, w). noise: the same shape.
    timesteps: (b,), whole numbers.
    reference: latents of the references of the last r samples, (r, 4, h, w). The samples
        before have none.
    token: what CLIP says of the reference, (b, 1, context channels); zeros for none.
    poses: drawn skeletons, (b, 3, f, 8 h, 8 w) in 0..1.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    reference: Tensor
    token: Tensor
    poses: Tensor


class Networks(nn.Module):
    """What learns."""

    def __init__(
        self, denoising_unet: UNet, reference_unet: ReferenceUNet, pose_guider: PoseGuider
    ) -> None:
        super().__init__()
        self.denoising_unet = denoising_unet
        self.reference_unet = reference_unet
        self.pose_guider = pose_guider

    def choose(self, stage: Literal["1", "2"]) -> None:
        """Let learn what a stage is about: all, or the motion modules alone.

        The last level of the reference network stays as it is, as with the authors.
        """
        finest = len(self.reference_unet.config.widths) - 1
        for name, parameter in self.named_parameters():
            last = name.startswith(f"reference_unet.up_blocks.{finest}.")
            parameter.requires_grad_("motion_modules" in name if stage == "2" else not last)

    def forward(self, batch: Batch, noisy: Tensor, *, checkpointing: bool) -> Tensor:
        """The prediction for `noisy` (b, 4, f, h, w), same shape.

        checkpointing: recompute in the backward pass instead of keeping.
        """

        def look(latents: Tensor, token: Tensor) -> dict[str, Tensor]:
            clean = torch.zeros((), dtype=torch.long, device=latents.device)
            return self.reference_unet(latents, clean, self.reference_unet.see(token))

        features: dict[str, Tensor] = {}
        if shown := len(batch.reference):
            token = batch.token[-shown:]
            features = run(look, batch.reference, token, twice=checkpointing)
        return self.denoising_unet(
            noisy,
            batch.timesteps,
            self.denoising_unet.see(batch.token, features),
            pose=run(self.pose_guider, batch.poses, twice=checkpointing),
            checkpointing=checkpointing,
        )


def follow_loss(
    networks: Networks, batch: Batch, diffusion: Diffusion, *, checkpointing: bool = False
) -> Tensor:
    """The weighted error of what the networks tell of a batch, a scalar."""
    noisy = diffusion.mix(batch.latents, batch.noise, batch.timesteps)
    told = networks(batch, noisy, checkpointing=checkpointing)
    return diffusion.loss(told, batch.latents, batch.noise, batch.timesteps)


@dataclass(frozen=True)
class Lesson:
    """Animate Anyone, taught from takes; guidance strengthens the reference."""

    def batch(
        self, rows: Rows, shown: int, diffusion: Diffusion, random: torch.Generator
    ) -> Batch:
        """Takes made ready; the last `shown` with their reference."""
        latents = sample(rows["latents"], random).transpose(1, 2)
        reference = sample(rows["reference"], random)
        timesteps, noise = diffusion.draw(latents.shape, random)
        hidden = len(latents) - shown
        token = rows["context"]
        return Batch(
            latents,
            noise.to(latents.device),
            timesteps.to(latents.device),
            reference[hidden:],
            torch.cat([torch.zeros_like(token[:hidden]), token[hidden:]]),
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
