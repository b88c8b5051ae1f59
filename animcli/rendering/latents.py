"""Between pictures and latents: the autoencoder of Stable Diffusion 1.5.

Source: Rombach et al., arXiv:2112.10752, in the version `sd-vae-ft-mse` that the public
systems use. Latents are 1/8 of a picture's width and height.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SCALE: Final = 0.18215
"""Makes the latents of the training pictures' variance 1 (arXiv:2112.10752, section G)."""

SHRINK: Final = 8
"""Pixels of a picture in one latent position, each way."""

WHOLE: Final = 1024 * 1024
"""Pixels. A larger picture is decoded in overlapping tiles: the decoder's features take up
to 1 KiB a pixel in float32, and its attention looks at all positions at once."""


def to_signed(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (h, w, 3) uint8 as the autoencoder sees it: (1, 3, h, w) in -1..1."""
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_unit(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (h, w, 3) uint8 as condition networks see it: (1, 3, h, w) in 0..1."""
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 255


class Autoencoder:
    """Encodes the reference, and decodes frames one at a time."""

    def __init__(self, network: nn.Module) -> None:
        """`network` is diffusers' AutoencoderKL."""
        self.network = network

    @property
    def _like(self) -> Tensor:
        return next(self.network.parameters())

    @torch.inference_mode()
    def encode(self, picture: NDArray[np.uint8]) -> Tensor:
        """The latents (1, 4, h / 8, w / 8) of a picture (h, w, 3), without chance."""
        posterior = self.network.encode(to_signed(picture).to(self._like)).latent_dist  # type: ignore[operator]
        return posterior.mode() * SCALE

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """The picture (3, h, w) in 0..1 of one frame's latents (4, h / 8, w / 8).

        One at a time, so that a frame doesn't depend on its neighbours in a batch.
        """
        pixels = latents.shape[-1] * latents.shape[-2] * SHRINK**2
        if pixels > WHOLE:
            self.network.enable_tiling()  # type: ignore[operator]
        decoded = self.network.decode(latents[None].to(self._like) / SCALE).sample  # type: ignore[operator]
        return (decoded[0].float() / 2 + 0.5).clamp(0, 1).cpu()

    def picture(self, latents: Tensor) -> NDArray[np.uint8]:
        """The picture (h, w, 3) uint8 of one frame's latents (4, h / 8, w / 8)."""
        shown = (self.decode(latents) * 255).round().to(torch.uint8)
        return shown.permute(1, 2, 0).contiguous().numpy()
