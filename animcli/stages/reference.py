"""The picture of the character: brought to the size of the result, and its joints found."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from animcli.stages.stage import Bench, Source, settings_of


class Fit(Enum):
    """How a picture of another shape fills the size; its proportions always stay."""

    PAD = "pad"
    CROP = "crop"


@dataclass(frozen=True)
class FitPicture:
    """Brings a picture to a size.

    size: `(width, height)`, multiples of 8; None keeps the picture's own.
    """

    name: ClassVar[str] = "fit-picture"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "opencv-python-headless")

    picture: Source
    size: tuple[int, int] | None = None
    fit: Fit = Fit.PAD

    def inputs(self) -> Mapping[str, Source]:
        return {"picture": self.picture}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class FindPose:
    """Finds the joints of the one person in a picture: a motion of one frame."""

    name: ClassVar[str] = "find-pose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("ai-edge-litert", "opencv-python-headless")

    picture: Source
    detector: str = "blazepose"

    @property
    def weights(self) -> tuple[str, ...]:
        return (self.detector,)

    def inputs(self) -> Mapping[str, Source]:
        return {"picture": self.picture}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError
