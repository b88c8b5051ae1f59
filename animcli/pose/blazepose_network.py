"""BlazePose's networks in memory, looking at rectangles of pictures."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from animcli.errors import WeightsError
from animcli.pose.blazepose_crop import Border, Roi, cut

PULL = "get the models with: anim weights pull blazepose"


@dataclass(frozen=True)
class Network:
    """What one model takes and gives.

    size: side of its square input in pixels.
    outputs: shapes of the outputs that are wanted, without the leading 1s; the first
        output of each shape is meant.
    signed: the input runs from -1 to 1 (detectors), else from 0 to 1 (landmarks).
    """

    file: str
    size: int
    outputs: tuple[tuple[int, ...], ...]
    signed: bool = False


class Looker:
    """A model in memory, that looks at rectangles of pictures."""

    def __init__(self, network: Network, folder: Path, threads: int) -> None:
        path = folder / network.file
        if not path.is_file():
            raise WeightsError(f"{path} isn't there", PULL)
        try:
            with _silence():
                self._interpreter = Interpreter(str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{path} isn't a LiteRT model: {error}", PULL) from error
        self._network = network
        self._input = _find(
            path, self._interpreter.get_input_details(), (network.size, network.size, 3)
        )
        self._outputs = [
            _find(path, self._interpreter.get_output_details(), shape)
            for shape in network.outputs
        ]

    def __call__(self, picture: NDArray[np.uint8], roi: Roi) -> list[NDArray[np.float32]]:
        """What the model says about the picture inside `roi`, in the order of `outputs`."""
        signed = self._network.signed
        crop = cut(
            picture, roi, self._network.size, Border.BLACK if signed else Border.EDGE
        )
        seen = self._interpreter.tensor(self._input)()[0]
        np.multiply(crop, np.float32(1 / 127.5 if signed else 1 / 255), out=seen)
        if signed:
            seen -= 1
        del seen  # LiteRT refuses to run while its memory is held
        self._interpreter.invoke()
        return [
            self._interpreter.get_tensor(index).reshape(shape)
            for index, shape in zip(self._outputs, self._network.outputs, strict=True)
        ]


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what a library writes to the process's stderr, past Python: LiteRT greets there.

    What goes wrong it raises as well.
    """
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _find(path: Path, tensors: Sequence[Mapping[str, Any]], wanted: tuple[int, ...]) -> int:
    for tensor in tensors:
        shape = [int(side) for side in tensor["shape"]]
        if shape == [1] * (len(shape) - len(wanted)) + [*wanted]:
            return int(tensor["index"])
    raise WeightsError(f"{path} has no tensor of shape {wanted}: another model?", PULL)
