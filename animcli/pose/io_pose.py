"""Motions in files: the public `.pose` container, version 0.2, through `pose-format`.

A file of ours has five components of keypoints, 134 in all, and one or more components
without points whose names are `META:` and a piece of ASCII JSON. Other programs see those
as empty components; we find there what the container has no place for: exact frame times,
where the motion came from, and a checksum. Files of other layouts are read as far as they
are known (`layouts`).
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions

from animcli.errors import InputError, StorageError, reason_of
from animcli.pose.keypoints import (
    BODY,
    BODY_LIMBS,
    BODY_NAMES,
    FEET_NAMES,
    HAND_LIMBS,
    KEYPOINT_COLOURS,
)
from animcli.pose.layouts import NATIVE_LAYOUT, Layout, find_layout
from animcli.pose.sequence import Origin, PoseSequence, even_ticks

FAMILY = "anim.pose/"
POSE_SCHEMA = FAMILY + "1"


@dataclass(frozen=True)
class Meta:
    """Metadata of our files beside the keypoints.

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
        by_hand = self.origin.corrections  # named only where there are any
        return json.dumps(
            {
                **({"corrections": by_hand} if by_hand else {}),
                "schema": POSE_SCHEMA,
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
        if schema != POSE_SCHEMA:
            raise NewerSchemaError(schema)
        parts = ("source", "detector", "person", "smoothing", "retarget")
        time = said["time"]
        by_hand = dict(said.get("corrections", {}))
        meta = cls(
            base=fraction(time["base"]),
            first=int(time["first"]),
            steps=tuple((int(step), int(times)) for step, times in time["steps"]),
            draw_threshold=float(said["draw_threshold"]),
            origin=Origin(
                **{part: dict(said[part]) for part in parts}, corrections=by_hand
            ),
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
            raise ValueError(f"a body of {len(body)} keypoints")
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


VERSIONS = (0.0, 0.1, 0.2)
"""Of the container: those that `pose-format` reads. We write the last."""

MARK = "META:"
NAME_BYTES = 65_535  # a name's length is a 16-bit number in the file
SIDE_PX = 65_535  # so are width and height

DAMAGE = (
    ArithmeticError,
    IndexError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors of `pose-format` 0.15, by turns, over files that are cut off or scrambled."""


def write_pose(path: Path, sequence: PoseSequence) -> None:
    """Write `sequence` to `path`, where an earlier file is replaced.

    The same sequence gives the same bytes. Raises ValueError if a joint with a score is at
    no finite place.
    """
    width, height = sequence.size
    if max(width, height) > SIDE_PX:
        raise InputError(
            f"{width}x{height} is too large for a pose file ({SIDE_PX} a side)"
        )
    scores = np.ascontiguousarray(sequence.scores, dtype="<f4")
    unseen = scores == 0
    points = np.where(unseen[..., None], 0, sequence.points).astype("<f4")
    if not (np.isfinite(points).all() and np.isfinite(scores).all()):
        raise ValueError("a joint with a score must have a finite place and a finite score")

    meta = Meta.of(sequence)
    text = meta.to_json(checksum(meta, sequence.size, points, scores))
    room = NAME_BYTES - len(MARK)
    header = PoseHeader(
        VERSIONS[-1],
        PoseHeaderDimensions(width, height),
        [
            *components(),
            *(
                PoseHeaderComponent(MARK + text[start : start + room], [], [], [], "XYC")
                for start in range(0, len(text), room)
            ),
        ],
    )
    body = NumPyPoseBody(meta.nominal_rate, points[:, None], scores[:, None])
    buffer = BytesIO()
    Pose(header, body).write(buffer)
    try:
        path.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def read_pose(path: Path, *, may_be_empty: bool = False) -> PoseSequence:
    """The motion in a `.pose` file, ours or of a layout that we know.

    Of several people in a file of another program, the one seen most is taken.
    may_be_empty: frames in which nobody is are no error.
    """
    raw = read_bytes(path)
    check_version(path, raw)
    try:
        pose = Pose.read(raw)
        data = np.asarray(pose.body.data.data, dtype=np.float32)
        confidence = np.asarray(pose.body.confidence, dtype=np.float32)
    except DAMAGE as error:
        raise InputError(
            f"{path}: the pose file is cut off or damaged", "make it or copy it again"
        ) from error
    # The header is one that the library keeps and hands out again: only read it.
    components = {
        part.name: tuple(part.points)
        for part in pose.header.components
        if not part.name.startswith(MARK)
    }
    meta_text = "".join(
        part.name.removeprefix(MARK)
        for part in pose.header.components
        if part.name.startswith(MARK)
    )
    size = (pose.header.dimensions.width, pose.header.dimensions.height)
    layout = find_layout(components)
    if layout is None:
        count = sum(map(len, components.values()))
        raise InputError(
            f"{path}: {count} keypoints in the parts {', '.join(components) or '(none)'}, "
            "a layout that anim doesn't know",
            "OpenPose, MediaPipe Holistic and COCO-WholeBody files can be read",
        )
    if len(data) == 0:
        raise InputError(f"{path}: the pose file has no frames")
    person = most_seen(confidence)
    if person is None and not may_be_empty:
        raise InputError(f"{path}: nobody is in any of its {len(data)} frames")
    person = person or 0
    points, scores = data[:, person, :, :2], confidence[:, person]
    if layout is NATIVE_LAYOUT:
        points, scores = points.copy(), scores.copy()
    else:
        points, scores = layout.convert(points, scores)
    check_numbers(path, points, scores)
    if not meta_text:
        return foreign(path, layout, points, scores, size, pose.body.fps)

    try:
        meta, expected = Meta.from_json(meta_text, len(points))
        ticks = meta.ticks
    except NewerSchemaError as error:
        raise InputError(
            f"{path}: its META is {error}, this animcli reads {POSE_SCHEMA}",
            "a newer animcli wrote the file: update animcli",
        ) from error
    except (*DAMAGE, KeyError) as error:
        raise InputError(f"{path}: the META of the pose file is damaged") from error
    if checksum(meta, size, points, scores) != expected:
        raise InputError(
            f"{path}: its keypoints aren't those that its checksum is of",
            "the file is damaged, or another program changed it: make it again",
        )
    return PoseSequence(
        points, scores, ticks, meta.base, size, meta.draw_threshold, origin=meta.origin
    )


def components() -> list[PoseHeaderComponent]:
    """The parts of our files, with limbs and colours for viewers of other makers."""
    face = [f"face_{point}" for point in range(68)]
    hand = [f"hand_{point}" for point in range(21)]
    blue = [(0, 0, 255)]
    return [
        PoseHeaderComponent(
            "BODY_18",
            list(BODY_NAMES),
            list(BODY_LIMBS),
            list(KEYPOINT_COLOURS[:17]),
            "XYC",
        ),
        PoseHeaderComponent("FEET", list(FEET_NAMES), [], [], "XYC"),
        PoseHeaderComponent("FACE_68", face, [], [], "XYC"),
        PoseHeaderComponent("LEFT_HAND", hand, list(HAND_LIMBS), blue, "XYC"),
        PoseHeaderComponent("RIGHT_HAND", hand, list(HAND_LIMBS), blue, "XYC"),
    ]


def read_bytes(path: Path) -> bytes:
    """All of a file, or an InputError that names it."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, a pose file was expected") from error
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}") from error
    if not raw:
        raise InputError(f"{path}: the file is empty (0 bytes)")
    return raw


def check_version(path: Path, raw: bytes) -> None:
    """Tell a later version of the container from something else altogether."""
    version = struct.unpack("<f", raw[:4])[0] if len(raw) >= 4 else math.nan
    if any(math.isclose(version, known, rel_tol=1e-6) for known in VERSIONS):
        return
    # A version is tenths; the first four bytes of anything else hardly ever are.
    if 0 < version < 100 and math.isclose(version * 10, round(version * 10), rel_tol=1e-6):
        raise InputError(
            f"{path}: pose file is version {version:.1f}, "
            f"needs {VERSIONS[0]}-{VERSIONS[-1]}"
        )
    raise InputError(f"{path}: isn't a .pose file")


def most_seen(confidence: NDArray[np.float32]) -> int | None:
    """Index of the person in `(frames, people, keypoints)` with most of the scores."""
    visible = np.nan_to_num(confidence).sum(axis=(0, 2))
    return int(visible.argmax()) if len(visible) and visible.max() > 0 else None


def check_numbers(
    path: Path, points: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """Clear the places that mean nothing, in place; refuse numbers that can't be.

    points: `(frames, keypoints, 2)`. scores: `(frames, keypoints)`.
    """
    np.maximum(scores, 0, out=scores)  # some detectors' scores of nothing are below 0
    np.copyto(points, 0, where=(scores == 0)[..., None])
    for what, bad in (
        ("score", ~np.isfinite(scores)),
        ("place", ~(np.isfinite(points[..., 0]) & np.isfinite(points[..., 1]))),
    ):
        if bad.any():
            frame, joint = np.argwhere(bad)[0].tolist()
            raise InputError(
                f"{path}: the {what} of joint {joint} in frame {frame} isn't a number "
                f"that can be ({bad.sum()} such)"
            )


def foreign(
    path: Path,
    layout: Layout,
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    size: tuple[int, int],
    fps: float,
) -> PoseSequence:
    """A sequence out of a file that isn't ours, with what such a file can tell."""
    if min(size) < 1:
        raise InputError(f"{path}: says that its picture is {size[0]}x{size[1]} pixels")
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise InputError(f"{path}: says that it has {fps:g} frames per second")
    ticks, base = even_ticks(len(points), likely_rate(fps))
    return PoseSequence(
        points,
        scores,
        ticks,
        base,
        size,
        layout.draw_threshold,
        origin=Origin(detector={"backend": layout.name}),
    )


def likely_rate(fps: float) -> Fraction:
    """The exact rate that a rounded one stands for: 29.97003 is 30000/1001."""
    for exact in (Fraction(round(fps)), Fraction(round(fps * 1.001) * 1000, 1001)):
        if exact and math.isclose(exact, fps, rel_tol=1e-4):
            return exact
    return Fraction(fps).limit_denominator(1000)


def checksum(
    meta: Meta,
    size: tuple[int, int],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> str:
    """A digest of all that a file of ours says."""
    digest = hashlib.sha256(meta.to_json("").encode("ascii"))
    digest.update(struct.pack("<2I", *size))
    digest.update(np.ascontiguousarray(points, dtype="<f4").data)
    digest.update(np.ascontiguousarray(scores, dtype="<f4").data)
    return "sha256:" + digest.hexdigest()
