"""Where the networks run, in which precision, and what to say when memory ends."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

import torch
from torch import nn

from animcli.errors import DeviceError

Precision = Literal["float32", "bfloat16", "float16"]

AtWork: TypeAlias = Callable[[nn.Module], AbstractContextManager[object]]
"""A stretch in which a network works, and is on the device."""

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def open_device(name: str) -> torch.device:
    """The device called `cuda`, `cuda:1`, `mps` or `cpu`.

    Raises DeviceError if this machine has none; there is no quiet fall back to another.
    """
    kind, _, number = name.partition(":")
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError(
                "no CUDA device here, or a torch without CUDA",
                "`anim doctor` says what is missing; --device cpu works everywhere",
            )
        if int(number or 0) >= count:
            raise DeviceError(f"no device {name}: there are {count}", "--device cuda:0")
        return torch.device(name)
    if kind == "mps" and torch.backends.mps.is_available():
        return torch.device("mps")
    raise DeviceError(f"no device {name} here", "--device cpu works everywhere")


def best_device() -> str:
    """The fastest kind of device that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def dtype_on(device: torch.device, precision: str) -> torch.dtype:
    """The dtype of a precision. Raises DeviceError where the device can't work in it."""
    if device.type == "cpu" and precision == "float16":
        raise DeviceError(
            "a processor has no arithmetic in float16", "--dtype bfloat16 or float32"
        )
    return DTYPES[precision]


@contextmanager
def enough_memory(doing: str, remedy: str) -> Iterator[None]:
    """Turn running out of memory in the block into a DeviceError with a remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(f"out of memory while {doing}", remedy) from error


def is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether an error of torch's is about memory; only CUDA's has a type of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def memory_of(device: torch.device) -> int | None:
    """Bytes that the device has in all; None where it shares the machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return None


@contextmanager
def visit(device: torch.device, network: nn.Module) -> Iterator[None]:
    """Have a network on the device, and afterwards in the machine's memory again."""
    network.to(device)
    try:
        yield
    finally:
        network.to("cpu")
        free_memory(device)


def check_compiler(device: torch.device) -> None:
    """Raise DeviceError where nothing can compile a network for the device."""
    if device.type == "cuda":
        found, wanted = find_spec("triton") is not None, "the package triton"
    else:
        names = (os.environ.get("CXX"), "g++", "clang++", "cl")
        found = any(shutil.which(name) for name in names if name)
        wanted = "a C++ compiler"
    if not found:
        raise DeviceError(
            f"compiling a network for {device.type} takes {wanted}, which isn't here",
            "--no-compiled renders without",
        )


def free_memory(device: torch.device) -> None:
    """Give back what no tensor uses any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
