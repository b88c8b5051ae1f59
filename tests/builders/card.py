"""One window of a renderer on a device: time, memory, kernels, share of the peak."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from animcli.presets import Preset
from animcli.rendering.compiling import compile_blocks
from animcli.rendering.context import ContextWindow
from animcli.rendering.cost import Denoiser, denoising_flops, estimate_cost
from animcli.rendering.guidance import Guidance
from animcli.rendering.vae import VAE_SCALE

STEPS = 4
ROUNDS = 2

ATTENTION = {
    "flash": ("flash_fwd", "flash_attention"),
    "memory-efficient": ("fmha", "efficient_attention"),
    "cudnn": ("cudnn_sdp", "cudnn_generated_fort_native_sdpa"),
}
"""Kernels of fused attention -> parts of their names; without any of them it is the plain
one."""


@dataclass(frozen=True)
class Machine:
    """A device, and how large a matrix says how fast it is."""

    device: torch.device
    dtype: torch.dtype
    side: int

    def wait(self) -> None:
        """Wait until all that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], rounds: int = ROUNDS) -> float:
        """The fastest of some rounds, after one that isn't counted."""
        times = []
        for _ in range(rounds + 1):
            self.wait()
            begun = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - begun)
        return min(times[1:])

    def peak(self) -> float:
        """Operations a second of a large matrix product."""
        side = self.side
        left, right = torch.randn(
            2, side, side, device=self.device, dtype=torch.float32
        ).to(self.dtype)
        return 2 * side**3 / self.seconds(lambda: left @ right, rounds=5)

    @contextmanager
    def home(self) -> Iterator[None]:
        """A stretch in which new tensors are there, in its dtype."""
        usual = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(self.device), torch.inference_mode():
                yield
        finally:
            torch.set_default_dtype(usual)


@dataclass(frozen=True)
class Row:
    """What was measured.

    seconds: of a step with one window. memory, foreseen: bytes, measured and estimated;
    kernels: launched in that step, on a CPU operations. share: of the peak.
    """

    name: str
    option: str
    seconds: float
    memory: int
    foreseen: int
    kernels: int
    share: float
    attention: str

    def data(self) -> dict[str, object]:
        """The same for JSON."""
        return asdict(self)

    def told(self) -> str:
        """One line of the table."""
        return (
            f"{self.name:16} {self.option:18} {self.seconds:9.3f} s "
            f"{self.memory / 1e9:7.2f} GB of {self.foreseen / 1e9:7.2f} foreseen "
            f"{self.kernels:6} kernels {100 * self.share:5.1f} % {self.attention}"
        )


def measure(
    name: str,
    option: str,
    renderer: Denoiser,
    preset: Preset,
    frames: int,
    machine: Machine,
    peak: float,
) -> Row:
    """The second step of a render with one window of so many frames; random weights."""
    preset = replace(preset, steps=STEPS, window=frames, overlap=0)
    channels = renderer.unet.in_channels
    shape = (frames, channels, preset.height // VAE_SCALE, preset.width // VAE_SCALE)
    window = ContextWindow(tuple(range(frames)), (1.0,) * frames)
    cuda = machine.device.type == "cuda"
    with machine.home():
        networks: list[nn.Module] = [each.eval() for each in renderer.resident()]
        for network in networks:
            network.requires_grad_(False)
        if preset.compiled:
            compile_blocks(networks[0], machine.device)
        clip = torch.randn(shape)
        step_fn = renderer.rehearse(preset, networks, clip)
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(machine.device)

        def step(number: int) -> torch.Tensor:
            return step_fn(number, torch.tensor(500), clip)(clip, window)

        step(0)
        seconds = machine.seconds(lambda: step(1))
        memory = torch.cuda.max_memory_allocated(machine.device) if cuda else 0
        activity = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
        with profile(activities=[activity]) as events:
            step(1)
            machine.wait()
        names = [event.name.lower() for event in events.events()]
    with torch.device("meta"):
        shapes = list(renderer.resident())
    whole = estimate_cost(preset, frames, renderer, machine.device.type)
    decoder = renderer.decoder(preset, frames, machine.device.type)
    both = Guidance.of(preset).works_at(1, STEPS)
    flops = denoising_flops(
        replace(preset, steps=2, guidance_interval=1, deep_interval=1),
        renderer, shapes, frames, [lambda number: [window]], False, 1,
    )  # fmt: skip
    assert both
    fused = [
        kind
        for kind, parts in ATTENTION.items()
        if any(part in each for each in names for part in parts)
    ]
    return Row(
        name, option, seconds, memory,
        whole.networks - decoder.weights + whole.features, len(names),
        flops / seconds / peak, "+".join(fused) or "plain",
    )  # fmt: skip
