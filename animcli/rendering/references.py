"""Reference features on disk, for other processes that render the same character.

On a CUDA card looking at a reference takes a moment, and loading the networks that look
many seconds. So the next render of the same character, by whichever process, finds the
tensors here: files in the user's cache, the few that were used last. Nothing depends on
them; one that is damaged or can't be written is worked out again.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from animcli.errors import StorageError
from animcli.files import AtomicFile

REVISION: Final = 1
"""Raised whenever the same inputs give other tensors than before."""

BIT_CHANGING: Final = ("torch", "diffusers", "transformers")
"""Packages whose version may change their bits."""

MOST_FILES: Final = 8
"""About 40 MB each in half precision at 512x784."""

SHA256_BYTES: Final = 32


def folder() -> Path:
    """Folder of the files, in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("animcli", appauthor=False) / "references"


def shares(device: torch.device) -> bool:
    """Tell if processes share what is worked out on a device: not on a CPU, which looks for
    longer than it loads."""
    return device.type == "cuda"


def shared(
    digest: str, device: torch.device, work_out: Callable[[], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors on the device, from disk or worked out now; the same bits either way.

    digest: of all that they depend on, but for the card and the libraries.
    """
    if not shares(device):
        return dict(work_out())
    path = folder() / f"{_name(digest, device)}.safetensors"
    found = _read(path)
    if found is None:
        found = {name: x.cpu().contiguous() for name, x in work_out().items()}
        with suppress(OSError, StorageError):
            _write(path, found)
    return {name: x.to(device) for name, x in found.items()}


def _name(digest: str, device: torch.device) -> str:
    card = torch.cuda.get_device_name(device)
    parts = [digest, card, *(version(package) for package in BIT_CHANGING), str(REVISION)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(path: Path) -> dict[str, Tensor] | None:
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    head, body = data[:SHA256_BYTES], data[SHA256_BYTES:]
    return load(body) if hashlib.sha256(body).digest() == head else None


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    body = save(dict(tensors))
    with AtomicFile(path) as file:
        file.write(hashlib.sha256(body).digest())
        file.write(body)
    files = sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    for old in files[:-MOST_FILES]:
        old.unlink(missing_ok=True)
