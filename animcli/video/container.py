"""Opening video files as the untrusted things they are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import av
import av.error
import av.logging
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from animcli.errors import InputError
from animcli.video.local import looks_like

SAFE_OPENING: Final = {
    # Without these a playlist or a concat script, whatever its name, opens other files, and
    # over HTTP when it is opened through a file object.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf",
}
TIMEOUT_S: Final = (30, 30)  # to open, and to read: a network disk may hang
BROKEN: Final = (av.error.FFmpegError, UnicodeDecodeError, MemoryError)
"""What FFmpeg's demuxers and decoders raise on damaged files (400 of them were tried)."""


@contextmanager
def opened(source: Path, path: Path) -> Iterator[InputContainer]:
    """The container at the absolute `path`, which the user called `source`."""
    try:
        container = _safely_opened(path)
    except BROKEN as error:
        raise _refusal(source, path, error) from error
    with container:
        yield container


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
    """What the file calls the codec of a stream without a decoder; empty if unknown.

    PyAV tells nothing of such a stream, but FFmpeg says it in passing when it opens a file:
    the four letters of most containers, or Matroska's own name. It is silent on codecs that
    it knows and this build leaves out.
    """
    repeats = av.logging.get_skip_repeated()
    level = av.logging.get_level()
    av.logging.set_skip_repeated(False)  # else what it said of the file before is missing
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as lines, suppress(*BROKEN):
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


def reason(error: BaseException) -> str:
    """What FFmpeg says about an error, without its codes and our paths."""
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
