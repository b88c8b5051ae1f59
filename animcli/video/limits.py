"""How large media may be, which anybody may have made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from animcli.errors import InputError

MOST_PIXELS: Final = 40_000_000  # of one picture: 8K video is 33 million
TOO_LARGE: Final = "scale it down first, or allow it with --max-pixels"
VARIABLE: Final = "ANIM_MAX_PIXELS"


@contextmanager
def allowing(pixels: int) -> Iterator[None]:
    """A stretch of work in which a picture may have this many pixels.

    It holds for all threads, and for the child processes that are started meanwhile: the
    environment is what all of these have in common.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(pixels)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _most_pixels() -> int:
    return int(os.environ.get(VARIABLE, MOST_PIXELS))


@dataclass(frozen=True)
class Limits:
    """How large footage may be before it is refused: a small file can hold a huge one.

    pixels: of one picture; what `allowing` says, or MOST_PIXELS. frames, seconds: of the
    clip. least_frames: 2 where one picture isn't a motion.
    """

    pixels: int = field(default_factory=_most_pixels)
    frames: int = 1_000_000
    seconds: int = 4 * 3600
    least_frames: int = 1

    def check_picture(self, source: Path, width: int, height: int) -> None:
        """Raise InputError if a picture of this size is too large."""
        if width * height > self.pixels:
            limit = f"{self.pixels / 1e6:g} Mpx"
            raise InputError(
                f"{source}: {width}x{height} is over the limit of {limit}",
                TOO_LARGE,
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
