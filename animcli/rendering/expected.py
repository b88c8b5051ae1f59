"""Tensors that the files of a weights entry must hold, checked when the files come in.

A file of other tensors would be taken, and be an error only when it is rendered with.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import nn

from animcli.errors import WeightsError
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
from animcli.rendering.loading import (
    TEXT_PREFIX,
    build_autoencoder,
    build_image_encoder,
    build_text_encoder,
    read_config,
    shapes_of_network,
)
from animcli.weights.inspect import Shapes

SPATIAL = UNetConfig()
"""Stable Diffusion 1.5's."""
_FILE = "diffusion_pytorch_model.safetensors"
_MOTION = "motion_modules"
_NO_NETWORK = (
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
)
"""Errors of libraries on configurations that make no sense to them."""


_Build: TypeAlias = Callable[[Mapping[str, object]], nn.Module]


def _of_diffusers(module: str, kind: str, config: Mapping[str, object]) -> nn.Module:
    built: Any = getattr(import_module(f"diffusers.models.{module}"), kind)
    network: nn.Module = built.from_config(config)
    return network


CONFIGURED: Final[Mapping[str, Mapping[str, _Build]]] = {
    "cinemo": {
        f"vae/{_FILE}": build_autoencoder,
        f"vae_temporal_decoder/{_FILE}": partial(
            _of_diffusers,
            "autoencoders.autoencoder_kl_temporal_decoder",
            "AutoencoderKLTemporalDecoder",
        ),
        "text_encoder/model.safetensors": build_text_encoder,
    },
    "ip-adapter": {"image_encoder/model.safetensors": build_image_encoder},
    "controlnet-openpose": {
        _FILE: partial(_of_diffusers, "controlnets.controlnet", "ControlNetModel")
    },
    "animatediff": {
        _FILE: partial(_of_diffusers, "unets.unet_motion_model", "MotionAdapter")
    },
}
"""Networks of diffusers and transformers, which their config.json describes. Those whose
published file is known by its digest can hold no other tensors."""


def expected_shapes(entry: str, paths: Mapping[str, Path]) -> Mapping[str, Shapes]:
    """File of an entry -> name and shape of each tensor in it.

    paths: where the entry's files are, by name.

    Raises WeightsError for a configuration that describes no such network.
    """
    with torch.device("meta"):
        return {**_published(entry), **_configured(entry, paths)}


def _configured(entry: str, paths: Mapping[str, Path]) -> dict[str, Shapes]:
    found: dict[str, Shapes] = {}
    for file, build in CONFIGURED.get(entry, {}).items():
        path = paths[f"{file.rpartition('/')[0]}/config.json".removeprefix("/")]
        config = read_config(path)
        try:
            shapes = shapes_of_network(build(config))
        except _NO_NETWORK as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WeightsError(
                f"{path} describes no network for {file}: {first}", "get it again"
            ) from error
        if build is build_text_encoder:
            shapes = {TEXT_PREFIX + x.removeprefix(TEXT_PREFIX): shapes[x] for x in shapes}
        found[file] = shapes
    return found


def _published(entry: str) -> dict[str, Shapes]:
    match entry:
        case "animate-anyone":
            spatial, motion = _split(UNet(ANIMATE_ANYONE_UNET))
            return {
                "denoising_unet.safetensors": spatial,
                "reference_unet.safetensors": shapes_of_network(ReferenceNet(SPATIAL)),
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
    return {}


def _split(
    network: nn.Module,
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Those of the layers within a frame, and those of the motion modules."""
    shapes = shapes_of_network(network)
    motion = {name: shape for name, shape in shapes.items() if _MOTION in name}
    return {k: v for k, v in shapes.items() if k not in motion}, motion
