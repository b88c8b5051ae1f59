"""Video files, opened as the untrusted things they are, and the times of their frames.

The times are found by reading the packets through once. That costs no more than reading the
file. It gives exact times, how many frames there should be (a decoder may swallow damaged
ones without a word), and a safe place to start from for any frame.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.video.limits import Limits, looks_like

if TYPE_CHECKING:
    from av.packet import Packet

SAFE_OPENING: Final = {
    # Without these a playlist or a concat script, whatever its name, opens other files, and
    # over HTTP when it is opened through a file object.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf",
}
TIMEOUT_S: Final = (30, 30)  # to open, and to read: a network disk may hang
FFMPEG_ERRORS: Final = (av.error.FFmpegError, UnicodeDecodeError, MemoryError)
"""Errors of FFmpeg's demuxers and decoders on damaged files (400 of them were tried)."""


def open_container(source: Path, path: Path) -> InputContainer:
    """The container at the absolute `path`, which the user called `source`."""
    try:
        return _safely_opened(path)
    except FFMPEG_ERRORS as error:
        raise _refusal(source, path, error) from error


def _safely_opened(path: Path) -> InputContainer:
    return av.open(
        str(path),
        mode="r",
        options=dict(SAFE_OPENING),
        metadata_errors="replace",
        timeout=TIMEOUT_S,
    )


def picture_stream(source: Path, container: InputContainer) -> VideoStream:
    """The stream of moving pictures; cover art isn't one. Raises InputError for none."""
    moving = moving_streams(container)
    if not moving:
        if container.streams.video:
            raise InputError(f"{source}: has no moving pictures, only a cover picture")
        raise InputError(f"{source}: has no video stream")
    stream = container.streams.best("video")
    chosen = stream if isinstance(stream, VideoStream) and stream in moving else moving[0]
    if chosen.codec_context is None:
        raise _lacking_codec(source, _codec_of(container, chosen.index))
    return chosen


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams that are more than a cover picture."""
    still = Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & still]


def _lacking_codec(source: Path, name: str) -> InputError:
    codec = f"its codec {name}" if name else "its codec"
    return InputError(
        f"{source}: {codec} is not in this build of FFmpeg", "convert it to H.264 first"
    )


def _codec_of(container: InputContainer, index: int) -> str:
    """Name in the file for the codec of a stream without a decoder; empty if unknown.

    PyAV tells nothing of such a stream, but FFmpeg says it in passing when it opens a file:
    the four letters of most containers, or Matroska's own name. It is silent on codecs that
    it knows and this build leaves out.
    """
    repeats = av.logging.get_skip_repeated()
    level = av.logging.get_level()
    av.logging.set_skip_repeated(False)  # else what it said of the file before is missing
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as lines, suppress(*FFMPEG_ERRORS):
            _safely_opened(Path(container.name)).close()
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(repeats)
    said = "".join(text for _, _, text in lines)
    for pattern in (
        rf"stream {index} \(Video: none \((.+?) / 0x",
        r"Unknown/unsupported AVCodecID (V_[\w/.-]+?)\.?\n",
    ):
        if match := re.search(pattern, said, re.ASCII):
            return match[1]
    return ""


def ffmpeg_message(error: BaseException) -> str:
    """Message of FFmpeg for an error, without its codes and our paths."""
    text = getattr(error, "strerror", None)
    return str(text or "out of memory" if isinstance(error, MemoryError) else text or error)


def _refusal(source: Path, path: Path, error: BaseException) -> InputError:
    """The one clear message for a file that FFmpeg wouldn't open."""
    disguise = looks_like(path)
    if disguise == "looks like a playlist":
        return InputError(
            f"{source}: is a playlist, which is not accepted", "give the video itself"
        )
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return InputError(
            f"{source}: is incomplete, its index is missing",
            "was the download or the recording cut off? make it again",
        )
    if isinstance(error, MemoryError):
        return InputError(f"{source}: is damaged (it asks for too much memory)")
    return InputError(f"{source}: is not a video ({disguise})")


ONE_FRAME_A_PACKET: Final = frozenset(
    {"h264", "hevc", "av1", "libdav1d", "vp9", "mpeg2video", "mjpeg", "prores", "dnxhd"}
    | {"ffv1", "huffyuv", "ffvhuff", "utvideo", "qtrle", "png", "rawvideo", "cfhd", "vvc"}
)
"""Decoders for which a missing picture is a loss. VP8 has packets that show nothing, and
MPEG-4 part 2 in AVI has packets with two pictures."""

KEY_FRAMES_ONLY: Final = frozenset(
    {"mjpeg", "prores", "dnxhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "png", "rawvideo"}
)

INDEXED: Final = ("mov", "matroska")
"""Containers that know where their key frames are, so that a seek lands on one."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of a clip, before any is decoded.

    ticks: `(frames,)` int64, in `time_base`, ascending; only a guess unless `exact`.
    time_base: seconds in a tick.
    rate: frames per second, exact where `even`.
    even: whether the frames are evenly spaced, up to the rounding of the container.
    exact: whether `ticks` tells which frame is which.
    counted: whether each packet is one frame, so that it is known how many must come out.
    stored: how many pictures are in the file.
    keys: ascending pairs (tick of a frame that decoding can start at, where to seek).
    skipped: frames before the first that can be decoded.
    places: `(stored,)`: which of the frames each picture in the file is; an AVI has frames
        without one, through which the picture before stays.
    numbered: whether the times of pictures follow from their numbers, as in AVI.
    cut_off: frames at the end that are known to be missing.
    """

    ticks: NDArray[np.int64]
    time_base: Fraction
    rate: Fraction
    even: bool
    exact: bool
    counted: bool
    _: KW_ONLY
    stored: int
    keys: tuple[tuple[int, int], ...]
    skipped: int
    places: NDArray[np.int64]
    numbered: bool
    cut_off: int

    def __len__(self) -> int:
        return len(self.ticks)

    def place(self, number: int) -> int:
        """Frame that the picture of that number is, from 0."""
        if number < self.stored:
            return int(self.places[number])
        return int(self.places[-1]) + 1 + number - self.stored

    def pictures_before(self, frame: int) -> int:
        """Number of pictures that come before a frame."""
        return int(np.searchsorted(self.places, frame))

    @property
    def held(self) -> int:
        """Number of frames that have no picture of their own."""
        return int(self.places[-1]) + 1 - len(self.places)

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        if self.even:
            return len(self.ticks) / self.rate
        span = int(self.ticks[-1] - self.ticks[0])
        return span * self.time_base + 1 / self.rate

    def seek_for(self, frame: int) -> int | None:
        """Time to seek to so that `frame` comes out as it does from the start; None:
        nowhere.

        One key frame further back than needed: some files mark as key frames what takes a
        few frames to become whole.
        """
        if not self.exact or self.held or frame >= self.stored:
            return None
        before = bisect_right(self.keys, int(self.ticks[frame]), key=lambda key: key[0])
        return self.keys[before - 2][1] if before > 2 else None


def read_timeline(
    source: Path,
    container: InputContainer,
    stream: VideoStream,
    limits: Limits,
    packets: Iterable["Packet[VideoStream]"] | None = None,
) -> Timeline:
    """Read all packets of `stream`; `container` is at its end afterwards.

    packets: them, where somebody else looks at them on the way.
    """
    time_base = stream.time_base
    if time_base is None:
        raise InputError(f"{source}: has no times for its frames")
    pts: list[int | None] = []
    dts: list[int | None] = []
    keys: list[tuple[int, int]] = []
    cut_off = count = 0
    try:
        for packet in packets or container.demux(stream):
            if packet.size == 0:
                continue
            count += 1
            if packet.is_keyframe and packet.pts is not None:
                # One that an edit list leaves out is still where decoding can start.
                keys.append((packet.pts, min(packet.pts, packet.dts or packet.pts)))
            if packet.is_discard:
                continue
            pts.append(packet.pts)
            dts.append(packet.dts)
            limits.check_length(source, max(len(pts), limits.least_frames), None)
    except FFMPEG_ERRORS:
        cut_off = 1  # the rest can't even be found; at least one frame is gone
    limits.check_length(source, len(pts), None)
    if not pts:
        raise InputError(f"{source}: holds no frames")
    known = sorted(tick for tick in pts if tick is not None)
    codec = stream.codec_context.name
    counted = codec in ONE_FRAME_A_PACKET
    is_avi = container.format.name == "avi"
    # AVI stores no times, and what FFmpeg guesses for B-frames isn't what the decoder says.
    clocked = not is_avi or codec in KEY_FRAMES_ONLY
    exact = counted and clocked and bool(keys) and len(known) == len(pts) == len(set(known))
    start = min(keys)[0] if exact else 0
    kept = [tick for tick in known if tick >= start] if exact else known
    ticks = np.array(kept or range(len(pts)), np.int64)
    if is_avi and (counts := [tick for tick in dts if tick is not None]):
        ticks = np.unique(np.array(counts, np.int64))  # it stores pictures by their number
    places = _places(ticks) if is_avi else np.arange(len(ticks))
    limits.check_length(source, int(places[-1]) + 1, None)
    if places[-1] >= len(places):
        ticks = np.interp(np.arange(places[-1] + 1), places, ticks).astype(np.int64)
    if container.format.name.startswith("mov"):
        cut_off = max(len(stream.index_entries) - count, cut_off)
    rate, even = _rate(ticks, time_base, stream)
    step = max(round(1 / (rate * time_base)), 1)
    beyond = ticks[-1] + step * np.arange(1, cut_off + 1, dtype=np.int64)
    timeline = Timeline(
        ticks=np.concatenate([ticks, beyond]) if exact else ticks,
        time_base=time_base,
        rate=rate,
        even=even and (exact or is_avi),
        exact=exact,
        counted=counted,
        stored=len(places),
        keys=tuple(sorted(keys)) if container.format.name.startswith(INDEXED) else (),
        skipped=len(pts) - len(kept) if exact else 0,
        places=places,
        numbered=is_avi,
        cut_off=cut_off,
    )
    limits.check_length(source, len(timeline), timeline.duration)
    return timeline


def _places(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frame that each picture of an AVI is, by the usual step between two of them.

    A gap of several steps is as many frames, in which the picture before stays: capture
    programs write frames without data where nothing came. Where gaps are no whole steps,
    pictures are all the frames there are, and their times uneven.
    """
    steps = np.diff(ticks)
    if not len(steps):
        return np.arange(len(ticks))
    usual = int(np.bincount(steps.clip(0, 10_000)).argmax())
    if usual < 1 or (steps % usual).any():
        return np.arange(len(ticks))
    places: NDArray[np.int64] = (ticks - ticks[0]) // usual
    return places


def _rate(
    ticks: NDArray[np.int64], time_base: Fraction, stream: VideoStream
) -> tuple[Fraction, bool]:
    """Frames per second, and whether the frames keep to it.

    Matroska rounds times to milliseconds, so that a rate that the header names counts if it
    explains every tick up to rounding.
    """
    steps = np.diff(ticks)
    if len(steps) and (steps == steps[0]).all() and steps[0] > 0:
        exact = 1 / (int(steps[0]) * time_base)
        if steps[0] > 1:
            return exact, True
    named = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
    count = np.arange(len(ticks))
    for rate in named:
        wanted = count * float(1 / (rate * time_base))
        if np.abs(ticks - ticks[0] - wanted).max() <= 1:
            return rate, True
    if len(steps) and ticks[-1] > ticks[0]:
        mean = len(steps) / (int(ticks[-1] - ticks[0]) * time_base)
        return mean.limit_denominator(1001), False
    return (named or [Fraction(25)])[0], len(ticks) == 1
