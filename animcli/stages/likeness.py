"""Measurement of how much moves in a clip that a render takes after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.errors import InputError
from animcli.files import write_file
from animcli.pipeline.record import canonical
from animcli.pipeline.stage import RunContext, Source, Stage, display_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE: Final = 8
"""Frames a second of which the motion bucket is measured: Cinemo's results have as many."""

SIZE: Final = (512, 320)
"""`(width, height)` at which frames are compared for it: that of Cinemo's training."""


@dataclass(frozen=True)
class MeasureMotion(Stage):
    """Measures how alike neighbouring frames of a clip are."""

    name: ClassVar[str] = "measure-motion"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".json"
    libraries: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")

    clip: Source

    def run(self, context: RunContext) -> None:
        mean = clip_likeness(context.inputs["clip"], display_name(self.clip))
        write_file(context.out, canonical({"likeness": mean}))


def read_likeness(path: Path) -> float:
    """Likeness that `MeasureMotion` wrote."""
    return float(json.loads(path.read_bytes())["likeness"])


def clip_likeness(video: Path, shown: str) -> float:
    """The mean structural similarity of neighbouring frames, RATE a second, at SIZE, grey.

    shown: what the user knows the clip by. Raises InputError if it has no two such frames.
    """
    from animcli.video.ssim import neighbour_ssim

    mean = neighbour_ssim(grey_frames(video))
    if mean is None:
        raise InputError(
            f"{shown} has fewer than two frames at {RATE} a second", "give a longer clip"
        )
    return mean


def grey_frames(video: Path) -> Iterator[NDArray[np.uint8]]:
    """Grey frames of a clip as they are compared."""
    import cv2
    import numpy as np

    from animcli.stages.fitting import Fit, fit_picture
    from animcli.video.reader import open_footage

    with open_footage(video, keep_going=True) as reader:
        base, due = reader.info.time_base, Fraction(0)
        for frame in reader.frames():
            if frame.tick * base < due:
                continue
            due = frame.tick * base + Fraction(1, RATE) - base / 2  # ticks are rounded
            fitted = fit_picture(frame.picture, SIZE, Fit.CROP)
            yield np.asarray(cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
