"""Every diffusion renderer with networks of a few thousand weights, and a request."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray

from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.presets import Preset
from animcli.rendering.animate_anyone import AnimateAnyone
from animcli.rendering.renderer import FrameFn, Renderer, RenderRequest
from builders import tiny_renders
from builders.small_tiny import SMALL
from builders.tiny_cinemo import TINY_CINEMO, write_tiny_cinemo
from builders.tiny_networks import (
    TINY,
    TINY_MAGIC,
    VAE,
    random,
    save,
    write_tiny_magic_weights,
    write_tiny_weights,
)
from builders.tiny_renders import Kept

SMALL_TINY = AnimateAnyone(SMALL, "tiny")

NAMES = ("animate-anyone", "tiny", "magic-animate", "cinemo")

SIZES = {"magic-animate": (64, 72), "cinemo": (40, 32)}


def system(
    name: str, folder: Path, frames: int, **changes: object
) -> tuple[Renderer, RenderRequest]:
    """A renderer whose weights are new in the folder, and a request of several windows.

    changes: keys of the preset.
    """
    renderer: Renderer
    if name == "animate-anyone":
        renderer, weights = TINY, write_tiny_weights(folder)
    elif name == "tiny":
        renderer, weights = SMALL_TINY, write_small_tiny(folder)
    elif name == "magic-animate":
        renderer, weights = TINY_MAGIC, write_tiny_magic_weights(folder)
    else:
        renderer, weights = TINY_CINEMO, write_tiny_cinemo(folder)
    asked = tiny_renders.request(weights, frames)
    width, height = size = SIZES.get(name, asked.size)
    words = {"prompt": "hop", "decoder": "frame"} if name == "cinemo" else {}
    preset = replace(
        Preset("small", renderer=name, width=width, height=height),
        steps=3, window=6 if name != "cinemo" else 5, overlap=2, guidance=2.0,
    )  # fmt: skip
    preset = replace(preset, **{**words, **changes})
    asked = replace(asked, preset=preset, size=size, reference=np.stack(noise(size, 1))[0])
    if name == "tiny":
        assert asked.motion is not None
        first = replace(
            asked.motion,
            points=asked.motion.points[:1],
            scores=asked.motion.scores[:1],
            ticks=asked.motion.ticks[:1],
        )
        return renderer, replace(asked, reference_pose=first)
    if name == "animate-anyone":
        return renderer, asked
    control = clip_of(noise(size, frames)) if name == "magic-animate" else None
    return renderer, replace(asked, motion=None, control=control)


def noise(size: tuple[int, int], count: int) -> list[NDArray[np.uint8]]:
    """Pictures of noise, always the same."""
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(count)]


def clip_of(pictures: list[NDArray[np.uint8]]) -> FrameFn:
    """Pictures as frames."""

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        return (pictures[index] for index in span)

    return frames


def draw(
    renderer: Renderer, asked: RenderRequest, kept: Kept | None = None
) -> NDArray[np.uint8]:
    """All frames of a request, going on from what is kept."""
    source = renderer.prepare(asked, kept or Kept(), lambda what, done, total: None)
    return np.stack(list(source(range(asked.frames))))


def write_small_tiny(root: Path) -> dict[str, Path]:
    """The entry of `tiny` in its layout, with networks of a few thousand random weights."""
    folder = root / "tiny"
    (folder / "vae").mkdir(parents=True)
    torch.manual_seed(0)
    unet = random(UNet(SMALL.unet)).state_dict()
    motion = {name: x for name, x in unet.items() if "motion_modules" in name}
    save(motion, folder / "motion_module")
    save({k: x for k, x in unet.items() if k not in motion}, folder / "denoising_unet")
    reference = random(ReferenceNet(replace(SMALL.unet, motion=None)))
    save(reference.state_dict(), folder / "reference_unet")
    save(random(SMALL.guider()).state_dict(), folder / "pose_guider")
    token = {"image_token": torch.randn(1, 1, SMALL.unet.context_dim)}
    save(token, folder / "image_token")
    config = {**VAE, "latent_channels": SMALL.unet.in_channels}
    vae = random(AutoencoderKL.from_config(config))
    save(vae.state_dict(), folder / "vae" / "diffusion_pytorch_model")
    (folder / "vae" / "config.json").write_text(json.dumps(config))
    return {"tiny": folder}
