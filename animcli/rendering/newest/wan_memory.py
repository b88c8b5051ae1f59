"""Work and memory of Wan's transformers, from shapes; and what leaves the device for room.

Published figures are other people's; nothing here was run on a card. Operations agree with
one: 4.6 s a call at 480 by 832 pixels and 81 frames on an H100 (huggingface/diffusers
#11605) is 390 TFLOP/s of what `step_flops` says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import nn

from animcli.errors import DeviceError
from animcli.presets import Preset
from animcli.rendering.cost import Cost, flops_a_second, gigabytes
from animcli.rendering.guidance import Guidance
from animcli.rendering.loading import USABLE, free_memory, free_on
from animcli.rendering.newest.segments import SegmentPlan
from animcli.rendering.renderer import Offload
from animcli.rendering.vae import VAE_SCALE

OVER_TIME: Final = 4  # frames in one latent frame, but for the first
VAE_BYTES: Final = 4 * 127_000_000  # float32
TEXT_BYTES: Final = 2 * 5_681_000_000  # umt5-xxl in bfloat16; gone before the first step
_PATIENCE: Final = 120.0
"""Seconds of a step on a CPU beyond which it is refused."""

ALIVE: Final = 10.4
"""Values alive at once for each token and channel, in a block of the published shape.
Measured by tests/benchmarks/wan_memory.py on torch's meta device."""
_DECODED: Final = 4_585
"""Values alive at once in the decoder for each pixel of a frame, by the same benchmark."""
_TILE: Final = 256
"""Pixels across a tile, as diffusers' AutoencoderKLWan cuts frames."""

QUANTISED: Final[Mapping[str, float]] = {"none": 1.0, "int8": 0.5, "gguf": 0.3}
"""Share of the bytes in bfloat16. Of GGUF files that of Q4_K; Q2_K has 0.19, Q8_0 0.53."""


@dataclass(frozen=True)
class WanShape:
    """The shape of a transformer; the defaults are those of the published ones.

    beside: parameters that aren't in its blocks, at a width of 5120.
    caches: keys and values of the driving video are kept, for Wan-Animate-2.
    """

    layers: int = 40
    width: int = 5120
    hidden: int = 13824
    beside: int = 1_125_000_000
    caches: bool = False

    @classmethod
    def read(cls, folder: Path, usual: "WanShape") -> "WanShape":
        """The shape by the configuration in a diffusers folder; the usual one without."""
        try:
            table: Mapping[str, Any] = json.loads(
                (folder / "transformer" / "config.json").read_bytes()
            )
        except (OSError, ValueError):
            return usual
        heads = table.get("num_attention_heads", 0) * table.get("attention_head_dim", 0)
        width = int(table.get("dim", heads) or usual.width)
        return cls(
            int(table.get("num_layers", usual.layers)),
            width,
            int(table.get("ffn_dim", usual.hidden)),
            round(usual.beside * (width / usual.width) ** 2),
            usual.caches,
        )

    @property
    def parameters(self) -> int:
        """All of them: attention to the frames, the words and the picture, feed-forward."""
        block = 10 * self.width**2 + 2 * self.width * self.hidden
        return self.layers * block + self.beside

    def tokens(self, preset: Preset) -> int:
        """Positions of a segment that the blocks work on, the reference's among them."""
        return latent_frames(preset) * positions(preset)

    def step_flops(self, preset: Preset) -> int:
        """Operations of one call for one segment."""
        tokens = self.tokens(preset)
        linear = 2 * tokens * (6 * self.width**2 + 2 * self.width * self.hidden)
        return self.layers * (linear + 4 * tokens**2 * self.width)

    def weights(self, preset: Preset) -> int:
        """Bytes of the transformer as the preset has it loaded."""
        return round(2 * self.parameters * QUANTISED[preset.quantise])

    def features(self, preset: Preset) -> int:
        """Bytes besides the weights while a segment is denoised."""
        tokens = self.tokens(preset)
        alive = 2 * tokens * ALIVE * self.width
        kept = 0
        if self.caches:  # keys and values of every layer, of all but the reference's frame
            kept = 2 * 2 * self.layers * self.width * (tokens - positions(preset))
        return round(alive) + kept

    def decoding(self, preset: Preset, room: float | None = None) -> int:
        """Bytes of the autoencoder and what is alive in it while frames are decoded.

        room: of the device; where a whole frame doesn't fit, that of a tile of it.
        """
        pixels = preset.width * preset.height
        if room is not None and VAE_BYTES + _DECODED * 4 * pixels > room:
            pixels = min(pixels, _TILE**2)
        return VAE_BYTES + _DECODED * 4 * pixels


def latent_frames(preset: Preset) -> int:
    """Frames of a segment's latents, the reference's among them."""
    return (preset.segment - 1) // OVER_TIME + 2


def positions(preset: Preset) -> int:
    """Positions of one latent frame in the blocks, which take two by two together."""
    return preset.height // (2 * VAE_SCALE) * (preset.width // (2 * VAE_SCALE))


def estimate_wan(
    shape: WanShape, preset: Preset, frames: int, device: str, offload: Offload
) -> Cost:
    """The cost of `frames` frames."""
    plan = SegmentPlan(frames, preset.segment, preset.carry)
    guidance = Guidance.of(preset)
    calls = plan.count * sum(
        1 + guidance.works_at(step, preset.steps) for step in range(preset.steps)
    )
    extracts = plan.count if shape.caches else 0
    work = (calls + extracts) * shape.step_flops(preset)
    weights = shape.weights(preset)
    if device == "cpu":
        weights *= 2  # float32
    elif offload in ("blocks", "layers"):  # a block, and the next one on its way
        weights = 2 * weights // shape.layers
    stays = device == "cpu" or offload in ("none", "auto")
    return Cost(
        frames=frames,
        windows=plan.count,
        window=min(preset.segment, frames) if plan.count == 1 else preset.segment,
        steps=preset.steps,
        runs=plan.count,
        calls=calls,
        networks=weights + (offload != "networks") * VAE_BYTES,
        features=shape.features(preset),
        decoding=shape.decoding(preset) + stays * weights,
        latents=plan.count * 16 * 4 * latent_frames(preset) * 4 * positions(preset),
        flops=work if device == "cpu" else None,
        piece="segment",
        work=work,
    )


def refuse_cpu(shape: WanShape, preset: Preset) -> None:
    """Raise DeviceError, with how long it would take, where steps on a CPU take more
    than a few minutes."""
    seconds = shape.step_flops(preset) / flops_a_second()
    if seconds <= _PATIENCE:
        return
    calls = 1 + Guidance.of(preset).works_at(0, preset.steps)
    days = seconds * calls * preset.steps / 86_400
    raise DeviceError(
        f"{preset.renderer} takes {seconds / 3600:.1f} hours a call of its network on this "
        f"CPU, {days:.1f} days for a segment of {preset.segment} frames",
        "it wants a CUDA device: --device cuda; here --preset cutout renders in seconds",
    )


def choose_offload(
    wanted: Offload, shape: WanShape, preset: Preset, device: torch.device
) -> Literal["none", "networks", "blocks", "layers"]:
    """Choice of what leaves; for `auto` the first that fits into what is free there."""
    if wanted != "auto":
        return wanted
    free = free_on(device)
    if free is None:
        return "none"
    room, weights = USABLE * free, shape.weights(preset)
    features, decoding = shape.features(preset), shape.decoding(preset, room)
    if room >= weights + max(VAE_BYTES + features, decoding):
        return "none"
    if room >= max(weights + features, decoding):
        return "networks"
    if room >= max(2 * weights / shape.layers + VAE_BYTES + features, decoding):
        return "blocks"
    if room >= (least := max(VAE_BYTES + features, decoding)):
        return "layers"
    raise DeviceError(
        f"{preset.renderer} needs {gigabytes(least)} beside its network for "
        f"{preset.width}x{preset.height}, and {gigabytes(free)} are free",
        "a smaller --size or --segment needs less",
    )


class NetworkPlacement:
    """Devices of the transformer and the autoencoder, by what leaves the device."""

    def __init__(
        self, offload: Literal["none", "networks", "blocks", "layers"], device: torch.device
    ) -> None:
        self.offload = offload
        self.device = device
        self._visitor: nn.Module | None = None

    @property
    def home(self) -> torch.device:
        """Device that the transformer is loaded to."""
        return self.device if self.offload == "none" else torch.device("cpu")

    def settle(self, transformer: Any) -> None:
        """Have blocks or layers of the transformer come and go, if that is wanted."""
        if self.offload not in ("blocks", "layers"):
            return
        more: dict[str, object] = {}
        if self.offload == "blocks":
            more["num_blocks_per_group"] = 1
        transformer.enable_group_offload(
            onload_device=self.device,
            offload_device=torch.device("cpu"),
            offload_type="block_level" if self.offload == "blocks" else "leaf_level",
            use_stream=self.device.type == "cuda",
            **more,
        )

    def work(self, network: nn.Module) -> None:
        """Bring a network to the device, and the other away, if there is room for one."""
        if self.offload != "networks" or self._visitor is network:
            return
        if self._visitor is not None:
            self._visitor.to("cpu")
            free_memory(self.device)
        network.to(self.device)
        self._visitor = network
