"""Which detector, on what, and which choices mean something to it."""

from collections.abc import Mapping

from animcli.cli.settings import Options, flag
from animcli.errors import DeviceError, UsageError
from animcli.stages.stage import Source


def check_detector(options: Options) -> None:
    """Raise UsageError where something was chosen that the detector knows nothing of."""
    from animcli.stages.detectors import runs_on_onnx  # numpy

    if runs_on_onnx(options.detector):
        return
    for name in ("every", "channels"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"{flag(name)} means nothing to the detector {options.detector}",
                "it is for --detector dwpose",
            )


def check_person(chosen: Mapping[str, object], motion: Source, name: str) -> None:
    """Raise UsageError where a person is to be chosen and joints are there already."""
    from animcli.stages.extract import ExtractStage

    if "person" in chosen and not isinstance(motion, ExtractStage):
        raise UsageError(
            f"--person is for footage, and {name} holds one person's joints",
            "choose where the joints are found: anim extract-pose VIDEO --person N",
        )


def check_device(chosen: Mapping[str, object], options: Options) -> None:
    """Raise UsageError or DeviceError for a device that the detector doesn't run on."""
    from animcli.stages.detectors import runs_on_onnx  # numpy

    device = chosen.get("device", "auto")
    if device == "mps":
        raise DeviceError(
            f"the detector {options.detector} doesn't run on mps", "--device cpu"
        )
    if device == "cuda" and not runs_on_onnx(options.detector):
        raise UsageError(
            f"the detector {options.detector} runs on the processor only",
            "leave --device out, or choose --detector dwpose",
        )


def detector_device(options: Options) -> str:
    """Where the detector runs: on the device of the rest if it can."""
    from animcli.stages.detectors import runs_on_onnx

    if not runs_on_onnx(options.detector) or options.device in ("cpu", "mps"):
        return "cpu"
    if options.device == "cuda":
        return "cuda"
    from animcli.pose.onnx_network import best_device  # onnxruntime takes a second

    return best_device()
