"""The pose detectors, by the name that commands know them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from animcli.errors import UsageError


class Found(Protocol):
    """A person in a picture."""

    @property
    def points(self) -> NDArray[np.float32]:
        """`(134, 2)`, in pixels."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """`(134,)`, in 0..1."""


class Detector(Protocol):
    """Follows one person through frames; all it remembers is its state."""

    @property
    def state(self) -> tuple[float, ...]:
        """What the next frame depends on."""

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`."""

    def detect(self, picture: NDArray[np.uint8]) -> Found | None:
        """The person in a picture `(h, w, 3)` RGB."""


@dataclass(frozen=True)
class Entry:
    """Where a detector is.

    place: `module:class`, loaded when it is needed; the module says DRAW_THRESHOLD, too,
        the score up to which joints aren't drawn.
    weights: the weights entry with its models; empty for one without.
    """

    place: str
    weights: str


DETECTORS: Final[dict[str, Entry]] = {
    "blazepose": Entry("animcli.pose.blazepose:BlazePose", "blazepose"),
}


def weights_of(name: str) -> tuple[str, ...]:
    """The weights entries that a detector wants."""
    weights = _entry(name).weights
    return (weights,) if weights else ()


def open_detector(name: str, models: Path | None, *, hands: bool, face: bool) -> Detector:
    """Load the detector called `name` from the folder with its models."""
    module, _, kind = _entry(name).place.partition(":")
    detector: Detector = getattr(import_module(module), kind)(
        models, hands=hands, face=face
    )
    return detector


def draw_threshold(name: str) -> float:
    """The score up to which joints of this detector aren't drawn."""
    module, _, _ = _entry(name).place.partition(":")
    return float(import_module(module).DRAW_THRESHOLD)


def _entry(name: str) -> Entry:
    if name not in DETECTORS:
        raise UsageError(f"no detector '{name}'", f"there is {', '.join(DETECTORS)}")
    return DETECTORS[name]
