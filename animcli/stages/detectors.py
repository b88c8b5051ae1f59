"""The pose detectors, by the name that commands know them by."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from animcli.errors import UsageError

NAMES: Final = ("blazepose",)


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


def open_detector(name: str, models: Path, *, hands: bool, face: bool) -> Detector:
    """Load the detector called `name` from the folder with its models."""
    check_detector(name)
    from animcli.pose.blazepose import BlazePose

    return BlazePose(models, hands=hands, face=face)


def draw_threshold(name: str) -> float:
    """The score up to which joints of this detector aren't drawn."""
    check_detector(name)
    from animcli.pose.blazepose import DRAW_THRESHOLD

    return DRAW_THRESHOLD


def check_detector(name: str) -> None:
    """Raise UsageError for a detector that there isn't."""
    if name not in NAMES:
        raise UsageError(f"no detector '{name}'", f"there is {', '.join(NAMES)}")
