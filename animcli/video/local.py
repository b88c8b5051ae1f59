"""What a path that the user gave really is, before anything clever opens it."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from animcli.errors import InputError

MAGICS: Final = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x7fELF": "a program",
}


def local_path(source: Path, kind: str) -> Path:
    """The absolute path of `source`, once it is sure to be a file or folder here.

    An absolute path also takes the meaning out of names such as `concat:a.mp4` or `-i`.

    Raises InputError, naming what else it is; `kind` is what was expected.
    """
    name = str(source)
    refuse_address(source)
    path = Path(os.path.abspath(source))  # noqa: PTH100 - Path.absolute keeps `..`
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: can't be read ({reason})") from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise InputError(f"{name}: is a device or a pipe, expected {kind}")
    return path


def refuse_address(source: Path) -> None:
    """Raise InputError for the address of something that is elsewhere.

    As a path it has lost a slash: `https:/a/b.mp4`.
    """
    name = str(source)
    if "://" in name or re.match(r"(https?|ftp|rtsp|rtmp|data|file):", name):
        raise InputError(f"{name}: is an address, not a file", "download it first")


def regular_file(source: Path, kind: str) -> Path:
    """The absolute path of `source`, once it is sure to be a file with something in it."""
    path = local_path(source, kind)
    if path.is_dir():
        raise InputError(f"{source}: is a folder, expected {kind}")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{source}: can't be read ({error.strerror})") from error
    if empty:
        raise InputError(f"{source}: is empty (0 bytes)")
    return path


def looks_like(path: Path) -> str:
    """What the first bytes of a file that can't be opened suggest it is."""
    with path.open("rb") as file:
        start = file.read(1024)
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype", b"<html")) or b"<html" in text:
        return "looks like a web page"
    if text.startswith((b"#extm3u", b"ffconcat", b"v=0", b"<mpd", b"[playlist]")):
        return "looks like a playlist"
    if b"<mpd" in text:
        return "looks like a playlist"
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, the file itself was not fetched"
    for magic, name in MAGICS.items():
        if start.startswith(magic):
            return f"looks like {name}"
    if not any(byte < 9 for byte in start):
        return "looks like text"
    return "its first bytes are of no known kind"
