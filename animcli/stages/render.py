"""Reference and motion in, lossless frames out."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from animcli.presets import Preset
from animcli.stages.reference import Fit, FitPicture
from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class RenderStage:
    """Lets a character perform a motion; makes a folder of lossless frames.

    reference: the picture of the character.
    motion: a `.pose` file or the stage that makes one; None for renderers that follow
        nothing.
    preset: what to render with, size and seed included.
    frames: how many frames to make; None makes as many as the motion has.
    loop: start the motion again where it ends, instead of refusing more frames than it has.
    rate: frames per second; None keeps the motion's own.
    retarget: fit the motion to the character's proportions; False where that was done, or
        isn't wanted: then the motion's picture is fitted into the result as it is.
    device: `cuda`, `mps` or `cpu`.
    """

    name: ClassVar[str] = "render"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""

    reference: Source
    motion: Source | None
    preset: Preset
    frames: int | None = None
    loop: bool = False
    rate: Fraction | None = None
    retarget: bool = True
    fit: Fit = Fit.PAD
    detector: str = "blazepose"
    device: str = "cpu"

    @property
    def weights(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def libraries(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def picture(self) -> FitPicture:
        """The reference at the size of the result."""
        size = (self.preset.width, self.preset.height)
        return FitPicture(self.reference, size, self.fit)

    @property
    def fitted_motion(self) -> Source | None:
        """The motion in pixels of the result, at its own rate and length."""
        raise NotImplementedError

    def inputs(self) -> Mapping[str, Source]:
        raise NotImplementedError

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError
