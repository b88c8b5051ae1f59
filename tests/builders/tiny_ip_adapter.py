"""Stable Diffusion, IP-Adapter, ControlNet and AnimateDiff with a few random weights."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig
from transformers.models.clip.modeling_clip import (
    CLIPTextModel,
    CLIPVisionModelWithProjection,
)

from builders.tiny_cinemo import write_tokenizer
from builders.tiny_networks import CLIP, TEXT, VAE, random, save

FILE = "diffusion_pytorch_model"
SPATIAL: dict[str, Any] = {
    "in_channels": 4, "block_out_channels": (8, 8), "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "cross_attention_dim": 8, "attention_head_dim": 2, "norm_num_groups": 2,
}  # fmt: skip
UNET = {**SPATIAL, "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "sample_size": 8}
CONTROLNET = {**SPATIAL, "conditioning_embedding_out_channels": (4, 4, 4, 4)}
MOTION = {
    "block_out_channels": (8, 8), "motion_layers_per_block": 1, "motion_norm_num_groups": 2,
    "motion_num_attention_heads": 2, "motion_max_seq_length": 32,
    "use_motion_mid_block": False,
}  # fmt: skip
LOOKS = 4  # places of the network that look at words, and so at the picture


def write_tiny_ip_adapter(root: Path) -> dict[str, Path]:
    """Name of each weights entry that the renderers want -> its new folder under `root`."""
    torch.manual_seed(0)
    folders = {
        name: root / name
        for name in (
            "sd15",
            "sd-vae-ft-mse",
            "ip-adapter",
            "controlnet-openpose",
            "animatediff",
        )
    }
    base = folders["sd15"]
    write_network(base / "unet", UNet2DConditionModel, UNET)
    write_network(folders["sd-vae-ft-mse"], AutoencoderKL, VAE)
    write_network(folders["controlnet-openpose"], ControlNetModel, CONTROLNET)
    write_network(folders["animatediff"], MotionAdapter, MOTION)
    text = CLIPTextModel(CLIPTextConfig(**TEXT)).state_dict()
    named = {
        f"text_model.{name.removeprefix('text_model.')}": x for name, x in text.items()
    }
    (base / "text_encoder").mkdir()
    save(named, base / "text_encoder" / "model")
    (base / "text_encoder" / "config.json").write_text(json.dumps(TEXT))
    write_tokenizer(base / "tokenizer")
    encoder = folders["ip-adapter"] / "image_encoder"
    encoder.mkdir(parents=True)
    save(
        random(CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP))).state_dict(),
        encoder / "model",
    )
    (encoder / "config.json").write_text(json.dumps(CLIP))
    save(adapter_weights(), folders["ip-adapter"] / "ip-adapter_sd15")
    return folders


def write_network(folder: Path, kind: Any, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    network = random(kind(**config))
    save(network.state_dict(), folder / FILE)
    (folder / "config.json").write_text(json.dumps(config))


def adapter_weights() -> dict[str, torch.Tensor]:
    """IP-Adapter's file: a projection to four tokens, and a key and value at each look."""
    projection = {
        "image_proj.proj.weight": torch.randn(32, 8),
        "image_proj.proj.bias": torch.randn(32),
        "image_proj.norm.weight": torch.ones(8),
        "image_proj.norm.bias": torch.zeros(8),
    }
    pairs = {
        f"ip_adapter.{2 * look + 1}.to_{what}_ip.weight": torch.randn(8, 8)
        for look in range(LOOKS)
        for what in ("k", "v")
    }
    return projection | pairs
