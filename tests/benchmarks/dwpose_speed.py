"""How fast whole-body joints come, beside rtmlib on the same ONNX files and clip.

    pip install --no-deps --target SOMEWHERE rtmlib==0.0.16
    PYTHONPATH=SOMEWHERE python tests/benchmarks/dwpose_speed.py

A 1080p clip is made, and two pairs of stand-in models with the inputs and outputs of
yolox_l and dw-ll_ucoco_384: `light` do next to nothing, so that all else is measured;
`real` do about the published numbers of operations (156 and 20 GFLOP). Decoding included
(rtmlib gets its frames from OpenCV, as in its examples), two threads each. rtmlib runs its
detector on every frame, as it does by default, and once more through its own tracker with
the detector at every tenth, as ours does. Runs take turns; the fastest of each counts. The
last line is one JSON object with the ratios of frames per second and of CPU time.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from animcli.pose.detectors.dwpose import (
    DETECTOR_FILE,
    POSE_FILE,
    WHOLE_BODY_KEYPOINTS,
    DWPose,
)
from animcli.video.reader import open_footage

THREADS = 2
SIZE = (1920, 1080)


def write_clip(file: Path, frames: int) -> None:
    """A drifting texture: enough for a decoder to do."""
    random = np.random.default_rng(0)
    texture = random.integers(0, 255, (SIZE[1] // 8, SIZE[0] // 4, 3), np.uint8)
    texture = cv2.resize(texture, (SIZE[0] * 2, SIZE[1]), interpolation=cv2.INTER_CUBIC)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in range(frames):
            picture = np.ascontiguousarray(texture[:, 4 * frame : 4 * frame + SIZE[0]])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))


def write_model(
    file: Path,
    size: tuple[int, int],
    shrink: int,
    convolutions: int,
    outputs: dict[str, np.ndarray],
) -> None:
    """A model that works through convolutions of 256 channels and answers a constant.

    shrink: by how much the picture is reduced before. The constant is added to nothing
    times the mean of what was worked out, or else nothing would be.
    """
    nodes, constants = [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    last = "input"
    random = np.random.default_rng(0)
    if convolutions:
        weights = constant("w", random.normal(size=(256, 3, shrink, shrink)) / 256)
        nodes.append(helper.make_node("Conv", [last, weights], ["x"], strides=[shrink] * 2))
        last = "x"
    for index in range(convolutions):
        weights = constant(f"w{index}", random.normal(size=(256, 256, 3, 3)) / 48)
        nodes.append(helper.make_node("Conv", [last, weights], [f"y{index}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"y{index}"], [f"x{index}"]))
        last = f"x{index}"
    nodes.append(
        helper.make_node("ReduceMean", [last], ["mean"], axes=[1, 2, 3], keepdims=0)
    )
    nodes.append(
        helper.make_node("Mul", ["mean", constant("nothing", np.zeros(1))], ["zero"])
    )
    nodes.append(helper.make_node("ReduceSum", ["zero"], ["scalar"], keepdims=0))
    for name, values in outputs.items():
        nodes.append(
            helper.make_node("Add", [constant(f"{name}_is", values), "scalar"], [name])
        )
    graph = helper.make_graph(
        nodes,
        file.stem,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape)
            for name, values in outputs.items()
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, file)


def write_models(folder: Path, real: bool) -> Path:
    """Both stand-ins: one person in the middle, joints spread over 70 % of each crop."""
    folder.mkdir()
    boxes = np.zeros((1, 8400, 85), np.float32)
    # Cell (40, 20) of stride 8: the middle of a 1080p frame of which 640 x 360 are left.
    boxes[0, 20 * 80 + 40, :6] = 0, 2.5, np.log(12), np.log(36), 0.95, 1
    write_model(folder / DETECTOR_FILE, (640, 640), 8, 20 if real else 0, {"output": boxes})
    random = np.random.default_rng(1)
    answers = {}
    for name, classes in (("simcc_x", 576), ("simcc_y", 768)):
        place = random.uniform(0.15, 0.85, WHOLE_BODY_KEYPOINTS)
        place[:2] = 0.15, 0.85
        answer = np.full((1, WHOLE_BODY_KEYPOINTS, classes), -0.1, np.float32)
        answer[0, np.arange(WHOLE_BODY_KEYPOINTS), (place * classes).astype(int)] = 0.9
        answers[name] = answer
    write_model(folder / POSE_FILE, (384, 288), 8, 10 if real else 0, answers)
    return folder


def ours(models: Path) -> Callable[[Path], int]:
    """Frames with somebody, counted."""
    detector = DWPose(models, threads=THREADS)

    def run(clip: Path) -> int:
        detector.restore((-1,))
        with open_footage(clip, fast_colour=True) as footage:
            pictures = (frame.picture for frame in footage.frames())
            return sum(bool(people) for people in map(detector.people, pictures))

    return run


def theirs(models: Path, detect_every: int) -> Callable[[Path], int]:
    """rtmlib on the same files."""
    from rtmlib import Custom, PoseTracker

    custom = partial(
        Custom,
        to_openpose=True,
        det_class="YOLOX",
        det=str(models / DETECTOR_FILE),
        det_input_size=(640, 640),
        pose_class="RTMPose",
        pose=str(models / POSE_FILE),
        pose_input_size=(288, 384),
        backend="onnxruntime",
        device="cpu",
    )
    find = (
        custom()
        if detect_every == 1
        else PoseTracker(
            custom, det_frequency=detect_every, to_openpose=True, tracking=False
        )
    )

    def run(clip: Path) -> int:
        capture = cv2.VideoCapture(str(clip))
        found = 0
        while True:
            there, frame = capture.read()
            if not there:
                return found
            points, _ = find(frame)
            found += len(points) > 0

    return run


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300, help="with the light models")
    parser.add_argument("--real-frames", type=int, default=10, help="with the real ones")
    parser.add_argument("--rounds", type=int, default=2)
    words = parser.parse_args()
    if importlib.util.find_spec("rtmlib") is None:
        sys.exit("rtmlib isn't here: see the top of this file for how to get it")
    cv2.setNumThreads(THREADS)
    told: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        for kind, frames in (("light", words.frames), ("real", words.real_frames)):
            clip = Path(place) / f"{kind}.mp4"
            write_clip(clip, frames)
            models = write_models(Path(place) / kind, real=kind == "real")
            runners = {
                "ours": ours(models),
                "rtmlib": theirs(models, 1),
                "rtmlib_every_tenth": theirs(models, 10),
            }
            for run in runners.values():
                run(clip)  # files are read, memory is there
            wall = dict.fromkeys(runners, float("inf"))
            busy = dict.fromkeys(runners, float("inf"))
            for _ in range(words.rounds):
                for name, run in runners.items():
                    start, start_busy = time.perf_counter(), time.process_time()
                    found = run(clip)
                    wall[name] = min(wall[name], time.perf_counter() - start)
                    busy[name] = min(busy[name], time.process_time() - start_busy)
                    if found != frames:
                        sys.exit(f"{name} found somebody in {found} of {frames} frames")
            for name, seconds in wall.items():
                cost = 1000 * busy[name] / frames
                print(
                    f"{kind:6}{name:20}{frames / seconds:8.1f} frames/s {cost:8.1f} ms busy"
                )
            for name in ("rtmlib", "rtmlib_every_tenth"):
                told[f"{kind}_ratio_to_{name}"] = round(wall[name] / wall["ours"], 2)
                told[f"{kind}_busy_ratio_to_{name}"] = round(busy[name] / busy["ours"], 2)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
