"""Split of one render over several devices: the windows of each step, then the frames.

A step's predictions depend on its latents only, so they may be made anywhere, and the two
halves of guidance, too. They are blended in the order of the windows, as on one device,
since sums of floats depend on their order: the bits are the same for devices of one kind.
Frames are decoded one by one, so that each may be decoded anywhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn, WindowsFn, gather
from animcli.rendering.guidance import HALF, Guidance, Half

if TYPE_CHECKING:  # which knows this module
    from animcli.rendering.pipeline import PredictAll


@dataclass(frozen=True)
class Unit:
    """Part of a step: the prediction for one window, or one half of it.

    window: its place among the windows of the step.
    half: None for the whole prediction.
    """

    window: int
    half: Half | None = None


DecodeFn = Callable[[Tensor], Iterator[NDArray[np.uint8]]]
"""Latents (frames, c, h, w) -> the picture (h, w, 3) of each."""


class Elsewhere(Protocol):
    """Whoever predicts and decodes instead of this process."""

    def predict(self, step: int, seen: Tensor, units: Sequence[Unit]) -> list[Tensor]:
        """Predictions (window's frames, c, h, w) for latents (frames, c, h, w), in the
        order of the units."""

    def decode(self, latents: Tensor) -> Iterator[NDArray[np.uint8]]:
        """The picture (h, w, 3) of each of the latents (frames, c, h, w), in order."""


class Unsaved:
    """A checkpoint of a slot, which ends with its process: another one keeps the render."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.generic]] | None = None

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """Arrays that were saved last; None before."""
        return self._arrays

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Keep these arrays."""
        self._arrays = dict(arrays)

    def beside(self, name: str) -> "Unsaved":
        """Another one."""
        return Unsaved()


class Captured(BaseException):
    """Ends a render that only was to get as far as being able to do its parts."""

    def __init__(self, prepared: "Prepared") -> None:
        super().__init__()
        self.prepared = prepared


@dataclass
class Prepared:
    """A render that can predict any unit of any step, and decode any frame.

    start: loads what it predicts with. It is called by the first prediction, and again by
        one that comes after a decoding, before which that is let go.
    """

    start: Callable[[], StepFn]
    timesteps: Tensor
    cut: WindowsFn
    decode_fn: DecodeFn
    _step_fn: StepFn | None = field(default=None, init=False)
    _predict: DenoiseFn | None = field(default=None, init=False)
    _step: int = field(default=-1, init=False)

    @torch.inference_mode()
    def predict(self, step: int, seen: Tensor, unit: Unit) -> Tensor:
        """The prediction for a unit, (window's frames, c, h, w)."""
        self._step_fn = self._step_fn or self.start()
        if self._predict is None or step != self._step:
            self._predict = self._step_fn(step, self.timesteps[step], seen)
            self._step = step
        window = self.cut(step)[unit.window]
        token = HALF.set(unit.half)
        try:
            return self._predict(gather(seen, window), window)
        finally:
            HALF.reset(token)

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """The pictures (frames, h, w, 3) of latents (frames, c, h, w).

        The decoder has the device's memory to itself, as it has without a split: by what is
        free it decides whether to decode in tiles.
        """
        self._step_fn = self._predict = None
        return np.stack(list(self.decode_fn(latents)))


_elsewhere: ContextVar[Elsewhere | None] = ContextVar("elsewhere", default=None)
_capturing: ContextVar[bool] = ContextVar("capturing", default=False)


@contextmanager
def predicting(elsewhere: Elsewhere) -> Iterator[None]:
    """A stretch in which renders have others predict and decode."""
    token = _elsewhere.set(elsewhere)
    try:
        yield
    finally:
        _elsewhere.reset(token)


@contextmanager
def capturing() -> Iterator[None]:
    """A stretch in which a render raises Captured once it could do its parts."""
    token = _capturing.set(True)
    try:
        yield
    finally:
        _capturing.reset(token)


def is_capturing() -> bool:
    """True if this render only was to get as far as being able to do its parts."""
    return _capturing.get()


def elsewhere() -> Elsewhere | None:
    """Whoever predicts and decodes in the place of this process."""
    return _elsewhere.get()


def units_of(windows: Sequence[ContextWindow], *, halves: bool) -> list[Unit]:
    """The units of a step, in order; with `halves`, two for each window."""
    if not halves:
        return [Unit(number) for number in range(len(windows))]
    return [
        Unit(number, half)
        for number in range(len(windows))
        for half in (Half.PLAIN, Half.SHOWN)
    ]


def predicted_elsewhere(
    who: Elsewhere, guidance: Guidance | None, steps: int
) -> "PredictAll":
    """Prediction of all windows of a step by others.

    guidance: of the render, where its halves may go apart; None where they may not.
    """

    def predict_all(
        step: int, seen: Tensor, windows: Sequence[ContextWindow]
    ) -> list[Tensor]:
        halves = guidance is not None and guidance.works_at(step, steps)
        said = who.predict(step, seen, units_of(windows, halves=halves))
        if guidance is None or not halves:
            return said
        pairs = zip(said[0::2], said[1::2], strict=True)
        return [guidance.combine(plain, shown) for plain, shown in pairs]

    return predict_all
