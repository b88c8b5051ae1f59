"""The small autoencoder: a latent is the picture at half its size, folded.

It takes the place of the Stable Diffusion VAE in models that are small enough for a
processor. Two by two pixels of the halved picture become the 12 channels of one latent
position, a quarter of the picture's size across and down; a decoder learns to bring back
what halving lost. There is nothing to learn in such an encoder, so latents are known before
any training, cost nothing, err in latents as in pixels, and treat a photograph as well as a
drawing.

Why not as small as usual, an eighth across and down (drawn people, 256x256, PSNR of the
picture and inside the figure): 12 learned channels ended at 29.9 and 22.7 dB, halved
pictures begin at 32.9 and 25.7.

Shapes: b pictures, h and w pixels (multiples of 8).
"""

from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn
from torch.nn import functional as F

LATENT_CHANNELS: Final = 12
"""Two by two pixels of three colours."""

SHRINK: Final = 4
"""Pixels of a picture to a latent position, across and down."""

SPREAD: Final = 0.4
"""About the deviation of pixels in -1..1: 0.38 on drawn people. Latents are
divided by it, since diffusion wants them of unit variance."""


AGREES: Final = 0.2
"""Root mean squares of colours in -1..1 that differ by less are taken for the same."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of a decoder.

    widths: channels at 1/8 and 1/4 of the picture's size. blocks: residual blocks there.
    """

    widths: tuple[int, int] = (128, 64)
    blocks: tuple[int, int] = (2, 3)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a straight path; they begin by adding nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _silent(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (b, channels, h, w), and what the convolutions add to it."""
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


def halve(pictures: Tensor) -> Tensor:
    """(b, 3, h, w) to (b, 3, h / 2, w / 2): means of two by two pixels."""
    return F.avg_pool2d(pictures, 2)


def fold(halved: Tensor) -> Tensor:
    """Halved pictures (b, 3, h / 2, w / 2) in -1..1 to latents (b, 12, h / 4, w / 4)."""
    return F.pixel_unshuffle(halved, 2) / SPREAD


def unfold(latents: Tensor) -> Tensor:
    """The other way round."""
    return F.pixel_shuffle(latents, 2) * SPREAD


def _enlarge(halved: Tensor) -> Tensor:
    return F.interpolate(halved, scale_factor=2, mode="bicubic")


class Autoencoder(nn.Module):
    """Halves and folds pictures; unfolds latents and learns to double them."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        low, high = config.widths
        self.decoder = nn.Sequential(
            nn.Conv2d(4 * LATENT_CHANNELS, low, 3, padding=1),  # (b, low, h / 8, w / 8)
            *(Residual(low) for _ in range(config.blocks[0])),
            nn.Conv2d(low, 4 * high, 3, padding=1),
            nn.PixelShuffle(2),  # (b, high, h / 4, w / 4)
            *(Residual(high) for _ in range(config.blocks[1])),
            nn.SiLU(),
            _silent(nn.Conv2d(high, 48, 3, padding=1)),
            nn.PixelShuffle(4),  # (b, 3, h, w)
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """`pictures` (b, 3, h, w) in -1..1 to (b, 12, h / 4, w / 4), variance about 1."""
        return fold(halve(pictures))

    def decode(self, latents: Tensor, like: Tensor | None = None) -> Tensor:
        """Latents (b, 12, h / 4, w / 4) to pictures (b, 3, h, w), about -1..1.

        Before any learning these are the halved pictures, enlarged.
        like: `(b, 3, h, w)`, what the pictures may look like. Where, halved, it is what the
            latents say, details are its own, and not made up: backgrounds stay sharp.
        """
        halved = unfold(latents)
        straight = _enlarge(halved)
        made = straight + self.decoder(F.pixel_unshuffle(halved, 4) / SPREAD)
        if like is None:
            return made
        low = halve(like)
        off = (low - halved).square().mean(dim=1, keepdim=True)
        off = F.avg_pool2d(off, 3, stride=1, padding=1, count_include_pad=False)
        agree = F.interpolate((-off / AGREES**2).exp(), scale_factor=2, mode="bilinear")
        return made.lerp(straight + like - _enlarge(low), agree)

    def forward(self, pictures: Tensor) -> Tensor:
        """The pictures, there and back."""
        return self.decode(self.encode(pictures))


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, answering nothing until it has been trained."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
