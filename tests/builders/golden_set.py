"""The numbers of the original systems: where they are, what is in them, their weights.

A set is a folder with `index.json`, one safetensors file per case, `*_config.json` with the
shapes of the networks, and sometimes the weights; where there are none they are made by the
recipe in `index.json`. Tests choose cases by the tensors that these hold, never by name.
"""

import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from animcli.networks.unet_blocks import MotionConfig, UNetConfig

HERE = Path(__file__).parents[1] / "parity"
SHARED = os.environ.get("ANIM_SHARED", str(HERE.parents[2] / "shared"))
GOLDENS = Path(os.environ.get("ANIM_GOLDENS", str(Path(SHARED) / "goldens")))

OFFSETS = {  # of each seed from the base seed; `index.json` has them as prose
    "denoising_unet": 1,
    "reference_unet": 2,
    "pose_guider": 3,
    "vae": 4,
    "image_encoder": 5,
    "unet": 1,
    "appearance_encoder": 2,
    "controlnet": 3,
    "text_encoder": 5,
    "motion_module": 9,
}


@dataclass(frozen=True)
class Case:
    """One file of a set."""

    name: str
    folder: Path
    entry: dict[str, Any]

    @property
    def tolerance(self) -> float:
        """Largest absolute difference that float32 rounding explains, by the set's index.

        Cases without one are held to the floor that all others share.
        """
        return self.entry.get("suggested_atol", 2e-5)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / self.entry["file"])

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, without the beginning."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


@dataclass(frozen=True)
class GoldenSet:
    """A folder of cases."""

    folder: Path

    @cached_property
    def index(self) -> dict[str, Any]:
        return json.loads((self.folder / "index.json").read_text())

    @cached_property
    def shapes(self) -> dict[str, Any]:
        """Network -> its config, as upstream wrote it."""
        (path,) = self.folder.glob("*_config.json")
        return json.loads(path.read_text())

    def cases(self, *names: str) -> list[Case]:
        """The cases that hold all these tensors; a name with a star stands for any."""
        found = []
        for name, entry in self.index["files"].items():
            held = entry.get("tensors", {})
            if (self.folder / entry["file"]).exists() and all(
                any(Path(tensor).match(wanted) for tensor in held) for wanted in names
            ):
                found.append(Case(name, self.folder, entry))
        return found

    def each(self, *names: str) -> pytest.MarkDecorator:
        """Run a test with each of those cases, as `case`."""
        found = self.cases(*names)
        return pytest.mark.parametrize("case", found, ids=lambda case: case.name)

    @cached_property
    def _stored(self) -> dict[str, Tensor]:
        files = [e["file"] for e in self.index["files"].values() if "counts" in e]
        stored: dict[str, Tensor] = {}
        for file in files:
            if (self.folder / file).exists():
                stored |= load_file(self.folder / file)
        return stored

    def load(
        self, network: nn.Module, name: str, stored: dict[str, Tensor] | None = None
    ) -> nn.Module:
        """`network` with the weights called `name`, strictly, ready for inference."""
        stored = self._stored if stored is None else stored
        own = network.state_dict()
        if f"{name}/{next(iter(own))}" in stored:
            weights = {key: stored[f"{name}/{key}"].float() for key in own}
        else:
            weights = {key: self._made(key, own[key], name) for key in own}
        network.load_state_dict(weights)
        return network.eval()

    def _made(self, key: str, like: Tensor, name: str) -> Tensor:
        """A weight by the set's recipe; tables that aren't learned stay as they are."""
        if key.endswith(".pe") or not like.is_floating_point():
            return like
        seed = self.index["_about"]["base_seed"] + OFFSETS[name]
        number = (zlib.crc32(key.encode()) ^ (seed * 2654435761)) % 2**31
        random = torch.randn(like.shape, generator=torch.Generator().manual_seed(number))
        if like.ndim >= 2:
            random = random * (0.8 / like[0].numel() ** 0.5)
        elif key.endswith("weight"):
            random = 1 + 0.15 * random
        else:
            random = 0.05 * random
        return random.half().float()


def golden_set(system: str) -> GoldenSet:
    """The whole set, where it is at hand, or else the small one that is kept here."""
    whole = GOLDENS / system
    return GoldenSet(whole if whole.is_dir() else HERE / system)


def unet_config(entry: dict[str, Any]) -> UNetConfig:
    """A network's shape from its config as diffusers writes it."""
    motion = entry.get("motion_module_kwargs") if entry.get("use_motion_module") else None
    return UNetConfig(
        in_channels=entry["in_channels"],
        block_channels=tuple(entry["block_out_channels"]),
        layers_per_block=entry["layers_per_block"],
        attention=tuple("CrossAttn" in kind for kind in entry["down_block_types"]),
        heads=entry["attention_head_dim"],  # the name is upstream's slip: it's their number
        groups=entry["norm_num_groups"],
        context_dim=entry["cross_attention_dim"],
        motion=motion
        and MotionConfig(
            max_frames=motion["temporal_position_encoding_max_len"],
            middle=entry["motion_module_mid_block"],
            heads=motion["num_attention_heads"],
        ),
        across_frames=motion is not None and not entry.get("use_inflated_groupnorm", False),
    )


def close(case: Case, actual: Tensor, name: str, tolerance: float | None = None) -> None:
    """Raise unless `actual` is the case's tensor, whole, to its tolerance."""
    torch.testing.assert_close(
        actual,
        case.tensors[name],
        rtol=0,
        atol=case.tolerance if tolerance is None else tolerance,
        msg=lambda text: f"{case.name}, {name}: {text}",
    )
