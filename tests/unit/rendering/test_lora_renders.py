"""MagicAnimate and Cinemo hear a LoRA in the denoising network and in the text encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_systems import draw, system
from safetensors.torch import load_file, save_file

from animcli.weights.lora import Lora

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

LAYERS = {
    "unet": "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    "text_encoder": "text_model.encoder.layers.0.mlp.fc1",
}


@pytest.mark.parametrize("name", ["magic-animate", "cinemo"])
def test_both_networks_hear_it(name: str, tmp_path: Path) -> None:
    renderer, asked = system(name, tmp_path, 3, steps=1)
    base = asked.weights["cinemo" if name == "cinemo" else "sd15"]
    plain = draw(renderer, asked)
    files = {"unet": "diffusion_pytorch_model", "text_encoder": "model"}
    for part, layer in LAYERS.items():
        state = load_file(base / part / f"{files[part]}.safetensors")
        out, entering = state[f"{layer}.weight"].shape
        factors = {
            f"{part}.{layer}.lora_A.weight": torch.randn(2, entering),
            f"{part}.{layer}.lora_B.weight": torch.randn(out, 2),
        }
        save_file(factors, tmp_path / f"{part}.safetensors")
        changed = replace(asked, loras=[Lora(tmp_path / f"{part}.safetensors", 3.0)])
        assert not np.array_equal(draw(renderer, changed), plain), part
