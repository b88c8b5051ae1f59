"""What moving pictures are to the rest of the program, whatever they are stored in."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError


@dataclass(frozen=True)
class Limits:
    """How large footage may be before it is refused: a small file can hold a huge one.

    pixels: of one picture. frames, seconds: of the clip. least_frames: 2 where one picture
    isn't a motion.
    """

    pixels: int = 40_000_000
    frames: int = 1_000_000
    seconds: int = 4 * 3600
    least_frames: int = 1

    def check_picture(self, source: Path, width: int, height: int) -> None:
        """Raise InputError if a picture of this size is too large."""
        if width * height > self.pixels:
            limit = f"{self.pixels / 1e6:g} Mpx"
            raise InputError(
                f"{source}: {width}x{height} is over the limit of {limit}",
                "scale it down first",
            )

    def check_length(self, source: Path, frames: int, duration: Fraction | None) -> None:
        """Raise InputError if a clip of this length is too long, or too short."""
        if frames > self.frames:
            raise InputError(
                f"{source}: more than {self.frames} frames", "cut it into shorter clips"
            )
        if duration is not None and duration > self.seconds:
            length = f"{float(duration):.0f} s"
            raise InputError(
                f"{source}: {length} long, over the limit of {self.seconds} s",
                "cut it into shorter clips",
            )
        if frames < self.least_frames:
            plural = "" if frames == 1 else "s"
            raise InputError(
                f"{source}: has {frames} frame{plural}, needs at least {self.least_frames}",
                "give a video, an animated picture or a folder of pictures",
            )


LIMITS: Final = Limits()


@dataclass(frozen=True)
class VideoInfo:
    """What is known of footage before it is read through.

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
class Lost:
    """A frame that is in the file and can't be decoded."""

    index: int
    tick: int


class Footage(Protocol):
    """One way in which moving pictures are stored."""

    info: VideoInfo

    def decode(self, start: int) -> Iterator[Frame | Lost]:
        """Everything from frame `start` on, in order, and the same for every `start`."""

    def close(self) -> None:
        """Let go of the file."""
