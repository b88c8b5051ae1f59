"""Write files in the layout of the published weights, at full size, of random numbers.

    python tests/benchmarks/diffusion_stand_ins.py FOLDER --system cinemo
    ANIM_WEIGHTS=FOLDER/store anim weights import cinemo FOLDER/cinemo

A render with them is noise, and costs what a real one costs. Entries whose published
digests are known go into `FOLDER/store` at once, with a stamp that says what they are:
importing refuses anything else under their names. Animate Anyone takes 10.2 GB,
MagicAnimate 10.8 GB, Cinemo 4.9 GB.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
    AutoencoderKLTemporalDecoder,
)
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig
from transformers.models.clip.modeling_clip import (
    CLIPTextModel,
    CLIPVisionModelWithProjection,
)

from animcli.networks.controlnet import ControlNet, PoseGuider
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import (
    ANIMATE_ANYONE_UNET,
    CINEMO_UNET,
    MAGIC_ANIMATE_UNET,
    MotionUNet,
    UNet,
)
from animcli.networks.unet_blocks import UNetConfig
from animcli.weights.catalog import load_catalog
from animcli.weights.stamp import EntryStamp, stamped, write_stamp

sys.path.insert(0, str(Path(__file__).parents[1]))
from builders.tiny_cinemo import write_tokenizer

VAE = {  # sd-vae-ft-mse
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
TEMPORAL_VAE = {
    key: VAE[key] for key in VAE if key not in ("up_block_types", "norm_num_groups")
}
CLIP_VISION = {  # ViT-L/14
    "hidden_size": 1024,
    "image_size": 224,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "projection_dim": 768,
}
CLIP_TEXT = {  # of the same model
    "hidden_size": 768,
    "intermediate_size": 3072,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": 768,
    "vocab_size": 49408,
}
UNET_FILE = "diffusion_pytorch_model"

Shapes = Mapping[str, torch.Size]


def write_animate_anyone(folder: Path) -> None:
    motion = only_motion(shapes_of(lambda: UNet(ANIMATE_ANYONE_UNET)))
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
        write(folder / "animate-anyone" / f"{name}.pth", shapes)
    clip, store = CLIPVisionConfig(**CLIP_VISION), folder / "store"
    place = store / "clip-image-encoder"
    shapes = shapes_of(lambda: CLIPVisionModelWithProjection(clip))
    write(place / "model.safetensors", shapes, CLIP_VISION)
    write_vae(store / "sd-vae-ft-mse")
    for name in ("clip-image-encoder", "sd-vae-ft-mse"):
        stamp(store, name)


def write_magic_animate(folder: Path) -> None:
    own, store = folder / "magic-animate", folder / "store"
    plain = shapes_of(lambda: UNet(UNetConfig()))
    for part, shapes in {
        "appearance_encoder": shapes_of(lambda: ReferenceNet(UNetConfig())),
        "densepose_controlnet": shapes_of(lambda: ControlNet(UNetConfig())),
    }.items():
        write(own / part / f"{UNET_FILE}.safetensors", shapes, {})
    motion = only_motion(shapes_of(lambda: UNet(MAGIC_ANIMATE_UNET)))
    write(own / "temporal_attention" / "temporal_attention.ckpt", motion)
    write(store / "sd15" / "unet" / f"{UNET_FILE}.safetensors", plain, {})
    write_text(store / "sd15", "model.safetensors")
    write_vae(store / "sd-vae-ft-mse")
    for name in ("sd15", "sd-vae-ft-mse"):
        stamp(store, name)


def write_cinemo(folder: Path) -> None:
    own = folder / "cinemo"
    write(own / "unet" / f"{UNET_FILE}.bin", shapes_of(lambda: MotionUNet(CINEMO_UNET)), {})
    write_vae(own / "vae", ".bin")
    temporal = shapes_of(lambda: AutoencoderKLTemporalDecoder.from_config(TEMPORAL_VAE))
    write(own / "vae_temporal_decoder" / f"{UNET_FILE}.safetensors", temporal, TEMPORAL_VAE)
    write_text(own, "pytorch_model.bin")


SYSTEMS: Mapping[str, Callable[[Path], None]] = {
    "animate-anyone": write_animate_anyone,
    "magic-animate": write_magic_animate,
    "cinemo": write_cinemo,
}


def write_vae(folder: Path, suffix: str = ".safetensors") -> None:
    write(
        folder / f"{UNET_FILE}{suffix}",
        shapes_of(lambda: AutoencoderKL.from_config(VAE)),
        VAE,
    )


def write_text(folder: Path, name: str) -> None:
    """A text encoder, and a tokenizer that knows letters."""
    shapes = shapes_of(lambda: CLIPTextModel(CLIPTextConfig(**CLIP_TEXT)))
    published = {
        f"text_model.{key.removeprefix('text_model.')}": shapes[key] for key in shapes
    }
    write(folder / "text_encoder" / name, published, CLIP_TEXT)
    write_tokenizer(folder / "tokenizer")


def write(path: Path, shapes: Shapes, config: Mapping[str, object] | None = None) -> None:
    """A file of random tensors, with its config beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(random_tensors(shapes), path)
    else:
        torch.save(random_tensors(shapes), path)
    if config is not None:
        (path.parent / "config.json").write_text(json.dumps(config))


def stamp(store: Path, name: str) -> None:
    """Say of an entry in the store that it was made here."""
    files = {
        file.name: stamped(store / name / file.name) for file in load_catalog()[name].files
    }
    write_stamp(store / name, EntryStamp("random numbers", None, files))


def only_motion(shapes: Shapes) -> Shapes:
    return {name: shape for name, shape in shapes.items() if "motion_modules" in name}


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in build().state_dict().items()}


def random_tensors(shapes: Shapes) -> dict[str, Tensor]:
    """Weights that keep the size of what goes through them, norms of 1, biases of 0."""
    numbers = torch.randn(1 << 22, generator=torch.Generator().manual_seed(0))
    made = {}
    for name, shape in shapes.items():
        count = shape.numel()
        if len(shape) >= 2:
            values = numbers.repeat(-(-count // len(numbers)))[:count].view(shape).clone()
            made[name] = values * 0.8 / (count / shape[0]) ** 0.5
        else:
            made[name] = torch.full(shape, float(name.endswith("weight")))
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--system", choices=SYSTEMS, default="animate-anyone")
    chosen = parser.parse_args()
    SYSTEMS[chosen.system](chosen.folder)
