"""Previews while denoising: what the latents would come to, at little cost.

Either each latent pixel's colour, at the size of the latents, by a linear function of its
channels that is fitted by least squares to the one picture whose latents are known, the
reference, so that it holds for any autoencoder; or a frame at full size by TAESD, a decoder
of 1.2 million parameters that was distilled from the autoencoder's. Source: Turner,
"Decoding latents to RGB without upscaling", Hugging Face forum, 2022; Bohan, "Tiny
AutoEncoder for Stable Diffusion", github.com/madebyollin/taesd.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.files import atomic_path
from animcli.rendering.loading import (
    is_out_of_memory,
    load_network,
    read_config,
    vae_dtype,
)
from animcli.rendering.renderer import Checkpoint, Preview, spread
from animcli.rendering.schedulers import Scheduler
from animcli.video.images import write_picture

COLOURS: Final = "colours"
"""The name of the fitted function among a checkpoint's arrays."""

CLEAN: Final = "clean"
"""The name of the latents (f, c, h, w) that a preview shows, among the same arrays."""

WATCHED: Final = "watched"
"""The name of an empty checkpoint beside a render's: somebody asked for its preview."""

EVERY: Final = 3
"""Steps from one picture to the next."""


@dataclass(eq=False)
class Watch:
    """A few frames as each step's prediction would have them, for people to look at.

    They are kept beside the latents, for whoever reads the checkpoint (`kept_pictures`);
    every few steps, and after the last, a PNG shows them, where a preview asks for it.

    dtype: of the networks. fitted: gives what `fit_colours` found. wanted: whether that is
    to be kept too; where it takes a picture that nothing else encodes, only once somebody
    looks. first: latents (c, h, w) that those denoised come on top of. hidden: of those
    denoised, at the beginning, that show no frame.

    Where memory ends for it, there is no preview: the render goes on.
    """

    solver: Scheduler
    dtype: torch.dtype
    fitted: Callable[[], NDArray[np.float32]]
    _: KW_ONLY
    wanted: Callable[[], bool] = lambda: True
    preview: Preview | None = None
    first: Tensor | None = None
    hidden: int = 0
    _clean: NDArray[np.float32] | None = field(default=None, init=False)
    _decoder: nn.Module | None = field(default=None, init=False)

    def __call__(self, step: int, seen: Tensor, prediction: Tensor) -> None:
        """Look at what the network saw (frames, c, h, w) at a step, and its prediction."""
        seen, prediction = seen[self.hidden :], prediction[self.hidden :]
        places = spread(len(seen))
        clean = self._predicted(step, seen[places], prediction[places])
        self._clean = clean.float().cpu().numpy()
        if self.preview is None:
            return
        if step % EVERY and step != len(self.solver.timesteps) - 1:
            return
        with while_memory_lasts():
            if self.preview.taesd is None:
                strip = by_colours(self._clean, self.fitted())
            else:
                if self._decoder is None:
                    self._decoder = load_taesd(self.preview.taesd, seen.device, self.dtype)
                middle = len(seen) // 2
                (alone,) = self._predicted(step, seen[[middle]], prediction[[middle]])
                strip = by_taesd(self._decoder, alone)
            write_preview(self.preview.path, strip)

    def _predicted(self, step: int, seen: Tensor, prediction: Tensor) -> Tensor:
        """The clean latents (f, c, h, w) that a prediction stands for."""
        clean = self.solver.clean(seen, prediction, step)
        return clean if self.first is None else clean + self.first.to(clean)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `kept_pictures` needs; none before the first step."""
        if self._clean is None:
            return {}
        kept: dict[str, NDArray[np.generic]] = {CLEAN: self._clean}
        with while_memory_lasts():
            if self.wanted():
                kept[COLOURS] = self.fitted()
        return kept


@contextmanager
def while_memory_lasts() -> Iterator[None]:
    """A stretch that ends early, without an error, where there is no memory for it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise


def is_watched(checkpoint: Checkpoint) -> bool:
    """True if somebody asked for the preview of the render with this checkpoint."""
    return checkpoint.beside(WATCHED).load() is not None


def look_at(checkpoint: Checkpoint) -> list[NDArray[np.uint8]]:
    """The frames of `kept_pictures` as of the last step; where only colours are lacking,
    they are asked for, and there from the next step on."""
    kept = checkpoint.load() or {}
    if CLEAN in kept and COLOURS not in kept:
        checkpoint.beside(WATCHED).save({})
    return kept_pictures(kept)


def kept_pictures(kept: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.uint8]]:
    """The frames `(h, w, 3)` of a preview, at the size of the latents; or none.

    kept: arrays of a checkpoint.
    """
    if CLEAN not in kept or COLOURS not in kept:
        return []
    colours = np.asarray(kept[COLOURS], np.float32)
    clean = np.asarray(kept[CLEAN], np.float32)
    return [by_colours(frame[None], colours) for frame in clean]


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
