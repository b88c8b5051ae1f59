"""DensePose networks made in code, with the signature of the published one.

They take for a person whatever is brighter than the ground; its parts are told by bands of
brightness, so that a test can paint a figure part by part.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

SIDE = 112
STEP = 10
"""Levels of brightness between two parts: a pixel of level `10 * part` is of that part."""


class BandParts(nn.Module):
    """One person, whose box is the whole picture."""

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        height, width = picture.shape[1], picture.shape[2]
        box = torch.tensor([[0.0, 0.0, float(width), float(height)]])
        grey = picture.float().mean(dim=0)[None, None]
        small = nn.functional.interpolate(grey, size=(112, 112), mode="nearest")
        steps = 10.0 * torch.arange(25).reshape(1, 25, 1, 1)
        fine = -torch.abs(small - steps)
        coarse = torch.cat([5.0 - small, small - 5.0], dim=1)
        return box, coarse, fine, torch.zeros_like(fine), torch.zeros_like(fine)


class Nobody(nn.Module):
    """An empty street."""

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        fine = torch.zeros(0, 25, 112, 112)
        return torch.zeros(0, 4), torch.zeros(0, 2, 112, 112), fine, fine, fine


class Classifier(nn.Module):
    """Another network altogether."""

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.zeros(1, 4), torch.zeros(1, 2, 8, 8), torch.zeros(1, 80, 8, 8)


def write_torchscript(path: Path, network: nn.Module) -> None:
    torch.jit.script(network.eval()).save(path)


def write_onnx(path: Path, side: int) -> None:
    """`BandParts` for pictures of `side` x `side` pixels, a multiple of 112."""
    steps = STEP * np.arange(25, dtype=np.float32).reshape(1, 25, 1, 1)
    constants = {
        "box": np.array([[0, 0, side, side]], np.float32),
        "steps": steps,
        "floor": np.array(5, np.float32),
        "scale": np.array([1, 1, SIDE / side, SIDE / side], np.float32),
        "axes": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["picture"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["grey"], keepdims=1),
        helper.make_node("Unsqueeze", ["grey", "axes"], ["batch"]),
        helper.make_node(
            "Resize", ["batch", "", "scale"], ["small"], mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        ),
        helper.make_node("Sub", ["small", "steps"], ["off"]),
        helper.make_node("Abs", ["off"], ["away"]),
        helper.make_node("Neg", ["away"], ["fine"]),
        helper.make_node("Sub", ["floor", "small"], ["ground"]),
        helper.make_node("Sub", ["small", "floor"], ["body"]),
        helper.make_node("Concat", ["ground", "body"], ["coarse"], axis=1),
        helper.make_node("Identity", ["box"], ["boxes"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "bands",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [3, side, side])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4]),
            helper.make_tensor_value_info("coarse", TensorProto.FLOAT, [1, 2, SIDE, SIDE]),
            helper.make_tensor_value_info("fine", TensorProto.FLOAT, [1, 25, SIDE, SIDE]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def figure(side: int = 224) -> np.ndarray:
    """A picture of blocks, one for each part, `(side, side, 3)`; the ground is black."""
    blocks = np.zeros((28, 28), np.uint8)
    blocks[4:24:4, 4:24:4] = STEP * np.arange(25, dtype=np.uint8).reshape(5, 5)
    blocks[4:24] = np.maximum.reduce([np.roll(blocks, k, 0)[4:24] for k in range(3)])
    blocks = np.maximum.reduce([np.roll(blocks, k, 1) for k in range(3)])
    grown = np.kron(blocks, np.ones((side // 28, side // 28), np.uint8))
    return np.repeat(grown[..., None], 3, axis=2)
