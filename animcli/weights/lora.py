"""LoRA: low-rank changes of a network's layers, added to its weights as they are loaded.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.
Files come in two namings. kohya's joins a layer's path by underscores
(`lora_unet_mid_block_attentions_0_proj_in.lora_down.weight`); diffusers' keeps its dots
(`unet.mid_block.attentions.0.proj_in.lora_A.weight`), with older endings beside it. Layers
are linear, or convolutions whose second factor is 1 by 1.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

import torch
from safetensors import safe_open
from torch import Tensor

from animcli.errors import WeightsError
from animcli.weights.convert import MOTION
from animcli.weights.inspect import Shapes, shapes_of

LoraPart = Literal["unet", "text"]
"""A network that a LoRA may change: the denoising one, or the text encoder."""

Factor = Literal["down", "up", "alpha"]

NAMED: Final = 3
"""Names that a message gives of many."""

KOHYA: Final = re.compile(r"lora_(unet|te)_(.+)\.(?:lora_(down|up)\.weight|(alpha))")

DIFFUSERS: Final = re.compile(
    r"(?:base_model\.model\.)?(?:(unet|text_encoder)\.)?(.+?)"
    r"(?:(?:\.lora|_lora|\.lora_linear_layer)\.(down|up)\.weight"
    r"|\.lora_(A|B)\.(?:default\.)?weight|\.(alpha))"
)

ROLES: Final[Mapping[str, Factor]] = {"A": "down", "B": "up"}

METADATA: Final = "lora_adapter_metadata"
"""Key under which diffusers keeps its settings, of all layers alike, if it keeps them."""


@dataclass(frozen=True)
class Lora:
    """A file, and how much of its change is wanted; 1 is all, less than 0 the opposite."""

    path: Path
    weight: float = 1.0

    @property
    def state(self) -> tuple[str, int, int, float]:
        """Identity of the file as it is now, and the weight."""
        stat = self.path.stat()
        return (str(self.path), stat.st_mtime_ns, stat.st_size, self.weight)


@dataclass(frozen=True, eq=False)
class Change:
    """Product of two factors, added to one layer's weights.

    down: (rank, in, ...). up: (out, rank, ...). scale: of the product.
    """

    down: Tensor
    up: Tensor
    scale: float

    def fits(self, shape: tuple[int, ...]) -> bool:
        """True if the product has as many rows and columns as a layer's weights."""
        return (
            self.up.flatten(1).shape[1] == len(self.down)
            and len(self.up) == shape[0]
            and self.down[0].numel() * shape[0] == torch.Size(shape).numel()
        )

    def product(self, shape: tuple[int, ...]) -> Tensor:
        """The change in the shape of the layer's weights, float32."""
        product = self.up.flatten(1).float() @ self.down.flatten(1).float()
        return (self.scale * product).reshape(shape)


def merged(weight: Tensor, changes: Sequence[Change]) -> Tensor:
    """Weights with changes added in order, float32; the same tensor without any."""
    if not changes:
        return weight
    total = weight.float()
    for change in changes:
        total = total + change.product(tuple(weight.shape))
    return total


def changes_for(
    loras: Iterable[Lora], part: LoraPart, shapes: Shapes
) -> dict[str, list[Change]]:
    """The changes of each tensor of a network, by its name.

    shapes: of the network's tensors.

    Raises WeightsError, with the first names, for a file that is no LoRA, of a kind that
    isn't read, or for another network.
    """
    found: dict[str, list[Change]] = {}
    layers = {name.removesuffix(".weight"): name for name in shapes}
    layers |= {layer.replace(".", "_"): name for layer, name in layers.items()}
    for lora in loras:
        lacking, other = [], []
        for layer, change in read_changes(lora, part).items():
            name = layers.get(layer) or layers.get(ours(layer))
            if name is None:
                lacking.append(layer)
            elif not change.fits(shapes[name]):
                sizes = f"{len(change.up)} by {change.down[0].numel()}"
                other.append(f"{layer} is {sizes}, expected {shapes[name]}")
            else:
                found.setdefault(name, []).append(change)
        parts = [
            f"{len(names)} {what} (first: {', '.join(names[:NAMED])})"
            for what, names in (("unknown layers", lacking), ("of another shape", other))
            if names
        ]
        if parts:
            raise WeightsError(
                f"{lora.path} doesn't fit: {'; '.join(parts)}",
                "a LoRA for Stable Diffusion 1.5 or its motion modules is wanted",
            )
    return found


def changes_part(lora: Lora, part: LoraPart) -> bool:
    """True if a file has changes for a network."""
    return bool(read_changes(lora, part))


def ours(layer: str) -> str:
    """The name here of a layer of a motion module in diffusers' naming."""
    name = f"{layer}.weight"
    for pattern, replacement in MOTION.renames:
        name = re.sub(pattern, replacement, name)
    return name.removesuffix(".weight")


def read_changes(lora: Lora, part: LoraPart) -> dict[str, Change]:
    """The changes of one network in a file, by layer as the file names it."""
    names, strange = list(shapes_of(lora.path)), []
    factors: dict[str, dict[Factor, str]] = {}
    for name in names:
        place = place_of(name)
        if place is None:
            strange.append(name)
        elif place[0] == part:
            factors.setdefault(place[1], {})[place[2]] = name
    strange += [
        name
        for each in factors.values()
        if not {"down", "up"} <= each.keys()
        for name in each.values()
    ]
    if strange:
        raise WeightsError(
            f"{lora.path}: {len(strange)} of {len(names)} tensors aren't those of a LoRA "
            f"(first: {', '.join(strange[:NAMED])})",
            "LoHa, LoKr, DoRA and whole networks aren't read as LoRA",
        )
    found: dict[str, Change] = {}
    with safe_open(lora.path, framework="pt") as file:
        usual = alpha_in(file.metadata() or {}, part)
        for layer, each in factors.items():
            down, up = file.get_tensor(each["down"]), file.get_tensor(each["up"])
            rank = len(down)
            alpha = rank if usual is None else usual
            if "alpha" in each:
                alpha = float(file.get_tensor(each["alpha"]))
            found[layer] = Change(down, up, lora.weight * alpha / rank)
    return found


def place_of(name: str) -> tuple[LoraPart, str, Factor] | None:
    """The network, the layer and the factor that a tensor's name says; None for others."""
    if (match := KOHYA.fullmatch(name)) is not None:
        where, layer, factor, alpha = match.groups()
        return ("text" if where == "te" else "unet", layer, cast(Factor, factor or alpha))
    if (match := DIFFUSERS.fullmatch(name)) is not None:
        where, layer, factor, letter, alpha = match.groups()
        layer = layer.replace(".processor.", ".")
        if layer.endswith(".to_out"):
            layer += ".0"
        part: LoraPart = "text" if where == "text_encoder" else "unet"
        named = factor or (ROLES[letter] if letter else alpha)
        return (part, layer, cast(Factor, named))
    return None


def alpha_in(metadata: Mapping[str, str], part: LoraPart) -> float | None:
    """The scale times the rank that diffusers noted for all layers of a network."""
    prefix = "unet" if part == "unet" else "text_encoder"
    try:
        alpha = json.loads(metadata.get(METADATA, "{}")).get(f"{prefix}.lora_alpha")
    except (ValueError, AttributeError):
        return None
    return float(alpha) if isinstance(alpha, int | float) else None
