"""How much of its memory a diffusion render needs for features.

    python tests/benchmarks/diffusion_memory.py --size 512x512

counts the bytes of the tensors that are alive at once, at the published shapes and without
any arithmetic (on torch's meta device): in a denoising step, from what the renderer keeps
of the reference to what it predicts for a window, for each channel at the full size and
each latent position; and in a decoder, for each pixel of its frames. The estimate of `anim
render --dry-run` is made of these figures. What a library needs besides, they don't tell.
"""

import argparse
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
    AutoencoderKLTemporalDecoder,
)
from diffusion_stand_ins import TEMPORAL_VAE, VAE
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from animcli.networks.attention import FeedForward
from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import (
    ANIMATE_ANYONE_UNET,
    CINEMO_UNET,
    MAGIC_ANIMATE_UNET,
    MotionUNet,
    UNet,
)
from animcli.presets import Preset
from animcli.rendering import animate_anyone, cinemo, magic_animate
from animcli.rendering.context import ContextWindow, StepFn
from animcli.rendering.features import FeatureCache
from animcli.rendering.guidance import Guidance
from animcli.rendering.newest import ip_adapter
from animcli.training.animate_anyone import TINY
from animcli.training.autoencoder import open_vae

SPATIAL = replace(MAGIC_ANIMATE_UNET, motion=None, across_frames=False)
GUIDED = Guidance(2)
STEPS = 2


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
        if operation.overloadpacket is torch.ops.aten.native_group_norm:
            result = (as_laid_out(result[0], args[0]), *result[1:])
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


def as_laid_out(result: Tensor, given: Tensor) -> Tensor:
    """A norm as a CPU lays it out, with channels last where they were.

    The meta device would have each later layer copy.
    """
    last = given.ndim == 4 and given.is_contiguous(memory_format=torch.channels_last)
    return result.contiguous(memory_format=torch.channels_last) if last else result


class InParts(FeedForward):
    """Works in parts as on a CPU, where the meta device would work at once."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.net(rows) for rows in x.flatten(0, -2).split(1024)]
        return torch.cat(parts).view_as(x)


def follow_skeleton(unet: UNet, others: Sequence[nn.Module], clip: Tensor) -> StepFn:
    """Animate Anyone, after its reference network and its pose guider are gone."""
    place, token = clip.shape[2:], torch.empty(1, 1, unet.config.context_dim)
    config = unet.config
    network = ReferenceNet(replace(config, motion=None))
    shown = animate_anyone.reference_features(
        network, torch.empty(1, config.in_channels, *place), token
    )
    pose = FeatureCache(lambda frame: torch.empty(config.block_channels[0], *place))
    return animate_anyone.predictor(unet, token, shown, pose, GUIDED, STEPS)


def follow_densepose(unet: UNet, others: Sequence[nn.Module], clip: Tensor) -> StepFn:
    """MagicAnimate."""
    encoder, controlnet = others
    height, width = (8 * side for side in clip.shape[2:])
    picture = np.zeros((height, width, 3), np.uint8)
    return magic_animate.predictor(
        unet, encoder, controlnet, torch.empty(1, 77, unet.config.context_dim),
        torch.empty(1, 4, *clip.shape[2:]), lambda frame: picture, GUIDED, STEPS,
    )  # fmt: skip


def follow_words(unet: MotionUNet, others: Sequence[nn.Module], clip: Tensor) -> StepFn:
    """Cinemo."""
    texts = torch.empty(3, 77, unet.config.context_dim)
    told = cinemo.encode_conditioning(unet, texts, 90, len(clip))
    return cinemo.predictor(told, clip[0], GUIDED, STEPS)


def adapter(
    renderer: ip_adapter.IPAdapter,
) -> tuple[Callable[..., StepFn], Callable[[], list[nn.Module]]]:
    """IP-Adapter's systems, whose networks are diffusers'."""

    def follow(unet: nn.Module, others: Sequence[nn.Module], clip: Tensor) -> StepFn:
        height, width = (8 * side for side in clip.shape[2:])
        preset = Preset("", width=width, height=height, steps=STEPS, guidance=2)
        return renderer.rehearse(preset, [unet, *others], clip)

    return follow, renderer.resident


SYSTEMS: Mapping[str, tuple[Callable[..., StepFn], Callable[[], list[nn.Module]]]] = {
    "animate-anyone": (follow_skeleton, lambda: [UNet(ANIMATE_ANYONE_UNET)]),
    "tiny": (follow_skeleton, lambda: [UNet(TINY.unet)]),
    "magic-animate": (
        follow_densepose,
        lambda: [UNet(MAGIC_ANIMATE_UNET), ReferenceNet(SPATIAL), ControlNet(SPATIAL)],
    ),
    "cinemo": (follow_words, lambda: [MotionUNet(CINEMO_UNET)]),
    "ipa-controlnet": adapter(ip_adapter.controlnet()),
    "ipa-controlnet-video": adapter(ip_adapter.controlnet_video()),
    "animatediff": adapter(ip_adapter.animatediff()),
}


def features(name: str, device: str, frames: int, place: tuple[int, int]) -> float:
    """Values alive at once for each channel and latent position, in windows of `frames`."""
    follow, build = SYSTEMS[name]
    networks = [network.eval().requires_grad_(False) for network in build()]
    for network in networks:  # as they are loaded
        network.to(memory_format=torch.channels_last)
    if device == "cpu":
        for module in (each for network in networks for each in network.modules()):
            if isinstance(module, FeedForward):
                module.__class__ = InParts
    config = networks[0].config  # ours, or diffusers'
    channels = getattr(config, "channels", None) or config.in_channels
    first_width = (getattr(config, "widths", None) or config.block_out_channels)[0]
    clip = torch.empty(frames, channels, *place)
    window = ContextWindow(tuple(range(frames)), (1.0,) * frames)
    with Counter([clip, *weights(networks)]) as counter:
        step_fn = follow(networks[0], networks[1:], clip)
        counter.peak = 0  # of what went before, which may have had networks of its own
        predict = step_fn(0, torch.tensor(500), clip)
        for _ in range(2):  # the second has what the first left
            predict(clip, window)
    return counter.peak / 4 / first_width / (place[0] * place[1])


def decoding(build: Callable[[], nn.Module], frames: int, place: tuple[int, int]) -> float:
    """Values alive at once for each pixel of frames that are decoded together."""
    network = build().eval().requires_grad_(False).to("meta")
    latents = torch.empty(frames, network.config.latent_channels, *place)
    more = {"num_frames": frames} if frames > 1 else {}
    with Counter([latents, *weights([network])]) as counter:
        network.decode(latents, **more)  # type: ignore[operator]
    return counter.peak / 4 / (frames * place[0] * place[1] * 64)


def weights(networks: Sequence[nn.Module]) -> Iterator[Tensor]:
    for network in networks:
        yield from network.parameters()
        yield from network.buffers()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", default="512x512", help="pixels")
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    chosen = parser.parse_args()
    width, height = (int(side) // 8 for side in chosen.size.split("x"))
    place = (height, width)
    print("network          device    a frame of a window     once")
    with torch.inference_mode(), torch.device("meta"):
        for name in chosen.systems:
            for device in ("cpu", "cuda"):
                one, nine = (features(name, device, frames, place) for frames in (1, 9))
                frame = (nine - one) / 8
                print(f"{name:16} {device:6} {frame:22.1f} {one - frame:8.1f}", flush=True)
        print("decoder          values for a pixel")
        plain = decoding(lambda: AutoencoderKL.from_config(VAE), 1, place)
        print(f"a frame {plain:27.0f}")
        print(f"a frame of tiny {decoding(open_vae, 1, place):19.0f}")
        over_time = lambda: AutoencoderKLTemporalDecoder.from_config(TEMPORAL_VAE)  # noqa: E731
        print(f"14 frames {decoding(over_time, 14, place):25.0f}")


if __name__ == "__main__":
    main()
