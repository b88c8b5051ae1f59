"""What a diffusion render will cost, told before it starts."""

from dataclasses import dataclass

import torch

from animcli.networks.levels import UNetConfig
from animcli.networks.unet import UNet
from animcli.presets import Preset
from animcli.rendering.device import DTYPES
from animcli.rendering.latents import SHRINK
from animcli.rendering.windows import windows_of

WIDE = 12
"""Values a position of the widest place in a layer: the feed-forward's gated layer holds
eight times the width, its gate and its product four more before the first can go."""


@dataclass(frozen=True)
class Estimate:
    """Work and memory of a render, from shapes alone.

    windows: of the first step.
    calls: of the UNet, over all steps; guidance takes two, one after the other.
    weights, features: bytes on the device, of the UNet and of the window in it.
    latents: bytes that are kept on the host, and in a checkpoint.
    """

    windows: int
    steps: int
    calls: int
    weights: int
    features: int
    latents: int


def estimate(preset: Preset, frames: int, config: UNetConfig) -> Estimate:
    """The cost of `frames` frames with a preset and a UNet of that shape."""
    with torch.device("meta"):
        values = sum(each.numel() for each in UNet(config).parameters())
    size = DTYPES[preset.dtype].itemsize
    height, width = preset.height // SHRINK, preset.width // SHRINK
    cut = windows_of(preset, frames)
    calls = 0
    for step in range(preset.steps):
        share = step / preset.steps
        guided = (
            preset.guidance > 1 and preset.guidance_start <= share < preset.guidance_stop
        )
        calls += len(cut(step)) * (2 if guided else 1)
    skips = sum(
        (config.layers + 1) * channels / 4**level
        for level, channels in enumerate(config.widths)
    )
    window = min(preset.window, frames)
    a_position = WIDE * config.widths[0] + skips
    return Estimate(
        windows=len(cut(0)),
        steps=preset.steps,
        calls=calls,
        weights=values * size,
        features=round(a_position * window * height * width * size),
        latents=frames * config.channels * height * width * 4,
    )
