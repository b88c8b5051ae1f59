"""Cinemo's numbers: cases chosen by what they hold, networks shaped as the index says."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from animcli.networks.unet import MotionUNet
from animcli.networks.unet_blocks import UNetConfig
from builders.golden_set import GOLDENS, HERE, Case

WHOLE = GOLDENS / "cinemo"
FOLDER = WHOLE if WHOLE.is_dir() else HERE / "cinemo"

BLOCK = {"atol": 5e-5, "rtol": 1e-4}
"""What the index gives for the network and its blocks."""

LOOP = 1e-4
"""What it gives for latents after several steps, as a share of the largest value: they grow
a hundredfold, since the weights are random."""


@cache
def index() -> dict[str, Any]:
    return json.loads((FOLDER / "index.json").read_text())


@cache
def all_cases() -> tuple[Case, ...]:
    entries = index()["cases"].items()
    return tuple(Case(name, FOLDER, entry) for name, entry in entries)


def cases(*names: str, weights: bool = False) -> pytest.MarkDecorator:
    """The cases that hold all these tensors; a name with a star stands for any.

    weights: whether a case holds weights of its own.
    """
    found = [
        case
        for case in all_cases()
        if (FOLDER / case.entry["file"]).exists()
        and bool(case.entry.get("n_state_dict")) == weights
        and all(any(Path(held).match(n) for held in case.entry["tensors"]) for n in names)
    ]
    return pytest.mark.parametrize("case", found, ids=lambda case: case.name)


def unet_config(entry: dict[str, Any]) -> UNetConfig:
    """A network's shape from its config as diffusers writes it."""
    heads = entry["attention_head_dim"]  # the name is upstream's slip: it's their number
    return UNetConfig(
        in_channels=entry["in_channels"],
        block_channels=tuple(entry["block_out_channels"]),
        layers_per_block=entry["layers_per_block"],
        attention=tuple("CrossAttn" in kind for kind in entry["down_block_types"]),
        heads=heads if isinstance(heads, int) else tuple(heads),
        groups=entry["norm_num_groups"],
        context_dim=entry["cross_attention_dim"],
        across_frames=True,
        over_time=True,
    )


@cache
def unet_of(file: str) -> MotionUNet:
    """The network whose weights are in a file of the set, strictly, ready for inference."""
    (case,) = (case for case in all_cases() if case.entry["file"] == file)
    config = case.entry["config"]
    with torch.inference_mode(False):  # whoever asks first, others may train it
        unet = MotionUNet(unet_config(config), config["addition_time_embed_dim"])
        unet.load_state_dict(weights_of(case))
    return unet.eval()


def weights_of(case: Case) -> dict[str, Tensor]:
    """The weights of a case, without the angles' frequencies, which are no weights.

    The small set has the recipe in their place.
    """
    if cache_key := case.entry.get("weights"):
        random = torch.Generator().manual_seed(cache_key["seed"])
        shapes = cache_key["shapes"].items()
        return {name: drawn(name, torch.Size(shape), random) for name, shape in shapes}
    state = case.under("sd.")
    return {name: x for name, x in state.items() if not name.endswith("rotary_emb.freqs")}


def drawn(name: str, shape: torch.Size, random: torch.Generator) -> Tensor:
    """A weight as the set's were made: in the order of upstream's modules."""
    numbers = torch.randn(shape, generator=random)
    if name.endswith("relative_attention_bias.weight"):
        return numbers
    if len(shape) > 1:
        return numbers / shape[1:].numel() ** 0.5
    return 1 + 0.2 * numbers if name.endswith("weight") else 0.1 * numbers


def steps_of(case: Case, prefix: str) -> list[tuple[str, int]]:
    """Name and timestep of the tensors `<prefix>.step<i>_t<t>`, in order."""
    pattern = re.compile(rf"{re.escape(prefix)}\.step(\d+)_t(\d+)")
    found = [match for name in case.tensors if (match := pattern.fullmatch(name))]
    found.sort(key=lambda match: int(match[1]))
    return [(match[0], int(match[2])) for match in found]


def close(case: Case, actual: Tensor, name: str, **tolerance: float) -> None:
    """Raise unless `actual` is the case's tensor, whole; as blocks are compared if no other
    tolerance is given. ANIM_NOTE may name a file to note the differences in.
    """
    expected = case.tensors[name]
    if note := os.environ.get("ANIM_NOTE"):
        difference = (actual.double() - expected.double()).abs().max()
        share = difference / expected.double().abs().max()
        with Path(note).open("a") as file:
            file.write(f"{case.entry['file']}\t{name}\t{difference:.2g}\t{share:.2g}\n")
    torch.testing.assert_close(
        actual,
        expected,
        **(tolerance or BLOCK),
        msg=lambda text: f"{case.name}, {name}: {text}",
    )


def close_latents(case: Case, actual: Tensor, name: str) -> None:
    """Raise unless latents after some steps are the case's."""
    close(case, actual, name, rtol=0, atol=LOOP * float(case.tensors[name].abs().max()))
