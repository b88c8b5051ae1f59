"""Wan-Animate and its successor with a few random weights, as diffusers folders."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.rendering.newest.wan_animate_2 import ABOUT_DRIVING
from animcli.rendering.newest.wan_parts import PROMPT_TOKENS, encode_wan_prompts
from animcli.rendering.renderer import RenderRequest
from builders.tiny_networks import random

SIZE = (32, 48)
FOOTAGE = (60, 80)
VAE = {
    "base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}  # fmt: skip
TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 36,
    "latent_channels": 16, "out_channels": 16, "text_dim": 32, "freq_dim": 256,
    "ffn_dim": 32, "num_layers": 2, "image_dim": 4, "added_kv_proj_dim": 24,
    "rope_max_seq_len": 64, "motion_encoder_size": 16,
    "motion_encoder_channel_sizes": {"4": 16, "8": 16, "16": 16}, "motion_style_dim": 8,
    "motion_dim": 4, "motion_encoder_dim": 16, "face_encoder_hidden_dim": 16,
    "face_encoder_num_heads": 2, "inject_face_latents_blocks": 2,
}  # fmt: skip
CLIP = {
    "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 4,
    "patch_size": 1, "intermediate_size": 16,
}  # fmt: skip
TEXT = {
    "vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}  # fmt: skip
PRESET = Preset(
    "tiny", renderer="wan-animate", width=SIZE[0] * 2, height=SIZE[1] * 2, steps=3,
    guidance=1.0, segment=17, carry=1, sampler="unipc", shift=5.0, dtype="float32",
)  # fmt: skip


def write_tiny_wan(root: Path) -> dict[str, Path]:
    """The weights entry of Wan-Animate -> its new folder under `root`."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan_animate import (
        WanAnimateTransformer3DModel,
    )

    folder = root / "wan-animate"
    torch.manual_seed(0)
    random(WanAnimateTransformer3DModel(**TRANSFORMER)).save_pretrained(
        folder / "transformer"
    )
    random(AutoencoderKLWan(**VAE)).save_pretrained(folder / "vae")
    write_encoders(folder, CLIP)
    return {"wan-animate": folder}


def write_encoders(folder: Path, clip: Mapping[str, Any]) -> None:
    """The image encoder, the text encoder and its tokenizer of 64 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModel
    from transformers.models.umt5.configuration_umt5 import UMT5Config
    from transformers.models.umt5.modeling_umt5 import UMT5EncoderModel

    CLIPVisionModel(CLIPVisionConfig(**clip)).save_pretrained(folder / "image_encoder")
    UMT5EncoderModel(UMT5Config(**TEXT)).save_pretrained(folder / "text_encoder")
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    words |= {
        word: 3 + i
        for i, word in enumerate(["a", "person", "in", "the", "video", "dancing"])
    }
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")


def driving(frames: int, size: tuple[int, int]) -> PoseSequence:
    """Keypoints that wander by a pixel a frame."""
    points = np.random.default_rng(0).uniform(5, 25, (134, 2)).astype(np.float32)
    moving = points + np.arange(frames, dtype=np.float32)[:, None, None]
    ticks, base = even_ticks(frames, Fraction(30))
    return PoseSequence(moving, np.ones((frames, 134), np.float32), ticks, base, size)


def footage(span: range, size: tuple[int, int] = FOOTAGE) -> Any:
    """Pictures that are another in every frame."""
    for index in span:
        yield picture(100 + index, size)


def picture(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def wan_request(
    weights: Mapping[str, Path], frames: int, preset: Preset = PRESET, **changes: Any
) -> RenderRequest:
    preset = replace(preset, **changes)
    size = (preset.width, preset.height)
    words = np.random.default_rng(3).normal(size=(2, PROMPT_TOKENS, 32)).astype(np.float32)
    words[:, 9:] = 0
    return RenderRequest(
        reference=picture(1, size),
        reference_alpha=None,
        reference_pose=None,
        motion=driving(frames, size),
        control=lambda span: footage(span, size),
        frames=frames,
        size=size,
        preset=preset,
        weights=weights,
        device="cpu",
        footage=footage,
        source_motion=driving(frames, FOOTAGE),
        prompt_embeds=words,
    )


SECOND: dict[str, Any] = {
    "text_len": PROMPT_TOKENS, "in_dim": 36, "dim": 128, "ffn_dim": 256, "freq_dim": 64,
    "text_dim": 32, "out_dim": 16, "num_heads": 4, "num_layers": 2,
}  # fmt: skip
SECOND_CLIP = {
    "hidden_size": 1280, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 224, "patch_size": 56, "intermediate_size": 16,
}  # fmt: skip


def write_tiny_wan_2(root: Path) -> dict[str, Path]:
    """The weights entry of Wan-Animate-2 -> its new folder under `root`."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan_animate_2 import (
        WanAnimate2Transformer3DModel,
    )

    folder = root / "wan-animate-2"
    torch.manual_seed(0)
    network = random(WanAnimate2Transformer3DModel(**SECOND))
    network.save_pretrained(folder / "transformer")
    random(AutoencoderKLWan(**VAE)).save_pretrained(folder / "vae")
    write_encoders(folder, SECOND_CLIP)
    return {"wan-animate-2": folder}


WORDS_2 = ("in the video", "a person dancing", ABOUT_DRIVING)
PRESET_2 = replace(
    PRESET, renderer="wan-animate-2", width=64, height=64, steps=2, segment=9,
    guidance=2.0, sampler="dpmpp-2m",
)  # fmt: skip


def wan_2_request(weights: Mapping[str, Path], frames: int) -> RenderRequest:
    """A video to follow by Wan-Animate-2, whose words are encoded already."""
    words = encode_wan_prompts(
        weights["wan-animate-2"], WORDS_2, torch.device("cpu"), torch.float32, cleaned=False
    )
    asked = wan_request(weights, frames, PRESET_2)
    return replace(asked, motion=None, source_motion=None, prompt_embeds=words)
