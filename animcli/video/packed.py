"""Segments of results that are made of still pictures: WebP animations and PNG folders.

A segment is each picture's bytes with their length and CRC, then an end mark. An animated
WebP is such pictures one after the other in a RIFF file, so that joining needs no decoding.
Source: the WebP Container Specification, chunks VP8X, ANIM and ANMF.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

from animcli.errors import StorageError

HEAD: Final = struct.Struct("<II")  # bytes, CRC-32
LONGEST_RIFF: Final = 2**32 - 2


def write_packed(path: Path, pictures: Iterable[bytes]) -> int:
    """Write pictures' bytes one after the other and return how many."""
    count = 0
    with path.open("wb") as file:
        for picture in pictures:
            file.write(HEAD.pack(len(picture), zlib.crc32(picture)) + picture)
            count += 1
        file.write(HEAD.pack(0, count))
    return count


def read_packed(path: Path) -> Iterator[bytes]:
    """What `write_packed` wrote. Raises StorageError if it is damaged or cut short."""
    with path.open("rb") as file:
        count = 0
        while True:
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                raise StorageError(f"{path}: is cut short", "anim cache verify")
            length, checksum = HEAD.unpack(head)
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


def write_webp(path: Path, pictures: Iterable[bytes], rate: Fraction) -> int:
    """Write still WebP files as one animation that repeats, and return how many."""
    count = 0
    with path.open("wb") as file:
        for count, picture in enumerate(pictures, 1):
            content = b"".join(_picture_chunks(picture))
            if count == 1:
                canvas = _size(content)
                file.write(
                    bytes(12) + _vp8x(canvas) + _chunk(b"ANIM", struct.pack("<IH", 0, 0))
                )
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


def _size(chunk: bytes) -> tuple[int, int]:
    """`(width, height)` out of a `VP8 ` chunk: 14 bits each after the start code."""
    width, height = struct.unpack_from("<HH", chunk, 8 + 6)
    return width & 0x3FFF, height & 0x3FFF


def _vp8x(size: tuple[int, int]) -> bytes:
    animated = 0x02
    return _chunk(
        b"VP8X", bytes([animated, 0, 0, 0]) + _three(size[0] - 1) + _three(size[1] - 1)
    )


def _anmf(size: tuple[int, int], shown_ms: int) -> bytes:
    do_not_blend = 0x02
    return (
        _three(0) + _three(0) + _three(size[0] - 1) + _three(size[1] - 1)
        + _three(shown_ms) + bytes([do_not_blend])
    )  # fmt: skip


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")
