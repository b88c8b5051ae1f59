"""A driving video and a reference picture that the package draws itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class DrawDance:
    """Draws a dancer; makes a folder of lossless frames, with the true joints in it.

    figure, dance: the seeds that the person and the motion grow from.
    size: `(width, height)`.
    """

    name: ClassVar[str] = "draw-dance"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "opencv-python-headless")

    figure: int = 1
    dance: int = 1
    frames: int = 96
    rate: Fraction = Fraction(24)
    size: tuple[int, int] = (384, 512)

    def inputs(self) -> Mapping[str, Source]:
        return {}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class DrawFigure:
    """Draws a character that stands still: a reference picture.

    figure: the seed that the person grows from.
    size: `(width, height)`.
    """

    name: ClassVar[str] = "draw-figure"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "opencv-python-headless", "pillow")

    figure: int = 2
    size: tuple[int, int] = (512, 768)

    def inputs(self) -> Mapping[str, Source]:
        return {}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError
