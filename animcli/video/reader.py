"""Read footage, whatever it is stored in: a video, an animated picture, many pictures.

Frames come one by one and the whole clip is never in memory. A damaged frame is never
passed on: it stops the reading with an error that counts them all, or is left out and
counted.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from animcli.errors import InputError
from animcli.registry import DEFAULT_RATE
from animcli.video.decode import VideoFile
from animcli.video.footage import DamagedFrame, Frame, FrameReader, VideoInfo
from animcli.video.images import AnimatedImage, PictureFolder, is_animation
from animcli.video.limits import Limits, checked_start, local_path

__all__ = ["DamagedFrame", "Frame", "Limits", "Reader", "VideoInfo", "open_footage"]


class Reader:
    """Footage that is open for reading; a context manager.

    info: what is known about it.
    """

    def __init__(self, footage: FrameReader, *, keep_going: bool) -> None:
        self.info: VideoInfo = footage.info
        self._footage = footage
        self._keep_going = keep_going
        self._lost: dict[int, DamagedFrame] = {}
        self._items: Iterator[Frame | DamagedFrame] = iter(())
        self._ahead: Frame | DamagedFrame | None = None

    @property
    def damaged(self) -> tuple[DamagedFrame, ...]:
        """The frames met so far that couldn't be decoded, in order."""
        return tuple(lost for _, lost in sorted(self._lost.items()))

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames `start` to `stop - 1`, the same ones for any `start`.

        Asking for the span that follows the last one goes on without starting over.

        Raises InputError at the first damaged frame, after counting them all; with
        `keep_going` damaged frames are left out instead, and are in `damaged`.
        """
        if self._ahead is None or self._ahead.index != start:
            self._items = self._footage.decode(start)
            self._ahead = next(self._items, None)
        while self._ahead is not None and (stop is None or self._ahead.index < stop):
            item = self._ahead
            if isinstance(item, DamagedFrame):
                self._lost[item.index] = item
                if not self._keep_going:
                    raise self._complaint()
                self._ahead = next(self._items, None)
            else:
                self._ahead = None  # whoever stops here starts over next time
                yield item
                self._ahead = next(self._items, None)

    def close(self) -> None:
        """Let go of the file."""
        self._items = iter(())
        self._ahead = None
        self._footage.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _complaint(self) -> InputError:
        """Count the damaged frames from here on, and say from when on they are."""
        first = next(iter(self.damaged))
        last = first.index
        for item in self._items:
            last = item.index
            if isinstance(item, DamagedFrame):
                self._lost[item.index] = item
        count = len(self._lost)
        frames = self.info.frames or last + 1
        when = float(first.tick * self.info.time_base)
        what = "1 frame" if count == 1 else f"{count} frames"
        return InputError(
            f"{self.info.path}: {what} of {frames} could not be decoded "
            f"(the first at {when:.2f} s)",
            "--keep-going leaves damaged frames out",
        )


def open_footage(
    source: Path,
    *,
    keep_going: bool = False,
    limits: Limits | None = None,
    rate: Fraction = DEFAULT_RATE,
    fast_colour: bool = False,
) -> Reader:
    """Open a video, an animated picture or a folder of pictures.

    keep_going: leave damaged frames out instead of stopping at them.
    limits: the usual ones if none are given.
    rate: frames per second of a folder of pictures, which doesn't say; ignored otherwise.
    fast_colour: colours of a video may be off by a level or so, for those who only measure.

    Raises InputError for everything that isn't footage, or is over a limit.
    """
    limits = limits or Limits()
    footage: FrameReader
    if local_path(source, "a video").is_dir():
        footage = PictureFolder(source, limits, rate)
        return Reader(footage, keep_going=keep_going)
    path, start = checked_start(source, "a video")
    if is_animation(start):
        footage = AnimatedImage(source, limits)
    else:
        footage = VideoFile(source, path, limits, fast_colour=fast_colour)
    return Reader(footage, keep_going=keep_going)
