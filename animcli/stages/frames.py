"""Folders of lossless frames: what renders, comparisons and drawings make.

    index.json                    size, rate, number of frames, and the segments in order
    frames-<n>-<digest>.frames    a segment of up to 48 frames, from frame n on

Segments are what a stopped run goes on from, and what the encoder takes one by one.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.files import make_folder, temp_path, write_file
from animcli.pipeline.cache import find_segment, keep_segment
from animcli.pipeline.record import canonical
from animcli.pipeline.stage import RunContext
from animcli.video.footage import Frame, VideoInfo
from animcli.video.lossless import read_lossless, write_lossless
from animcli.video.reader import Reader, open_footage

Frames: TypeAlias = "Iterator[NDArray[np.uint8]]"

SEGMENT: Final = 48
"""Frames: at 24 a second the least that a video can be cut into without growing much
(+22 % at 12 frames, measured with x264)."""

INDEX: Final = "index.json"
SUFFIX: Final = ".frames"


@dataclass(frozen=True)
class FrameFolder:
    """A folder of lossless frames.

    size: `(width, height)`.
    segments: the file of each segment, in order; all have SEGMENT frames but the last.
    alpha: the frames have it; whoever reads them here gets them laid on white.
    """

    size: tuple[int, int]
    rate: Fraction
    frames: int
    segments: tuple[Path, ...]
    alpha: bool = False

    def read(self, start: int = 0) -> Frames:
        """Frames from `start` on, `(h, w, 3)` uint8 RGB."""
        first, inside = divmod(start, SEGMENT)
        for segment in self.segments[first:]:
            yield from islice(read_lossless(segment), inside, None)
            inside = 0

    def picker(self) -> Callable[[int], NDArray[np.uint8]]:
        """A function that gives any frame; frames near the last ones come from memory."""

        @lru_cache(maxsize=2)  # a window of frames may lie across two segments
        def segment(number: int) -> list[NDArray[np.uint8]]:
            return list(read_lossless(self.segments[number]))

        return lambda index: segment(index // SEGMENT)[index % SEGMENT]


def open_frames(path: Path) -> FrameFolder:
    """The frames in a folder that `make_frames` made."""
    try:
        table = json.loads((path / INDEX).read_bytes())
        width, height = table["size"]
        segments = tuple(path / name for name in table["segments"])
        rate, alpha = Fraction(table["rate"]), bool(table.get("alpha"))
        return FrameFolder((width, height), rate, table["frames"], segments, alpha)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: isn't a folder of frames that anim made", "give a finished render"
        ) from error


class LosslessFootage:
    """A folder of lossless frames as footage."""

    def __init__(self, path: Path) -> None:
        self._folder = folder = open_frames(path)
        width, height = folder.size
        self.info = VideoInfo(
            path,
            width,
            height,
            folder.rate,
            True,
            folder.frames,
            duration=folder.frames / folder.rate,
            time_base=1 / folder.rate,
            has_sound=False,
            codec="lossless",
            rotation=0,
            notes=(),
        )

    def decode(self, start: int) -> Iterator[Frame]:
        """Everything from frame `start` on."""
        for index, picture in enumerate(self._folder.read(start), start):
            yield Frame(index, index, picture)

    def close(self) -> None:
        """Nothing is open between two frames."""


def is_lossless(path: Path) -> bool:
    """Tell if this is a folder that `make_frames` made."""
    return (path / INDEX).is_file()


def open_reader(path: Path) -> Reader:
    """Footage of the user's, or frames that another stage made."""
    if is_lossless(path):
        return Reader(LosslessFootage(path), keep_going=False)
    return open_footage(path)


def looped(
    folder: FrameFolder, rate: Fraction | None = None
) -> tuple[Callable[[range], Frames], int]:
    """The frames of any range, from the first one again after the last; and how many.

    rate: frames per second; each is the one that the folder shows at its time.
    """
    pick, share = folder.picker(), folder.rate / (rate or folder.rate)
    frames = int((folder.frames - 1) / share) + 1
    return lambda span: (pick(int(index % frames * share)) for index in span), frames


def make_frames(
    context: RunContext,
    what: str,
    source: Callable[[range], Frames],
    frames: int,
    size: tuple[int, int],
    rate: Fraction,
    *,
    alpha: bool = False,
) -> None:
    """Make `context.out` of what `source` gives, going on after the segments in it.

    what: is being done, for the progress line. alpha: frames are `(h, w, 4)`.
    """
    make_folder(context.out)
    segments = []
    for start in range(0, frames, SEGMENT):
        span = range(start, min(start + SEGMENT, frames))
        stem = f"frames-{start:06d}"
        kept = find_segment(context.out, stem)
        if kept is None:
            pictures = _counted(context, source(span), span, frames, what)
            with temp_path(context.out / f"{stem}{SUFFIX}") as part:
                write_lossless(part, pictures, rate)
            kept = keep_segment(part, context.out, stem)
        segments.append(kept.name)
        context.progress(what, span.stop, frames)
        context.check_cancelled()
    index = {"size": size, "rate": str(rate), "frames": frames, "segments": segments}
    extra = {"alpha": True} if alpha else {}
    write_file(context.out / INDEX, canonical({**index, **extra}))


def _counted(
    context: RunContext, pictures: Frames, span: range, frames: int, what: str
) -> Frames:
    for index, picture in zip(span, pictures, strict=True):
        yield picture
        context.progress(what, index + 1, frames)
