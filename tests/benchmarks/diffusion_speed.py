"""How much of the machine's arithmetic the denoising UNet gets out of it.

    python tests/benchmarks/diffusion_speed.py --size 256 --frames 8 --threads 2

prints the floating point operations of one call at Stable Diffusion 1.5's size, the time
that it takes, and the share of the machine's peak: the better of a large matrix product and
a large convolution, measured just before and after in the same dtype with the same threads.

Times are processor time divided by the threads, so that others who use the machine in the
meantime aren't counted; they still share its caches and memory.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from animcli.networks.levels import UNetConfig
from animcli.networks.unet import ANIMATE_ANYONE, UNet


def best_time(work: Callable[[], object], rounds: int) -> float:
    """Processor seconds of the fastest of some rounds, per thread."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) / torch.get_num_threads()


def peak(dtype: torch.dtype, rounds: int = 5) -> dict[str, float]:
    """Operations per second of a large matrix product and a large convolution."""
    left, right = (torch.randn(4096, 4096, dtype=dtype) for _ in range(2))
    picture = torch.randn(8, 320, 64, 64, dtype=dtype)
    picture = picture.contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(320, 320, 3, padding=1, dtype=dtype)
    conv = conv.to(memory_format=torch.channels_last)
    works: dict[str, Callable[[], Tensor]] = {
        "matrix product": lambda: left @ right,
        "convolution": lambda: conv(picture),
    }
    return {
        name: operations(work) / best_time(work, rounds) for name, work in works.items()
    }


def operations(work: Callable[[], object]) -> int:
    """Floating point operations; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def new_unet(config: UNetConfig, dtype: torch.dtype) -> UNet:
    """A UNet with small random weights, made without the minutes of initialising."""
    with torch.device("meta"):
        unet = UNet(config)
    unet = unet.to(dtype).to_empty(device="cpu")
    for parameter in unet.parameters():
        nn.init.constant_(parameter, 0.01)
    for buffer in unet.buffers():
        buffer.zero_()
    return unet.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def peak_memory() -> int:
    """Bytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=256, help="pixels each way")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    dtype = getattr(torch, chosen.dtype)

    unet, side = new_unet(ANIMATE_ANYONE, dtype), chosen.size // 8
    latents = torch.randn(1, 4, chosen.frames, side, side, dtype=dtype)
    pose = torch.randn(1, 320, chosen.frames, side, side, dtype=dtype)
    token = torch.randn(1, 1, 768, dtype=dtype)
    with torch.inference_mode():
        reference = {
            path: torch.randn(1, rows.shape[1], rows.shape[2], dtype=dtype)
            for path, rows in looked_at(unet, side, dtype).items()
        }
        sight = unet.see(token, reference)
        time_step = torch.tensor(500)

        def call() -> Tensor:
            return unet(latents, time_step, sight, pose=pose)

        before_call = peak_memory()
        flops = operations(call)
        grown = peak_memory() - before_call
        before = peak(dtype)
        seconds = best_time(call, chosen.rounds)
        after = peak(dtype)
        if chosen.profile:
            with torch.profiler.profile() as profile:
                call()
            print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))
    rates = {name: max(before[name], after[name]) for name in before}
    size = f"{chosen.size} px, {chosen.frames} frames"
    print(f"{chosen.dtype}, {chosen.threads} threads, {size}")
    speed = flops / seconds
    print(f"one call: {flops / 1e12:.3f} TFLOP, {seconds:.2f} s, {speed / 1e9:.0f} GFLOP/s")
    print(f"memory beyond the weights: {grown / 2**20:.0f} MiB")
    for name, rate in rates.items():
        print(f"{name}: {rate / 1e9:.0f} GFLOP/s")
    print(f"share of the peak: {speed / max(rates.values()):.0%}")


def looked_at(unet: UNet, side: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Reference features of the right shapes: one row of each level's positions."""
    from animcli.networks.attention import SpatialTransformer

    found = {}
    levels = len(unet.config.widths)
    for path, module in unet.named_modules():
        if isinstance(module, SpatialTransformer):
            kind, _, rest = path.partition(".")
            number = int(rest.split(".")[0]) if kind != "mid_block" else 0
            level = {"down_blocks": number, "up_blocks": levels - 1 - number}.get(
                kind, levels - 1
            )
            positions = (side >> level) ** 2
            found[path] = torch.empty(1, positions, module.norm.num_channels, dtype=dtype)
    return found


if __name__ == "__main__":
    main()
