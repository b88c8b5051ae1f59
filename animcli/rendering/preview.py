"""Previews while denoising: what the latents would come to, at little cost.

Either each latent pixel's colour, at the size of the latents, by a linear function of its
channels that is fitted by least squares to the one picture whose latents are known, the
reference, so that it holds for any autoencoder; or a frame at full size by TAESD, a decoder
of 1.2 million parameters that was distilled from the autoencoder's. Source: Turner,
"Decoding latents to RGB without upscaling", Hugging Face forum, 2022; Bohan, "Tiny
AutoEncoder for Stable Diffusion", github.com/madebyollin/taesd.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.files import atomic_path
from animcli.rendering.loading import load_network, read_config, vae_dtype
from animcli.rendering.renderer import Preview
from animcli.rendering.schedulers import Scheduler
from animcli.video.images import write_picture

COLOURS: Final = "colours"
"""The name of the fitted function among a checkpoint's arrays."""

EVERY: Final = 3
"""Steps from one picture to the next."""

_SHOWN: Final = 4
"""Frames in a row by their colours; TAESD decodes the one in the middle."""

Watch = Callable[[int, Tensor, Tensor], None]
"""(step, latents (frames, c, h, w) that the network saw, its prediction) -> nothing."""


def watch_by(
    preview: Preview,
    solver: Scheduler,
    dtype: torch.dtype,
    colours: Callable[[], NDArray[np.float32]],
    first: Tensor | None = None,
) -> Watch:
    """Writer of a preview every few steps, and after the last.

    dtype: of the networks. colours: gives what `fit_colours` found, once it is needed.
    first: latents (c, h, w) that those denoised come on top of.
    """
    decoder: list[nn.Module] = []

    def watch(step: int, seen: Tensor, prediction: Tensor) -> None:
        if step % EVERY and step != len(solver.timesteps) - 1:
            return
        clean = solver.clean(seen, prediction, step)
        if first is not None:
            clean = clean + first.to(clean)
        if preview.taesd is None:
            places = np.linspace(0, len(clean) - 1, min(_SHOWN, len(clean))).round()
            chosen = clean[places.astype(int).tolist()].float().cpu().numpy()
            write_preview(preview.path, by_colours(chosen, colours()))
        else:
            if not decoder:
                decoder.append(load_taesd(preview.taesd, clean.device, dtype))
            write_preview(preview.path, by_taesd(decoder[0], clean[len(clean) // 2]))

    return watch


def fit_colours(
    latents: NDArray[np.float32], picture: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """`(channels + 1, 3)`: from a latent pixel and 1 to RGB in 0..255.

    latents: `(channels, h, w)` of the picture `(H, W, 3)`.
    """
    channels, height, width = latents.shape
    rows, columns = picture.shape[0] // height, picture.shape[1] // width
    cut = picture[: height * rows, : width * columns].astype(np.float32)
    small = cut.reshape(height, rows, width, columns, 3).mean(axis=(1, 3))
    inputs = np.concatenate([latents, np.ones((1, height, width), np.float32)])
    found, *_ = np.linalg.lstsq(
        inputs.reshape(channels + 1, -1).T, small.reshape(-1, 3), rcond=None
    )
    return np.asarray(found, np.float32)


def by_colours(
    latents: NDArray[np.float32], colours: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Frames `(f, channels, h, w)` side by side, `(h, f w, 3)`."""
    seen = np.einsum("fchw,cr->hfwr", latents, colours[:-1]) + colours[-1]
    return np.asarray(seen.clip(0, 255).round(), np.uint8).reshape(latents.shape[2], -1, 3)


@torch.inference_mode()
def by_taesd(decoder: nn.Module, latents: Tensor) -> NDArray[np.uint8]:
    """The frame `(8 h, 8 w, 3)` of latents (4, h, w)."""
    like = next(decoder.parameters())
    decoded = decoder.decode(latents[None].to(like)).sample[0]  # type: ignore[operator]
    levels = ((decoded.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return np.asarray(levels.permute(1, 2, 0).cpu().numpy())


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


def write_preview(path: Path, picture: NDArray[np.uint8]) -> None:
    """Put a picture `(h, w, 3)` in the place of the last one, whole."""
    with atomic_path(path) as part:
        write_picture(part, picture)
