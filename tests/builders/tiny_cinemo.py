"""Cinemo with networks of a few thousand random weights, in the published layout."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
    AutoencoderKLTemporalDecoder,
)
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from animcli.networks.unet import MotionUNet
from animcli.networks.unet_blocks import UNetConfig
from animcli.registry import RENDERERS
from animcli.rendering.cinemo import Cinemo
from builders.tiny_networks import TEXT, VAE, random, save

TINY_CINEMO = Cinemo(
    UNetConfig(
        block_channels=(32, 32), layers_per_block=1, attention=(True, False), heads=1,
        groups=4, context_dim=8, across_frames=True, over_time=True,
    ),
    motion_embed_dim=8,
)  # fmt: skip
TEMPORAL = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "block_out_channels": [32] * 4,
}  # fmt: skip


def tiny_cinemo() -> Cinemo:
    """What the catalog of renderers is told to call."""
    return TINY_CINEMO


def register_tiny_cinemo() -> None:
    """Let `--preset cinemo` render with these networks while the process lasts."""
    RENDERERS["cinemo"] = replace(
        RENDERERS["cinemo"], place="builders.tiny_cinemo:tiny_cinemo"
    )


def write_tiny_cinemo(root: Path, cinemo: Cinemo = TINY_CINEMO) -> dict[str, Path]:
    """Name of the weights entry -> its new folder under `root`."""
    folder = root / "cinemo"
    for part in ("unet", "vae", "vae_temporal_decoder", "text_encoder"):
        (folder / part).mkdir(parents=True)
    torch.manual_seed(0)
    file = "diffusion_pytorch_model"
    unet = random(MotionUNet(cinemo.unet, cinemo.motion_embed_dim))
    save(unet.state_dict(), folder / "unet" / file)
    (folder / "unet" / "config.json").write_text("{}")
    for part, kind, config in (
        ("vae", AutoencoderKL, VAE),
        ("vae_temporal_decoder", AutoencoderKLTemporalDecoder, TEMPORAL),
    ):
        save(random(kind.from_config(config)).state_dict(), folder / part / file)
        (folder / part / "config.json").write_text(json.dumps(config))
    text = CLIPTextModel(CLIPTextConfig(**TEXT)).state_dict()
    published = {
        f"text_model.{name.removeprefix('text_model.')}": x for name, x in text.items()
    }
    save(published, folder / "text_encoder" / "model")
    (folder / "text_encoder" / "config.json").write_text(json.dumps(TEXT))
    write_tokenizer(folder / "tokenizer")
    return {"cinemo": folder}


def write_tokenizer(folder: Path) -> None:
    """A tokenizer that knows single letters, and CLIP's two marks at their places."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    words = {text: i for i, text in enumerate(letters + [f"{x}</w>" for x in letters])}
    words |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    marks = {
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
    }  # fmt: skip
    (folder / "special_tokens_map.json").write_text(json.dumps(marks))
    config = {**marks, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
