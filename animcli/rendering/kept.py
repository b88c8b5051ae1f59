"""Weights that stay in memory from one render to the next, in a process that does many.

What stays are the tensors of files, on their device; networks are built anew around them,
which takes a fraction of a second, so that no render can see anything of the one before.
Tensors are only read: inference writes to none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # takes seconds, and other processes ask for this module
    import torch
    from torch import Tensor

Key = tuple[str, int, int, str, str, str]


@dataclass
class Kept:
    """Tensors of files by file, device and dtype.

    A file that isn't kept is only read once those that this render hasn't asked for are
    gone, so that two models are never in memory where one was.
    """

    tensors: "dict[Key, dict[str, Tensor]]" = field(default_factory=dict)
    asked: set[Key] = field(default_factory=set)

    def get(self, key: Key, read: "Callable[[], dict[str, Tensor]]") -> "dict[str, Tensor]":
        """The tensors of a file, read now unless they are kept."""
        self.asked.add(key)
        if key not in self.tensors:
            for old in self.tensors.keys() - self.asked:
                del self.tensors[old]
            self.tensors[key] = read()
        return self.tensors[key]


_kept: Kept | None = None


def keep_weights() -> None:
    """Keep weights from now on; called at the start of each render."""
    global _kept
    _kept = _kept or Kept()
    _kept.asked.clear()


def kept_tensors(
    path: Path,
    device: "torch.device",
    dtype: "torch.dtype",
    wanted: str,
    read: "Callable[[], dict[str, Tensor]]",
) -> "dict[str, Tensor]":
    """The tensors of a file; `read` gets them, if they aren't kept.

    wanted: what is asked of the file, for one that several networks share.
    """
    if _kept is None or not path.is_file():
        return read()  # or the error that names the file
    stat = path.stat()
    key = (str(path), stat.st_mtime_ns, stat.st_size, str(device), str(dtype), wanted)
    return _kept.get(key, read)
