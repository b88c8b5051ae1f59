"""Networks take over the tensors of their files, and leave nothing else in memory."""

import weakref

import numpy as np
import torch
from torch import Tensor

from animcli.rendering.loading import placed

CPU = torch.device("cpu")


class Mapped:
    """Reads as if from a mapped file, whose tensors share one piece of memory."""

    def __init__(self) -> None:
        self.mappings: list[weakref.ref[np.ndarray]] = []  # type: ignore[type-arg]

    def read(self) -> dict[str, Tensor]:
        whole = np.arange(84, dtype=np.float32)
        self.mappings.append(weakref.ref(whole))
        return {
            "conv.weight": torch.from_numpy(whole[:72].reshape(2, 4, 3, 3)),
            "linear.weight": torch.from_numpy(whole[72:].reshape(3, 4)),
        }

    def alive(self) -> list[bool]:
        return [mapping() is not None for mapping in self.mappings]


def test_what_fits_stays_in_the_file_and_copies_keep_no_page_of_it() -> None:
    file = Mapped()
    tensors = placed(file.read, CPU, torch.float32)
    assert file.alive() == [False, True]
    assert tensors["conv.weight"].is_contiguous(memory_format=torch.channels_last)
    for name, tensor in Mapped().read().items():
        assert torch.equal(tensors[name], tensor)


def test_in_half_precision_nothing_of_the_file_stays() -> None:
    file = Mapped()
    tensors = placed(file.read, CPU, torch.bfloat16)
    assert file.alive() == [False, False]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
