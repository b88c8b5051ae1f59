"""Tiny clips and pictures for the tests of the video room, made in code."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition
from numpy.typing import NDArray

from animcli.video.colour import to_video

Pixels = NDArray[np.uint8]


def moving_picture(index: int, width: int = 64, height: int = 48) -> Pixels:
    """A smooth picture that says by its grey level and its bar which frame it is."""
    across = np.linspace(40, 120, width)[None, :, None]
    down = np.linspace(0, 60, height)[:, None, None]
    pixels = np.broadcast_to(across + down, (height, width, 3)).copy()
    pixels[:, (index * 3) % width, 0] = 220
    pixels[: height // 4] = 16 + (index * 8) % 224
    return pixels.astype(np.uint8)


def tiny_clip(
    path: Path,
    frames: int = 12,
    *,
    width: int = 64,
    height: int = 48,
    rate: Fraction = Fraction(24),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    ticks: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    prepare: Callable[[av.VideoStream], None] | None = None,
    container: str | None = None,
    picture: Callable[[int, int, int], Pixels] = moving_picture,
) -> Path:
    """A clip of `picture`, B-frames and all; `ticks` (of 1/1000 s) for uneven ones."""
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = 1 / rate if ticks is None else Fraction(1, 1000)
        stream.codec_context.options = {"g": "6", "bf": "2"} if options is None else options
        stream.codec_context.thread_count = 1
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        if prepare is not None:
            prepare(stream)
        for index in range(frames):
            frame = to_video(picture(index, width, height), pixel_format)
            frame.pts = index if ticks is None else ticks[index]
            frame.time_base = stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


INTERLACED = {"x264-params": "tff=1", "flags": "+ildct+ilme"}
"""Options of `tiny_clip` for fields instead of frames."""


def clip_of_tracks(path: Path, *codecs: str, frames: int = 6) -> Path:
    """A clip with several video streams; one of `mjpeg` is a cover picture."""
    with av.open(str(path), "w") as output:
        streams = [output.add_stream(codec, rate=24) for codec in codecs]
        for stream in streams:
            assert isinstance(stream, av.VideoStream)
            cover = stream.codec_context.name == "mjpeg"
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if cover else "yuv420p"
            if cover:
                stream.disposition = Disposition.attached_pic
        for stream in streams:
            assert isinstance(stream, av.VideoStream)
            cover = stream.codec_context.name == "mjpeg"
            for index in range(1 if cover else frames):
                frame = to_video(moving_picture(index), stream.pix_fmt or "yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 24)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def clip_of_unknown_codec(path: Path) -> Path:
    """An .mkv whose codec has a name that no build of FFmpeg knows."""
    data = tiny_clip(path, 6, container="matroska").read_bytes()
    name = b"V_MPEG4/ISO/AVC"
    assert name in data
    path.write_bytes(data.replace(name, b"V_MPEG4/ISO/XYZ"))
    return path


def clip_of_unknown_letters(path: Path) -> Path:
    """An .mp4 or .avi whose codec has four letters that no build of FFmpeg knows."""
    data = tiny_clip(path, 6).read_bytes()
    letters, first = (b"avc1", b"stsd") if path.suffix == ".mp4" else (b"H264", b"strl")
    before, found, after = data.partition(first)
    assert found
    assert letters in after
    path.write_bytes(before + found + after.replace(letters, b"Qq9X"))
    return path


def clip_with_tone(
    path: Path, onset: Fraction, *, frames: int = 48, codec: str = "aac"
) -> Path:
    """A clip of 24 frames a second with silence, then a tone of 1 kHz from `onset` on."""
    sound_rate = 48000
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=24)
        audio = output.add_stream(codec, rate=sound_rate, layout="mono")
        assert isinstance(video, av.VideoStream)
        assert isinstance(audio, av.AudioStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            frame = to_video(moving_picture(index), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        time = np.arange(frames * sound_rate // 24) / sound_rate
        wave = np.where(time >= float(onset), np.sin(2 * np.pi * 1000 * time), 0) * 0.5
        samples = av.AudioFrame.from_ndarray(
            wave[None].astype(np.float32), format="fltp", layout="mono"
        )
        samples.sample_rate, samples.pts = sound_rate, 0
        output.mux(audio.encode(samples))
        output.mux(audio.encode(None))
    return path


def heard_onset(path: Path) -> float:
    """Seconds into the file at which its sound starts to be heard."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray().astype(np.float32)).max(axis=0) > 0.1
            if loud.any() and frame.pts is not None and frame.time_base is not None:
                return (
                    float(frame.pts * frame.time_base) + loud.argmax() / frame.sample_rate
                )
    raise ValueError(f"{path} is silent")


def losslessly_trimmed(path: Path, clip: Path, start: Fraction) -> Path:
    """The clip from `start` seconds on, without a new encoding: what is needed from the key
    frame before is there, and an edit list hides it.
    """
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        streams = {
            each.index: output.add_stream_from_template(each)
            for each in (*source.streams.video, *source.streams.audio)
        }
        for packet in source.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            output.mux(packet)
    return path


def avi_with_gaps(
    path: Path,
    shown: Sequence[int],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """An AVI with a picture in the frames of `shown`, and nothing in those between."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        stream.codec_context.options = options or {}
        stream.codec_context.time_base = Fraction(1, 24)
        for index in shown:
            frame = to_video(moving_picture(index), pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, 24)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def copied_to_avi(path: Path, clip: Path) -> Path:
    """The pictures of an .mp4 of H.264 in an .avi, without a new encoding."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        convert = BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in source.demux(stream):
            for changed in convert.filter(packet if packet.dts is not None else None):
                changed.stream = copy
                output.mux(changed)
    return path
