"""The loss that teaches an autoencoder to give pictures back."""

import torch
from torch import Tensor

from animcli.networks.autoencoder import Autoencoder


def autoencoder_loss(
    network: Autoencoder, pictures: Tensor, masks: Tensor, random: torch.Generator
) -> Tensor:
    """How far `pictures` (b, 3, h, w), in -1..1, are from what comes back of them.

    masks: `(b, 1, h, w)` in 0..1, where the person is: that counts four times.

    Squared error decides the colours, the absolute error of differences between
    neighbouring pixels keeps outlines, eyes and mouths from going soft. A little noise on
    the latents makes the decoder forgive the errors that a denoiser leaves in them.
    """
    latents = network.fold(pictures)
    scale = latents.detach().float().std(dim=(0, 2, 3), keepdim=True)
    noise = torch.randn(latents.shape, generator=random).to(latents)
    back = network.unfold(latents + 0.05 * scale.to(latents) * noise).float()
    error = (1 + 3 * masks) / 2 * (back - pictures).square()
    edges = (_edges(back) - _edges(pictures)).abs().mean()
    # Keeps latents in a range that half precision likes; too small to matter otherwise.
    size = 1e-5 * latents.float().square().mean()
    return error.mean() + 0.05 * edges + size


def _edges(x: Tensor) -> Tensor:
    """Differences of neighbours, across and down, side by side: (b, 6, h - 1, w - 1)."""
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    return torch.cat([across, down], dim=1)


@torch.no_grad()
def measure_latents(network: Autoencoder, pictures: Tensor) -> None:
    """Set the statistics that bring the latents of `pictures` to mean 0 and deviation 1."""
    latents = network.fold(pictures)
    network.latent_mean.copy_(latents.mean(dim=(0, 2, 3))[:, None, None])
    network.latent_deviation.copy_(latents.std(dim=(0, 2, 3))[:, None, None])
