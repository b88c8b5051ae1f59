"""Detectors that a command is told to use: their devices, and what concerns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from animcli.cli.config import Options, flag
from animcli.errors import DeviceError, UsageError
from animcli.pose.detectors.registry import detector_options, runs_on_onnx

if TYPE_CHECKING:
    from animcli.pipeline.stage import Source


def check_detector(options: Options) -> None:
    """Raise UsageError where something was chosen that the detector knows nothing of."""
    known = detector_options(options.detector)
    for name in ("detect_every", "bgr_input"):
        if getattr(options, name) is not None and name not in known:
            raise UsageError(
                f"{flag(name)} has no effect with the detector {options.detector}",
                "it is for --detector dwpose",
            )


def check_person(overrides: Mapping[str, object], motion: Source, name: str) -> None:
    """Raise UsageError where a person is to be chosen and keypoints are there already."""
    from animcli.stages.extract import ExtractStage
    from animcli.stages.reference import FindPose

    if "person" in overrides and not isinstance(motion, ExtractStage | FindPose):
        raise UsageError(
            f"--person is for footage, and {name} holds one person's keypoints",
            "choose where the keypoints are found: anim extract-pose VIDEO --person N",
        )


def check_device(overrides: Mapping[str, object], options: Options) -> None:
    """Raise UsageError or DeviceError for a device that the detector doesn't run on."""
    for name in ("detector_device", "device"):
        device = str(overrides.get(name, "auto"))
        if device == "mps":
            raise DeviceError(
                f"the detector {options.detector} doesn't run on mps",
                "--detector-device cpu",
            )
        if device.startswith("cuda") and "device" not in detector_options(options.detector):
            raise UsageError(
                f"the detector {options.detector} runs on the CPU only",
                f"leave {flag(name)} out, or choose --detector dwpose",
            )


def detector_device(options: Options) -> str:
    """Device of the detector: that of the rest if it can run there."""
    device = options.detector_device or options.device
    if "device" not in detector_options(options.detector) or device in ("cpu", "mps"):
        return "cpu"
    if device != "auto":
        return device
    if runs_on_onnx(options.detector):
        from animcli.pose.detectors.onnx import best_onnx_device  # onnxruntime: a second

        return best_onnx_device()
    from animcli.rendering.loading import best_device  # torch takes seconds

    return "cuda" if best_device() == "cuda" else "cpu"


def detector_note(options: Options) -> str:
    """A line where `auto` takes the CPU although ONNX Runtime is built for CUDA."""
    asked = options.detector_device or options.device
    if asked != "auto" or not runs_on_onnx(options.detector):
        return ""
    from animcli.pose.detectors.onnx import best_onnx_device, built_for_cuda

    if best_onnx_device() == "cuda" or not built_for_cuda():
        return ""
    return (
        f"{options.detector} runs on the CPU: ONNX Runtime's CUDA doesn't work here "
        "(anim doctor says why)"
    )
