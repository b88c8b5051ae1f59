"""Tensors that the files of a weights entry must hold, checked when the files come in.

A file of other tensors would be taken, and be an error only when it is rendered with.
"""

from collections.abc import Mapping

import torch
from torch import nn

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
from animcli.rendering.loading import shapes_of_network
from animcli.weights.inspect import Shapes

SPATIAL = UNetConfig()
"""Stable Diffusion 1.5's."""
_FILE = "diffusion_pytorch_model.safetensors"
_MOTION = "motion_modules"


def expected_shapes(entry: str) -> Mapping[str, Shapes]:
    """File of an entry -> name and shape of each tensor in it.

    Files that aren't named hold networks of diffusers and transformers, or of detectors;
    and Animate Anyone's reference network, which is published with layers that it doesn't
    use, and trained without them.
    """
    with torch.device("meta"):
        match entry:
            case "animate-anyone":
                spatial, motion = _split(UNet(ANIMATE_ANYONE_UNET))
                return {
                    "denoising_unet.safetensors": spatial,
                    "motion_module.safetensors": motion,
                    "pose_guider.safetensors": shapes_of_network(
                        PoseGuider(SPATIAL.block_channels[0])
                    ),
                }
            case "magic-animate":
                _, motion = _split(UNet(MAGIC_ANIMATE_UNET))
                return {
                    f"appearance_encoder/{_FILE}": shapes_of_network(ReferenceNet(SPATIAL)),
                    f"densepose_controlnet/{_FILE}": shapes_of_network(ControlNet(SPATIAL)),
                    "temporal_attention.safetensors": motion,
                }
            case "cinemo":
                return {f"unet/{_FILE}": shapes_of_network(MotionUNet(CINEMO_UNET))}
            case "sd15":
                return {f"unet/{_FILE}": shapes_of_network(UNet(SPATIAL))}
    return {}


def _split(
    network: nn.Module,
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Those of the layers within a frame, and those of the motion modules."""
    shapes = shapes_of_network(network)
    motion = {name: shape for name, shape in shapes.items() if _MOTION in name}
    return {k: v for k, v in shapes.items() if k not in motion}, motion
