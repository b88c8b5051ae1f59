"""Files of tensors: what they hold, and reading exactly what a network expects."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from safetensors import SafetensorError, safe_open

from animcli.errors import WeightsError
from animcli.weights.recognise import not_weights

if TYPE_CHECKING:
    from torch import Tensor

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""The shape of every tensor by its name; what a network says it expects."""

FOREIGN = "these are weights of another model; see: anim weights list"


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, without reading its tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _unreadable(path, error) from error


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
    except SafetensorError as error:
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


def _unreadable(path: Path, error: SafetensorError) -> WeightsError:
    what = not_weights(path) or f"no safetensors file: {error}"
    return WeightsError(f"{path} is {what}", "get it again: anim weights pull")
