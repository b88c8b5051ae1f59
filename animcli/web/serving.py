"""Files over HTTP: opened below one folder and through no link, whole or in part."""

import os
import re
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

SEND_BYTES: Final = 1 << 18
RANGE_HEADER: Final = re.compile(r"bytes=(\d*)-(\d*)")

BROWSER_TYPES: Final[tuple[tuple[bytes, int, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypqt", 4, "video/quicktime"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
)
"""(bytes, from where, type) of what a browser may show; all else is for saving only."""

_UNKNOWN: Final = "application/octet-stream"


def open_below(root: Path, parts: Sequence[str]) -> int:
    """A file below a folder, opened for reading; no part of the way may be a link.

    Raises OSError, among it where something on the way is a link.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            deeper = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = deeper
        # Not to hang at a pipe that somebody put there.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)


def kind_of(file: int) -> str:
    """The type of a file by its first bytes."""
    start = os.pread(file, 16, 0)
    for magic, at, kind in BROWSER_TYPES:
        if start[at : at + len(magic)] == magic:
            return kind
    return _UNKNOWN


def safe_name(name: str) -> str:
    """A name that may stand in a header and on any disk."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).strip(".")[:150] or "file"


def send_file(
    request: Request, root: Path, parts: Sequence[str], name: str, *, save: bool
) -> Response:
    """The answer with a file, or the part of it that was asked for.

    name: what it is called where it is saved. save: whether that was asked for.
    """
    try:
        file = open_below(root, parts)
    except OSError:
        return Response(status_code=404)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        os.close(file)
        return Response(status_code=404)
    kind = kind_of(file)
    shown = "attachment" if save or kind == _UNKNOWN else "inline"
    headers = {
        "content-type": kind,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "etag": f'"{status.st_size}-{status.st_mtime_ns}"',
        "content-disposition": f'{shown}; filename="{safe_name(name)}"',
    }
    span, code = range(status.st_size), 200
    if (said := request.headers.get("range")) is not None:
        wanted = read_range(said, status.st_size)
        if wanted is None:
            os.close(file)
            total = {"content-range": f"bytes */{status.st_size}"}
            return Response(status_code=416, headers=total)
        span, code = wanted, 206
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{status.st_size}"
    headers["content-length"] = str(len(span))
    if request.method == "HEAD":
        os.close(file)
        return Response(status_code=code, headers=headers)
    return StreamingResponse(_pieces(file, span), code, headers)


def read_range(said: str, size: int) -> range | None:
    """The bytes that a Range header asks for; None where there are none such.

    Of several ranges in one header none is understood.
    """
    match = RANGE_HEADER.fullmatch(said.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
    return range(start, stop) if start < stop else None


async def _pieces(file: int, span: range) -> AsyncIterator[bytes]:
    try:
        at = span.start
        while at < span.stop:
            length = min(SEND_BYTES, span.stop - at)
            piece = await anyio.to_thread.run_sync(os.pread, file, length, at)
            if not piece:
                return
            at += len(piece)
            yield piece
    finally:
        os.close(file)
