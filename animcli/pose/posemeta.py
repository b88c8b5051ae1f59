"""What our pose files say beside the joints, as ASCII JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animcli.pose.sequence import Origin, PoseSequence
from animcli.pose.skeleton import BODY

FAMILY = "anim.pose/"
SCHEMA = FAMILY + "1"


@dataclass(frozen=True)
class Meta:
    """What our files say beside the joints.

    base: seconds in a tick. first: tick of the first frame.
    steps: (ticks to the next frame, how many times running), as pairs.
    """

    base: Fraction
    first: int
    steps: tuple[tuple[int, int], ...]
    draw_threshold: float
    origin: Origin

    @classmethod
    def of(cls, sequence: PoseSequence) -> "Meta":
        """The meta of a sequence."""
        steps = np.diff(sequence.ticks).tolist()
        return cls(
            base=sequence.time_base,
            first=int(sequence.ticks[0]) if len(sequence) else 0,
            steps=tuple((step, len(list(run))) for step, run in groupby(steps)),
            draw_threshold=sequence.draw_threshold,
            origin=sequence.origin,
        )

    @property
    def ticks(self) -> NDArray[np.int64]:
        """`(frames,)`, one more than there are steps."""
        steps = [step for step, times in self.steps for _ in range(times)]
        return np.cumsum([self.first, *steps], dtype=np.int64)

    def to_json(self, checksum: str) -> str:
        """ASCII, the same text for the same meta."""
        rate = 1 / (self.base * self.steps[0][0]) if self._even else None
        return json.dumps(
            {
                "schema": SCHEMA,
                "time": {
                    "base": str(self.base),
                    "first": self.first,
                    "steps": self.steps,
                    "rate": None if rate is None else str(rate),
                },
                "draw_threshold": self.draw_threshold,
                "source": self.origin.source,
                "detector": self.origin.detector,
                "person": self.origin.person,
                "smoothing": self.origin.smoothing,
                "retarget": self.origin.retarget,
                "checksum": checksum,
            },
            ensure_ascii=True,  # the container counts characters and stores bytes
            allow_nan=False,
            separators=(",", ":"),
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str, frames: int) -> tuple["Meta", str]:
        """The meta and its checksum.

        Raises ArithmeticError, LookupError, RecursionError, TypeError or ValueError over
        text that isn't one.
        """
        said = json.loads(text)
        schema = said["schema"]
        if not str(schema).startswith(FAMILY):
            raise ValueError(f"META of another kind: {schema}")
        if schema != SCHEMA:
            raise NewerSchemaError(schema)
        parts = ("source", "detector", "person", "smoothing", "retarget")
        time = said["time"]
        meta = cls(
            base=fraction(time["base"]),
            first=int(time["first"]),
            steps=tuple((int(step), int(times)) for step, times in time["steps"]),
            draw_threshold=float(said["draw_threshold"]),
            origin=Origin(**{part: dict(said[part]) for part in parts}),
        )
        runs = [times for _, times in meta.steps]
        check_people(meta.origin.person)
        check_snapshots(meta.origin.retarget, frames)
        # Checked before any list that long is made.
        if min(runs, default=1) < 1 or sum(runs) != max(frames - 1, 0):
            raise ValueError(f"frame times for another clip than one of {frames} frames")
        return meta, str(said["checksum"])

    @property
    def nominal_rate(self) -> float:
        """Frames per second for readers that know no META; 1 where there is none."""
        frames = sum(times for _, times in self.steps)
        ticks = sum(step * times for step, times in self.steps)
        return float(frames / (self.base * ticks)) if ticks > 0 else 1.0

    @property
    def _even(self) -> bool:
        return len(self.steps) == 1 and self.steps[0][0] > 0


def fraction(text: str) -> Fraction:
    """The positive fraction that `text` is.

    `Fraction` itself takes 1e999999999 as well, and works at it for hours.
    """
    top, bottom = (int(part) for part in f"{text}/1".split("/")[:2])
    if top <= 0 or bottom <= 0:
        raise ValueError(f"{text} isn't a positive fraction")
    return Fraction(top, bottom)


def check_people(person: Mapping[str, Any]) -> None:
    """Raise a TypeError, LookupError or ValueError unless it tells of people as we do."""
    tracks = person.get("tracks", [])
    if not isinstance(tracks, list):
        raise TypeError(f"tracks are a list, not {tracks!r}")
    for track in tracks:
        for name in ("number", "frames", "first", "last", "largest_in"):
            if type(track[name]) is not int:
                raise TypeError(f"{name} of a track is a whole number")
        _check_numbers(track["box"], (0, 4))


def check_snapshots(retarget: Mapping[str, Any], frames: int) -> None:
    """Raise a TypeError, LookupError or ValueError unless its bodies can be drawn."""
    if "reference" not in retarget:
        return
    source, reference = retarget["source"], retarget["reference"]
    for frame in source["frames"]:
        if type(frame) is not int or not 0 <= frame < frames:
            raise ValueError(f"a snapshot of frame {frame!r}")
    if len(source["points"]) != len(source["frames"]) or len(reference["points"]) != 1:
        raise ValueError("as many bodies as snapshots")
    for body in [*reference["points"], *source["points"]]:
        if len(body) > BODY.stop:
            raise ValueError(f"a body of {len(body)} joints")
        for point in body:
            _check_numbers(point, (0, 2))


def _check_numbers(values: Any, lengths: tuple[int, ...]) -> None:
    if not isinstance(values, list) or len(values) not in lengths:
        raise ValueError(f"{values!r} isn't a list of as many numbers as it should be")
    for value in values:
        if type(value) not in (int, float) or not math.isfinite(value):
            raise TypeError(f"{value!r} isn't a number")


class NewerSchemaError(ValueError):
    """The META is of a later animcli."""
