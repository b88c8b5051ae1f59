"""The loss that teaches an autoencoder to give pictures back."""

import torch
from torch import Tensor
from torch.nn import functional as F

from animcli.networks.autoencoder import Autoencoder


def autoencoder_loss(
    network: Autoencoder, pictures: Tensor, random: torch.Generator
) -> Tensor:
    """How far `pictures` (b, 3, h, w), in -1..1, are from what comes back of them.

    Squared error decides the colours, the absolute error of differences between
    neighbouring pixels keeps outlines, eyes and mouths from going soft. A little noise on
    the latents makes the decoder forgive the errors that a denoiser leaves in them.
    """
    latents = network.encoder(pictures)
    scale = latents.detach().float().std(dim=(0, 2, 3), keepdim=True)
    noise = torch.randn(latents.shape, generator=random).to(latents)
    back = network.decoder(latents + 0.05 * scale.to(latents) * noise).float()
    edges = (_edges(back) - _edges(pictures)).abs().mean()
    # Keeps latents in a range that half precision likes; too small to matter otherwise.
    size = 1e-5 * latents.float().square().mean()
    return F.mse_loss(back, pictures) + 0.1 * edges + size


def _edges(x: Tensor) -> Tensor:
    """Differences of neighbours, across and down, side by side: (b, 6, h - 1, w - 1)."""
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    return torch.cat([across, down], dim=1)


@torch.no_grad()
def measure_latents(network: Autoencoder, pictures: Tensor) -> None:
    """Set the statistics that bring the latents of `pictures` to mean 0 and deviation 1."""
    latents = network.encoder(pictures)
    network.latent_mean.copy_(latents.mean(dim=(0, 2, 3))[:, None, None])
    network.latent_deviation.copy_(latents.std(dim=(0, 2, 3))[:, None, None])
