"""Between pictures and latents: the autoencoder of Stable Diffusion 1.5, and Cinemo's.

Source: Rombach et al., arXiv:2112.10752, in the version `sd-vae-ft-mse` that the public
systems use. Latents are 1/8 of a picture's width and height. Cinemo's decoder may look at
neighbouring frames: Blattmann et al., "Stable Video Diffusion", arXiv:2311.15127, section
D.2. Differs for Cinemo: the picture is encoded to the middle of what it may mean, not to a
random sample; all in float32, where upstream has float64 and float16; pixels are rounded,
not cut off.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.rendering.loading import (
    AtWork,
    enough_memory,
    load_autoencoder,
    load_network,
    read_config,
)
from animcli.rendering.renderer import FrameSource

SCALING_FACTOR: Final = 0.18215
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


def scaling_factor(network: nn.Module) -> float:
    """Scaling factor of an AutoencoderKL by its configuration, else the published one."""
    config = getattr(network, "config", {})
    return float(config.get("scaling_factor") or SCALING_FACTOR)


class Autoencoder:
    """Encodes the reference, and decodes frames one at a time."""

    def __init__(self, network: nn.Module) -> None:
        """`network` is diffusers' AutoencoderKL."""
        self.network = network
        self._scale = scaling_factor(network)

    @property
    def _like(self) -> Tensor:
        return next(self.network.parameters())

    @torch.inference_mode()
    def encode(self, picture: NDArray[np.uint8]) -> Tensor:
        """The latents (1, 4, h / 8, w / 8) of a picture (h, w, 3), without chance."""
        posterior = self.network.encode(to_signed(picture).to(self._like)).latent_dist  # type: ignore[operator]
        return posterior.mode() * self._scale

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """The picture (3, h, w) in 0..1 of one frame's latents (4, h / 8, w / 8).

        One at a time, so that a frame doesn't depend on its neighbours in a batch.
        """
        pixels = latents.shape[-1] * latents.shape[-2] * SHRINK**2
        if pixels > WHOLE:
            self.network.enable_tiling()  # type: ignore[operator]
        decoded = self.network.decode(latents[None].to(self._like) / self._scale).sample  # type: ignore[operator]
        return (decoded[0].float() / 2 + 0.5).clamp(0, 1).cpu()

    def picture(self, latents: Tensor) -> NDArray[np.uint8]:
        """The picture (h, w, 3) uint8 of one frame's latents (4, h / 8, w / 8)."""
        shown = (self.decode(latents) * 255).round().to(torch.uint8)
        return shown.permute(1, 2, 0).contiguous().numpy()


Decoder = Literal["temporal", "frame"]

CHUNK: Final = 14
"""Frames that are decoded together: as many as the decoder over time was trained with."""


def open_autoencoder(folder: Path, decoder: Decoder, device: torch.device) -> nn.Module:
    """The autoencoder of the weights entry whose decoder is wanted."""
    if decoder == "frame":
        return load_autoencoder(folder / "vae", device, torch.float32)
    from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
        AutoencoderKLTemporalDecoder,
    )

    place = folder / "vae_temporal_decoder"
    config = read_config(place / "config.json")
    return load_network(
        lambda: AutoencoderKLTemporalDecoder.from_config(config),
        {"": place / "diffusion_pytorch_model.safetensors"},
        device,
        torch.float32,
    )


def decoded(
    network: nn.Module, decoder: Decoder, latents: Tensor, at_work: AtWork = nullcontext
) -> FrameSource:
    """The frames of latents (frames, c, h, w)."""
    chunk = last_kept(lambda number: decode_chunk(network, latents, number))
    autoencoder = Autoencoder(network)

    def picture(index: int) -> NDArray[np.uint8]:
        if decoder == "temporal":
            return chunk(index // CHUNK)[index % CHUNK]
        with enough_memory("decoding", "a smaller --size needs less"):
            return autoencoder.picture(latents[index])

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        with at_work(network):
            for index in span:
                yield picture(index)

    return frames


def last_kept(
    work_out: Callable[[int], NDArray[np.uint8]],
) -> Callable[[int], NDArray[np.uint8]]:
    """The same function, which remembers its last result."""
    kept: dict[int, NDArray[np.uint8]] = {}

    def remembered(number: int) -> NDArray[np.uint8]:
        if number not in kept:
            fresh = work_out(number)
            kept.clear()
            kept[number] = fresh
        return kept[number]

    return remembered


@torch.inference_mode()
def decode_chunk(network: nn.Module, latents: Tensor, number: int) -> NDArray[np.uint8]:
    """The pictures (frames of the chunk, h, w, 3) of one chunk of latents.

    Where chunks begin depends on the clip alone, so that a frame is always the same.
    """
    chunk = latents[number * CHUNK : (number + 1) * CHUNK]
    chunk = chunk.to(next(network.parameters())) / SCALING_FACTOR
    with enough_memory("decoding", "--decoder frame, or a smaller --size, needs less"):
        said = network.decode(chunk, num_frames=len(chunk)).sample  # type: ignore[operator]
    shown = ((said.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return shown.permute(0, 2, 3, 1).contiguous().cpu().numpy()
