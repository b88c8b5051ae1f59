"""Reading weights out of a pickle, without running what a pickle may hold.

A pickle is a program. Torch's restricted reader runs none of it but the rebuilding of
tensors. It doesn't stop a small file from claiming to be a huge one; that is checked here.
"""

import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from animcli.errors import WeightsError

GARBLED = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    AssertionError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch's reader and Python's raise on bytes that aren't what they take them for."""

UNSAFE = re.compile(r"GLOBAL ([\w.]+)")
"""How torch's reader names what it refused; for old files, which it can't list."""

ELSEWHERE = "get these weights as .safetensors, or from their published source"

WRAPPINGS = ("ema", "state_dict", "model")
"""Where a training run's file keeps its tensors, the best first."""


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickle by name, taken out of a training run's wrapping.

    They stay on the disk until they are used, where the file's format allows it.
    Raises WeightsError for code, for tensors larger than their data, for anything else.
    """
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _refuse_inflation(path)
            _refuse_code(path, torch.serialization.get_unsafe_globals_in_checkpoint(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is refused below anyway
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except GARBLED as error:
        _refuse_code(path, UNSAFE.findall(str(error)))
        raise WeightsError(f"{path} is damaged, or holds no weights", ELSEWHERE) from error
    tensors = _tensors(path, content)
    _refuse_claims(path, tensors)
    return tensors


def _refuse_inflation(path: Path) -> None:
    """Torch stores without compressing; what is larger inside than outside is a trap."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    inside = sum(member.file_size for member in members)
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or inside > path.stat().st_size:
        raise WeightsError(
            f"{path} unpacks to {inside:,} bytes from {path.stat().st_size:,}, which no "
            "file of weights does",
            ELSEWHERE,
        )


def _refuse_code(path: Path, names: list[str]) -> None:
    if names:
        raise WeightsError(
            f"{path} would run code when read ({', '.join(sorted(names))}); refused",
            ELSEWHERE,
        )


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    for wrapping in WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(wrapping), dict):
            content = content[wrapping]
            break
    if not isinstance(content, dict) or not content:
        kind = type(content).__name__
        raise WeightsError(f"{path} holds no tensors by name, but a {kind}", ELSEWHERE)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise WeightsError(f"{path} holds a {kind} as {name!r}", ELSEWHERE)
    return content


def _refuse_claims(path: Path, tensors: dict[str, Tensor]) -> None:
    """A tensor that repeats its data, or has none, can claim any size."""
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        claimed = tensor.numel() * tensor.element_size()
        if not plain or claimed > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"{path}: {name} claims {tensor.numel():,} values that aren't in the file",
                ELSEWHERE,
            )
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > 2 * path.stat().st_size:  # some share a tensor; none are all the same one
        raise WeightsError(
            f"{path} claims {total:,} bytes of tensors in {path.stat().st_size:,}",
            ELSEWHERE,
        )
