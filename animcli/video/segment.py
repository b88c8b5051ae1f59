"""Encode one segment of a result: `python -m animcli.video.segment`, a job on stdin.

It runs in a process of its own because x264 in a long-lived process isn't a pure function
of its input: what was allocated before shows in the bytes, and after a resumed run in the
pixels. With a fresh process for each segment 104 kills left no trace.

The job is JSON: `sources` (files of `lossless`), `codec`, `container`, `rate` ("24/1"),
`quality`, `out`. What a user can cause or cure comes back as JSON on stdout: an error of
ours, or the system's refusal to write.

A segment of a result that is made of still pictures (WebP animations and PNG folders) is
each picture's bytes with their length and CRC, then an end mark. An animated WebP is such
pictures one after the other in a RIFF file, so that joining needs no decoding.
Source: the WebP Container Specification, chunks VP8X, ANIM and ANMF.
"""

import io
import json
import os
import signal
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.filter import Graph
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import AnimError, StorageError
from animcli.video.codecs import Codec, Encoding
from animcli.video.colour import to_video
from animcli.video.lossless import lossless_info, read_lossless

CHUNK_HEADER: Final = struct.Struct("<II")  # bytes, CRC-32
LONGEST_RIFF: Final = 2**32 - 2


def write_packed(path: Path, pictures: Iterable[bytes]) -> int:
    """Write pictures' bytes one after the other and return how many."""
    count = 0
    with path.open("wb") as file:
        for picture in pictures:
            file.write(CHUNK_HEADER.pack(len(picture), zlib.crc32(picture)) + picture)
            count += 1
        file.write(CHUNK_HEADER.pack(0, count))
    return count


def read_packed(path: Path) -> Iterator[bytes]:
    """Read what `write_packed` wrote. Raises StorageError if it is damaged or cut short."""
    with path.open("rb") as file:
        count = 0
        while True:
            head = file.read(CHUNK_HEADER.size)
            if len(head) < CHUNK_HEADER.size:
                raise StorageError(f"{path}: is cut short", "anim cache verify")
            length, checksum = CHUNK_HEADER.unpack(head)
            if length == 0:
                if checksum != count:
                    raise StorageError(f"{path}: is damaged", "anim cache verify")
                return
            picture = file.read(length)
            if len(picture) < length or zlib.crc32(picture) != checksum:
                raise StorageError(f"{path}: is damaged", "anim cache verify")
            yield picture
            count += 1


def write_pictures(folder: Path, pictures: Iterable[bytes]) -> int:
    """Write `000001.png` and so on into `folder`, and return how many."""
    folder.mkdir(exist_ok=True)
    count = 0
    for count, picture in enumerate(pictures, 1):
        (folder / f"{count:06}.png").write_bytes(picture)
    return count


def write_webp(
    path: Path, pictures: Iterable[bytes], rate: Fraction, *, alpha: bool = False
) -> int:
    """Write still WebP files as one animation that repeats, and return how many.

    alpha: some of them may have it.
    """
    count = 0
    with path.open("wb") as file:
        for count, picture in enumerate(pictures, 1):
            content = b"".join(_picture_chunks(picture))
            if count == 1:
                canvas = _size(picture)
                start = _vp8x(canvas, alpha=alpha)
                file.write(bytes(12) + start + _chunk(b"ANIM", struct.pack("<IH", 0, 0)))
            shown = round(1000 * count / rate) - round(1000 * (count - 1) / rate)
            file.write(_chunk(b"ANMF", _anmf(canvas, shown) + content))
        length = file.tell() - 8
        if length > LONGEST_RIFF:
            raise StorageError(
                f"{path}: a WebP can't be longer than 4 GB", "write a .webm instead"
            )
        file.seek(0, os.SEEK_SET)
        file.write(b"RIFF" + struct.pack("<I", length) + b"WEBP")
    return count


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _picture_chunks(picture: bytes) -> Iterator[bytes]:
    """The chunks of a still WebP file that hold its pixels."""
    at = 12
    while at + 8 <= len(picture):
        length = 8 + int.from_bytes(picture[at + 4 : at + 8], "little")
        length += length % 2
        if picture[at : at + 4] in (b"VP8 ", b"VP8L", b"ALPH"):
            yield picture[at : at + length]
        at += length


def _size(picture: bytes) -> tuple[int, int]:
    """`(width, height)` of a still WebP file."""
    with Image.open(io.BytesIO(picture)) as image:
        return image.size


def _vp8x(size: tuple[int, int], *, alpha: bool) -> bytes:
    flags = 0x02 | (0x10 if alpha else 0)  # animated, and has alpha
    return _chunk(
        b"VP8X", bytes([flags, 0, 0, 0]) + _three(size[0] - 1) + _three(size[1] - 1)
    )


def _anmf(size: tuple[int, int], shown_ms: int) -> bytes:
    do_not_blend = 0x02
    return (
        _three(0) + _three(0) + _three(size[0] - 1) + _three(size[1] - 1)
        + _three(shown_ms) + bytes([do_not_blend])
    )  # fmt: skip


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


_HALF = 128
THREADS = 2
"""Pinned, since the number of threads shows in the bytes of x264."""

BT709 = 1  # primaries, transfer and matrix alike, in ITU-T H.273
LIMITED = 1  # luma 16..235, as players expect


@dataclass(frozen=True)
class EncodeJob:
    """Frames to encode, how, and where to."""

    sources: tuple[Path, ...]
    encoding: Encoding
    out: Path

    def to_json(self) -> str:
        """The job as one line of ASCII, whatever bytes the paths hold."""
        return json.dumps(
            {
                "sources": [os.fspath(source) for source in self.sources],
                "codec": self.encoding.codec.value,
                "container": self.encoding.container,
                "rate": str(self.encoding.rate),
                "quality": self.encoding.quality,
                "alpha": self.encoding.alpha,
                "out": os.fspath(self.out),
            }
        )

    @staticmethod
    def from_json(text: str) -> "EncodeJob":
        """Inverse of `to_json`."""
        job = json.loads(text)
        return EncodeJob(
            sources=tuple(Path(source) for source in job["sources"]),
            encoding=Encoding(
                Codec(job["codec"]),
                job["container"],
                Fraction(job["rate"]),
                job["quality"],
                job["alpha"],
            ),
            out=Path(job["out"]),
        )


def encode_job(job: EncodeJob) -> None:
    """Write the segment; `job.out` appears whole or not at all.

    Raises StorageError if frames can't be read, OSError if the segment can't be written.
    """
    part = job.out.with_name(f"{job.out.name}.{os.getpid()}.part")
    try:
        if job.encoding.codec in (Codec.WEBP, Codec.PNG):
            write_packed(part, _stills(job))
        else:
            _encode_stream(job, part)
        part.replace(job.out)
    finally:
        part.unlink(missing_ok=True)


def _frames(job: EncodeJob) -> Iterator[NDArray[np.uint8]]:
    for source in job.sources:
        yield from read_lossless(source, alpha=job.encoding.alpha)


def _stills(job: EncodeJob) -> Iterator[bytes]:
    """Each frame as the bytes of a PNG or WebP file."""
    for pixels in _frames(job):
        memory = io.BytesIO()
        picture = Image.fromarray(pixels)
        if job.encoding.codec is Codec.PNG:
            picture.save(memory, "PNG", compress_level=3)
        elif job.encoding.alpha:
            picture.save(memory, "WEBP", quality=job.encoding.quality, method=4, exact=True)
        else:
            picture.save(memory, "WEBP", quality=job.encoding.quality, method=4)
        yield memory.getvalue()


def _encode_stream(job: EncodeJob, part: Path) -> None:
    encoding = job.encoding
    info = lossless_info(job.sources[0])
    width, height = encoding.stored_size(info.width, info.height)
    with av.open(os.fspath(part), "w", format=encoding.segment) as output:
        stream = output.add_stream(str(encoding.encoder.name), rate=encoding.rate)
        if not isinstance(stream, VideoStream):
            raise TypeError(f"{encoding.encoder.name} doesn't encode pictures")
        _set_up(stream, encoding, width, height)
        if encoding.alpha and encoding.codec is Codec.VP9:
            stream.metadata["alpha_mode"] = "1"
        pictures = (
            _palette_frames(job) if encoding.codec is Codec.GIF else _video_frames(job)
        )
        for index, frame in enumerate(pictures):
            frame.pts, frame.time_base = index, 1 / encoding.rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _set_up(stream: VideoStream, encoding: Encoding, width: int, height: int) -> None:
    encoder, context = encoding.encoder, stream.codec_context
    stream.width, stream.height, stream.pix_fmt = width, height, encoding.pixel_format
    context.time_base = 1 / encoding.rate
    context.framerate = encoding.rate
    context.thread_count = THREADS
    options = dict(encoder.options)
    if encoding.quality is not None:
        options[encoder.quality_option] = str(encoding.quality)
    context.options = options
    if encoder.tag is not None:
        context.codec_tag = encoder.tag
    if encoding.codec is not Codec.GIF:
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED


def _video_frames(job: EncodeJob) -> Iterator[av.VideoFrame]:
    for pixels in _frames(job):
        height, width, _ = pixels.shape
        wide, high = job.encoding.stored_size(width, height)
        whole = np.pad(pixels, ((0, high - height), (0, wide - width), (0, 0)), mode="edge")
        yield to_video(whole, job.encoding.pixel_format)


def _palette_frames(job: EncodeJob) -> Iterator[av.VideoFrame]:
    """The frames in the 256 colours that suit the segment best."""
    info = lossless_info(job.sources[0])
    reserve = f"reserve_transparent={int(job.encoding.alpha)}"
    finding = Graph()
    source = finding.add("buffer", _buffer_arguments(info.width, info.height))
    sink = finding.add("buffersink")
    finding.link_nodes(source, finding.add("palettegen", reserve), sink)
    finding.configure()
    for pixels in _frames(job):
        source.push(_bgra(pixels))
    source.push(None)
    palette = sink.pull()

    using = Graph()
    pictures = using.add("buffer", _buffer_arguments(info.width, info.height), name="p")
    colours = using.add("buffer", _buffer_arguments(16, 16), name="c")
    mapping = using.add("paletteuse", "dither=sierra2_4a")
    sink = using.add("buffersink")
    pictures.link_to(mapping, 0, 0)
    colours.link_to(mapping, 0, 1)
    mapping.link_to(sink)
    using.configure()
    palette.pts = 0
    colours.push(palette)
    colours.push(None)
    for index, pixels in enumerate(_frames(job)):
        frame = _bgra(pixels)
        frame.pts = index
        pictures.push(frame)
        mapped = sink.pull()
        if isinstance(mapped, av.VideoFrame):
            yield mapped


def _buffer_arguments(width: int, height: int) -> str:
    return f"video_size={width}x{height}:pix_fmt=bgra:time_base=1/1000:pixel_aspect=1/1"


def _bgra(pixels: NDArray[np.uint8]) -> av.VideoFrame:
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    if pixels.shape[2] == 4:  # a pixel of a GIF is there or isn't
        alpha = np.where(pixels[..., 3:] < _HALF, 0, 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(
        np.concatenate([pixels[..., 2::-1], alpha], axis=-1), format="bgra"
    )
    frame.pts, frame.time_base = 0, Fraction(1, 1000)
    return frame


def run_job() -> int:
    """Do the job on stdin; 0, or the exit code of the error that is printed as JSON."""
    # Ctrl-C reaches the whole process group. The parent decides what becomes of a segment.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        encode_job(EncodeJob.from_json(sys.stdin.read()))
    except AnimError as error:
        kind = type(error).__name__
        sys.stdout.write(
            json.dumps({"kind": kind, "message": error.message, "hint": error.hint})
        )
        return error.exit_code
    except OSError as error:
        sys.stdout.write(json.dumps({"errno": error.errno, "reason": error.strerror}))
        return StorageError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run_job())
