"""A network in an ONNX file, on the device that was asked for."""

import io
from contextlib import redirect_stdout
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from animcli.errors import DeviceError, WeightsError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

ONNX_ERRORS = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NotImplemented,
    failures.RuntimeException,
)
"""Errors of ONNX Runtime over files that are cut off, foreign or too new."""


@cache
def load_cuda_libraries() -> None:
    """Load the CUDA libraries that came with Python packages, where ONNX Runtime can.

    Without it only those of the system are found, and of what `pip` put beside them none.
    """
    preload = getattr(
        onnxruntime, "preload_dlls", None
    )  # since 1.21, and not in all builds
    if preload is not None:
        with redirect_stdout(io.StringIO()):  # it prints what isn't there
            preload()


def built_for_cuda() -> bool:
    """Tell if this ONNX Runtime knows CUDA at all."""
    return PROVIDERS["cuda"] in onnxruntime.get_available_providers()


@cache
def best_onnx_device() -> str:
    """The fastest kind of device that this ONNX Runtime really runs on.

    That it was built for CUDA says nothing about a driver or libraries; a network of one
    operation is tried.
    """
    if not built_for_cuda():
        return "cpu"
    return "cuda" if provider_for(PROVIDERS["cuda"]) == PROVIDERS["cuda"] else "cpu"


def provider_for(wish: str) -> str:
    """The provider that a session gets which asks for one; it falls back without a word."""
    if wish == PROVIDERS["cuda"]:
        load_cuda_libraries()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it writes to file descriptor 2 behind our back
    session = onnxruntime.InferenceSession(identity_model(), options, providers=[wish])
    got: str = session.get_providers()[0]
    return got


def identity_model() -> bytes:
    """The smallest ONNX model: y = x, one number.

    Written as protocol buffer by hand, so that nothing but the runtime is needed. Numbers
    of fields: onnx.proto3 of ONNX 1.x.
    """

    def block(number: int, body: bytes) -> bytes:
        return bytes([number << 3 | 2, len(body)]) + body

    def count(number: int, value: int) -> bytes:
        return bytes([number << 3, value])

    one = block(2, block(1, count(1, 1)))  # shape: one dimension of length 1
    kind = block(2, block(1, count(1, 1) + one))  # a tensor of float32
    node = block(1, b"x") + block(2, b"y") + block(4, b"Identity")
    graph = block(1, node) + block(2, b"g")
    graph += block(11, block(1, b"x") + kind) + block(12, block(1, b"y") + kind)
    return count(1, 8) + block(7, graph) + block(8, count(2, 13))


class OnnxNetwork:
    """Loaded on first use. file: the `.onnx`. device: `cpu`, `cuda` or `cuda:1`.

    threads: that one run may use.
    """

    def __init__(self, file: Path, device: str, threads: int) -> None:
        kind, _, number = device.partition(":")
        if kind not in PROVIDERS:
            raise DeviceError(
                f"ONNX models run on {' and '.join(PROVIDERS)}, not on {device}",
                "--detector-device cpu",
            )
        self._kind, self._number = kind, int(number or 0)
        self._file = file
        self._threads = threads

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        if not self._file.is_file():
            raise WeightsError(
                f"{self._file}: the model isn't there",
                "get it with `anim weights pull dwpose`",
            )
        provider = PROVIDERS[self._kind]
        if provider not in onnxruntime.get_available_providers():
            raise DeviceError(
                f"this ONNX Runtime has no {provider}",
                "install animcli[gpu] in place of animcli[cpu], or: --detector-device cpu",
            )
        if self._kind == "cuda":
            load_cuda_libraries()
        chosen = {"device_id": self._number} if self._kind == "cuda" else {}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Or its threads spin between runs, and take the cores that frames are decoded on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors: it would write warnings to stderr
        try:
            session = onnxruntime.InferenceSession(
                self._file, options, providers=[(provider, chosen)]
            )
        except ONNX_ERRORS as error:
            raise WeightsError(
                f"{self._file}: isn't a whole ONNX model that this ONNX Runtime can run",
                "pull or import it again",
            ) from error
        obtained = session.get_providers()[0]
        if obtained != provider:  # it falls back without a word
            raise DeviceError(
                f"{self._file.name} was to run on {self._kind}, "
                f"ONNX Runtime gave {obtained}",
                "pip install 'onnxruntime-gpu[cuda,cudnn]' brings the libraries that it "
                "wants; --detector-device cpu works without",
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
        """Tell if it takes more than one picture at a time."""
        return not isinstance(self._session.get_inputs()[0].shape[0], int)

    def run_once(self, array: NDArray[np.generic]) -> list[NDArray[np.float32]]:
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
