"""Weights that stay in memory from one render to the next, in a process that does many.

What stays are the tensors of files, on their device; networks are built anew around them,
which takes a fraction of a second, so that no render can see anything of the one before.
Tensors are only read: inference writes to none of them. What is worked out once for a
reference stays as well, by its content: the next render of the same character loads neither
CLIP nor the reference network.
"""

import gc
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:  # takes seconds, and other processes ask for this module
    import torch
    from torch import Tensor, nn

_Key = tuple[str, int, int, str, str, str]

MOST_REFERENCES: Final = 4
"""References whose features stay: 40 MB each in half precision at 512x784."""


@dataclass
class Kept:
    """Tensors of files by file, device and dtype.

    A file that isn't kept is only read once those that this render hasn't asked for are
    gone, so that two models are never in memory where one was.
    users: networks that were built around the tensors of a file, while they live.
    worked_out: tensors by the digest of all that they were worked out from, the one that
        was used longest ago first.
    """

    tensors: "dict[_Key, dict[str, Tensor]]" = field(default_factory=dict)
    asked: set[_Key] = field(default_factory=set)
    users: "dict[_Key, WeakSet[nn.Module]]" = field(default_factory=dict)
    worked_out: "dict[str, dict[str, Tensor]]" = field(default_factory=dict)

    def get(
        self, key: _Key, read: "Callable[[], dict[str, Tensor]]", user: "nn.Module"
    ) -> "dict[str, Tensor]":
        """The tensors of a file, read now unless they are kept."""
        self.asked.add(key)
        self.users.setdefault(key, WeakSet()).add(user)
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


def let_go() -> bool:
    """Forget the tensors of files that no network uses now, since memory ended: CLIP's
    and the reference network's, for one, once they have said what they had to.

    Returns whether there were any.
    """
    if _kept is None:
        return False
    gc.collect()  # of networks, too, that only refer to themselves
    unused = [key for key in _kept.tensors if not _kept.users.get(key)]
    for key in unused:
        del _kept.tensors[key]
    return bool(unused)


def kept_tensors(
    path: Path,
    device: "torch.device",
    dtype: "torch.dtype",
    wanted: str,
    read: "Callable[[], dict[str, Tensor]]",
    *,
    user: "nn.Module",
) -> "dict[str, Tensor]":
    """The tensors of a file; `read` gets them, if they aren't kept.

    wanted: what is asked of the file, for one that several networks share. user: the
    network that they are for.
    """
    if _kept is None or not path.is_file():
        return read()  # or the error that names the file
    stat = path.stat()
    key = (str(path), stat.st_mtime_ns, stat.st_size, str(device), str(dtype), wanted)
    return _kept.get(key, read, user)


def kept_by_content(
    made_of: "Iterable[Path | Tensor | str]",
    work_out: "Callable[[], dict[str, Tensor]]",
    *,
    device: "torch.device | None" = None,
) -> "dict[str, Tensor]":
    """Tensors that follow from files, tensors and words; worked out if they aren't kept.

    made_of: everything that they depend on; a file counts by path, time and size, a tensor
        by its device, dtype and bytes. device: that they are on, where other processes are
        to find them, too.
    """
    from animcli.rendering.references import shared  # torch

    made_of = tuple(made_of)
    if not all(x.is_file() for x in made_of if isinstance(x, Path)):
        return work_out()  # or the error that names the file
    if _kept is None and device is None:
        return work_out()
    key = _digest(made_of)
    known = {} if _kept is None else _kept.worked_out
    if key in known:
        found = known.pop(key)
    else:
        found = work_out() if device is None else shared(key, device, work_out)
    known[key] = found
    while len(known) > MOST_REFERENCES:
        del known[next(iter(known))]
    return found


def _digest(made_of: "Iterable[Path | Tensor | str]") -> str:
    digest = hashlib.sha256()
    for each in made_of:
        if isinstance(each, str):
            said, body = each, b""
        elif isinstance(each, Path):
            stat = each.stat()
            said, body = f"{each} {stat.st_mtime_ns} {stat.st_size}", b""
        else:
            said = f"{each.device} {each.dtype} {tuple(each.shape)}"
            body = each.float().cpu().contiguous().numpy().tobytes()
        digest.update(f"{len(said)} {said} {len(body)} ".encode() + body)
    return digest.hexdigest()
