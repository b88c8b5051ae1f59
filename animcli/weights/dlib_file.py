"""Reading tensors out of a network that dlib has written.

dlib writes its layers one after another, from the picture on: the layer's name, and then
its parameters as one tensor. The structure of the network isn't written, so only files of
a known network can be used.

Source: dlib 20's `dlib/serialize.h`, `dlib/cuda/tensor.h` and `dlib/dnn/layers.h`. An
integer is a byte with the number of the bytes that follow, and its sign in the highest
bit, then those bytes, the lowest first.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.errors import WeightsError

LAYER: Final = re.compile(rb"\x01\x05(con_4)|\x01\x07(affine_)|\x01\x04(fc_2)")
"""The layers that have parameters; before each name stands its length."""


class _Bytes:
    """A file's bytes, read one value after another."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def layer(self) -> str | None:
        """The name of the next layer with parameters; None at the end."""
        found = LAYER.search(self._content, self.place)
        if found is None:
            return None
        self.place = found.end()
        return next(name for name in found.groups() if name).decode()

    def integers(self, count: int) -> list[int]:
        """The next `count` integers."""
        return [self._integer() for _ in range(count)]

    def tensor(self) -> NDArray[np.float32]:
        """The values of the next tensor, flat."""
        version, *shape = self.integers(5)
        count = int(np.prod(shape))
        end = self.place + 4 * count
        if version != 2 or end > len(self._content):
            raise ValueError("no tensor here")
        values = np.frombuffer(self._content, "<f4", count, self.place)
        self.place = end
        return values

    def _integer(self) -> int:
        head = self._content[self.place]
        size = head & 15
        start = self.place + 1
        if not 1 <= size <= 8:
            raise ValueError("no integer here")
        self.place = start + size
        value = int.from_bytes(self._content[start : self.place], "little")
        return -value if head & 128 else value


def read_dlib(path: Path) -> dict[str, Tensor]:
    """The tensors of a dlib network: `convs.0.weight`, `affines.0.bias`, `fc.weight`, ...

    Layers of one kind are counted from the picture on. Raises WeightsError for anything
    that doesn't read as such a file to its end.
    """
    try:
        return {
            name: torch.from_numpy(values.copy())
            for name, values in _tensors(_Bytes(path.read_bytes()))
        }
    except (ValueError, IndexError) as error:
        raise WeightsError(
            f"{path} is damaged, or no network of dlib", "get it again"
        ) from error


def _tensors(content: _Bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    convs = affines = 0
    while (layer := content.layer()) is not None:
        if layer == "con_4":
            values = content.tensor()
            # Filters, window, stride, padding; then the version and shape of the filters.
            *_, out, channels, rows, columns = content.integers(12)
            filters, bias = values[:-out], values[-out:]
            shape = (out, channels, rows, columns)
            yield f"convs.{convs}.weight", filters.reshape(shape)
            yield f"convs.{convs}.bias", bias
            convs += 1
        elif layer == "affine_":
            weight, bias = content.tensor().reshape(2, -1)
            yield f"affines.{affines}.weight", weight
            yield f"affines.{affines}.bias", bias
            affines += 1
        else:
            outputs, inputs = content.integers(2)
            yield "fc.weight", content.tensor().reshape(inputs, outputs).T
