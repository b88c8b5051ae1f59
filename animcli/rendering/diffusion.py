"""What all diffusion renderers do around their networks: from a request to frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from animcli.errors import PresetError
from animcli.networks.levels import UNetConfig
from animcli.presets import Preset
from animcli.rendering.denoise import StartStep, clean_latents
from animcli.rendering.device import dtype_on, enough_memory, open_device
from animcli.rendering.guidance import Guidance
from animcli.rendering.latents import SHRINK, Autoencoder
from animcli.rendering.loading import load_autoencoder
from animcli.rendering.noise import clip_noise
from animcli.rendering.renderer import Checkpoint, FrameSource, RenderRequest, Report
from animcli.rendering.sampling import Schedule, Solver
from animcli.rendering.windows import windows_of

REMEDY: Final = "a smaller --window, a smaller --size, or --dtype bfloat16 needs less"


@dataclass(frozen=True, eq=False)
class Workplace:
    """What a renderer works with while it looks at a request."""

    request: RenderRequest
    autoencoder: Autoencoder
    device: torch.device
    dtype: torch.dtype
    report: Report

    @property
    def guidance(self) -> Guidance:
        """The preset's guidance."""
        preset = self.request.preset
        return Guidance(
            preset.guidance,
            preset.guidance_start,
            preset.guidance_stop,
            preset.guidance_rescale,
        )

    @property
    def together(self) -> bool:
        """Whether both halves of guidance go in one call: no gain on a processor."""
        return self.device.type != "cpu"


def render_clip(
    request: RenderRequest,
    checkpoint: Checkpoint,
    report: Report,
    config: UNetConfig,
    schedule: Schedule,
    look: Callable[[Workplace], StartStep],
) -> FrameSource:
    """Denoise the whole clip, going on from `checkpoint`; decode frames as asked.

    look: what a renderer does before the first step; not called if no step is left.

    Raises PresetError for a window that the network can't see at once, DeviceError where
    the device isn't there or its memory ends.
    """
    preset, (width, height) = request.preset, request.size
    check_window(preset, config)
    device = open_device(request.device)
    dtype = dtype_on(device, preset.dtype)
    vae = load_autoencoder(request.weights["sd-vae-ft-mse"], device, dtype)
    place = Workplace(request, Autoencoder(vae), device, dtype, report)
    shape = (config.channels, height // SHRINK, width // SHRINK)
    with enough_memory("denoising", REMEDY):
        latents = clean_latents(
            lambda: clip_noise(preset.noise, request.frames, shape, preset.seed),
            Solver(preset.sampler, schedule, preset.steps, preset.seed),
            lambda: look(place),
            windows_of(preset, request.frames),
            checkpoint,
            report,
        )

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        for index in span:
            with enough_memory("decoding", "a smaller --size needs less"):
                picture = place.autoencoder.picture(latents[index])
            yield picture

    return frames


def check_window(preset: Preset, config: UNetConfig) -> None:
    """Raise PresetError if the motion modules don't know so long a window."""
    if config.motion is not None and preset.window > config.motion.positions:
        raise PresetError(
            f"window {preset.window}: the motion modules of {preset.renderer} know at most "
            f"{config.motion.positions} frames",
            f"--window {config.motion.positions}",
        )
