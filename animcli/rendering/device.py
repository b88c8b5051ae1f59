"""Where the networks run, in which precision, and what to say when memory ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import torch

from animcli.errors import DeviceError

Precision = Literal["float32", "bfloat16", "float16"]

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


def free_memory(device: torch.device) -> None:
    """Give back what no tensor uses any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
