"""Results and truths: one video, or folders of them paired by name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.metrics.pixels import Pixels, crop_square, resize


@dataclass(frozen=True, eq=False)
class Clip:
    """A video that can be read from its start as often as wanted.

    name: file name. size: `(width, height)`. rate: frames per second, None if uneven.
    read: gives its frames, RGB uint8. digest: of the content, by which features are kept.
    origin: whether its frames are those of the lossless cache or of the encoded file.
    """

    name: str
    frames: int
    size: tuple[int, int]
    rate: Fraction | None
    read: Callable[[], Iterator[Pixels]]
    digest: str
    _: KW_ONLY
    origin: Literal["cache", "file"] = "file"

    def cut(self, start: int, stop: int) -> "Clip":
        """Frames `start` to `stop - 1` alone."""
        read = self.read
        return replace(
            self,
            frames=len(range(self.frames)[start:stop]),
            read=lambda: islice(read(), start, stop),
            digest=f"{self.digest}[{start}:{stop}]",
        )


@dataclass(frozen=True)
class Protocol:
    """Everything about a comparison that changes its numbers.

    name: `disco` gives the numbers of most papers' tables, with the PSNR put right; `sound`
        gives each metric as its own authors define it, at the pictures' size.
    size: both videos are brought to it first; None leaves them at the truth's.
    square: cut the middle square out of both before.
    length, stride: frames in a clip, and between the starts of two, for FVD and FID-VID.
    skip_first: leave the first frame out, which is the reference itself in the papers'
        protocol and so nearly free.
    """

    name: Literal["disco", "sound"]
    size: tuple[int, int] | None
    square: bool = False
    length: int = 16
    stride: int = 1
    skip_first: bool = False

    @property
    def first(self) -> int:
        """The first frame that counts."""
        return int(self.skip_first)

    def pictures(self) -> str:
        """The part of a protocol that all metrics share."""
        parts = [
            "RGB",
            "middle square" if self.square else "",
            "{}x{} bilinear".format(*self.size) if self.size else "truth's size",
            "without the first frame" if self.skip_first else "",
        ]
        return ", ".join(part for part in parts if part)


DISCO = Protocol("disco", (256, 256))
SOUND = Protocol("sound", None)


@dataclass(frozen=True, eq=False)
class Pair:
    """A result and the truth that it is compared with, of equal length."""

    result: Clip
    truth: Clip

    def sides(self, protocol: Protocol) -> Iterator[tuple[Pixels, Pixels]]:
        """Result and truth frame by frame, at the protocol's size."""
        size = protocol.size or self.truth.size
        both = zip(self.result.read(), self.truth.read(), strict=True)
        for result, truth in islice(both, protocol.first, None):
            yield prepared(result, protocol, size), prepared(truth, protocol, size)

    def notes(self, protocol: Protocol) -> list[str]:
        """Changes made to the videos that a reader should know of."""
        notes = []
        if self.result.size != self.truth.size and protocol.size is None:
            notes.append(
                f"{self.result.name} was {_by(self.result.size)} and was brought to the "
                f"truth's {_by(self.truth.size)}"
            )
        if self.result.origin == "file":
            notes.append(f"{self.result.name}: frames of the encoded file")
        return notes


def prepared(picture: Pixels, protocol: Protocol, size: tuple[int, int]) -> Pixels:
    """A frame as a protocol wants it."""
    return resize(crop_square(picture) if protocol.square else picture, size)


def paired(
    result: Clip,
    truth: Clip,
    *,
    shortest: bool = False,
    span: tuple[int, int] | None = None,
) -> Pair:
    """A result and its truth, by frame index.

    shortest: take as many frames as the shorter has. span: take frames start to stop - 1.
    Raises InputError where the lengths or the rates differ.
    """
    if span is not None:
        result, truth = result.cut(*span), truth.cut(*span)
    if shortest:
        frames = min(result.frames, truth.frames)
        result, truth = result.cut(0, frames), truth.cut(0, frames)
    if result.frames != truth.frames:
        raise InputError(
            f"{result.name} has {result.frames} frames and {truth.name} {truth.frames}",
            "--shortest compares as many as both have; --frames A:B a range",
        )
    if not result.frames:
        raise InputError(f"{result.name} has no frames to compare")
    if None not in (result.rate, truth.rate) and result.rate != truth.rate:
        raise InputError(
            f"{result.name} has {result.rate} frames per second and {truth.name} "
            f"{truth.rate}",
            "--at-rate takes the truth's frames by their time",
        )
    return Pair(result, truth)


def match_by_stem(results: Sequence[str], truths: Sequence[str]) -> list[int]:
    """Places of the truths of these results: those of the same name but for the suffix.

    A truth may be left over, a result may not: a number for a video that isn't there would
    be a wrong one. Raises InputError with all names that have no partner, or two.
    """
    known = {PurePath(name).stem: place for place, name in enumerate(truths)}
    if len(known) < len(truths):
        raise InputError("two truths have the same name but for the suffix")
    if len({PurePath(name).stem for name in results}) < len(results):
        raise InputError("two results have the same name but for the suffix")
    alone = [name for name in results if PurePath(name).stem not in known]
    if alone:
        raise InputError(
            f"no truth for {', '.join(alone)}", "a truth is called as its result"
        )
    return [known[PurePath(name).stem] for name in results]


def frame_at_times(clip: Clip, rate: Fraction, frames: int) -> Clip:
    """A clip's frames at another rate, by time: each the last that had begun.

    Raises InputError where the clip has no even rate of its own.
    """
    if clip.rate is None:
        raise InputError(f"{clip.name} has no even frame rate", "convert it to one first")
    wanted = [int(index * clip.rate / rate) for index in range(frames)]
    if wanted and wanted[-1] >= clip.frames:
        raise InputError(f"{clip.name} is too short for {frames} frames at {rate}")

    def read() -> Iterator[NDArray[np.uint8]]:
        place = 0
        for index, picture in enumerate(clip.read()):
            while place < len(wanted) and wanted[place] == index:
                yield picture
                place += 1

    return replace(
        clip, frames=frames, rate=rate, read=read, digest=f"{clip.digest}@{rate}:{frames}"
    )


def _by(size: tuple[int, int]) -> str:
    return "{}x{}".format(*size)
