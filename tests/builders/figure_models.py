"""ONNX models with the inputs and outputs of YOLOX and of DWPose that really find somebody.

They find figures of coloured dots on grey: each of the first 23 COCO-WholeBody keypoints
has its own red and green, and each of two people their own blue. The detector gives the box
around all dots of a person. The joint network looks for the dots of whoever has most dots
near the middle of the crop, and gives each one's centre.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from animcli.pose import keypoints as s
from animcli.pose.detectors.dwpose import (
    DETECTOR_FILE,
    MEAN,
    POSE_FILE,
    SPREAD,
    WHOLE_BODY_KEYPOINTS,
)
from animcli.pose.layouts import COCO_WHOLE_BODY

GREY = 128
DOTS = 23
BLUES = (200, 40)  # of the two people
LEVELS = (0, 60, 120, 180, 240)
COLOURS = np.array([(LEVELS[dot % 5], LEVELS[dot // 5]) for dot in range(DOTS)])
SEEN_SCORE = 0.9
NEAR = 14.0  # levels, by which a dot's colours may differ


# A figure 1 high whose dots don't cover one another.
FIGURE = np.zeros((s.KEYPOINTS, 2))
FIGURE[: s.FEET.stop] = [
    (0, -0.90), (0, -0.72), (-0.12, -0.72), (-0.20, -0.56), (-0.24, -0.40), (0.12, -0.72),
    (0.20, -0.56), (0.24, -0.40), (-0.08, -0.45), (-0.09, -0.22), (-0.10, -0.04),
    (0.08, -0.45), (0.09, -0.22), (0.10, -0.04), (-0.05, -0.95), (0.05, -0.95),
    (-0.10, -0.90), (0.10, -0.90),
    (0.17, 0.02), (0.21, -0.03), (0.08, 0.02), (-0.17, 0.02), (-0.21, -0.03), (-0.08, 0.02),
]  # fmt: skip


def figure(x: float, t: int, tall: float = 420, phase: float = 0) -> NDArray[np.float64]:
    """The figure standing at x, swaying and waving."""
    points = FIGURE * tall
    points[:, 0] += points[:, 1] * 0.15 * np.sin(0.11 * t + phase)
    for joint in (s.LEFT_WRIST, s.RIGHT_WRIST):
        points[joint] += 12 * np.array([np.cos(0.3 * t + phase), np.sin(0.3 * t)])
    return points + np.array([x, 620])


def draw(people: list[NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame of `(width, height)` with dots for up to two people.

    people: `(134, 2)` each, in our order; dots are drawn around body and feet.
    """
    frame = np.full((size[1], size[0], 3), GREY, np.uint8)
    rows = np.array(COCO_WHOLE_BODY.rows)
    for person, blue in zip(people, BLUES, strict=False):
        for dot in range(DOTS):
            [ours] = np.flatnonzero(rows == dot)
            colour = (*COLOURS[dot].tolist(), blue)
            place = np.round(person[ours] * 16).astype(int).tolist()
            cv2.circle(frame, place, 6 * 16, colour, -1, cv2.LINE_AA, 4)
    return frame


class Graph:
    """Puts a model together, node by node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: object, kind: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: object) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def save(self, file: Path, takes: list[object], gives: dict[str, list[object]]) -> None:
        graph = helper.make_graph(
            self.nodes,
            file.stem,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, takes)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in gives.items()
            ],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        onnx.save(model, file)


def write_models(folder: Path, *, batch: object = "n", rest: float = 0.0) -> Path:
    """Both models, into `folder`."""
    write_detector(folder / DETECTOR_FILE)
    write_pose(folder / POSE_FILE, batch, rest=rest)
    return folder


def write_detector(file: Path, side: int = 640) -> None:
    """Wants BGR 0..255: blue comes first, as the training had it."""
    g = Graph()
    blue = g.add("Slice", "input", *(g.constant([n], np.int64) for n in (0, 1, 1)))
    places = g.constant(np.arange(side))
    rows = []
    for person, level in enumerate(BLUES):
        off = g.add("Abs", g.add("Sub", blue, g.constant(level)))
        mask = g.add("Cast", g.add("Less", off, g.constant(30.0)), to=TensorProto.FLOAT)
        ends = []
        for axis in (2, 3):  # rows that have a dot, then columns
            shape = g.constant([side], np.int64)
            other = g.constant([0, 1, 5 - axis], np.int64)
            has = g.add("Reshape", g.add("ReduceSum", mask, other, keepdims=0), shape)
            any_there = g.add("Min", has, g.constant(1.0))
            last = g.add("ReduceMax", g.add("Mul", any_there, places), keepdims=1)
            back = g.add("Sub", g.constant(side - 1.0), places)
            first = g.add(
                "Sub",
                g.constant(side - 1.0),
                g.add("ReduceMax", g.add("Mul", any_there, back), keepdims=1),
            )
            ends.append((first, g.add("Add", last, g.constant(1.0))))
        (top, bottom), (left, right) = ends

        def middle(low: str, high: str) -> str:
            return g.add("Mul", g.add("Add", low, high), g.constant(0.5 / 8))

        def extent(low: str, high: str) -> str:
            wide = g.add("Max", g.add("Sub", high, low), g.constant(1.0))
            return g.add("Log", g.add("Mul", wide, g.constant(1 / 8)))

        found = g.add("ReduceMax", mask, keepdims=0)
        score = g.add("Reshape", found, g.constant([1], np.int64))
        # The first rows are cells (0, 0), (1, 0), ... of stride 8.
        across = g.add("Sub", middle(left, right), g.constant([float(person)]))
        numbers = (
            *(across, middle(top, bottom), extent(left, right), extent(top, bottom)),
            *(g.add("Mul", score, g.constant([0.95])), g.constant([1.0])),
            g.constant(np.zeros(79)),
        )
        rows.append(g.add("Concat", *numbers, axis=0))
    stacked = g.add("Concat", *rows, axis=0)
    cells = (side // 8) ** 2 + (side // 16) ** 2 + (side // 32) ** 2
    rest = g.constant(np.zeros(85 * (cells - len(BLUES))))
    whole = g.add("Concat", stacked, rest, axis=0)
    g.add("Reshape", whole, g.constant([1, cells, 85], np.int64), out="output")
    g.save(file, [1, 3, side, side], {"output": [1, cells, 85]})


def write_pose(
    file: Path, batch: object, size: tuple[int, int] = (384, 288), rest: float = 0.0
) -> None:
    """Wants normalised RGB; gives how near each class is to the centre of a joint's dot.

    rest: score of the keypoints without a dot, those of face and hands, wherever they are.
    """
    height, width = size
    g = Graph()
    levels = g.add(
        "Add",
        g.add("Mul", "input", g.constant(SPREAD.reshape(1, 3, 1, 1))),
        g.constant(MEAN.reshape(1, 3, 1, 1)),
    )
    one, two, three = (g.constant([n], np.int64) for n in (1, 2, 3))
    red = g.add("Slice", levels, g.constant([0], np.int64), one, one)
    green = g.add("Slice", levels, one, two, one)
    blue = g.add("Slice", levels, two, three, one)

    def near(plane: str, level: object) -> str:
        off = g.add("Abs", g.add("Sub", plane, g.constant(level)))
        return g.add("Cast", g.add("Less", off, g.constant(NEAR)), to=TensorProto.FLOAT)

    y, x = np.mgrid[:height, :width]
    bell = np.exp(
        -(((x - width / 2) / (width / 4)) ** 2 + ((y - height / 2) / height) ** 2)
    )
    weights, masks = [], []
    all_but_n = g.constant([1, 2, 3], np.int64)
    for level in BLUES:
        mask = near(blue, level)
        masks.append(mask)
        central = g.add("Mul", mask, g.constant(bell.reshape(1, 1, height, width)))
        weights.append(g.add("ReduceSum", central, all_but_n, keepdims=1))
    first = g.add("GreaterOrEqual", weights[0], weights[1])
    whose = g.add("Where", first, masks[0], masks[1])
    dots = g.add(
        "Mul",
        g.add("Mul", near(red, COLOURS[:, 0].reshape(1, -1, 1, 1)), whose),
        near(green, COLOURS[:, 1].reshape(1, -1, 1, 1)),
    )  # (n, 23, height, width)
    for name, grid, axis_size in (("simcc_x", x, width), ("simcc_y", y, height)):
        both = g.constant([2, 3], np.int64)
        weighted = g.add("Mul", dots, g.constant(grid.reshape(1, 1, height, width)))
        total = g.add("ReduceSum", dots, both, keepdims=1)
        area = g.add("Max", total, g.constant(1.0))
        centre = g.add("Div", g.add("ReduceSum", weighted, both, keepdims=1), area)
        seen = g.add("Min", g.add("Mul", total, g.constant(0.1)), g.constant(SEEN_SCORE))
        flat_shape = g.constant([0, 0, 1], np.int64)
        centre, seen = (g.add("Reshape", part, flat_shape) for part in (centre, seen))
        bins = g.constant((np.arange(2 * axis_size) / 2).reshape(1, 1, -1))
        away = g.add("Abs", g.add("Sub", bins, centre))
        # Exactly `seen` at the nearest class, falling by its distance beyond.
        peak = g.add("ReduceMin", away, axes=[2], keepdims=1)
        found = g.add("Sub", seen, g.add("Mul", g.add("Sub", away, peak), g.constant(0.01)))
        shape = g.add("Shape", found)
        rest_shape = g.add(
            "Concat",
            g.add("Slice", shape, g.constant([0], np.int64), one),
            g.constant([WHOLE_BODY_KEYPOINTS - DOTS, 2 * axis_size], np.int64),
            axis=0,
        )
        others = g.add("Expand", g.constant(rest), rest_shape)
        g.add("Concat", found, others, axis=1, out=name)
    g.save(
        file,
        [batch, 3, height, width],
        {
            "simcc_x": [batch, WHOLE_BODY_KEYPOINTS, 2 * width],
            "simcc_y": [batch, WHOLE_BODY_KEYPOINTS, 2 * height],
        },
    )
