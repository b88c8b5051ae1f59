"""Still pictures, in and out, and footage made of them: animations and folders of pictures.

Pictures are 8-bit RGB and, where there is one, an alpha channel. They go through Pillow and
never through FFmpeg, whose image reader takes `%d` in a name for a pattern and reads the
neighbours. Animations are GIF, WebP and PNG.
"""

import io
import math
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from animcli.errors import InputError, StorageError
from animcli.video.footage import DamagedFrame, Frame, VideoInfo
from animcli.video.limits import TOO_LARGE, Limits, local_path, looks_like, regular_file

FORMATS: Final = (
    *("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "AVIF"),
    "HEIF",  # with the extra heif
)
IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".tga", ".avif", ".heic", ".heif"}
)
PILLOW_ERRORS: Final = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    OSError,
    SyntaxError,  # Pillow's word for a bad PNG or TIFF
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,  # of pillow-heif
    struct.error,
    zlib.error,
)
"""Errors of Pillow's decoders on damaged files; each was seen or is in their source."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A still picture.

    pixels: `(h, w, 3)` uint8 RGB, upright, not multiplied by alpha.
    alpha: `(h, w)` uint8, 255 = opaque; None where everything is opaque.
    notes: what was done to it that the user should hear about.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    notes: tuple[str, ...]


def read_picture(path: Path, limits: Limits | None = None) -> Picture:
    """Read a still picture of any usual kind, upright, in sRGB.

    Raises InputError for what isn't a picture, is damaged, or is over `limits.pixels`
    (of the usual limits if none are given).
    """
    with open_image(path, limits or Limits()) as image:
        return decode_image(image)


def picture_size(path: Path, limits: Limits | None = None) -> tuple[int, int]:
    """`(width, height)` px of a still picture, upright, without decoding it.

    Raises InputError as `read_picture` does.
    """
    with open_image(path, limits or Limits()) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.height, image.width) if turned else image.size


@contextmanager
def open_image(path: Path, limits: Limits) -> Iterator[Image.Image]:
    """A picture file, opened and not decoded; what goes wrong inside is an InputError."""
    real = regular_file(path, "a picture")
    _raise_pillow_limit(limits.pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(real, formats=_formats()) as image:
                limits.check_picture(path, *image.size)
                yield image
    except UnidentifiedImageError as error:
        if is_heic(real):
            raise InputError(
                f"{path}: is a HEIC picture, and the package that reads them isn't here",
                "pip install 'animcli[heif]', or export it as JPEG",
            ) from error
        raise InputError(f"{path}: is not a picture ({looks_like(real)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow gives the number of pixels in its message only
        told = re.search(r"\d+", str(error))
        size = f"{int(told[0]) / 1e6:.4g} Mpx" if told else "its size"
        raise InputError(
            f"{path}: {size} is over the limit of {limits.pixels / 1e6:g} Mpx",
            TOO_LARGE,
        ) from error
    except PILLOW_ERRORS as error:
        raise InputError(
            f"{path}: is damaged ({error or type(error).__name__})",
            "make or download it again",
        ) from error


def _raise_pillow_limit(pixels: int) -> None:
    """Let Pillow open what we allow; its own limit, one for the process, is 89 Mpx."""
    if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = pixels


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this build of Pillow reads."""
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return [name for name in FORMATS if name in Image.OPEN]


HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1"})


def is_heic(path: Path) -> bool:
    """Tell a HEIC picture by the brand in its first bytes; `mif1` may be AVIF as well."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in HEIC_BRANDS


def decode_image(image: Image.Image) -> Picture:
    """The picture that `image` is at, upright, in sRGB."""
    notes = []
    if getattr(image, "n_frames", 1) > 1 and image.tell() == 0 and image.format != "MPO":
        notes.append("has several pictures, the first is used")
    image.load()
    profile = image.info.get("icc_profile")
    if image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
        notes.append("turned upright as its EXIF data say")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        notes.append("16 bits a channel, brought down to 8")
        upright = _eight_bits(upright)
    elif upright.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    alpha = None
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        alpha = np.asarray(upright.getchannel("A"))
        alpha = None if alpha.min() == 255 else alpha
    if upright.mode == "CMYK":
        notes.append("CMYK, converted to sRGB")
    pixels = np.asarray(_in_srgb(upright, profile, notes))
    return Picture(pixels, alpha, tuple(notes))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey. Pillow's own conversion clips at 255 instead."""
    grey = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip((grey + 128) // 257, 0, 255).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: object, notes: list[str]) -> Image.Image:
    """`image` as RGB, by its colour profile if it has one that fits it."""
    if isinstance(profile, bytes) and image.mode in ("RGB", "RGBA", "CMYK"):
        source = image if image.mode == "CMYK" else image.convert("RGB")
        try:
            converted = ImageCms.profileToProfile(
                source,
                io.BytesIO(profile),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            notes.append("its colour profile doesn't fit and is left out")
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write `(h, w, 3)` RGB or `(h, w, 4)` RGBA uint8 as PNG, whatever `path` is called."""
    try:
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")
    except OSError as error:
        raise StorageError(
            f"{path}: can't be written ({error.strerror or error})"
        ) from error


SHOWN_AT_LEAST_MS = 20  # browsers show what asks for less for a tenth of a second
SHOWN_INSTEAD_MS = 100
COARSEST_CLOCK_S = 0.01


class AnimatedImage:
    """An animated GIF, WebP or PNG."""

    def __init__(self, source: Path, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        lengths, transparent = self._lengths()
        limits.check_length(source, len(lengths), sum(lengths, Fraction(0)))
        steps = math.lcm(*(length.denominator for length in lengths))
        self._ticks = np.concatenate([[0], np.cumsum([int(n * steps) for n in lengths])])
        duration = sum(lengths, Fraction(0))
        even = self._keeps_a_rate(lengths, duration)
        notes = ["has transparent parts, shown on white"] if transparent else []
        if not even:
            notes.append(
                f"variable frame rate, about {float(len(lengths) / duration):.2f} "
                "frames per second"
            )
        with open_image(source, limits) as image:
            width, height = image.size
            codec = str(image.format).lower()
        self._even = even
        rate = len(lengths) / duration
        self.info = VideoInfo(
            path=local_path(source, "an animated picture"),
            width=width,
            height=height,
            rate=rate,
            even=even,
            frames=len(lengths),
            duration=duration,
            time_base=1 / rate if even else Fraction(1, steps),
            has_sound=False,
            codec=codec,
            rotation=0,
            notes=tuple(notes),
        )

    def close(self) -> None:
        """Nothing is held between calls."""

    def decode(self, start: int) -> Iterator[Frame | DamagedFrame]:
        """Everything from frame `start` on. Each frame is drawn on the one before it."""
        index = 0
        try:
            with open_image(self._source, self._limits) as image:
                for index in range(len(self._ticks) - 1):
                    image.seek(index)
                    picture = decode_image(image)
                    if index >= start:
                        yield Frame(index, self._tick(index), on_white(picture))
        except InputError:
            missing = range(max(index, start), len(self._ticks) - 1)
            yield from (DamagedFrame(k, self._tick(k)) for k in missing)

    def _tick(self, index: int) -> int:
        return index if self._even else int(self._ticks[index])

    def _keeps_a_rate(self, lengths: list[Fraction], duration: Fraction) -> bool:
        """Tell if the frames are evenly spaced, up to the clock of a GIF."""
        starts = np.cumsum([0.0, *map(float, lengths)])[:-1]
        wanted = np.arange(len(lengths)) * float(duration / len(lengths))
        return bool(np.abs(starts - wanted).max() <= COARSEST_CLOCK_S)

    def _lengths(self) -> tuple[list[Fraction], bool]:
        """Seconds that each frame is shown, and whether the first is transparent."""
        lengths: list[Fraction] = []
        seconds = Fraction(0)
        with open_image(self._source, self._limits) as image:
            limits, size = self._limits, image.size
            if image.format == "GIF":  # counted before Pillow goes through it
                limits.check_animation(self._source, gif_frames(self._source, limits), size)
            frames = getattr(image, "n_frames", 1)
            limits.check_animation(self._source, frames, size)
            image.load()
            transparent = image.has_transparency_data and (
                image.convert("RGBA").getchannel("A").getextrema() != (255, 255)
            )
            for index in range(frames):
                image.seek(index)
                image.load()  # WebP knows how long a frame is shown once it is decoded
                milliseconds = float(image.info.get("duration", SHOWN_INSTEAD_MS))
                if milliseconds < SHOWN_AT_LEAST_MS and image.format == "GIF":
                    milliseconds = SHOWN_INSTEAD_MS
                shown = Fraction(max(milliseconds, 1) / 1000).limit_denominator(1001)
                lengths.append(shown)
                seconds += shown
                if seconds > limits.seconds:  # before minutes go by; the rest as so far
                    in_all = seconds * frames / len(lengths)
                    limits.check_length(self._source, frames, in_all)
        return lengths, bool(transparent)


def gif_frames(path: Path, limits: Limits) -> int:
    """Number of pictures in a GIF, or one more than `limits` allow; decodes nothing.

    What is cut off or damaged ends the count. Source: GIF89a, sections 18 to 26.
    """
    with path.open("rb") as file:
        packed = file.read(13)[10:11]
        if packed and packed[0] & 0x80:
            file.seek(3 << ((packed[0] & 7) + 1), os.SEEK_CUR)  # the palette
        frames = 0
        while (kind := file.read(1)) in (b"!", b",") and frames <= limits.frames:
            if kind == b"!":
                file.seek(1, os.SEEK_CUR)
            else:
                frames += 1
                place = file.read(9)
                if len(place) == 9 and place[8] & 0x80:
                    file.seek(3 << ((place[8] & 7) + 1), os.SEEK_CUR)
                file.seek(1, os.SEEK_CUR)
            while length := file.read(1):
                if length == b"\0":
                    break
                file.seek(length[0], os.SEEK_CUR)
    return max(frames, 1)


def is_animation(start: bytes) -> bool:
    """Tell a GIF, a WebP or a PNG by the first 12 bytes."""
    return start.startswith((b"GIF8", b"\x89PNG")) or (
        (start[:4], start[8:]) == (b"RIFF", b"WEBP")
    )


class PictureFolder:
    """A folder of pictures of one size, in the order of the numbers in their names."""

    def __init__(self, source: Path, limits: Limits, rate: Fraction) -> None:
        self._source = source
        self._limits = limits
        folder = local_path(source, "a folder of pictures")
        try:
            self._files = sorted(
                (
                    file
                    for file in folder.iterdir()
                    if file.suffix.lower() in IMAGE_SUFFIXES
                    and not file.name.startswith(".")
                ),
                key=_in_number_order,
            )
        except OSError as error:
            raise InputError(f"{source}: can't be read ({error.strerror})") from error
        if not self._files:
            raise InputError(
                f"{source}: is a folder without pictures, expected a video",
                "a folder may hold PNG, JPEG or WebP pictures, one a frame",
            )
        count = len(self._files)
        limits.check_length(source, count, count / rate)
        first = self._first()
        self._size = (first.pixels.shape[1], first.pixels.shape[0])
        notes = [f"a folder of {count} pictures, shown at {rate} frames per second"]
        if first.alpha is not None:
            notes.append("has transparent parts, shown on white")
        self.info = VideoInfo(
            path=folder,
            width=self._size[0],
            height=self._size[1],
            rate=rate,
            even=True,
            frames=count,
            duration=count / rate,
            time_base=1 / rate,
            has_sound=False,
            codec="pictures",
            rotation=0,
            notes=(*notes, *first.notes),
        )

    def close(self) -> None:
        """Nothing is held between calls."""

    def decode(self, start: int) -> Iterator[Frame | DamagedFrame]:
        """Everything from picture `start` on."""
        for index, file in enumerate(self._files[start:], start):
            try:
                picture = read_picture(file, self._limits)
            except InputError:
                yield DamagedFrame(index, index)
                continue
            height, width, _ = picture.pixels.shape
            if (width, height) != self._size:
                raise InputError(
                    f"{file}: is {width}x{height}, the first picture of the folder is "
                    f"{self._size[0]}x{self._size[1]}",
                    "scale the pictures to one size",
                )
            yield Frame(index, index, on_white(picture))

    def _first(self) -> Picture:
        """The first picture that can be read."""
        for file in self._files:
            try:
                return read_picture(file, self._limits)
            except InputError as error:
                first_error = error
        raise InputError(
            f"{self._source}: none of its {len(self._files)} pictures can be read: "
            f"{first_error.message}"
        ) from first_error


def on_white(picture: Picture) -> NDArray[np.uint8]:
    """The picture `(h, w, 3)` as it looks on white paper."""
    if picture.alpha is None:
        return picture.pixels
    paper = Image.new("RGB", (picture.pixels.shape[1], picture.pixels.shape[0]), "white")
    paper.paste(Image.fromarray(picture.pixels), mask=Image.fromarray(picture.alpha))
    return np.asarray(paper)


def _in_number_order(file: Path) -> tuple[tuple[int, str], ...]:
    """frame_2 before frame_10."""
    parts = re.findall(r"\d+|\D+", file.name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
