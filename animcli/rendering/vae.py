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

from animcli.errors import DeviceError
from animcli.rendering.loading import (
    USABLE,
    OnDevice,
    enough_memory,
    free_memory,
    free_on,
    is_out_of_memory,
    load_autoencoder,
    load_network,
    read_config,
)
from animcli.rendering.renderer import Checkpoint, FrameFn

SCALING_FACTOR: Final = 0.18215
"""Makes the latents of the training pictures' variance 1 (arXiv:2112.10752, section G)."""

VAE_SCALE: Final = 8
"""Pixels of a picture in one latent position, each way."""

MAX_UNTILED: Final = 1024 * 1024
"""Pixels. On a CPU a larger picture is decoded in overlapping tiles: the decoder's
features take up to 3 KiB a pixel in float32; a GPU says how much memory it has."""

DECODED: Final = 768
"""Values that are alive at once in the decoder for each pixel. Measured by
tests/benchmarks/diffusion_memory.py."""

VAE_TILE: Final = 768
"""Pixels, each way. Norms are taken of a tile by itself, so that many small ones, such as
the 256 of the autoencoder's own configuration, show seams."""


def to_signed(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (h, w, 3) uint8 as the autoencoder sees it: (1, 3, h, w) in -1..1."""
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_unit(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (h, w, 3) uint8 as condition networks see it: (1, 3, h, w) in 0..1."""
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 255


def to_shown(decoded: Tensor) -> Tensor:
    """Pictures in 0..1, float32, from a decoder's in -1..1.

    Raises DeviceError where it isn't finite, as a half-precision decoder's may be.
    """
    if not torch.isfinite(decoded).all():
        raise DeviceError("the decoder's numbers overflowed", "--dtype float32")
    return (decoded.float() / 2 + 0.5).clamp(0, 1)


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
        pixels = latents.shape[-1] * latents.shape[-2] * VAE_SCALE**2
        if not self._fits(pixels):
            tile = {
                "tile_sample_min_size": VAE_TILE,
                "tile_latent_min_size": VAE_TILE // VAE_SCALE,
            }
            vars(self.network).update(tile)
            self.network.enable_tiling()  # type: ignore[operator]
        decoded = self.network.decode(latents[None].to(self._like) / self._scale).sample  # type: ignore[operator]
        return to_shown(decoded[0]).cpu()

    def _fits(self, pixels: int) -> bool:
        """Tell if so many pixels can be decoded at once."""
        like = self._like
        free = free_on(like.device)
        if free is None:
            return pixels <= MAX_UNTILED
        return pixels * DECODED * like.element_size() <= USABLE * free

    def picture(self, latents: Tensor) -> NDArray[np.uint8]:
        """The picture (h, w, 3) uint8 of one frame's latents (4, h / 8, w / 8)."""
        shown = (self.decode(latents) * 255).round().to(torch.uint8)
        return shown.permute(1, 2, 0).contiguous().numpy()


DecoderKind = Literal["temporal", "frame"]

DECODED_TOGETHER: Final = 14
"""Frames that are decoded together: as many as the decoder over time was trained with."""

SHORTER: Final = (7, 4, 2, 1)
"""Frames decoded together where there is no memory for as many."""

CHUNK_KEY: Final = "decoded_together"
"""In the checkpoint."""


def open_autoencoder(folder: Path, decoder: DecoderKind, device: torch.device) -> nn.Module:
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


def decode_frames(
    network: nn.Module,
    decoder: DecoderKind,
    latents: Tensor,
    checkpoint: Checkpoint,
    on_device: OnDevice = nullcontext,
    note: Callable[[str], None] = lambda line: None,
) -> FrameFn:
    """The frames of latents (frames, c, h, w).

    checkpoint: keeps, beside what is in it, how many frames were decoded together.
    """
    chunks = Chunks(network, latents, checkpoint, note)
    autoencoder = Autoencoder(network)

    def picture(index: int) -> NDArray[np.uint8]:
        if decoder == "temporal":
            return chunks.picture(index)
        with enough_memory("decoding", "a smaller --size needs less"):
            return autoencoder.picture(latents[index])

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        with on_device(network):
            for index in span:
                yield picture(index)

    return frames


class Chunks:
    """Frames that are decoded together, in fewer at once from where memory ends.

    Where chunks begin depends on the clip and their length alone, so that a frame is always
    the same as long as memory suffices; the length is kept, so that a render that was
    stopped goes on with it.
    """

    def __init__(
        self,
        network: nn.Module,
        latents: Tensor,
        checkpoint: Checkpoint,
        note: Callable[[str], None],
    ) -> None:
        self._network = network
        self._latents = latents
        self._checkpoint = checkpoint
        self._note = note
        kept = checkpoint.load() or {}
        self.length = int(kept.get(CHUNK_KEY, np.asarray(DECODED_TOGETHER)))
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def picture(self, index: int) -> NDArray[np.uint8]:
        """A frame (h, w, 3). Raises DeviceError where not even one at a time fits."""
        while True:
            number, inside = divmod(index, self.length)
            if self._last is not None and self._last[0] == number:
                return self._last[1][inside]
            try:
                first = number * self.length
                part = self._latents[first : first + self.length]
                self._last = (number, decode_together(self._network, part))
                continue
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.length == 1:
                    raise DeviceError(
                        "out of memory while decoding", "a smaller --size needs less"
                    ) from error
            free_memory(next(self._network.parameters()).device)
            self._shorten()

    def _shorten(self) -> None:
        self.length = next(length for length in SHORTER if length < self.length)
        self._last = None
        kept = dict(self._checkpoint.load() or {})
        self._checkpoint.save(kept | {CHUNK_KEY: np.asarray(self.length)})
        self._note(f"memory ended: {self.length} frames are decoded together from here on")


@torch.inference_mode()
def decode_together(network: nn.Module, latents: Tensor) -> NDArray[np.uint8]:
    """The pictures (frames, h, w, 3) of neighbouring frames' latents (frames, c, h, w)."""
    part = latents.to(next(network.parameters())) / SCALING_FACTOR
    said = network.decode(part, num_frames=len(part)).sample  # type: ignore[operator]
    shown = (to_shown(said) * 255).round().to(torch.uint8)
    return shown.permute(0, 2, 3, 1).contiguous().cpu().numpy()
