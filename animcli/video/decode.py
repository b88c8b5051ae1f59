"""Video files, decoded frame by frame."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.video.colour import Colours, colours_of, to_rgb
from animcli.video.container import (
    FFMPEG_ERRORS,
    ffmpeg_message,
    moving_streams,
    open_container,
    picture_stream,
    read_timeline,
)
from animcli.video.footage import DamagedFrame, Frame, VideoInfo
from animcli.video.limits import Limits

if TYPE_CHECKING:
    from av.packet import Packet


@dataclass(frozen=True)
class Orientation:
    """Orientation of a stored picture: swap the axes, then mirror, to make it upright."""

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def degrees(self) -> int:
        """Degrees clockwise, for the turns without a mirror image."""
        turns = {
            (False, True, True): 180,
            (True, True, False): 90,
            (True, False, True): 270,
        }
        return turns.get((self.swap, self.mirror_x, self.mirror_y), 0)

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright picture of a stored one `(h, w, 3)`."""
        turned = pixels.transpose(1, 0, 2) if self.swap else pixels
        turned = turned[:, ::-1] if self.mirror_x else turned
        turned = turned[::-1] if self.mirror_y else turned
        return np.ascontiguousarray(turned)


@dataclass(frozen=True)
class FirstFrame:
    """Properties of the first frame that hold for all of them.

    stored: `(width, height)` as decoded. square: the same with square pixels.
    """

    stored: tuple[int, int]
    square: tuple[int, int]
    orientation: Orientation
    colours: Colours
    interlaced: bool

    @property
    def upright(self) -> tuple[int, int]:
        """`(width, height)` of the upright picture."""
        width, height = self.square
        return (height, width) if self.orientation.swap else (width, height)


class VideoFile:
    """The pictures of a video file.

    It is opened once where it can be rewound: where containers know their key frames. Of
    others each pass opens it anew, as a seek to their start may land behind it.
    """

    def __init__(
        self, source: Path, path: Path, limits: Limits, *, fast_colour: bool = False
    ) -> None:
        """source: what the user called it. path: the absolute one, of a file."""
        self._source = source
        self._fast_colour = fast_colour
        self._path = path
        self._limits = limits
        self._idle: InputContainer | None = None
        self._start: int | None = None
        self._first: av.VideoFrame | None = None
        with self._streaming() as (container, stream):
            aspect = stream.sample_aspect_ratio or Fraction(1)
            packets = self._watched(container.demux(stream))
            timeline = read_timeline(source, container, stream, limits, packets)
            self._timeline = timeline
            if timeline.exact and timeline.keys and not timeline.cut_off:
                self._start = timeline.keys[0][1]
            codec = stream.codec_context.codec.canonical_name
            tracks = len(moving_streams(container))
            has_sound = bool(container.streams.audio)
        self._look = look = self._first_look(aspect)
        width, height = look.upright
        self.info = VideoInfo(
            path=self._path,
            width=width,
            height=height,
            rate=timeline.rate,
            even=timeline.even,
            frames=len(timeline) if timeline.counted else None,
            duration=timeline.duration,
            time_base=1 / timeline.rate if timeline.even else timeline.time_base,
            has_sound=has_sound,
            codec=codec,
            rotation=look.orientation.degrees,
            notes=tuple(self._notes(tracks)),
        )

    def close(self) -> None:
        """Close the file, if no pass is in it; else it is closed with the pass."""
        self._start = None
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def decode(self, start: int) -> Iterator[Frame | DamagedFrame]:
        """Everything from frame `start` on, in order, and the same for every `start`."""
        if self._timeline.exact and not self._timeline.held:
            yield from self._by_time(start)
            return
        found = self._by_time(0) if self._timeline.exact else self._by_count()
        yield from (item for item in self._holding(found) if item.index >= start)

    def _holding(
        self, items: Iterator[Frame | DamagedFrame]
    ) -> Iterator[Frame | DamagedFrame]:
        """The items, with those in between that have no picture of their own."""
        last: Frame | DamagedFrame | None = None
        for item in items:
            for index in range(last.index + 1 if last else item.index, item.index):
                tick = self._tick(index)
                held = DamagedFrame(index, tick)
                yield replace(last, index=index, tick=tick) if last else held
            last = item
            yield item

    def _by_time(self, start: int) -> Iterator[Frame | DamagedFrame]:
        """Frames numbered by their times, so that what is missing shows."""
        timeline = self._timeline
        due = timeline.pictures_before(start)
        numbers = {
            int(timeline.ticks[timeline.place(n)]): n for n in range(timeline.stored)
        }
        for frame in self._decoded(timeline.seek_for(start)):
            number = numbers.get(frame.pts) if frame and frame.pts is not None else None
            if frame is None or number is None or number < due:
                continue
            yield from (self._lost(timeline.place(n)) for n in range(due, number))
            due = number + 1
            index = timeline.place(number)
            if frame.is_corrupt:
                yield self._lost(index)
            else:
                yield Frame(index, self._tick(index), self._upright(frame))
        rest = range(due, timeline.stored + timeline.cut_off)
        yield from (self._lost(timeline.place(n)) for n in rest)

    def _by_count(self) -> Iterator[Frame | DamagedFrame]:
        """Frames numbered as they come, where packets and frames don't match."""
        timeline = self._timeline
        first: int | None = None
        due = count = 0
        for count, frame in enumerate(self._decoded(None), 1):
            self._limits.check_length(
                self._source, max(count, self._limits.least_frames), None
            )
            index = timeline.place(count - 1)
            if timeline.numbered:
                due = self._tick(index)
            elif frame is not None and not frame.is_corrupt:
                shown = frame.pts if frame.pts is not None else frame.dts
                if shown is not None:
                    first = shown if first is None else first
                    due = max(due, shown - first)
            if frame is None or frame.is_corrupt:
                yield DamagedFrame(index, due)
            else:
                yield Frame(index, due, self._upright(frame))
            due += 1
        if timeline.counted:
            rest = range(count, timeline.stored + timeline.cut_off)
            yield from (DamagedFrame(timeline.place(n), due + n - count) for n in rest)

    def _decoded(self, seek: int | None) -> Iterator[av.VideoFrame | None]:
        """Frames from there on as the decoder gives them; None for each error."""
        with self._streaming(seek) as (container, stream):
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except FFMPEG_ERRORS:
                    yield None
                    return
                if packet is None:
                    return
                try:
                    frames = packet.decode()
                except FFMPEG_ERRORS:
                    yield None
                    continue
                yield from frames

    @contextmanager
    def _streaming(
        self, seek: int | None = None
    ) -> Iterator[tuple[InputContainer, VideoStream]]:
        """The container and its stream, there or at the start: those that are open and that
        no other pass is in, or else new ones."""
        container, self._idle = self._idle, None
        try:
            if container is None:
                container = open_container(self._source, self._path)
                stream = self._checked_stream(container)
            else:
                stream = picture_stream(self._source, container)
                seek = self._start if seek is None else seek
            if seek is not None:
                container.seek(seek, stream=stream)
            yield container, stream
        except FFMPEG_ERRORS as error:
            raise InputError(
                f"{self._source}: is damaged ({ffmpeg_message(error)})"
            ) from error
        finally:
            if self._start is not None and self._idle is None:
                self._idle = container
            elif container is not None:
                container.close()

    def _checked_stream(self, container: InputContainer) -> VideoStream:
        stream = picture_stream(self._source, container)
        self._limits.check_picture(self._source, stream.width, stream.height)
        context = stream.codec_context
        # Decoders count what they round a width up to, which is 64 pixels or less.
        context.options = {"max_pixels": str(2 * self._limits.pixels)}
        # One thread: with more, a damaged frame takes its neighbours with it, and not the
        # same ones each time.
        context.thread_count = 1
        return stream

    def _watched(
        self, packets: Iterator["Packet[VideoStream]"]
    ) -> Iterator["Packet[VideoStream]"]:
        """The packets, decoded on their way until a frame shows, which is kept."""
        for packet in packets:
            if self._first is None:
                with suppress(*FFMPEG_ERRORS):
                    self._first = next(iter(packet.decode()), None)
            yield packet

    def _first_look(self, aspect: Fraction) -> FirstFrame:
        """aspect: width of a pixel to its height; square if it isn't positive."""
        frame, self._first = self._first, None
        if frame is None:
            raise InputError(
                f"{self._source}: is damaged, none of its frames can be decoded",
                "make or download it again",
            )
        self._limits.check_picture(self._source, frame.width, frame.height)
        try:
            colours = colours_of(frame)
        except InputError as error:
            raise InputError(f"{self._source}: {error.message}", error.hint) from error
        width = round(frame.width * aspect) if aspect > 0 else frame.width
        self._limits.check_picture(self._source, width, frame.height)
        return FirstFrame(
            stored=(frame.width, frame.height),
            square=(width, frame.height),
            orientation=_turn(frame),
            colours=colours,
            interlaced=frame.interlaced_frame,
        )

    def _notes(self, tracks: int) -> Iterator[str]:
        look, timeline = self._look, self._timeline
        if look.orientation != Orientation():
            how = (
                f"turned by {look.orientation.degrees} degrees"
                if look.orientation.degrees
                else "mirrored"
            )
            yield f"{how}, as the file says"
        if look.square != look.stored:
            yield "its pixels aren't square, stretched to {}x{}".format(*look.square)
        yield from look.colours.notes
        if look.interlaced:
            yield "is interlaced, combs may show; deinterlace it first for better poses"
        if not timeline.even:
            yield f"variable frame rate, about {float(timeline.rate):.2f} frames per second"
        if timeline.skipped:
            yield f"{timeline.skipped} frames before the first whole picture are left out"
        if tracks > 1:
            yield f"has {tracks} video streams, the default one is used"

    def _lost(self, index: int) -> DamagedFrame:
        return DamagedFrame(index, self._tick(index))

    def _tick(self, index: int) -> int:
        ticks = self._timeline.ticks
        if self._timeline.even:
            return index
        beyond = max(index - len(ticks) + 1, 0)
        return int(ticks[min(index, len(ticks) - 1)] - ticks[0]) + beyond

    def _upright(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        look = self._look
        if (frame.width, frame.height) != look.stored:
            old, new = "{}x{}".format(*look.stored), f"{frame.width}x{frame.height}"
            raise InputError(
                f"{self._source}: its pictures change size from {old} to {new}",
                "cut it where the size changes",
            )
        try:
            picture = to_rgb(
                frame, look.colours, *look.square, fast_colour=self._fast_colour
            )
        except InputError as error:
            raise InputError(f"{self._source}: {error.message}", error.hint) from error
        return look.orientation.apply(picture)


def _turn(frame: av.VideoFrame) -> Orientation:
    """The display matrix of a frame: `x' = a x + c y`, `y' = b x + d y`, in 1/65536."""
    sides = cast(SideDataContainer, frame.side_data)  # the stubs call it a dict
    matrix = next((side for side in sides if side.type is SideDataType.DISPLAYMATRIX), None)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(swap=False, mirror_x=a < 0, mirror_y=d < 0)
    return Orientation(swap=True, mirror_x=c < 0, mirror_y=b < 0)
