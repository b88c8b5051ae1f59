"""Networks from files of the weights store, strictly: all that fits, and nothing else.

A network is built without memory (on torch's meta device) and takes the tensors of its file
over, so that nothing is initialised only to be overwritten.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from animcli.errors import WeightsError
from animcli.weights.tensors import Shapes, read_tensors

N = TypeVar("N", bound=nn.Module)


def load_network(
    build: Callable[[], N],
    files: Mapping[str, Path],
    device: torch.device,
    dtype: torch.dtype,
    unused: tuple[str, ...] = (),
    prefix: str = "",
) -> N:
    """What `build` builds, with the weights in `files`, ready for inference.

    files: where the tensors are whose names contain the key; the first that fits counts, so
        that an empty key at the end stands for all others.
    unused: how the names begin of what the files hold and the network doesn't want.
    prefix: how names begin in the files; the network may leave it out.

    Raises WeightsError, naming the file and what is missing, unexpected or mis-shaped.
    """
    with torch.device("meta"):
        network = build()
    stored = {
        name if name.startswith(prefix) else prefix + name: name
        for name in network.state_dict()
    }
    own, state = shapes_of_network(network), {}
    wanted = {there: own[here] for there, here in stored.items()}
    for part, shapes in split(wanted, files).items():
        read = partial(read_tensors, files[part], shapes, unused=unused)
        for name, tensor in placed(read, device, dtype).items():
            state[stored[name]] = tensor
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False)
    return network.eval()


def placed(
    read: Callable[[], dict[str, Tensor]], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """The tensors of a file, where and as a network wants them.

    Reading maps the file, and all of its pages that were looked at are in memory for as
    long as any tensor lies in them. So what has to be copied comes from a mapping of its
    own, which goes, and only what fits as it is stays in the file: otherwise a UNet's
    convolutions are there twice, 2.2 GB more.
    """
    copies = {}
    for name, tensor in read().items():
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        rows = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
        copy = tensor.to(device, kind, memory_format=rows)
        if copy is not tensor:
            copies[name] = copy
    return read() | copies


def shapes_of_network(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a network has to be given."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def split(
    shapes: Shapes, parts: Mapping[str, object]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """`shapes` by the first part whose key is in the name."""
    found: dict[str, dict[str, tuple[int, ...]]] = {part: {} for part in parts}
    for name, shape in shapes.items():
        found[next(part for part in parts if part in name)][name] = shape
    return found


def load_autoencoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The autoencoder in an entry of the store that diffusers' layout has."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    config = read_config(folder / "config.json")
    return load_network(
        lambda: AutoencoderKL.from_config(config),
        {"": folder / "diffusion_pytorch_model.safetensors"},
        device,
        dtype,
    )


def load_image_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """CLIP's network for pictures, with its projection."""
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

    config = CLIPVisionConfig.from_dict(read_config(folder / "config.json"))
    network = load_network(
        lambda: CLIPVisionModelWithProjection(config),
        {"": folder / "model.safetensors"},
        device,
        dtype,
    )
    embeddings = network.vision_model.embeddings  # its table of places is in no file
    places = torch.arange(embeddings.num_positions, device=device)[None]
    embeddings.register_buffer("position_ids", places, persistent=False)
    return network


def load_text_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """CLIP's network for text."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    config = CLIPTextConfig.from_dict(read_config(folder / "config.json"))
    network = load_network(
        lambda: CLIPTextModel(config),
        {"": folder / "model.safetensors"},
        device,
        dtype,
        prefix="text_model.",  # which transformers 5 leaves out
    )
    embeddings = network.get_submodule(
        "embeddings" if hasattr(network, "embeddings") else "text_model.embeddings"
    )  # its table of places is in no file
    places = torch.arange(config.max_position_embeddings, device=device)[None]
    embeddings.register_buffer("position_ids", places, persistent=False)
    return network


def read_config(path: Path) -> dict[str, object]:
    """A network's settings as published beside it."""
    try:
        config: dict[str, object] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} can't be read: {error}", "get it again") from error
    return config
