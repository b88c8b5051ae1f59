"""Previews while denoising: what the latents would come to, at little cost.

Either by a matrix from the four channels of latents to three colours, at the size of the
latents; or by TAESD, a decoder of 1.2 million parameters that was distilled from the
autoencoder's. Source: Turner, "Decoding latents to RGB without upscaling", Hugging Face
forum, 2022, whose least squares the matrix is; Bohan, "Tiny AutoEncoder for Stable
Diffusion", github.com/madebyollin/taesd.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from animcli.files import atomic_path
from animcli.rendering.loading import load_network, read_config, vae_dtype
from animcli.rendering.renderer import Preview
from animcli.rendering.schedulers import Scheduler
from animcli.video.images import write_picture

COLOURS: Final = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)
"""Red, green and blue, in -1..1, of each channel of Stable Diffusion 1's scaled latents."""

EVERY: Final = 3
"""Steps from one picture to the next."""

_SHOWN: Final = 4
"""Frames in a row by the matrix; TAESD decodes the one in the middle."""

Watch = Callable[[int, Tensor, Tensor], None]
"""(step, latents (frames, c, h, w) that the network saw, its prediction) -> nothing."""


def watch_by(
    preview: Preview, solver: Scheduler, dtype: torch.dtype, first: Tensor | None = None
) -> Watch:
    """Writer of a preview every few steps, and after the last.

    dtype: of the networks. first: latents (c, h, w) that those denoised come on top of.
    """
    decoder: list[nn.Module] = []

    def watch(step: int, seen: Tensor, prediction: Tensor) -> None:
        if step % EVERY and step != len(solver.timesteps) - 1:
            return
        clean = solver.clean(seen, prediction, step)
        if first is not None:
            clean = clean + first.to(clean)
        if preview.taesd is None:
            places = torch.linspace(0, len(clean) - 1, min(_SHOWN, len(clean)))
            shown = by_matrix(clean[places.round().long().tolist()])
        else:
            if not decoder:
                decoder.append(load_taesd(preview.taesd, clean.device, dtype))
            shown = by_taesd(decoder[0], clean[len(clean) // 2])
        write_preview(preview.path, shown)

    return watch


def by_matrix(latents: Tensor) -> Tensor:
    """Frames (f, 4, h, w) side by side, (3, h, f w) in 0..1."""
    colours = torch.tensor(COLOURS).to(latents)
    return torch.einsum("fchw,cr->rhfw", latents, colours).flatten(2) / 2 + 0.5


@torch.inference_mode()
def by_taesd(decoder: nn.Module, latents: Tensor) -> Tensor:
    """The frame (3, 8 h, 8 w) in 0..1 of latents (4, h, w)."""
    like = next(decoder.parameters())
    return decoder.decode(latents[None].to(like)).sample[0] / 2 + 0.5  # type: ignore[operator]


def load_taesd(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """TAESD from an entry of the store."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    config = read_config(folder / "config.json")
    return load_network(
        lambda: AutoencoderTiny.from_config(config),
        {"": folder / "diffusion_pytorch_model.safetensors"},
        device,
        vae_dtype(device, dtype),
    )


def write_preview(path: Path, picture: Tensor) -> None:
    """Put a picture (3, h, w) in 0..1 in the place of the last one, whole."""
    levels = (picture.float().clamp(0, 1) * 255).round().to(torch.uint8)
    with atomic_path(path) as part:
        write_picture(part, levels.permute(1, 2, 0).cpu().numpy())
