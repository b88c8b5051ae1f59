"""Between pictures and latents for Cinemo, whose decoder may look at neighbouring frames.

Source: Blattmann et al., "Stable Video Diffusion", arXiv:2311.15127, section D.2, for the
decoder over time; Rombach et al., arXiv:2112.10752, for the one of single frames.
Differs: the picture is encoded to the middle of what it may mean, not to a random sample;
all in float32, where upstream has float64 and float16; pixels are rounded, not cut off.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.rendering.device import AtWork, enough_memory
from animcli.rendering.latents import SCALE, Autoencoder
from animcli.rendering.loading import load_autoencoder, load_network, read_config
from animcli.rendering.renderer import FrameSource

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
    chunk = chunk.to(next(network.parameters())) / SCALE
    with enough_memory("decoding", "--decoder frame, or a smaller --size, needs less"):
        said = network.decode(chunk, num_frames=len(chunk)).sample  # type: ignore[operator]
    shown = ((said.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return shown.permute(0, 2, 3, 1).contiguous().cpu().numpy()
