"""Cost of a diffusion render, told before it starts."""

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from animcli.networks.attention import ROWS_IN_CACHE, FeedForward
from animcli.networks.unet_blocks import UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, StepFn, WindowsFn, context_windows
from animcli.rendering.guidance import Guidance
from animcli.rendering.loading import dtype_for, vae_dtype
from animcli.rendering.renderer import Offload
from animcli.rendering.reuse import Reuse
from animcli.rendering.vae import DECODED, MAX_UNTILED, VAE_SCALE

AUTOENCODER: Final = 83_653_863
TINY_AUTOENCODER: Final = 1_676_291
CLIP_AUTOENCODER: Final = 97_742_847
"""Parameters of sd-vae-ft-mse, of tiny's, and of the one with a decoder over time."""

DECODED_TINY: Final = 97
DECODED_OVER_TIME: Final = 1024
"""Values that are alive at once in the last two's decoders for each pixel of a frame.
Measured by the same benchmark."""

UNFOLDED: Final = 3 * 128
"""Values besides on a CPU, where torch unfolds what a convolution over time looks at:
three frames, of 128 channels at the full size."""

DECODING: Final = 9_660_000
DECODING_TINY: Final = 139_000
DECODING_OVER_TIME: Final = 11_600_000
"""Operations of the three decoders for each pixel of a frame, by torch's counter at 512 by
784, 256 by 256, and 512 by 320 pixels."""

H100: Final = 390e12
"""Operations a second that others' times of Wan's transformer come to on one, by
huggingface/diffusers #11605; not measured here."""

MEASURED_FOR: Final = 0.3
"""Seconds."""

LIBRARY_BYTES: Final = 494_000_000
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

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StepFn:
        """Make the denoising function for a window of `clip` (f, c, h, w) on the meta
        device.
        """

    def clips(self, preset: Preset, frames: int) -> Sequence[int]:
        """Frames of the clips that it denoises, one after another, for so many of a video.

        Its windows are cut from these.
        """

    def decoder(self, preset: Preset, frames: int, device: str) -> "DecoderCost":
        """Decoder of so many frames of latents, when all other networks are gone."""


@runtime_checkable
class TellsCost(Protocol):
    """A renderer with another loop than the windows', which tells its cost by itself."""

    def cost(
        self,
        preset: Preset,
        frames: int,
        device: str,
        offload: Offload,
        folder: Path | None,
    ) -> "Cost":
        """Cost of so many frames; folder: of the first of its weights, if here."""


class DecoderCost(NamedTuple):
    """Memory and operations that an autoencoder takes to decode.

    weights, features: bytes of the former, and of the latter that are alive at once.
    flops: operations for each pixel of a frame.
    """

    weights: int
    features: int
    flops: int


@dataclass(frozen=True)
class Cost:
    """Work and memory of a render, from shapes alone.

    frames: of the video.
    windows: of the first step, in all clips.
    window: frames in each.
    steps: of each run of the denoising loop.
    runs: of it, one after another; two for each clip that is walked back first.
    calls: of the UNet, over all steps; guidance takes two, one after the other.
    networks, features: bytes on the device while it denoises, of all networks and of a
        window; on a CPU, of the libraries too.
    decoding: bytes on the device afterwards, while frames are decoded.
    latents: bytes that are kept in a checkpoint.
    flops: operations of all steps and of decoding; None where a GPU will do them.
    piece: what a window is called.
    work: operations of all steps, on whatever device; 0 where they aren't told.
    """

    frames: int
    windows: int
    window: int
    steps: int
    runs: int
    calls: int
    _: KW_ONLY
    networks: int
    features: int
    decoding: int
    latents: int
    flops: int | None = None
    piece: str = "window"
    work: int = 0

    @property
    def memory(self) -> int:
        """Most bytes that are on the device at once."""
        return max(self.networks + self.features, self.decoding)

    def summary(self) -> str:
        """All of it in one line."""
        each = f" of {self.window}" if self.windows > 1 else ""
        return (
            f"{counted(self.frames, 'frame')} in "
            f"{counted(self.windows, self.piece)}{each}, "
            f"{counted(self.steps, 'step')}, {self.calls} calls of the network; about "
            f"{gigabytes(self.memory)} (networks {gigabytes(self.networks)}, "
            f"a {self.piece} {gigabytes(self.features)}; decoding "
            f"{gigabytes(self.decoding)}){self.told_work()}"
        )

    def told_work(self) -> str:
        """Operations, and the time that others measured them to take; empty if not told."""
        if not self.work:
            return ""
        return f"; {self.work / 1e15:.3g} PFLOP, on an H100 about {self.work / H100:.0f} s"


@lru_cache(maxsize=8)
def estimate_cost(
    preset: Preset,
    frames: int,
    denoiser: Denoiser,
    device: str,
    *,
    offload: bool = False,
    inverted: bool = False,
    begin: int = 0,
) -> Cost:
    """The cost of `frames` frames with a preset, on a kind of device.

    offload: whether only the UNet stays on it, with one other network at a time.
    inverted: whether each clip is walked back to its noise first, without guidance.
    begin: steps that are left out, since there are frames to start from.

    It is remembered: a plan asks, and the run that follows asks alike.
    """
    clips, config = denoiser.clips(preset, frames), denoiser.unet
    size = dtype_for(device, preset.dtype).itemsize
    decoder = denoiser.decoder(preset, frames, device)
    with torch.device("meta"):
        resident = denoiser.resident()
    networks = [size * sum(x.numel() for x in network.parameters()) for network in resident]
    networks.append(decoder.weights)
    if offload and device != "cpu":
        networks = [networks[0], max(networks[1:])]
    libraries = LIBRARY_BYTES if device == "cpu" else 0
    guidance = Guidance.of(preset)
    reuse = Reuse.of(preset, config, begin)
    cuts = [reuse.cut(context_windows(preset, length)) for length in clips]
    flops = None
    if device == "cpu":
        flops = decoder.flops * frames * preset.width * preset.height
        flops += denoising_flops(
            preset, denoiser, resident, max(clips), cuts, inverted, begin
        )
    calls = sum(
        len(cut(step))
        * (
            inverted
            + 1
            + (guidance.works_at(step, preset.steps) and reuse.predicts_both(step))
        )
        for cut in cuts
        for step in range(begin, preset.steps)
    )
    return Cost(
        frames=frames,
        windows=sum(len(cut(0)) for cut in cuts),
        window=min(preset.window, max(clips)),
        steps=preset.steps - begin,
        runs=len(clips) * (1 + inverted),
        calls=calls,
        networks=sum(networks) + libraries,
        features=window_bytes(preset, max(clips), config, device),
        decoding=decoder.weights + decoder.features + libraries,
        latents=sum(clips) * config.in_channels * positions_of(preset) * 4,
        flops=flops,
    )


def denoising_flops(
    preset: Preset,
    denoiser: Denoiser,
    networks: Sequence[nn.Module],
    frames: int,
    cuts: Sequence[WindowsFn],
    inverted: bool,
    begin: int = 0,
) -> int:
    """Operations of all windows and steps, from the shapes of one window of each kind.

    networks: as `Denoiser.resident` gives them, on the meta device. frames: of the longest
        clip. inverted: whether each step is done a second time, without guidance.
    """
    guidance, length = Guidance.of(preset), min(preset.window, frames)
    reuse = Reuse.of(preset, denoiser.unet, begin)
    place = (preset.height // VAE_SCALE, preset.width // VAE_SCALE)
    window = ContextWindow(tuple(range(length)), (1.0,) * length)
    each: dict[tuple[bool, bool, bool], int] = {}
    total = 0
    with torch.no_grad():  # inference mode would hide what operations consist of
        clip = torch.empty(length, denoiser.unet.in_channels, *place, device="meta")
        with torch.device("meta"):
            step_fn = denoiser.rehearse(preset, networks, clip)

        def flops(step: int) -> int:
            guided = guidance.works_at(step, preset.steps)
            kind = (guided, reuse.is_fresh(step), reuse.predicts_both(step))
            if kind not in each:
                with Operations() as done:
                    step_fn(step, torch.tensor(500), clip)(clip, window)
                each[kind] = done.flops
            return each[kind]

        for step in range(begin, preset.steps):
            windows = sum(len(cut(step)) for cut in cuts)
            total += windows * flops(step)
            if inverted:
                total += windows * min(x for (_, fresh, _), x in each.items() if fresh)
    return total


class Operations(TorchDispatchMode):
    """Counts operations while it is on, by torch's own table of what each kind takes."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do the operation, and add what it took."""
        result = operation(*args, **(kwargs or {}))
        if (count := flop_registry.get(operation.overloadpacket)) is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=result)
        return result


@cache
def flops_a_second() -> float:
    """Operations a second of this CPU, measured with the layer that most are in.

    A feed-forward layer of 320 channels: whole windows came to 0.95 of its rate.
    """
    layer = FeedForward(320).eval().requires_grad_(False)
    tokens = torch.zeros(2 * ROWS_IN_CACHE, 320)
    each = 2 * 3 * 320 * 1280 * len(tokens)
    with torch.inference_mode():
        layer(tokens)
        begun, rounds = time.perf_counter(), 0
        while (seconds := time.perf_counter() - begun) < MEASURED_FOR:
            layer(tokens)
            rounds += 1
    return each * rounds / seconds


def window_bytes(preset: Preset, frames: int, config: UNetConfig, device: str) -> int:
    """Bytes of features that are alive at once in a step, guidance in calls of its own.

    frames: of the clip that windows are cut from.
    """
    live = preset.entry.on_cpu if device == "cpu" else preset.entry.on_gpu
    if live is None:
        raise TypeError(f"{preset.renderer} has no context windows")
    values = live.once + live.frame * min(preset.window, frames)
    values *= config.block_channels[0] * positions_of(preset)
    return round(values * dtype_for(device, preset.dtype).itemsize)


def frame_decoder(preset: Preset, device: str) -> DecoderCost:
    """Of sd-vae-ft-mse or tiny's, which takes frames one by one, a large one in tiles."""
    size = vae_dtype(torch.device(device), dtype_for(device, preset.dtype)).itemsize
    pixels = min(preset.width * preset.height, MAX_UNTILED)
    if preset.renderer == "tiny":
        return DecoderCost(
            TINY_AUTOENCODER * size, DECODED_TINY * pixels * size, DECODING_TINY
        )
    return DecoderCost(AUTOENCODER * size, DECODED * pixels * size, DECODING)


def clip_decoder(preset: Preset, frames: int, device: str) -> DecoderCost:
    """Of the autoencoder that decodes so many frames at once."""
    size = vae_dtype(torch.device(device), dtype_for(device, preset.dtype)).itemsize
    pixels = preset.width * preset.height * frames
    values = DECODED_OVER_TIME + (UNFOLDED if device == "cpu" else 0)
    return DecoderCost(CLIP_AUTOENCODER * size, values * pixels * size, DECODING_OVER_TIME)


def positions_of(preset: Preset) -> int:
    """Latent positions of a frame."""
    return preset.height // VAE_SCALE * (preset.width // VAE_SCALE)


def gigabytes(count: int) -> str:
    """Bytes for people to read."""
    return f"{count / 1e9:.1f} GB"


def counted(number: int, thing: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
