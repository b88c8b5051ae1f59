"""Files of tensors: what they hold, what else they may be, reading what a network expects.

A download that went wrong leaves a web page, a pointer or half a file under the right name;
the libraries that would read it only say that its header is odd.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from safetensors import SafetensorError, safe_open

from animcli.errors import WeightsError
from animcli.weights.catalog import CatalogEntry, WeightFile

if TYPE_CHECKING:
    from torch import Tensor


BLOCK = 1 << 22  # bytes; the reading of large files
HEAD_BYTES = 512

PICKLES = (".pth", ".pt", ".ckpt", ".bin")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_published(path: Path, file: WeightFile, again: str) -> str:
    """The digest of a file that was got; it must be the published file, whole.

    again: what to do if it isn't.
    Raises WeightsError that says what the file is instead.
    """
    if (what := not_weights(path)) is not None:
        raise WeightsError(f"{path} is {what}", again)
    held = path.stat().st_size
    if file.bytes is not None and held != file.bytes:
        part = f"holds {held:,} of {file.bytes:,} bytes"
        cut = ": it was cut off" if held < file.bytes else ": it's another file"
        raise WeightsError(f"{path} {part}{cut}", again)
    digest = sha256_of(path)
    if file.sha256 is not None and digest != file.sha256:
        raise WeightsError(
            f"{path} isn't the published {file.path}: its SHA-256 begins with "
            f"{digest[:12]}, not {file.sha256[:12]}",
            again,
        )
    return digest


def not_weights(path: Path) -> str | None:
    """Name what a file is, if it can be told at a glance that it holds no weights."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return "empty"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page, not the file itself"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    if path.suffix == ".json":
        return None
    if start.startswith(b"pk") and not zipfile.is_zipfile(path):
        return "cut off: its end is missing"
    if path.suffix == ".safetensors":
        return _short_safetensors(path)
    if start.startswith(b"{") and path.suffix in PICKLES:
        return "a message as JSON, not the file itself"
    return None


def _short_safetensors(path: Path) -> str | None:
    """Tell if a file of tensors is shorter or longer than its own header says."""
    held = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > 100_000_000:  # the library's own limit
            return "no safetensors file"
        header = file.read(length)
    if len(header) < length:
        return "cut off in its header"
    try:
        tensors: object = json.loads(header)
    except (ValueError, RecursionError):
        return "no safetensors file"
    if not isinstance(tensors, dict):
        return "no safetensors file"
    ends = [
        tensor["data_offsets"][1]
        for name, tensor in tensors.items()
        if name != "__metadata__" and _has_offsets(tensor)
    ]
    whole = 8 + length + max(ends, default=0)
    if held < whole:
        return f"cut off: it holds {held:,} of {whole:,} bytes"
    return None


def _has_offsets(tensor: object) -> bool:
    if not isinstance(tensor, dict):
        return False
    offsets = tensor.get("data_offsets")
    return (
        isinstance(offsets, list)
        and len(offsets) == 2
        and all(isinstance(offset, int) for offset in offsets)
    )


def match_files(entry: CatalogEntry, paths: list[Path]) -> dict[str, Path]:
    """Match `paths` (files, or folders of files) to the files of an entry.

    A file is known by its published name or by its name in the store, with any of the usual
    suffixes; where several files of the entry are called the same, the folders decide.
    Raises WeightsError for a file that belongs to none, fits several, or is given twice.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            fits = [(each, _fitting(entry, each)) for each in sorted(path.rglob("*"))]
            known = [(each, files) for each, files in fits if each.is_file() and files]
        else:
            known = [(path, _fitting(entry, path) or _also(entry, path))]
        for each, files in known:
            if not files:
                names = ", ".join(file.path for file in entry.files)
                raise WeightsError(
                    f"{each} is no file of {entry.name}", f"its files are: {names}"
                )
            if len(files) > 1:
                names = " or ".join(file.path for file in files)
                raise WeightsError(
                    f"{each} may be {names} of {entry.name}",
                    "keep it in a folder of the published name",
                )
            if files[0].name in found:
                raise WeightsError(
                    f"{each} and {found[files[0].name]} are both {files[0].path} of "
                    f"{entry.name}",
                    "give one of them",
                )
            found[files[0].name] = each
    return found


def _fitting(entry: CatalogEntry, path: Path) -> list[WeightFile]:
    """The files of an entry that agree with a path in the most parts, from its end."""
    scores = [
        (max(_shared(path, file.path), _shared(path, file.name)), file)
        for file in entry.files
    ]
    best = max(score for score, _ in scores)
    return [file for score, file in scores if score == best > 0]


def _also(entry: CatalogEntry, path: Path) -> list[WeightFile]:
    """The files of an entry that are published under a path's name as well."""
    return [file for file in entry.files if path.name in file.also]


def _shared(path: Path, published: str) -> int:
    """Number of parts that two paths share from the end; the last may differ in its
    suffix.
    """
    ours, theirs = list(path.absolute().parts), list(PurePosixPath(published).parts)
    ours[-1], theirs[-1] = _stem(ours[-1]), _stem(theirs[-1])
    shared = 0
    while ours and theirs and ours.pop() == theirs.pop():
        shared += 1
    return shared


def _stem(name: str) -> str:
    """A file's name with all suffixes of weights taken for the same one."""
    path = PurePosixPath(name)
    return f"{path.stem}.weights" if path.suffix in (*PICKLES, ".safetensors") else name


Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""The shape of every tensor by its name; what a network says it expects."""

Expect: TypeAlias = Callable[[Mapping[str, Path]], Mapping[str, Shapes]]
"""From the paths of an entry's files, by name, to the tensors that networks want of some of
them: what a network wants may stand in its configuration."""


FOREIGN = "these are weights of another model; see: anim weights list"


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, without reading its tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    except FileNotFoundError as error:
        raise WeightsError(f"{path} isn't there", "get it again") from error


def read_tensors(
    path: Path, expected: Shapes, device: str = "cpu", unused: tuple[str, ...] = ()
) -> "dict[str, Tensor]":
    """The tensors of a safetensors file; exactly the expected ones, or WeightsError.

    unused: how the names begin that the file may hold beyond them.
    """
    found = shapes_of(path)
    kept = {name: shape for name, shape in found.items() if not name.startswith(unused)}
    check_shapes(path, kept, expected)
    try:
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def check_shapes(path: Path, found: Shapes, expected: Shapes) -> None:
    """Raise WeightsError with the first name that is missing, not expected, or of another
    shape, and how many there are of each.
    """
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    other = [name for name in expected if name in found and found[name] != expected[name]]
    parts = [
        f"{len(names)} {what} (first: {names[0]})"
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if other:
        name = other[0]
        parts.append(
            f"{len(other)} of another shape (first: {name} is {found[name]}, "
            f"expected {expected[name]})"
        )
    if parts:
        raise WeightsError(f"{path} doesn't fit: {', '.join(parts)}", FOREIGN)


def _unreadable(path: Path, error: SafetensorError | OSError) -> WeightsError:
    if isinstance(error, OSError):
        if path.exists() and not os.access(path, os.R_OK):  # which the library calls absent
            return WeightsError(
                f"{path} may not be read by you", f"its owner can: chmod a+r {path}"
            )
        return WeightsError(f"{path} can't be read: {error}", "get it again")
    what = not_weights(path) or f"no safetensors file: {error}"
    return WeightsError(f"{path} is {what}", "get it again: anim weights pull")
