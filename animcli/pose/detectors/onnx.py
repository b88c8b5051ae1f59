"""A network in an ONNX file, on the device that was asked for."""

from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from animcli.errors import DeviceError, WeightsError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

BROKEN = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NotImplemented,
    failures.RuntimeException,
)
"""What ONNX Runtime raises over files that are cut off, foreign or too new."""


def best_device() -> str:
    """The fastest kind of device that this ONNX Runtime is made for."""
    there = onnxruntime.get_available_providers()
    return "cuda" if PROVIDERS["cuda"] in there else "cpu"


class OnnxNetwork:
    """Loaded on first use. file: the `.onnx`. device: `cpu` or `cuda`.

    threads: that one run may use.
    """

    def __init__(self, file: Path, device: str, threads: int) -> None:
        if device not in PROVIDERS:
            raise DeviceError(
                f"ONNX models run on {' and '.join(PROVIDERS)}, not on {device}",
                "choose --device cpu for the detector",
            )
        self._file = file
        self._device = device
        self._threads = threads

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        if not self._file.is_file():
            raise WeightsError(
                f"{self._file}: the model isn't there",
                "get it with `anim weights pull dwpose`",
            )
        provider = PROVIDERS[self._device]
        if provider not in onnxruntime.get_available_providers():
            raise DeviceError(
                f"this ONNX Runtime has no {provider}",
                "install animcli[gpu] in place of animcli[cpu], or choose --device cpu",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Or its threads spin between runs, and take the cores that frames are decoded on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors: it would write warnings to stderr
        try:
            session = onnxruntime.InferenceSession(
                self._file, options, providers=[provider]
            )
        except BROKEN as error:
            raise WeightsError(
                f"{self._file}: isn't a whole ONNX model that this ONNX Runtime can run",
                "pull or import it again",
            ) from error
        obtained = session.get_providers()[0]
        if obtained != provider:  # it falls back without a word
            raise DeviceError(
                f"{self._file.name} was to run on {self._device}, "
                f"ONNX Runtime gave {obtained}",
                "check the driver and the CUDA libraries, or choose --device cpu",
            )
        return session

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the pictures it takes: `(n, 3, height, width)`."""
        shape = self._session.get_inputs()[0].shape
        if (
            len(shape) != 4
            or shape[1] != 3
            or not all(isinstance(d, int) for d in shape[2:])
        ):
            raise WeightsError(
                f"{self._file}: takes {shape}, (n, 3, height, width) was expected",
                "is it the right model?",
            )
        return shape[2], shape[3]

    @cached_property
    def batches(self) -> bool:
        """Whether it takes more than one picture at a time."""
        return not isinstance(self._session.get_inputs()[0].shape[0], int)

    def ask(self, array: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Its outputs for its one input, as it is."""
        name = self._session.get_inputs()[0].name
        outputs: list[NDArray[np.float32]] = self._session.run(None, {name: array})
        return outputs

    def run(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Its outputs for `(n, 3, height, width)`, whatever n it was made for."""
        name = self._session.get_inputs()[0].name
        if self.batches or len(pictures) == 1:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {name: pictures})
            return outputs
        runs = [self._session.run(None, {name: one[None]}) for one in pictures]
        return [np.concatenate(parts) for parts in zip(*runs, strict=True)]
