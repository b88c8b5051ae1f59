"""Write the result: segments, each encoded in a process of its own, then joined by copying.

Frames come from files of `lossless`. Nothing is encoded twice, and what was encoded before
a run stopped is used when it goes on.
"""

import heapq
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Final

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

import animcli
from animcli import errors
from animcli.errors import AnimError, DeviceError, StorageError
from animcli.video.audio import Sound, add_sound
from animcli.video.codecs import (
    PICTURE_FOLDER,
    Codec,
    Encoding,
    available_encoders,
    encoding_for,
)
from animcli.video.container import ffmpeg_message
from animcli.video.segment import EncodeJob, read_packed, write_pictures, write_webp

__all__ = [
    "LEAST_FRAMES",
    "Codec",
    "Encoding",
    "Sound",
    "available_encoders",
    "encode_segment",
    "encoding_for",
    "join_segments",
]

LEAST_FRAMES: Final = 48
"""Frames a segment should have: each starts with a key frame, and with 12 frames a file was
22 % larger than one encoded in one go."""

CLEAN_MEMORY: Final = {"MALLOC_PERTURB_": "255"}
"""Lets glibc fill what it hands out with zeros. x264 reads memory that it hasn't written:
even in a fresh process the length of a path showed in the pixels. Of 15 lengths came 7
different segments, and one with this."""


def encode_segment(sources: Sequence[Path], encoding: Encoding, out: Path) -> None:
    """Encode files of `lossless`, in order, as one segment; `out` is whole or absent.

    Any `out` will do: what the segment is stored in is no business of the caller's. It
    starts with a key frame and refers to nothing before it.

    Raises StorageError if frames can't be read or `out` can't be written, DeviceError if
    the encoder isn't there or was killed.
    """
    job = EncodeJob(
        tuple(source.absolute() for source in sources), encoding, out.absolute()
    )
    # The child's first place to look for modules is its working folder. In the user's
    # folder an `av.py` would be run.
    home = Path(animcli.__file__).parents[1]
    child = subprocess.run(
        [sys.executable, "-m", "animcli.video.segment"],
        input=job.to_json().encode("ascii"),
        capture_output=True,
        cwd=home,
        env={**os.environ, **CLEAN_MEMORY},
        check=False,
    )
    if child.returncode < 0:
        raise DeviceError(
            f"{out.name}: the encoder was ended by signal {-child.returncode}",
            "is there enough memory? the same command goes on from here",
        )
    if child.returncode > 0:
        raise _error_of(child, out)


def join_segments(
    segments: Sequence[Path], encoding: Encoding, out: Path, sound: Sound | None
) -> None:
    """Join segments of `encode_segment` without encoding again, with evenly spaced times.

    sound: laid under the pictures from their first frame on; nothing if it has no sound.
    For a folder of pictures `out` is made, or filled.

    Raises ValueError for sound in a file that can't carry any, StorageError if a segment is
    damaged or of another encoding, or `out` can't be written.
    """
    if sound is not None and not encoding.carries_sound:
        raise ValueError(f"{encoding.container} has no sound")
    try:
        if encoding.container == PICTURE_FOLDER:
            write_pictures(out, chain.from_iterable(map(read_packed, segments)))
        elif encoding.container == "webp":
            pictures = chain.from_iterable(map(read_packed, segments))
            write_webp(out, pictures, encoding.rate, alpha=encoding.alpha)
        else:
            _join_streams(segments, encoding, out, sound)
    except (av.error.FFmpegError, OSError) as error:
        raise StorageError(
            f"{out}: can't be written ({error.strerror or error})"
        ) from error


def _join_streams(
    segments: Sequence[Path], encoding: Encoding, out: Path, sound: Sound | None
) -> None:
    options = {"movflags": "+faststart"} if encoding.container in ("mp4", "mov") else {}
    with av.open(os.fspath(out), "w", format=encoding.container, options=options) as output:
        stream = _picture_track(output, segments[0], encoding)
        pictures: Iterator[Packet[Any]] = _pictures(segments, encoding, stream)
        sounds = iter(()) if sound is None else add_sound(output, encoding.container, sound)
        for packet in heapq.merge(pictures, sounds, key=_time):
            output.mux(packet)


def _picture_track(
    output: OutputContainer, segment: Path, encoding: Encoding
) -> VideoStream:
    with _opened_segment(segment, encoding) as first:
        # Opaque, since AV1's decoder has another name than any encoder.
        stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
    stream.time_base = 1 / encoding.rate
    if encoding.alpha and encoding.codec is Codec.VP9:
        stream.metadata["alpha_mode"] = "1"
    if encoding.encoder.tag is not None and encoding.container in ("mp4", "mov"):
        stream.codec_context.codec_tag = encoding.encoder.tag
    return stream


@contextmanager
def _opened_segment(segment: Path, encoding: Encoding) -> Iterator[InputContainer]:
    try:
        with av.open(os.fspath(segment), "r", format=encoding.segment) as source:
            yield source
    except av.error.FFmpegError as error:
        raise StorageError(
            f"{segment}: this segment is damaged ({ffmpeg_message(error)})",
            "anim cache verify",
        ) from error


def _pictures(
    segments: Sequence[Path], encoding: Encoding, stream: VideoStream
) -> Iterator["Packet[VideoStream]"]:
    """The packets of all segments, numbered as if they had been encoded in one go."""
    frames = 0
    headers: set[bytes | None] = set()
    for segment in segments:
        if encoding.codec is Codec.GIF:
            _check_end(segment)
        with _opened_segment(segment, encoding) as source:
            pictures = source.streams.video[0]
            headers.add(pictures.codec_context.extradata)
            if len(headers) > 1:
                raise StorageError(
                    f"{segment}: is encoded otherwise than the segments before it",
                    "anim cache clear",
                )
            count = 0
            for packet in source.demux(pictures):
                if packet.pts is None or packet.dts is None:
                    continue
                step = packet.time_base * encoding.rate
                shown, decoded = round(packet.pts * step), round(packet.dts * step)
                if encoding.codec is Codec.GIF:
                    packet = _without_end(packet)
                packet.pts, packet.dts = frames + shown, frames + decoded
                packet.time_base = 1 / encoding.rate
                packet.duration = 1
                packet.stream = stream
                count += 1
                yield packet
            frames += count


def _check_end(segment: Path) -> None:
    """Raise StorageError if a GIF was cut short; reading it would give fewer pictures."""
    if not segment.read_bytes().endswith(b"\0;"):
        raise StorageError(f"{segment}: this segment is cut short", "anim cache verify")


def _without_end(packet: "Packet[VideoStream]") -> "Packet[VideoStream]":
    """A GIF's picture without the `;` that ends the file after the last of a segment.

    A picture's own data always end with a zero.
    """
    data = bytes(packet)
    shorter: Packet[Any] = Packet(data[:-1] if data.endswith(b";") else data)
    return shorter


def _time(packet: "Packet[Any]") -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _error_of(child: subprocess.CompletedProcess[bytes], out: Path) -> Exception:
    """Error of the child process, as the exception that it was there."""
    try:
        told = json.loads(child.stdout)
        if "errno" in told:
            refusal = StorageError(f"{out}: can't be written ({told['reason']})")
            refusal.__cause__ = OSError(told["errno"], told["reason"])
            return refusal
        kind = getattr(errors, told["kind"])
    except (ValueError, KeyError, AttributeError):
        return RuntimeError("the encoder: " + child.stderr.decode(errors="replace"))
    if not issubclass(kind, AnimError):
        return RuntimeError("the encoder: " + child.stdout.decode(errors="replace"))
    error: AnimError = kind(told["message"], told["hint"])
    return error
