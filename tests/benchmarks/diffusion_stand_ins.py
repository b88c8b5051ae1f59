"""Write files in the layout of the published weights, at full size, of random numbers.

    python tests/benchmarks/diffusion_stand_ins.py FOLDER

writes what `anim weights import` takes for Animate Anyone and what it goes with: 10.2 GB. A
render with them is noise, and costs what a real one costs.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from animcli.networks.levels import UNetConfig
from animcli.networks.pose_guider import PoseGuider
from animcli.networks.unet import ANIMATE_ANYONE, UNet

VAE = {  # sd-vae-ft-mse
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
CLIP = {  # ViT-L/14
    "hidden_size": 1024,
    "image_size": 224,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "projection_dim": 768,
}


def main(folder: Path) -> None:
    for part in ("animate", "vae", "image_encoder"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    unet = shapes_of(lambda: UNet(ANIMATE_ANYONE))
    motion = {name: shape for name, shape in unet.items() if "motion_modules" in name}
    plain = shapes_of(lambda: UNet(UNetConfig()))
    reference = {
        k: v for k, v in plain.items() if not k.startswith(("conv_norm_out", "conv_out"))
    }
    guider = shapes_of(lambda: PoseGuider(320))
    for name, shapes in {
        "denoising_unet": plain,
        "reference_unet": reference,
        "motion_module": motion,
        "pose_guider": guider,
    }.items():
        torch.save(random_tensors(shapes), folder / "animate" / f"{name}.pth")
    clip = CLIPVisionConfig(**CLIP)
    shapes = shapes_of(lambda: CLIPVisionModelWithProjection(clip))
    torch.save(random_tensors(shapes), folder / "image_encoder" / "pytorch_model.bin")
    (folder / "image_encoder" / "config.json").write_text(json.dumps(CLIP))
    shapes = shapes_of(lambda: AutoencoderKL.from_config(VAE))
    save_file(
        random_tensors(shapes), folder / "vae" / "diffusion_pytorch_model.safetensors"
    )
    (folder / "vae" / "config.json").write_text(json.dumps(VAE))


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in build().state_dict().items()}


def random_tensors(shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Weights that keep the size of what goes through them, norms of 1, biases of 0."""
    numbers = torch.randn(1 << 22, generator=torch.Generator().manual_seed(0))
    made = {}
    for name, shape in shapes.items():
        count = shape.numel()
        if len(shape) >= 2:
            values = numbers.repeat(-(-count // len(numbers)))[:count].reshape(shape)
            made[name] = values * 0.8 / (count / shape[0]) ** 0.5
        else:
            made[name] = torch.full(shape, float(name.endswith("weight")))
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
