"""Still pictures, in and out: 8-bit RGB and, where there is one, an alpha channel.

Pictures go through Pillow and never through FFmpeg, whose image reader takes `%d` in a name
for a pattern and reads the neighbours.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from animcli.errors import InputError, StorageError
from animcli.video.limits import TOO_LARGE, Limits
from animcli.video.local import looks_like, regular_file

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "AVIF")
SUFFIXES: Final = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".tga", ".avif"}
)
BROKEN: Final = (
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
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on damaged files; each was seen or is in their source."""


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
    with opened(path, limits or Limits()) as image:
        return decoded(image)


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Image.Image]:
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
        raise InputError(f"{path}: is not a picture ({looks_like(real)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow gives the number of pixels in its message only
        told = re.search(r"\d+", str(error))
        size = f"{int(told[0]) / 1e6:.4g} Mpx" if told else "its size"
        raise InputError(
            f"{path}: {size} is over the limit of {limits.pixels / 1e6:g} Mpx",
            TOO_LARGE,
        ) from error
    except BROKEN as error:
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
    """What of `FORMATS` this build of Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def decoded(image: Image.Image) -> Picture:
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
