"""Pictures, clips and weights by the formulas of `evaluate/goldens.json`; its numbers."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

HERE = Path(__file__).parents[1] / "parity" / "evaluate"

Array = NDArray[np.uint8]


@cache
def numbers() -> dict[str, Any]:
    return json.loads((HERE / "goldens.json").read_text())


def network_answers() -> dict[str, NDArray[np.float32]]:
    with np.load(HERE / "networks.npz") as file:
        return dict(file)


def pictures() -> dict[str, Array]:
    """`a`, and four pictures that are compared with it, each (96, 64, 3)."""
    y, x, c = np.ogrid[:96, :64, :3]
    a = (3 * x + 5 * y + 40 * c + 60 * ((x // 8 + y // 8) % 2)) % 256
    noise = (7919 * x + 104729 * y + 1299709 * c) % 23 - 11
    b = np.clip(a[:, np.maximum(np.arange(64) - 2, 0)] + 6 + noise, 0, 255)
    small = (31 * x + 17 * y + 7 * c) % 11 - 5
    made = {
        "a": a,
        "b": b,
        "near": np.clip(a + small, 0, 255),
        "mid": 128 + 3 * small,
        "flat": np.full_like(a, 120),
        "self": a,
    }
    return {name: picture.astype(np.uint8) for name, picture in made.items()}


def clips() -> tuple[Array, Array]:
    """Two clips (8, 48, 64, 3): squares that move, and the same with noise."""
    f, y, x, c = np.ogrid[:8, :48, :64, :3]
    u = (x - 3 * f) % 64
    clip = (5 * u + 3 * y + 50 * c + 70 * ((u // 8 + y // 8) % 2)) % 256
    noise = (13 * x + 29 * y + 7 * f * f + 3 * c) % 9 - 4
    return clip.astype(np.uint8), np.clip(clip + noise, 0, 255).astype(np.uint8)


def video(frames: int, side: int) -> Array:
    """The clip (frames, side, side, 3) that the video networks have looked at."""
    f, y, x, c = np.ogrid[:frames, :side, :side, :3]
    squares = 64 * ((x // 16 + y // 16 + f // 4) % 2)
    return ((7 * x + 5 * y + 11 * f + 60 * c + squares) % 256).astype(np.uint8)


def made_up(name: str) -> dict[str, Tensor]:
    """Weights for a network, with the names, shapes and order of its published file."""
    listed = _listed(name)
    return {
        key: _made(number, key, *entry)
        for number, (key, entry) in enumerate(listed.items())
    }


def shapes(name: str) -> dict[str, list[int]]:
    """The shape of every tensor of a network's published file."""
    return {key: shape for key, (shape, _) in _listed(name).items()}


def load(network: nn.Module, name: str) -> nn.Module:
    """`network` with made-up weights, strictly but for a classifier's last layer."""
    kept = {k: v for k, v in made_up(name).items() if not k.startswith("fc.")}
    network.load_state_dict(kept)
    return network.eval()


def _listed(name: str) -> dict[str, tuple[list[int], str]]:
    return json.loads((HERE / "manifests.json").read_text())[name]


def _made(number: int, key: str, shape: list[int], dtype: str) -> Tensor:
    if dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64)
    drawn = np.random.RandomState(1000 + number).standard_normal(shape).astype(np.float32)
    if key.endswith("running_mean"):
        made = 0.1 * drawn
    elif key.endswith("running_var"):
        made = 1 + 0.2 * np.abs(drawn)
    elif len(shape) == 1:
        made = 1 + 0.1 * drawn if key.endswith("weight") else 0.1 * drawn
    else:
        made = drawn * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(made, np.float32))
