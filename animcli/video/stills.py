"""Footage made of pictures: animated GIF, WebP and PNG, and folders of pictures."""

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import InputError
from animcli.video.footage import Frame, Lost, VideoInfo
from animcli.video.limits import Limits
from animcli.video.local import local_path
from animcli.video.picture import SUFFIXES, Picture, decoded, opened, read_picture

SHOWN_AT_LEAST_MS = 20  # browsers show what asks for less for a tenth of a second
SHOWN_INSTEAD_MS = 100
COARSEST_CLOCK_S = 0.01


class Animation:
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
        with opened(source, limits) as image:
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

    def decode(self, start: int) -> Iterator[Frame | Lost]:
        """Everything from frame `start` on. Each frame is drawn on the one before it."""
        index = 0
        try:
            with opened(self._source, self._limits) as image:
                for index in range(len(self._ticks) - 1):
                    image.seek(index)
                    picture = decoded(image)
                    if index >= start:
                        yield Frame(index, self._tick(index), on_white(picture))
        except InputError:
            missing = range(max(index, start), len(self._ticks) - 1)
            yield from (Lost(k, self._tick(k)) for k in missing)

    def _tick(self, index: int) -> int:
        return index if self._even else int(self._ticks[index])

    def _keeps_a_rate(self, lengths: list[Fraction], duration: Fraction) -> bool:
        """Whether the frames are evenly spaced, up to the clock of a GIF."""
        starts = np.cumsum([0.0, *map(float, lengths)])[:-1]
        wanted = np.arange(len(lengths)) * float(duration / len(lengths))
        return bool(np.abs(starts - wanted).max() <= COARSEST_CLOCK_S)

    def _lengths(self) -> tuple[list[Fraction], bool]:
        """Seconds that each frame is shown, and whether the first is transparent."""
        lengths: list[Fraction] = []
        with opened(self._source, self._limits) as image:
            frames = getattr(image, "n_frames", 1)
            self._limits.check_length(self._source, frames, None)
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
        return lengths, bool(transparent)


def is_animation(path: Path) -> bool:
    """Whether the first bytes are those of a GIF, a WebP or a PNG."""
    with path.open("rb") as file:
        start = file.read(12)
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
                    if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
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

    def decode(self, start: int) -> Iterator[Frame | Lost]:
        """Everything from picture `start` on."""
        for index, file in enumerate(self._files[start:], start):
            try:
                picture = read_picture(file, self._limits)
            except InputError:
                yield Lost(index, index)
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
