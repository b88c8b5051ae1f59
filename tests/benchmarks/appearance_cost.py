"""What MagicAnimate's appearance encoder costs, and what looking less often would change.

    python tests/benchmarks/appearance_cost.py

It looks at the reference anew at every step, since it is told how noisy the clip is. First
the operations of one step at the published shape are counted, on torch's meta device, so
that nothing is worked out: of the encoder, which looks once and for the conditional half
only; of the ControlNet; of the UNet, both halves of guidance. Windows of 16 frames share 4.

Then a clip is rendered with small random networks of the published structure, and the
encoder asked at every second, fourth ... step only, or once. `change` is how far the result
is from that of asking at every step, as a share of how far another reference picture moves
it: root mean squares of differences of latents.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from diffusion_speed import operations
from torch import Tensor

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import MAGIC_ANIMATE_UNET, KVCache, UNet
from animcli.networks.unet_blocks import UNetConfig
from animcli.rendering.context import uniform_windows
from animcli.rendering.guidance import Guidance
from animcli.rendering.magic_animate import predictor
from animcli.rendering.noise import clip_noise
from animcli.rendering.pipeline import denoise
from animcli.rendering.schedulers import MAGIC_ANIMATE_SCHEDULE as SCHEDULE
from animcli.rendering.schedulers import Scheduler

sys.path.insert(0, str(Path(__file__).parents[1]))
from builders.golden_set import golden_set, unet_config

WINDOW, OVERLAP = 16, 4
SIDE = 8  # latent positions each way, of what is rendered
FRAMES = 4
GUIDANCE = 7.5


class Seldom:
    """An appearance encoder that is asked at every `every`-th step, and repeats itself."""

    def __init__(self, encoder: ReferenceNet, every: int) -> None:
        self.see = encoder.cache_kv
        self._encoder, self._every = encoder, every
        self._asked = 0
        self._said: dict[str, Tensor] = {}

    def __call__(
        self, reference: Tensor, time: Tensor, kv_cache: KVCache
    ) -> dict[str, Tensor]:
        if self._asked % self._every == 0:
            self._said = self._encoder(reference, time, kv_cache)
        self._asked += 1
        return self._said


def counted(size: int) -> dict[str, int]:
    """Operations of one call at full size: a picture, a frame's residuals, a window."""
    side = size // 8
    with torch.device("meta"), torch.inference_mode():
        plain = UNetConfig()
        encoder, controlnet, unet = (
            ReferenceNet(plain),
            ControlNet(plain),
            UNet(MAGIC_ANIMATE_UNET),
        )
        text, time = torch.empty(1, 77, 768), torch.empty((), dtype=torch.int64)
        one = torch.empty(1, 4, side, side)
        clip = torch.empty(1, 4, WINDOW, side, side)
        picture = torch.empty(1, 3, 1, size, size)
        features = encoder(one, time, encoder.cache_kv(text))
        shown = unet.cache_kv(text, {p: x for p, x in features.items() if p[:4] != "down"})
        unguided, kv_cache = unet.cache_kv(text), controlnet.cache_kv(text)
        return {
            "encoder": operations(lambda: encoder(one, time, encoder.cache_kv(text))),
            "controlnet": operations(
                lambda: controlnet(clip[:, :, :1], time, kv_cache, picture)
            ),
            "window": operations(lambda: unet(clip, time, shown))
            + operations(lambda: unet(clip, time, unguided)),
        }


def rendered(every: int, reference: Tensor, steps: int) -> Tensor:
    """Clean latents (frames, 4, h, w) of a clip of random pictures to follow."""
    networks = golden_set("magic_animate")
    shapes = networks.shapes
    unet = networks.load(UNet(unet_config(shapes["unet"])), "unet")
    encoder = ReferenceNet(unet_config(shapes["appearance_encoder"]))
    networks.load(encoder, "appearance_encoder")
    steer = shapes["controlnet"]
    widths = tuple(steer["conditioning_embedding_out_channels"])
    controlnet = networks.load(ControlNet(unet_config(steer), widths), "controlnet")
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (FRAMES, SIDE, SIDE, 3), np.uint8)
    pictures = blocks.repeat(8, axis=1).repeat(8, axis=2)
    text = torch.randn(1, 7, steer["cross_attention_dim"], generator=seeded(1))
    step_fn = predictor(
        unet,
        Seldom(encoder, every),  # type: ignore[arg-type]
        controlnet,
        text,
        reference,
        lambda frame: pictures[frame],
        Guidance(GUIDANCE),
        steps,
    )
    windows = uniform_windows(FRAMES, WINDOW, OVERLAP)
    noise = clip_noise("tiled", FRAMES, (4, SIDE, SIDE), 0)
    scheduler = Scheduler("ddim", SCHEDULE, steps)
    with torch.inference_mode():
        *_, latents = denoise(noise, scheduler, step_fn, lambda _: windows)
    return latents


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, nargs="*", default=[512, 256])
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--steps", type=int, default=25)
    chosen = parser.parse_args()
    print("size  frames  TFLOP a step: encoder  ControlNet   UNet   share of the encoder")
    for size in chosen.size:
        cost = counted(size)
        for frames in chosen.frames:
            windows = len(uniform_windows(frames, WINDOW, OVERLAP))
            parts = [cost["encoder"], frames * cost["controlnet"], windows * cost["window"]]
            shown = "  ".join(f"{part / 1e12:8.3f}" for part in parts)
            print(f"{size:4}  {frames:6}  {' ' * 11}{shown}  {parts[0] / sum(parts):14.1%}")
    reference, other = (torch.randn(1, 4, SIDE, SIDE, generator=seeded(s)) for s in (2, 3))
    exact = rendered(1, reference, chosen.steps)
    scale = (rendered(1, other, chosen.steps) - exact).square().mean().sqrt()
    print(f"asked at every n-th of {chosen.steps} steps: change")
    for every in (2, 4, chosen.steps):
        change = (rendered(every, reference, chosen.steps) - exact).square().mean().sqrt()
        print(f"{every:4}  {change / scale:.3f}")


if __name__ == "__main__":
    main()
