"""Features of single frames, worked out when they are first wanted, in bounded memory."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Final

import torch
from torch import Tensor

from animcli.rendering.loading import free_on, pinned

BUDGET: Final = 1 << 30
"""Bytes of host memory. At 512 by 784 pixels 1 GiB is the pose features of 133 frames in
float32, 267 in half precision; of longer clips the others are worked out in each step."""

MEMORY_RESERVE: Final = 0.1
"""Of what is free on a device; windows are planned with most of the rest."""


class FeatureCache:
    """Frame -> features, remembered for as many frames as the budgets hold.

    Those that came first stay: windows pass over all frames again and again, and what was
    used longest ago is what is wanted next. On a GPU they stay there while there is room,
    else in host memory that it reads by itself: those of the window that came next in the
    step before are copied while the one at hand is predicted. Each frame is worked out by
    itself, so that what is remembered never changes a bit.
    """

    def __init__(
        self,
        work_out: Callable[[int], Tensor],
        budget: int = BUDGET,
        near: int | None = None,
    ) -> None:
        """`budget` and `near` are bytes on the host and on the device that `work_out` works
        on; None is a share of what is free there when the first frame is wanted."""
        self._work_out = work_out
        self._far, self._near = budget, near
        self._kept: dict[int, Tensor] = {}
        self._next: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._last: tuple[int, ...] = ()
        self._copier = Copier()

    def stack(self, frames: Iterable[int], like: Tensor | None = None) -> Tensor:
        """The features of `frames`, in a new first dimension, on the device of `like`."""
        frames = tuple(frames)
        if like is None:
            return torch.stack([self._of(frame) for frame in frames])
        found = self._copier.take(like.device)
        for frame in frames:
            if frame not in found:
                found[frame] = self._of(frame).to(like.device, non_blocking=True)
        self._next[self._last], self._last = frames, frames
        coming = self._next.get(frames, ())
        resting = {frame: self._kept[frame] for frame in coming if frame in self._kept}
        here = {frame: found[frame] for frame in coming if frame in found}
        self._copier.begin(resting, here, like.device)
        return torch.stack([found[frame] for frame in frames])

    def _of(self, frame: int) -> Tensor:
        if frame in self._kept:
            return self._kept[frame]
        features = self._work_out(frame)
        size = features.numel() * features.element_size()
        if self._near is None:
            free = free_on(features.device)
            self._near = 0 if free is None else int(MEMORY_RESERVE * free)
        if features.device.type != "cpu" and size <= self._near:
            self._near -= size
            self._kept[frame] = features
        elif size <= self._far:
            self._far -= size
            kept = features.cpu()
            cuda = features.device.type == "cuda"
            self._kept[frame] = pinned(kept) if cuda else kept
        return features


class Copier:
    """Copies from host memory to a device, beside what is computed there."""

    def __init__(self) -> None:
        self._found: dict[int, Tensor] = {}
        self._stream: torch.cuda.Stream | None = None

    def begin(
        self,
        resting: Mapping[int, Tensor],
        here: Mapping[int, Tensor],
        device: torch.device,
    ) -> None:
        """Begin to copy `resting` to the device; what is `here` already isn't copied."""
        if device.type == "cuda" and self._stream is None:
            self._stream = torch.cuda.Stream(device)
        beside = nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        with beside:
            self._found = dict(here) | {
                frame: tensor.to(device, non_blocking=True)
                for frame, tensor in resting.items()
                if frame not in here and tensor.device != device
            }

    def take(self, device: torch.device) -> dict[int, Tensor]:
        """Take what was copied, once it is there; nothing that comes later waits for it."""
        found, self._found = self._found, {}
        if self._stream is not None:
            now = torch.cuda.current_stream(device)
            now.wait_stream(self._stream)
            for tensor in found.values():
                tensor.record_stream(now)
        return found
