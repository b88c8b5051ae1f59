"""How much moves in a clip, in the number that Cinemo was taught with."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.errors import InputError
from animcli.project.record import canonical
from animcli.project.writing import write_file
from animcli.stages.stage import Bench, Source, settings_of, shown_name

if TYPE_CHECKING:  # numpy
    import numpy as np
    from numpy.typing import NDArray

RATE: Final = 8
"""Frames a second that are compared: as many as Cinemo's results have."""

SIZE: Final = (512, 320)
"""`(width, height)` at which they are compared: that of its training."""

LEAST, MOST = 1, 20
"""Of the motion strength."""


@dataclass(frozen=True)
class MeasureMotion:
    """Measures how alike neighbouring frames of a clip are."""

    name: ClassVar[str] = "measure-motion"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".json"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")

    clip: Source

    def inputs(self) -> Mapping[str, Source]:
        return {"clip": self.clip}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        mean = clip_likeness(bench.inputs["clip"], shown_name(self.clip))
        write_file(bench.out, canonical({"likeness": mean}))


def read_likeness(path: Path) -> float:
    """What `MeasureMotion` wrote."""
    return float(json.loads(path.read_bytes())["likeness"])


def clip_likeness(video: Path, shown: str) -> float:
    """The mean structural similarity of neighbouring frames, RATE a second, at SIZE, grey.

    shown: what the user knows the clip by. Raises InputError if it has no two such frames.
    """
    from animcli.video.likeness import neighbour_likeness

    mean = neighbour_likeness(grey_frames(video))
    if mean is None:
        raise InputError(
            f"{shown} has fewer than two frames at {RATE} a second", "give a longer clip"
        )
    return mean


def motion_number(likeness: float) -> int:
    """The bucket of a likeness: whole hundredths, 0 to 99. Much motion is a small number.

    Source: Ma et al., arXiv:2407.15642, section 3.2, counts buckets without saying where
    they begin; the published weights seem to know this one.
    """
    return max(0, min(99, int(100 * likeness)))


def motion_strength(likeness: float) -> int:
    """The nearest `--motion-strength` to a likeness."""
    return max(LEAST, min(MOST, 100 - motion_number(likeness)))


def grey_frames(video: Path) -> "Iterator[NDArray[np.uint8]]":
    """Grey frames of a clip as they are compared."""
    import cv2
    import numpy as np

    from animcli.stages.fitting import fit_picture
    from animcli.stages.reference import Fit
    from animcli.video.read import open_footage

    with open_footage(video, keep_going=True) as reader:
        base, due = reader.info.time_base, Fraction(0)
        for frame in reader.frames():
            if frame.tick * base < due:
                continue
            due = frame.tick * base + Fraction(1, RATE) - base / 2  # ticks are rounded
            fitted = fit_picture(frame.picture, SIZE, Fit.CROP)
            yield np.asarray(cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
