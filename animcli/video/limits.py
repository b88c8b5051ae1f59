"""Limits of untrusted media: how large they may be, and what a path really is."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from animcli.errors import InputError

MOST_PIXELS: Final = 40_000_000  # of one picture: 8K video is 33 million
TOO_LARGE: Final = "scale it down first, or allow it with --max-pixels"
PIXELS_VARIABLE: Final = "ANIM_MAX_PIXELS"


@contextmanager
def allowing(pixels: int) -> Iterator[None]:
    """A stretch of work in which a picture may have this many pixels.

    It holds for all threads, and for the child processes that are started meanwhile: the
    environment is what all of these have in common.
    """
    before = os.environ.get(PIXELS_VARIABLE)
    os.environ[PIXELS_VARIABLE] = str(pixels)
    try:
        yield
    finally:
        if before is None:
            del os.environ[PIXELS_VARIABLE]
        else:
            os.environ[PIXELS_VARIABLE] = before


def _most_pixels() -> int:
    return int(os.environ.get(PIXELS_VARIABLE, MOST_PIXELS))


@dataclass(frozen=True)
class Limits:
    """Largest footage that isn't refused: a small file can hold a huge one.

    pixels: of one picture; what `allowing` says, or MOST_PIXELS. frames, seconds: of the
    clip. least_frames: 2 where one picture isn't a motion.
    """

    pixels: int = field(default_factory=_most_pixels)
    frames: int = 1_000_000
    seconds: int = 4 * 3600
    least_frames: int = 1

    def check_picture(self, source: Path, width: int, height: int) -> None:
        """Raise InputError if a picture of this size is too large."""
        if width * height > self.pixels:
            limit = f"{self.pixels / 1e6:g} Mpx"
            raise InputError(
                f"{source}: {width}x{height} is over the limit of {limit}",
                TOO_LARGE,
            )

    def check_animation(self, source: Path, frames: int, size: tuple[int, int]) -> None:
        """Raise InputError where an animated picture has too many frames, or pixels."""
        self.check_length(source, frames, None)
        if frames * size[0] * size[1] > MOST_ANIMATED:
            raise InputError(
                f"{source}: {frames} frames of {size[0]}x{size[1]} are more than an "
                "animated picture may hold",
                "make a video of it, or cut it into shorter ones",
            )

    def check_length(self, source: Path, frames: int, duration: Fraction | None) -> None:
        """Raise InputError if a clip of this length is too long, or too short."""
        if frames > self.frames:
            raise InputError(
                f"{source}: more than {self.frames} frames", "cut it into shorter clips"
            )
        if duration is not None and duration > self.seconds:
            length = f"{float(duration):.0f} s"
            raise InputError(
                f"{source}: {length} long, over the limit of {self.seconds} s",
                "cut it into shorter clips",
            )
        if frames < self.least_frames:
            plural = "" if frames == 1 else "s"
            raise InputError(
                f"{source}: has {frames} frame{plural}, needs at least {self.least_frames}",
                "give a video, an animated picture or a folder of pictures",
            )


MOST_ANIMATED: Final = 20_000_000_000
"""Pixels of all frames of an animated picture: 2,400 frames of 4K. All must be decoded to
learn how long each is shown, and a file of a megabyte can ask for a day of that."""

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

    As a path it has lost a slash, which is put back: `https:/a/b.mp4`.
    """
    name = str(source)
    if "://" in name or re.match(r"(https?|ftp|rtsp|rtmp|data|file):", name):
        whole = re.sub(r"^(\w+):/(?!/)", r"\1://", name)
        raise InputError(f"{whole}: is an address, not a file", "download it first")


def regular_file(source: Path, kind: str) -> Path:
    """The absolute path of `source`, once it is sure to be a file with something in it."""
    path, _ = checked_start(source, kind)
    return path


def checked_start(source: Path, kind: str) -> tuple[Path, bytes]:
    """The absolute path of a file with something in it, and its first 12 bytes.

    Raises InputError for all else; `kind` is what was expected.
    """
    path = local_path(source, kind)
    if path.is_dir():
        raise InputError(f"{source}: is a folder, expected {kind}")
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise InputError(f"{source}: can't be read ({error.strerror})") from error
    if not start:
        raise InputError(f"{source}: is empty (0 bytes)")
    return path, start


def check_video(source: Path) -> None:
    """Raise InputError for what can't be a video by its first megabyte; none is decoded."""
    from animcli.video.container import open_container  # av, which takes a moment

    path, start = checked_start(source, "a video")
    if start.startswith((b"GIF8", b"\x89PNG", b"RIFF")):
        return  # animated pictures, and AVI, whose reader tells more
    with open_container(source, path):
        pass


def looks_like(path: Path) -> str:
    """Guess from the first bytes what a file is that can't be opened."""
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
