"""How much memory Wan's transformer and decoder need for features, without any arithmetic.

    python tests/benchmarks/wan_memory.py

counts the bytes of the tensors that are alive at once on torch's meta device: in one block
of the published shape for each token and channel, and in the decoder for each pixel of a
frame. The figures in `animcli/rendering/newest/wan_memory.py` are from here. What kernels
need besides, and what a card's allocator leaves unused, they don't tell.
"""

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan_animate import (
    WanAnimateTransformer3DModel,
)
from diffusion_memory import Counter, weights

WIDTH, HEIGHT, SEGMENT = 480, 832, 77


def block() -> float:
    """Values alive at once in a network of one block, for each token and channel."""
    network = WanAnimateTransformer3DModel(
        num_layers=1, inject_face_latents_blocks=1, image_dim=1280, added_kv_proj_dim=5120
    ).eval()
    frames, height, width = (SEGMENT - 1) // 4 + 2, HEIGHT // 8, WIDTH // 8
    inputs = {
        "hidden_states": torch.empty(1, 36, frames, height, width),
        "timestep": torch.empty(1),
        "encoder_hidden_states": torch.empty(1, 512, 4096),
        "encoder_hidden_states_image": torch.empty(1, 257, 1280),
        "pose_hidden_states": torch.empty(1, 16, frames - 1, height, width),
        "face_pixel_values": torch.empty(1, 3, SEGMENT, 512, 512),
    }
    with Counter([*inputs.values(), *weights([network])]) as counter:
        network(**inputs, return_dict=False)
    tokens = frames * (height // 2) * (width // 2)
    return counter.peak / 4 / tokens / 5120


def decoder() -> float:
    """Values alive at once for each pixel of a frame."""
    network = AutoencoderKLWan().eval()
    latents = torch.empty(1, 16, 2, 32, 32)
    with Counter([latents, *weights([network])]) as counter:
        network.decode(latents, return_dict=False)
    return counter.peak / 4 / (256 * 256)


if __name__ == "__main__":
    with torch.inference_mode(), torch.device("meta"):
        print(f"values for a token and channel: {block():.1f}")
        print(f"values for a pixel, in five frames: {decoder():.0f}")
