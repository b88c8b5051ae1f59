"""How much of its memory a call of the denoising UNet needs for features.

    python tests/benchmarks/diffusion_memory.py

counts the bytes of the tensors that are alive at once in a call, at the published shapes
and without any arithmetic (on torch's meta device), for a few sizes. It prints them for
each channel at the full size, latent position and frame: the figures that the estimate of
`anim render --dry-run` is made of. What a library needs besides, it doesn't see.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from animcli.networks.attention import FeedForward
from animcli.networks.unet import ANIMATE_ANYONE, MAGIC_ANIMATE, UNet

SIZES = [(8, 256, 256), (24, 256, 256), (16, 512, 512), (24, 512, 768)]  # frames, pixels
NETWORKS = {"animate-anyone": ANIMATE_ANYONE, "magic-animate": MAGIC_ANIMATE}


class Counter(TorchDispatchMode):
    """The bytes of all tensors that are made while it is on, and their peak."""

    def __init__(self, there: Sequence[Tensor]) -> None:
        """`there` were before, and don't count."""
        super().__init__()
        self._seen = {each.untyped_storage()._cdata for each in there}
        self._alive = 0
        self.peak = 0

    def __torch_dispatch__(
        self,
        operation: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self._alive += size
            self.peak = max(self.peak, self._alive)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._alive -= size


class InParts(FeedForward):
    """Works in parts as on a processor, where the meta device would work at once."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.net(rows) for rows in x.flatten(0, -2).split(1024)]
        return torch.cat(parts).view_as(x)


def features(unet: UNet, frames: int, width: int, height: int) -> int:
    """Bytes of what is alive at once in a call for one window."""
    place = (frames, height // 8, width // 8)
    latents = torch.empty(1, 4, *place)
    pose = torch.empty(1, unet.config.widths[0], *place)
    token, step = torch.empty(1, 1, unet.config.context), torch.tensor(500)
    sight = unet.see(token)
    with Counter([latents, pose, step, *unet.parameters(), *unet.buffers()]) as counter:
        unet(latents, step, sight, pose=pose)
    return counter.peak


def main() -> None:
    print("network          device      frames        size        MiB   values")
    for name, config in NETWORKS.items():
        for device in ("cpu", "cuda"):
            with torch.inference_mode(), torch.device("meta"):
                unet = UNet(config).eval().requires_grad_(False)
                if device == "cpu":
                    for module in unet.modules():
                        if isinstance(module, FeedForward):
                            module.__class__ = InParts
                for frames, width, height in SIZES:
                    if config.motion is None or frames <= config.motion.positions:
                        peak = features(unet, frames, width, height)
                        count = config.widths[0] * frames * width * height / 64
                        print(f"{name:16} {device:8} {frames:9} {width:6}x{height:<6}"
                              f"{peak / 2**20:10.0f} {peak / 4 / count:8.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
