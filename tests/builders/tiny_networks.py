"""Animate Anyone with networks of a few thousand random weights, in the store's layout."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import save_file
from torch import nn
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig
from transformers.models.clip.modeling_clip import (
    CLIPTextModel,
    CLIPVisionModelWithProjection,
)

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.networks.unet_blocks import MotionConfig, UNetConfig
from animcli.registry import RENDERERS
from animcli.rendering.animate_anyone import AnimateAnyone, AnimateAnyoneConfig
from animcli.rendering.magic_animate import MagicAnimate

SPATIAL = UNetConfig(
    block_channels=(16, 16),
    layers_per_block=1,
    attention=(True, False),
    heads=2,
    groups=4,
    context_dim=8,
)
MOTION = MotionConfig(max_frames=16, heads=2, groups=4)
TINY = AnimateAnyone(
    AnimateAnyoneConfig(replace(SPATIAL, motion=MOTION), guider_channels=(4, 4, 4, 4))
)
TINY_MAGIC = MagicAnimate(
    replace(
        TINY.unet, across_frames=True, motion=replace(MOTION, max_frames=12, middle=False)
    ),
    condition_channels=(4, 4, 4, 4),
)
TEXT = {
    "vocab_size": 49408, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 1, "max_position_embeddings": 77,
}  # fmt: skip
VAE = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "norm_num_groups": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [4] * 4, "layers_per_block": 1,
}  # fmt: skip
CLIP = {
    "hidden_size": 8, "intermediate_size": 8, "projection_dim": 8, "num_hidden_layers": 1,
    "num_attention_heads": 1, "patch_size": 112, "image_size": 224,
}  # fmt: skip


def write_tiny_weights(root: Path) -> dict[str, Path]:
    """Name of each weights entry that the renderer wants -> its new folder under `root`."""
    folders = {name: root / name for name in RENDERERS["animate-anyone"].weights}
    for folder in folders.values():
        folder.mkdir(parents=True)
    torch.manual_seed(0)
    unet = random(UNet(TINY.unet)).state_dict()
    one = folders["animate-anyone"]
    save({k: v for k, v in unet.items() if "motion_modules" in k}, one / "motion_module")
    save(
        {k: v for k, v in unet.items() if "motion_modules" not in k}, one / "denoising_unet"
    )
    save(random(ReferenceNet(SPATIAL)).state_dict(), one / "reference_unet")
    save(random(TINY.config.guider()).state_dict(), one / "pose_guider")
    clip, vae = folders["clip-image-encoder"], folders["sd-vae-ft-mse"]
    network = CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP))
    save(random(network).state_dict(), clip / "model")
    (clip / "config.json").write_text(json.dumps(CLIP))
    network = AutoencoderKL.from_config(VAE)
    save(random(network).state_dict(), vae / "diffusion_pytorch_model")
    (vae / "config.json").write_text(json.dumps(VAE))
    return folders


def write_tiny_magic_weights(root: Path) -> dict[str, Path]:
    """The same for MagicAnimate; with its own copy of the autoencoder."""
    folders = write_tiny_weights(root)
    own, base = root / "magic-animate", root / "sd15"
    for folder in (
        own / "appearance_encoder", own / "densepose_controlnet", base / "unet",
        base / "text_encoder",
    ):  # fmt: skip
        folder.mkdir(parents=True)
    file = "diffusion_pytorch_model"
    unet = random(UNet(TINY_MAGIC.unet)).state_dict()
    motion = {k: v for k, v in unet.items() if "motion_modules" in k}
    save(motion, own / "temporal_attention")
    save({k: v for k, v in unet.items() if k not in motion}, base / "unet" / file)
    encoder, controlnet = ReferenceNet(SPATIAL), ControlNet(SPATIAL, (4, 4, 4, 4))
    save(random(encoder).state_dict(), own / "appearance_encoder" / file)
    save(random(controlnet).state_dict(), own / "densepose_controlnet" / file)
    text = CLIPTextModel(CLIPTextConfig(**TEXT)).state_dict()
    published = {
        f"text_model.{name.removeprefix('text_model.')}": x for name, x in text.items()
    }
    save(published, base / "text_encoder" / "model")
    (base / "text_encoder" / "config.json").write_text(json.dumps(TEXT))
    return {"magic-animate": own, "sd15": base, "sd-vae-ft-mse": folders["sd-vae-ft-mse"]}


def random(network: nn.Module) -> nn.Module:
    """The network with no weight left at nothing, where new ones are silent."""
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


def save(state: dict[str, torch.Tensor], stem: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, stem.with_suffix(".safetensors"))
