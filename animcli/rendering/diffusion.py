"""What all diffusion renderers do around their networks: from a request to frames."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import PresetError
from animcli.networks.levels import UNetConfig
from animcli.presets import Preset
from animcli.rendering.denoise import StartStep, clean_latents
from animcli.rendering.device import (
    check_compiler,
    dtype_on,
    enough_memory,
    memory_of,
    open_device,
    visit,
)
from animcli.rendering.estimate import bytes_of, window_bytes
from animcli.rendering.guidance import Guidance
from animcli.rendering.key_frames import fill_between, key_frames, only_frames
from animcli.rendering.latents import SHRINK, Autoencoder
from animcli.rendering.loading import load_autoencoder
from animcli.rendering.noise import clip_noise
from animcli.rendering.renderer import Checkpoint, FrameSource, RenderRequest, Report
from animcli.rendering.sampling import Schedule, Solver
from animcli.rendering.windows import windows_of

REMEDY: Final = (
    "a smaller --window or --size, --dtype bfloat16, --halves apart or --offload needs less"
)

USABLE: Final = 0.8
"""Share of a device's memory that is planned with; the rest is for libraries and gaps."""


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
        return Guidance.of(self.request.preset)

    @property
    def home(self) -> torch.device:
        """Where networks are that only visit the device; see `at_work`."""
        return torch.device("cpu") if self.request.offload else self.device

    def at_work(self, network: nn.Module) -> AbstractContextManager[object]:
        """A stretch in which the network is on the device; after it, it needn't be."""
        if self.home == self.device:
            return nullcontext()
        return visit(self.device, network)

    def encode(self, picture: NDArray[np.uint8]) -> Tensor:
        """The latents (1, 4, h / 8, w / 8) of a picture (h, w, 3)."""
        with self.at_work(self.autoencoder.network):
            return self.autoencoder.encode(picture)

    def together(self, config: UNetConfig, *resident: nn.Module) -> bool:
        """Whether both halves of guidance go in one call: no gain on a processor.

        resident: the networks that are on the device meanwhile.
        """
        preset, memory = self.request.preset, memory_of(self.device)
        if preset.halves != "auto" or memory is None:
            return preset.halves == "together"
        features = window_bytes(preset, self.request.frames, config, self.device.type)
        needed = sum(bytes_of(network) for network in resident) + 2 * features
        return needed <= USABLE * memory

    def ready(self, network: nn.Module) -> None:
        """Compile the network at its first call, if the preset wants that."""
        if self.request.preset.compiled:
            check_compiler(self.device)
            network.compile()


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
    chosen = key_frames(request.frames, preset.latent_spacing)
    few = only_frames(request, chosen)
    place = Workplace(few, Autoencoder(vae), device, dtype, report)
    shape = (config.channels, height // SHRINK, width // SHRINK)
    with enough_memory("denoising", REMEDY):
        latents = clean_latents(
            lambda: clip_noise(preset.noise, few.frames, shape, preset.seed),
            Solver(preset.sampler, schedule, preset.steps, preset.seed),
            lambda: look(place),
            windows_of(preset, few.frames),
            checkpoint,
            report,
        )
    latents = fill_between(latents, chosen, preset.latent_filling)

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        with place.at_work(vae):
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
