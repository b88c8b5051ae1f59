"""Features of single frames, worked out when they are first wanted, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import torch
from torch import Tensor

BUDGET: Final = 1 << 30
"""Bytes of host memory. At 512 by 784 pixels in float32, 1 GiB is the pose features of 133
frames; those of longer clips are worked out again in each step, for 2 % of its time."""


class FrameFeatures:
    """Frame -> features, remembered for as many frames as the budget holds.

    Each frame is worked out by itself, so that what is remembered never changes a bit.
    """

    def __init__(self, work_out: Callable[[int], Tensor], budget: int = BUDGET) -> None:
        self._work_out = work_out
        self._budget = budget
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

    def stack(self, frames: Iterable[int]) -> Tensor:
        """The features of `frames`, in a new first dimension."""
        return torch.stack([self._of(frame) for frame in frames])

    def _of(self, frame: int) -> Tensor:
        if frame in self._kept:
            self._kept.move_to_end(frame)
            return self._kept[frame]
        features = self._work_out(frame)
        self._kept[frame] = features
        size = features.numel() * features.element_size()
        while len(self._kept) * size > self._budget:
            self._kept.popitem(last=False)
        return features
