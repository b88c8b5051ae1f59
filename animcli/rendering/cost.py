"""What a diffusion render will cost, told before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from animcli.networks.unet import UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import windows_of
from animcli.rendering.guidance import Guidance
from animcli.rendering.loading import DTYPES
from animcli.rendering.vae import SHRINK, WHOLE


class Live(NamedTuple):
    """Values that are alive at once in a step, for each latent position and each channel at
    the full size, beside the networks.

    frame: for each frame of a window.
    once: however many there are: what is kept of the reference, or of the first frame.
    """

    frame: float
    once: float


LIVE: Final[Mapping[str, Mapping[bool, Live]]] = {
    "animate-anyone": {True: Live(21.1, 17.6), False: Live(30.1, 17.6)},
    "tiny": {True: Live(21.6, 22.2), False: Live(31.7, 12.1)},
    "magic-animate": {True: Live(29.3, 15.7), False: Live(38.3, 15.7)},
    "cinemo": {True: Live(18.1, 22.5), False: Live(28.1, 32.5)},
}
"""By renderer, and by whether the device is a processor, on which the feed-forward layers
work in parts. Measured by tests/benchmarks/diffusion_memory.py, which counts tensors, for
512 by 512 pixels, of tiny for 256 by 256; a whole window of the others comes to the same
there within 4 %."""

AUTOENCODER: Final = 83_653_863
TINY_AUTOENCODER: Final = 1_676_291
CLIP_AUTOENCODER: Final = 97_742_847
"""Parameters of sd-vae-ft-mse, of tiny's, and of the one with a decoder over time."""

DECODED: Final = 768
DECODED_TINY: Final = 97
DECODED_OVER_TIME: Final = 1024
"""Values that are alive at once in their decoders for each pixel of a frame. Measured by
the same benchmark."""

UNFOLDED: Final = 3 * 128
"""Values besides on a processor, where torch unfolds what a convolution over time looks at:
three frames, of 128 channels at the full size."""

LIBRARIES: Final = 494_000_000
"""Bytes of a process that renders with tiny networks, nearly all of it libraries: 471 MiB
by tests/benchmarks/diffusion_cost.py."""


@runtime_checkable
class Denoiser(Protocol):
    """A renderer whose cost can be told."""

    @property
    def unet(self) -> UNetConfig:
        """The shape of the network that is called for each window."""

    def resident(self) -> Sequence[nn.Module]:
        """The networks that are in memory while it denoises, the one called first."""

    def clips(self, preset: Preset, frames: int) -> Sequence[int]:
        """Frames of the clips that it denoises, one after another, for so many of a video.

        Its windows are cut from these.
        """

    def decoder(self, preset: Preset, frames: int, device: str) -> "Decoder":
        """What makes so many frames of latents, when all other networks are gone."""


class Decoder(NamedTuple):
    """Bytes of an autoencoder's weights, and of what is alive at once while it decodes."""

    weights: int
    features: int


@dataclass(frozen=True)
class Estimate:
    """Work and memory of a render, from shapes alone.

    frames: of the video.
    windows: of the first step, in all clips.
    window: frames in each.
    steps: of each run of the denoising loop.
    runs: of it, one after another; two for each clip that is walked back first.
    calls: of the UNet, over all steps; guidance takes two, one after the other.
    networks, features: bytes on the device while it denoises, of all networks and of a
        window; on a processor, of the libraries too.
    decoding: bytes on the device afterwards, while frames are decoded.
    latents: bytes that are kept on the host, and in a checkpoint.
    """

    frames: int
    windows: int
    window: int
    steps: int
    runs: int
    calls: int
    networks: int
    features: int
    decoding: int
    latents: int

    @property
    def memory(self) -> int:
        """Most bytes that are on the device at once."""
        return max(self.networks + self.features, self.decoding)

    def told(self) -> str:
        """All of it in one line."""
        each = f" of {self.window}" if self.windows > 1 else ""
        return (
            f"{counted(self.frames, 'frame')} in {counted(self.windows, 'window')}{each}, "
            f"{counted(self.steps, 'step')}, {self.calls} calls of the network; about "
            f"{gigabytes(self.memory)} (networks {gigabytes(self.networks)}, "
            f"a window {gigabytes(self.features)}; decoding {gigabytes(self.decoding)})"
        )


def estimate(
    preset: Preset,
    frames: int,
    denoiser: Denoiser,
    device: str,
    *,
    offload: bool = False,
    inverted: bool = False,
) -> Estimate:
    """The cost of `frames` frames with a preset, on a kind of device.

    offload: whether only the UNet stays on it, with one other network at a time.
    inverted: whether each clip is walked back to its noise first, without guidance.
    """
    clips, config = denoiser.clips(preset, frames), denoiser.unet
    size = DTYPES[preset.dtype].itemsize
    decoder = denoiser.decoder(preset, frames, device)
    with torch.device("meta"):
        resident = denoiser.resident()
    networks = [size * sum(x.numel() for x in network.parameters()) for network in resident]
    networks.append(decoder.weights)
    if offload and device != "cpu":
        networks = [networks[0], max(networks[1:])]
    libraries = LIBRARIES if device == "cpu" else 0
    guidance = Guidance.of(preset)
    cuts = [windows_of(preset, length) for length in clips]
    calls = sum(
        len(cut(step)) * (inverted + 1 + guidance.works_at(step, preset.steps))
        for cut in cuts
        for step in range(preset.steps)
    )
    return Estimate(
        frames=frames,
        windows=sum(len(cut(0)) for cut in cuts),
        window=min(preset.window, max(clips)),
        steps=preset.steps,
        runs=len(clips) * (1 + inverted),
        calls=calls,
        networks=sum(networks) + libraries,
        features=window_bytes(preset, max(clips), config, device),
        decoding=sum(decoder) + libraries,
        latents=sum(clips) * config.channels * positions_of(preset) * 4,
    )


def window_bytes(preset: Preset, frames: int, config: UNetConfig, device: str) -> int:
    """Bytes of features that are alive at once in a step, guidance in calls of its own.

    frames: of the clip that windows are cut from.
    """
    live = LIVE[preset.renderer][device == "cpu"]
    values = live.once + live.frame * min(preset.window, frames)
    values *= config.widths[0] * positions_of(preset)
    return round(values * DTYPES[preset.dtype].itemsize)


def frame_decoder(preset: Preset) -> Decoder:
    """Of sd-vae-ft-mse or tiny's, which takes frames one by one, a large one in tiles."""
    size = DTYPES[preset.dtype].itemsize
    pixels = min(preset.width * preset.height, WHOLE)
    if preset.renderer == "tiny":
        return Decoder(TINY_AUTOENCODER * size, DECODED_TINY * pixels * size)
    return Decoder(AUTOENCODER * size, DECODED * pixels * size)


def clip_decoder(preset: Preset, frames: int, device: str) -> Decoder:
    """Of the autoencoder that decodes so many frames at once, in float32."""
    pixels = preset.width * preset.height * frames
    values = DECODED_OVER_TIME + (UNFOLDED if device == "cpu" else 0)
    return Decoder(CLIP_AUTOENCODER * 4, values * pixels * 4)


def positions_of(preset: Preset) -> int:
    """Latent positions of a frame."""
    return preset.height // SHRINK * (preset.width // SHRINK)


def bytes_of(network: nn.Module) -> int:
    """Bytes of a network's weights."""
    return sum(each.numel() * each.element_size() for each in network.parameters())


def gigabytes(count: int) -> str:
    """Bytes for people to read."""
    return f"{count / 1e9:.1f} GB"


def counted(number: int, thing: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
