"""How much of the machine's arithmetic the denoising UNet gets out of it.

    python tests/benchmarks/diffusion_speed.py --size 256x256 --frames 8 --threads 2
    python tests/benchmarks/diffusion_speed.py --system cinemo --size 512x320 --frames 16

prints the floating point operations of one call at the published shape, the time that it
takes, and the share of the machine's peak: the better of a large matrix product and a large
convolution, measured just before and after in the same dtype with the same threads.

Times are CPU time divided by the threads, so that others who use the machine in the
meantime aren't counted; they still share its caches and memory.
"""

import argparse
import resource
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from animcli.networks.unet import ANIMATE_ANYONE_UNET, CINEMO_UNET, MotionUNet, UNet

N = TypeVar("N", bound=nn.Module)


def best_time(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest of some rounds, per thread."""
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


def new_network(build: Callable[[], N], dtype: torch.dtype) -> N:
    """A network with small equal weights, made without the minutes of initialising."""
    with torch.device("meta"):
        unet = build()
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
    parser.add_argument("--system", choices=CALLS, default="animate-anyone")
    parser.add_argument("--size", default="256x256", help="of a frame, in pixels")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    dtype = getattr(torch, chosen.dtype)

    width, height = (int(side) // 8 for side in chosen.size.split("x"))
    with torch.inference_mode():
        call = CALLS[chosen.system](chosen.frames, height, width, dtype)
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
    size = f"{chosen.size}, {chosen.frames} frames"
    print(f"{chosen.system}, {chosen.dtype}, {chosen.threads} threads, {size}")
    speed = flops / seconds
    print(f"one call: {flops / 1e12:.3f} TFLOP, {seconds:.2f} s, {speed / 1e9:.0f} GFLOP/s")
    print(f"memory beyond the weights: {grown / 2**20:.0f} MiB")
    for name, rate in rates.items():
        print(f"{name}: {rate / 1e9:.0f} GFLOP/s")
    print(f"share of the peak: {speed / max(rates.values()):.0%}")


Call = Callable[[], Tensor]


def animate_anyone(frames: int, height: int, width: int, dtype: torch.dtype) -> Call:
    """One call for a window, at latent positions, with a reference and a pose."""
    unet = new_network(lambda: UNet(ANIMATE_ANYONE_UNET), dtype)
    latents = torch.randn(1, 4, frames, height, width, dtype=dtype)
    pose = torch.randn(1, 320, frames, height, width, dtype=dtype)
    reference = looked_at(unet, height, width, dtype)
    kv_cache = unet.cache_kv(torch.randn(1, 1, 768, dtype=dtype), reference)
    return lambda: unet(latents, torch.tensor(500), kv_cache, pose=pose)


def cinemo(frames: int, height: int, width: int, dtype: torch.dtype) -> Call:
    """The same with a first frame, and words."""
    unet = new_network(lambda: MotionUNet(CINEMO_UNET), dtype)
    residuals = torch.randn(1, 4, frames - 1, height, width, dtype=dtype)
    first = torch.randn(1, 4, 1, height, width, dtype=dtype)
    kv_cache = unet.cache_clip_kv(torch.randn(1, 77, 768, dtype=dtype), frames - 1)
    motion = unet.add_embedding(torch.tensor([90.0]).to(dtype))
    return lambda: unet(residuals, torch.tensor(500), kv_cache, first=first, motion=motion)


CALLS: Mapping[str, Callable[[int, int, int, torch.dtype], Call]] = {
    "animate-anyone": animate_anyone,
    "cinemo": cinemo,
}


def looked_at(unet: UNet, height: int, width: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Reference features of the right shapes, for every transformer."""
    from animcli.networks.attention import SpatialTransformer

    found = {}
    levels = len(unet.config.block_channels)
    for path, module in unet.named_modules():
        if isinstance(module, SpatialTransformer):
            kind, _, rest = path.partition(".")
            number = int(rest.split(".")[0]) if kind != "mid_block" else 0
            level = {"down_blocks": number, "up_blocks": levels - 1 - number}.get(
                kind, levels - 1
            )
            positions = (height >> level) * (width >> level)
            found[path] = torch.randn(1, positions, module.norm.num_channels, dtype=dtype)
    return found


if __name__ == "__main__":
    main()
