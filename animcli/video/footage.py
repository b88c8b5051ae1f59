"""Footage: moving pictures, whatever they are stored in."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoInfo:
    """Facts of footage that are known before it is read through.

    width, height: of the upright picture, with square pixels.
    rate: frames per second; exact where the frames are evenly spaced, else their mean.
    even: whether the frames are evenly spaced; frame k is then shown at `k / rate`.
    frames: how many there are, the damaged included; None where only reading tells.
    duration: seconds from the first frame to the end of the last.
    time_base: seconds in a tick of `Frame.tick`.
    rotation: degrees clockwise that the stored picture has been turned by.
    notes: what the user should hear about.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    even: bool
    frames: int | None
    _: KW_ONLY
    duration: Fraction | None
    time_base: Fraction
    has_sound: bool
    codec: str
    rotation: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a clip.

    index: its place in the clip; damaged frames that were left out keep theirs.
    tick: when it is shown, in `VideoInfo.time_base` after the first frame.
    picture: `(h, w, 3)` uint8 RGB, upright.
    """

    index: int
    tick: int
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class DamagedFrame:
    """A frame that is in the file and can't be decoded."""

    index: int
    tick: int


class FrameReader(Protocol):
    """One way in which moving pictures are stored."""

    info: VideoInfo

    def decode(self, start: int) -> Iterator[Frame | DamagedFrame]:
        """Everything from frame `start` on, in order, and the same for every `start`."""

    def close(self) -> None:
        """Let go of the file."""
