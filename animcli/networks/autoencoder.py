"""A small convolutional autoencoder: pictures to latents an eighth of their size, and back.

It takes the place of the Stable Diffusion VAE in models that are small enough for a
processor. Pixels are folded into channels (pixel unshuffle) before the first convolution
and unfolded after the last, so that no convolution ever runs at full resolution: that is
where a plain encoder spends most of its time.

Shapes: b pictures, h and w pixels (multiples of 8), z latent channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of an autoencoder.

    latent_channels: channels of a latent.
    widths: channels at 1/2, 1/4 and 1/8 of the picture's size.
    encoder_blocks, decoder_blocks: residual blocks at each of these sizes.
    """

    latent_channels: int = 12
    widths: tuple[int, int, int] = (32, 64, 128)
    encoder_blocks: tuple[int, int, int] = (1, 1, 2)
    decoder_blocks: tuple[int, int, int] = (1, 2, 3)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a straight path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (b, channels, h, w), and what the convolutions add to it."""
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class Autoencoder(nn.Module):
    """Encoder and decoder, and the statistics that bring latents to mean 0 and deviation 1.

    `latent_mean` and `latent_deviation` are measured once, after training, and travel with
    the weights: diffusion wants latents of unit variance in every channel.
    """

    latent_mean: Tensor
    latent_deviation: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        low, middle, high = config.widths
        z = config.latent_channels
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),  # (b, 12, h / 2, w / 2)
            nn.Conv2d(12, low, 3, padding=1),
            *(Residual(low) for _ in range(config.encoder_blocks[0])),
            nn.Conv2d(low, middle, 4, stride=2, padding=1),  # (b, middle, h / 4, w / 4)
            *(Residual(middle) for _ in range(config.encoder_blocks[1])),
            nn.Conv2d(middle, high, 4, stride=2, padding=1),  # (b, high, h / 8, w / 8)
            *(Residual(high) for _ in range(config.encoder_blocks[2])),
            nn.GroupNorm(8, high),
            nn.SiLU(),
            nn.Conv2d(high, z, 3, padding=1),  # (b, z, h / 8, w / 8)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(z, high, 3, padding=1),
            *(Residual(high) for _ in range(config.decoder_blocks[2])),
            nn.Conv2d(high, 4 * middle, 3, padding=1),
            nn.PixelShuffle(2),  # (b, middle, h / 4, w / 4)
            *(Residual(middle) for _ in range(config.decoder_blocks[1])),
            nn.Conv2d(middle, 4 * low, 3, padding=1),
            nn.PixelShuffle(2),  # (b, low, h / 2, w / 2)
            *(Residual(low) for _ in range(config.decoder_blocks[0])),
            nn.SiLU(),
            nn.Conv2d(low, 12, 3, padding=1),
            nn.PixelShuffle(2),  # (b, 3, h, w)
        )
        self.register_buffer("latent_mean", torch.zeros(z, 1, 1))
        self.register_buffer("latent_deviation", torch.ones(z, 1, 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """`pictures` (b, 3, h, w) in -1..1 to latents (b, z, h / 8, w / 8)."""
        return (self.encoder(pictures) - self.latent_mean) / self.latent_deviation

    def decode(self, latents: Tensor) -> Tensor:
        """`latents` (b, z, h / 8, w / 8) to pictures (b, 3, h, w), about -1..1."""
        return self.decoder(latents * self.latent_deviation + self.latent_mean)

    def forward(self, pictures: Tensor) -> Tensor:
        """The pictures, there and back."""
        return self.decode(self.encode(pictures))
