"""How much windows show: steps between frames at window borders against steps elsewhere.

    python tests/benchmarks/diffusion_seams.py --frames 96 --steps 20 --seeds 6
    python tests/benchmarks/diffusion_seams.py --system magic-animate

renders latents with tiny random networks in which motion modules speak loudly, once for
each way to cut windows. A system brings its norms, its schedule and its length of windows.
A figure of 1 is a border that nobody sees. `joined` is the step from the last frame to the
first against all others: the smaller it is, the more the end was pulled towards the start.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from animcli.networks.unet import UNet
from animcli.networks.unet_blocks import MotionConfig, UNetConfig
from animcli.rendering.context import (
    ContextWindow,
    DenoiseFn,
    moving_windows,
    uniform_windows,
)
from animcli.rendering.noise import frame_noise
from animcli.rendering.pipeline import denoise
from animcli.rendering.schedulers import (
    ANIMATE_ANYONE_SCHEDULE,
    MAGIC_ANIMATE_SCHEDULE,
    NoiseSchedule,
    Scheduler,
)

SIDE = 8  # latent positions each way
WIDTHS = (16, 32)
MOTION = MotionConfig(max_frames=32, heads=2, groups=4)
CONFIG = UNetConfig(
    block_channels=WIDTHS, layers_per_block=1, attention=(True, False), heads=2, groups=4,
    context_dim=0, motion=MOTION,
)  # fmt: skip

Cut = Callable[[int], list[ContextWindow]]


@dataclass(frozen=True)
class System:
    """What of a published system decides how much windows show."""

    config: UNetConfig
    schedule: NoiseSchedule
    window: int


SYSTEMS: Mapping[str, System] = {
    "animate-anyone": System(CONFIG, ANIMATE_ANYONE_SCHEDULE, 24),
    "magic-animate": System(
        replace(
            CONFIG, across_frames=True, motion=replace(MOTION, max_frames=24, middle=False)
        ),
        MAGIC_ANIMATE_SCHEDULE,
        16,
    ),
}


def random_unet(config: UNetConfig, seed: int) -> UNet:
    """A network whose motion modules change what goes through them."""
    torch.manual_seed(seed)
    unet = UNet(config).eval().requires_grad_(False)
    for name, parameter in unet.named_parameters():
        if "temporal_transformer.proj_out.weight" in name:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return unet


def render(unet: UNet, scheduler: Scheduler, cut: Cut, frames: int, seed: int) -> Tensor:
    """Clean latents (frames, 4, h, w), following a condition that moves evenly.

    All frames start from the same noise, so that they differ by condition and windows only.
    """
    kv_cache = unet.cache_kv()
    turn = torch.linspace(0, 6.28, frames)[:, None, None, None]
    place = torch.rand(1, WIDTHS[0], SIDE, SIDE) * 6.28
    pose = torch.sin(turn + place)  # (frames, widths[0], h, w)

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            hint = pose[list(window.frames)].transpose(0, 1)[None]
            clip = part.transpose(0, 1)[None]
            return unet(clip, timestep, kv_cache, pose=hint)[0].transpose(0, 1)

        return predict

    noise = frame_noise((CONFIG.in_channels, SIDE, SIDE), seed, frame=0)
    start = noise.expand(frames, -1, -1, -1)
    *_, latents = denoise(start, scheduler, step_fn, cut)
    return latents


def borders(windows: list[ContextWindow], frames: int) -> set[int]:
    """Frames before which some window begins, or after the one before which one ends."""
    found = set()
    for window in windows:
        listed = set(window.frames)
        found |= {i for i in range(1, frames) if (i in listed) != (i - 1 in listed)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--system", choices=SYSTEMS, default="animate-anyone")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--window", type=int, help="frames; otherwise as published")
    parser.add_argument("--overlap", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=6)
    chosen = parser.parse_args()
    system = SYSTEMS[chosen.system]
    frames, size = chosen.frames, chosen.window or system.window
    overlap = chosen.overlap

    fixed = uniform_windows(frames, size, overlap)
    ways: dict[str, Cut] = {
        "uniform": lambda step: fixed,
        "moving": lambda step: moving_windows(frames, size, overlap, step=step),
    }
    print(f"{frames} frames, windows of {size}, overlap {overlap}, {chosen.steps} steps")
    print(
        "way                      at uniform's borders   own last borders   joined   calls"
    )
    with torch.inference_mode():
        for way, cut in ways.items():
            figures = []
            for seed in range(chosen.seeds):
                unet = random_unet(system.config, seed)
                scheduler = Scheduler("ddim", system.schedule, chosen.steps)
                latents = render(unet, scheduler, cut, frames, seed)
                jump = (latents[1:] - latents[:-1]).square().mean((1, 2, 3)).sqrt()
                wrap = (latents[0] - latents[-1]).square().mean().sqrt()
                figures.append(
                    [
                        ratio(jump, borders(fixed, frames)),
                        ratio(jump, borders(cut(chosen.steps - 1), frames)),
                        float(wrap / jump.mean()),
                    ]
                )
            at, own, joined = torch.tensor(figures).mean(0).tolist()
            calls = sum(len(cut(step)) for step in range(chosen.steps))
            print(f"{way:24} {at:20.3f} {own:18.3f} {joined:8.3f} {calls:7}")


def ratio(jump: Tensor, at: set[int]) -> float:
    """The mean step into frames `at` against the mean step into all others."""
    chosen = torch.zeros(len(jump), dtype=torch.bool)
    chosen[[i - 1 for i in at]] = True
    return float(jump[chosen].mean() / jump[~chosen].mean()) if at else 1.0


if __name__ == "__main__":
    main()
