"""What a diffusion render will cost, told before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import torch
from torch import nn

from animcli.networks.levels import UNetConfig
from animcli.presets import Preset
from animcli.rendering.device import DTYPES
from animcli.rendering.guidance import Guidance
from animcli.rendering.latents import SHRINK
from animcli.rendering.windows import windows_of

LIVE: Final[Mapping[str, float]] = {"cpu": 17.1, "cuda": 28.1, "mps": 28.1}
"""Values that are alive at once, for each latent position of a window and each channel at
the full size. On a processor the feed-forward layers work in parts. Measured by
tests/benchmarks/diffusion_memory.py, which counts the tensors of a call."""

AUTOENCODER: Final = 83_653_863
"""Parameters of sd-vae-ft-mse, by its manifest."""

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


@dataclass(frozen=True)
class Estimate:
    """Work and memory of a render, from shapes alone.

    frames: of the video.
    windows: of the first step, in all clips.
    window: frames in each.
    steps: of each run of the denoising loop.
    runs: of it, one after another; two for each clip that is walked back first.
    calls: of the UNet, over all steps; guidance takes two, one after the other.
    networks, features: bytes on the device, of all networks and of the window in the UNet.
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
    latents: int

    @property
    def memory(self) -> int:
        """Bytes on the device at once."""
        return self.networks + self.features

    def told(self) -> str:
        """All of it in one line."""
        each = f" of {self.window}" if self.windows > 1 else ""
        return (
            f"{counted(self.frames, 'frame')} in {counted(self.windows, 'window')}{each}, "
            f"{counted(self.steps, 'step')}, {self.calls} calls of the network; about "
            f"{gigabytes(self.memory)} (networks {gigabytes(self.networks)}, "
            f"a window {gigabytes(self.features)})"
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
    with torch.device("meta"):
        networks = denoiser.resident()
    values = [sum(each.numel() for each in network.parameters()) for network in networks]
    values.append(AUTOENCODER)
    if offload and device != "cpu":
        values = [values[0], max(values[1:])]
    size, guidance = DTYPES[preset.dtype].itemsize, Guidance.of(preset)
    cuts = [windows_of(preset, length) for length in clips]
    calls = sum(
        len(cut(step)) * (inverted + 1 + guidance.works_at(step, preset.steps))
        for cut in cuts
        for step in range(preset.steps)
    )
    height, width = preset.height // SHRINK, preset.width // SHRINK
    return Estimate(
        frames=frames,
        windows=sum(len(cut(0)) for cut in cuts),
        window=min(preset.window, max(clips)),
        steps=preset.steps,
        runs=len(clips) * (1 + inverted),
        calls=calls,
        networks=sum(values) * size + (LIBRARIES if device == "cpu" else 0),
        features=window_bytes(preset, max(clips), config, device),
        latents=sum(clips) * config.channels * height * width * 4,
    )


def window_bytes(preset: Preset, frames: int, config: UNetConfig, device: str) -> int:
    """Bytes of features that are alive at once in a call for one window.

    frames: of the clip that windows are cut from.
    """
    positions = preset.height // SHRINK * (preset.width // SHRINK)
    values = LIVE[device] * config.widths[0] * positions * min(preset.window, frames)
    return round(values * DTYPES[preset.dtype].itemsize)


def bytes_of(network: nn.Module) -> int:
    """Bytes of a network's weights."""
    return sum(each.numel() * each.element_size() for each in network.parameters())


def gigabytes(count: int) -> str:
    """Bytes for people to read."""
    return f"{count / 1e9:.1f} GB"


def counted(number: int, thing: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
