"""Between pictures and latents: the autoencoder of Stable Diffusion 1.5, and Cinemo's.

Source: Rombach et al., arXiv:2112.10752, in the version `sd-vae-ft-mse` that the public
systems use. Latents are 1/8 of a picture's width and height. Cinemo's decoder may look at
neighbouring frames: Blattmann et al., "Stable Video Diffusion", arXiv:2311.15127, section
D.2. Differs for Cinemo: the picture is encoded to the middle of what it may mean, not to a
random sample; in float32, where upstream has float64; pixels are rounded, not cut off.
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
from animcli.rendering.kept import let_go
from animcli.rendering.loading import (
    USABLE,
    OnDevice,
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

VAE_TILES: Final = (768, 512)
"""Pixels, each way. Norms are taken of a tile by itself, so that many small ones, such as
the 256 of the autoencoder's own configuration, show seams."""

HALF_PRECISION: Final = (torch.float16, torch.bfloat16)


def to_signed(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (h, w, 3) uint8 as the autoencoder sees it: (1, 3, h, w) in -1..1."""
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_unit(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (h, w, 3) uint8 as condition networks see it: (1, 3, h, w) in 0..1."""
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 255


def to_shown(decoded: Tensor) -> Tensor:
    """Pictures in 0..1, float32, from a decoder's in -1..1.

    Raises DeviceError where it isn't finite, as that of a damaged file may be.
    """
    if not torch.isfinite(decoded).all():
        raise DeviceError(VAE_OVERFLOW, DAMAGED)
    return (decoded.float() / 2 + 0.5).clamp(0, 1)


VAE_OVERFLOW: Final = "the autoencoder's numbers overflowed"
DAMAGED: Final = "a file of weights may be damaged: anim weights verify"


def finite(network: nn.Module, call: Callable[[], Tensor]) -> Tensor:
    """Result of a call of an autoencoder; in float32 where half precision overflows.

    Only that call is made again, so that a frame doesn't depend on those before it.

    Raises DeviceError where float32 overflows, too.
    """
    found = call()
    if torch.isfinite(found).all():
        return found
    half = network.state_dict()
    if any(x.dtype in HALF_PRECISION for x in half.values()):
        full = {k: x.float() if x.dtype in HALF_PRECISION else x for k, x in half.items()}
        network.load_state_dict(full, assign=True)
        del full
        try:
            found = call()
        finally:
            network.load_state_dict(half, assign=True)
    if not torch.isfinite(found).all():
        raise DeviceError(VAE_OVERFLOW, DAMAGED)
    return found


def scaling_factor(network: nn.Module) -> float:
    """Scaling factor of an AutoencoderKL by its configuration, else the published one."""
    config = getattr(network, "config", {})
    return float(config.get("scaling_factor") or SCALING_FACTOR)


class Autoencoder:
    """Encodes the reference, and decodes frames one at a time."""

    def __init__(self, network: nn.Module, tile: int = 0) -> None:
        """`network` is diffusers' AutoencoderKL; tile: see `decode`."""
        self.network = network
        self.tile = tile
        self._scale = scaling_factor(network)

    @property
    def _like(self) -> Tensor:
        return next(self.network.parameters())

    @torch.inference_mode()
    def encode(self, picture: NDArray[np.uint8]) -> Tensor:
        """The latents (1, 4, h / 8, w / 8) of a picture (h, w, 3), without chance."""

        def mode() -> Tensor:
            pixels = to_signed(picture).to(self._like)
            return self.network.encode(pixels).latent_dist.mode()  # type: ignore[operator]

        return finite(self.network, mode) * self._scale

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """The picture (3, h, w) in 0..1 of one frame's latents (4, h / 8, w / 8).

        One at a time, so that a frame doesn't depend on its neighbours in a batch. In
        tiles of `tile` pixels each way; 0 is whole, or what memory wants.
        """
        pixels = latents.shape[-1] * latents.shape[-2] * VAE_SCALE**2
        if not self.tile and not self._fits(pixels):
            self.tile = VAE_TILES[0]
        if self.tile:
            vars(self.network).update(
                tile_sample_min_size=self.tile, tile_latent_min_size=self.tile // VAE_SCALE
            )
            self.network.enable_tiling()  # type: ignore[operator]

        def picture() -> Tensor:
            given = latents[None].to(self._like) / self._scale
            return self.network.decode(given).sample[0]  # type: ignore[operator]

        return to_shown(finite(self.network, picture)).cpu()

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

SMALLER: Final[dict[DecoderKind, tuple[int, ...]]] = {
    "temporal": (7, 4, 2, 1),
    "frame": VAE_TILES,
}
"""Frames decoded together, or sides of tiles, where there is no memory for more."""

PART_KEYS: Final[dict[DecoderKind, str]] = {"temporal": "decoded_together", "frame": "tile"}
"""Names of these among a checkpoint's arrays."""

NO_ROOM: Final = (
    "no step is lost: close what else is on the device, and the same command goes on"
)


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

    checkpoint: keeps, beside what is in it, in how small parts they were decoded.
    """
    parts = Parts(network, decoder, latents, checkpoint, note)

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        with on_device(network):
            for index in span:
                yield parts.picture(index)

    return frames


class Parts:
    """Frames that are decoded together or in tiles, in smaller parts once memory ends.

    Where parts begin depends on the clip and their size alone, so that a frame is always
    the same as long as memory suffices; the size is kept, so that a render that was
    stopped goes on with it.
    """

    def __init__(
        self,
        network: nn.Module,
        decoder: DecoderKind,
        latents: Tensor,
        checkpoint: Checkpoint,
        note: Callable[[str], None],
    ) -> None:
        self._network = network
        self._decoder: DecoderKind = decoder
        self._latents = latents
        self._checkpoint = checkpoint
        self._note = note
        usual = DECODED_TOGETHER if decoder == "temporal" else 0
        self._key = PART_KEYS[decoder]
        self.size = int((checkpoint.load() or {}).get(self._key, np.asarray(usual)))
        self._autoencoder = Autoencoder(network, 0 if decoder == "temporal" else self.size)
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def picture(self, index: int) -> NDArray[np.uint8]:
        """A frame (h, w, 3). Raises DeviceError where not even the smallest part fits."""
        while True:
            try:
                return self._decoded(index)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                freed, smaller = let_go(), self._smaller()
                if not freed and smaller is None:
                    raise DeviceError("out of memory while decoding", NO_ROOM) from error
            # Only here are the tensors of the failed call gone, with its error.
            free_memory(next(self._network.parameters()).device)
            if not freed and smaller is not None:
                self._keep(smaller)
                said = f"{smaller} frames are decoded together"
                if self._decoder == "frame":
                    said = f"frames are decoded in tiles of {smaller} pixels"
                self._note(f"memory ended: {said} from here on")

    def _decoded(self, index: int) -> NDArray[np.uint8]:
        if self._decoder == "frame":
            picture = self._autoencoder.picture(self._latents[index])
            if self._autoencoder.tile != self.size:  # as the memory wants it
                self._keep(self._autoencoder.tile)
            return picture
        number, inside = divmod(index, self.size)
        if self._last is None or self._last[0] != number:
            part = self._latents[number * self.size :][: self.size]
            self._last = (number, decode_together(self._network, part))
        return self._last[1][inside]

    def _smaller(self) -> int | None:
        now = self._autoencoder.tile or self.size
        return next((x for x in SMALLER[self._decoder] if not now or x < now), None)

    def _keep(self, size: int) -> None:
        self.size, self._last = size, None
        self._autoencoder.tile = size if self._decoder == "frame" else 0
        kept = dict(self._checkpoint.load() or {})
        self._checkpoint.save(kept | {self._key: np.asarray(size)})


@torch.inference_mode()
def decode_together(network: nn.Module, latents: Tensor) -> NDArray[np.uint8]:
    """The pictures (frames, h, w, 3) of neighbouring frames' latents (frames, c, h, w)."""

    def decoded() -> Tensor:
        part = latents.to(next(network.parameters())) / SCALING_FACTOR
        return network.decode(part, num_frames=len(part)).sample  # type: ignore[operator]

    shown = (to_shown(finite(network, decoded)) * 255).round().to(torch.uint8)
    return shown.permute(0, 2, 3, 1).contiguous().cpu().numpy()
