"""Finding people through a whole clip, a chunk of frames at a time.

Everybody who was found in a chunk is kept together with the detector's state after it. A
run that was stopped reads the chunks there are, restores the last state and goes on with
the next frame, so that it finds what an unbroken run would have found, bit for bit. Who is
who, and which of them is wanted, is told when all chunks are there. The kind of a clip is
told before, by a few of its frames.

Detectors and tracks are code of `animcli.pose`, which counts by itself. What is decided
here, and how a chunk is written, is known by `ExtractStage.revision` alone.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from itertools import chain, groupby, islice, pairwise
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pipeline.checkpoint import FileCheckpoint
from animcli.pipeline.stage import RunContext
from animcli.pose.detectors.registry import (
    Detector,
    DetectorOptions,
    detector_weights,
    open_detector,
)
from animcli.pose.draw import ControlKind, recognise
from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.sequence import Origin, PoseSequence
from animcli.pose.shots import find_cuts, thumbnail
from animcli.pose.tracking import Detection, Track, choose, tracks_of
from animcli.registry import follower_of
from animcli.video.footage import Frame
from animcli.video.reader import Reader, open_footage
from animcli.weights.catalog import load_catalog

FRAMES_PER_SAVE: Final = 48
"""Frames between two saves: a few seconds of work."""

LEAST_SEEN: Final = 0.5
"""Of the frames; a motion that is guessed for more than half isn't the person's."""

TOLD: Final = 24
"""Tracks that a pose file tells of, those with most frames: a street has hundreds."""

WHAT: Final = "finding keypoints"


@dataclass(frozen=True, eq=False)
class Chunk:
    """Detections in some frames, one after another.

    indices: `(frames,)` int64, their places in the clip. ticks: `(frames,)` int64.
    people: `(frames,)` int64, how many were found in each.
    points: `(all of them, 134, 2)` float32 pixels. scores: `(all of them, 134)` float32.
    thumbnails: `(frames, 18, 32, 3)` uint8, the pictures.
    state: what the detector remembers after the last of them.
    """

    indices: NDArray[np.int64]
    ticks: NDArray[np.int64]
    people: NDArray[np.int64]
    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    thumbnails: NDArray[np.uint8]
    _: KW_ONLY
    state: NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """A part of a clip: from `start` to before `end`, in seconds, each `step`th frame."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    step: int = 1

    def frames(self, reader: Reader, begin: int) -> Iterator[Frame]:
        """Those of its frames that come at place `begin` of the clip or later."""
        info = reader.info
        first = math.ceil(self.start * info.rate) if info.even else 0
        stop = math.ceil(self.end * info.rate) if info.even and self.end else None
        for frame in reader.frames(max(first, begin), stop):
            seconds = frame.tick * info.time_base
            if self.end is not None and seconds >= self.end:
                return
            if seconds >= self.start and (frame.index - first) % self.step == 0:
                yield frame


WHOLE: Final = Span()


def open_for(context: RunContext, name: str, options: DetectorOptions) -> Detector:
    """The detector called `name`, with its models from the run context."""
    catalog = load_catalog()
    files = [file.name for entry in detector_weights(name) for file in catalog[entry].files]
    models = next(iter(context.weights.values()), None)
    return open_detector(name, models, options, files)


def find_motion(
    context: RunContext,
    reader: Reader,
    detector: Detector,
    person: str,
    threshold: float,
    span: Span = WHOLE,
    *,
    least_seen: float = LEAST_SEEN,
) -> PoseSequence:
    """One person's keypoints in every frame of a span, and who there was to choose from.

    person: `largest`, `center`, or a number from 1. threshold: from which score a joint
    counts. least_seen: share of the frames that the person must be in; 0 takes a clip
    without anybody, too. Raises InputError where too little of the person was seen.
    """
    chunks = list(_chunks(context, reader, detector, span))
    if not chunks:
        between = "" if span == WHOLE else " between --start and --end"
        length = reader.info.duration if between else None
        raise InputError(
            f"{reader.info.path}: has no frames that can be read{between}",
            "" if length is None else f"it is {float(length):.2f} s long",
        )
    absent = _left_out(chunks, reader, span.step)
    if any(absent):
        there = sum(len(chunk.indices) for chunk in chunks)
        context.warn(
            f"left out {sum(absent)} of {there + sum(absent)} frames, which could not be "
            f"decoded: {shown_spans(absent)}"
        )
    found = [group for chunk in chunks for group in _people(chunk)]
    if not any(found) and least_seen:
        raise InputError(
            f"{reader.info.path}: nobody was found in any of its {len(found)} frames",
            "use a full-body video, with the person at least a quarter of the frame high",
        )
    size = (reader.info.width, reader.info.height)
    tracks = tracks_of(found, threshold)
    if tracks:
        chosen = choose(tracks, person, size, threshold)
        points, scores = chosen.sequence_of(len(found))
    else:
        points = np.zeros((len(found), KEYPOINTS, 2), np.float32)
        scores = np.zeros((len(found), KEYPOINTS), np.float32)
    ticks = np.concatenate([chunk.ticks for chunk in chunks])
    begins = int(ticks[0]) * reader.info.time_base
    pictures = np.concatenate([chunk.thumbnails for chunk in chunks])
    if (cuts := find_cuts(pictures, found, threshold)) and least_seen:
        context.warn(_told_cuts(cuts, ticks, reader))
    if cuts and not person.isdecimal():
        points, scores = _of_each_shot(found, cuts, person, size, threshold)
    visible = int(scores.any(axis=1).sum())
    if visible < least_seen * len(scores):
        raise InputError(
            f"{reader.info.path}: a person is in {visible} of {len(scores)} frames only",
            "cut the video to where the person is in the picture",
        )
    return PoseSequence(
        points=points,
        scores=scores,
        ticks=ticks - ticks[0],
        time_base=reader.info.time_base,
        size=size,
        origin=Origin(
            source={
                **({"cuts": list(cuts)} if cuts else {}),
                **({"start": str(begins)} if begins else {}),
            },
            person={
                "policy": person,
                "track": chosen.number if tracks else 0,
                "of": len(tracks),
                "tracks": describe_tracks(tracks, threshold),
            },
        ),
    )


def _told_cuts(cuts: Sequence[int], ticks: NDArray[np.int64], reader: Reader) -> str:
    """Number of shots there are, and when each but the first begins."""
    seconds = [float(int(ticks[cut]) * reader.info.time_base) for cut in cuts[:TOLD]]
    when = ", ".join(f"{each:.2f}" for each in seconds)
    more = ", ..." if len(cuts) > TOLD else ""
    return (
        f"{len(cuts) + 1} shots, cut at {when}{more} s: each is cleaned and fitted by "
        "itself"
    )


def _of_each_shot(
    found: Sequence[Sequence[Detection]],
    cuts: Sequence[int],
    person: str,
    size: tuple[int, int],
    threshold: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The keypoints of the one who is the largest, or in the middle, in each shot."""
    parts = []
    for begin, end in pairwise((0, *cuts, len(found))):
        tracks = tracks_of(found[begin:end], threshold)
        track = choose(tracks, person, size, threshold) if tracks else Track(1)
        parts.append(track.sequence_of(end - begin))
    points, scores = zip(*parts, strict=True)
    return np.concatenate(points), np.concatenate(scores)


def describe_tracks(tracks: Sequence[Track], threshold: float) -> list[dict[str, object]]:
    """Tracks as facts: number, frames, and where each was seen largest."""
    longest = sorted(tracks, key=lambda track: -len(track.frames))[:TOLD]
    told: list[dict[str, object]] = []
    for track in sorted(longest, key=lambda track: track.number):
        bboxes = [person.bbox(threshold) for person in track.people]
        areas = [
            0.0 if bbox is None else float(np.prod(bbox[2:] - bbox[:2])) for bbox in bboxes
        ]
        best = int(np.argmax(areas))
        bbox = bboxes[best]
        told.append(
            {
                "number": track.number,
                "frames": len(track.frames),
                "first": track.frames[0],
                "last": track.frames[-1],
                "largest_in": track.frames[best],
                "box": [] if bbox is None else [round(float(side)) for side in bbox],
            }
        )
    return told


def shown_spans(flags: Sequence[bool]) -> str:
    """The frames that are flagged, as `3, 10-14`."""
    return ", ".join(
        f"{first}-{last}" if last > first else f"{first}" for first, last in spans_of(flags)
    )


def spans_of(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last frame of each run of frames that are flagged."""
    runs = [
        (flag, list(run)) for flag, run in groupby(range(len(flags)), flags.__getitem__)
    ]
    return [(run[0], run[-1]) for flag, run in runs if flag]


def _left_out(chunks: Sequence[Chunk], reader: Reader, step: int) -> list[bool]:
    """Flags of the frames of a clip that were left out, now or in the run before."""
    read = {int(index) for chunk in chunks for index in chunk.indices}
    met = read | {lost.index for lost in reader.damaged}
    wanted = set(range(min(read) if step > 1 else min(met), max(met) + 1, step))
    return [index in wanted - read for index in range(max(met) + 1)]


def _chunks(
    context: RunContext, reader: Reader, detector: Detector, span: Span
) -> Iterator[Chunk]:
    """The chunks that were kept, then those that are left."""
    total = reader.info.frames or 0
    number = start = 0
    while kept := _checkpoint(context, number).load():
        chunk = _from_arrays(kept)
        number, start = number + 1, int(chunk.indices[-1]) + 1
        context.progress(WHAT, start, total)
        yield chunk
        detector.restore([float(value) for value in chunk.state])
    # Frames are decoded by another thread while the networks run.
    with closing(prefetch(span.frames(reader, start))) as frames:
        for first in frames:
            some = chain([first], islice(frames, FRAMES_PER_SAVE - 1))
            chunk = _found(context, detector, some, total)
            arrays = {name: getattr(chunk, name) for name in Chunk.__dataclass_fields__}
            _checkpoint(context, number).save(arrays)
            number += 1
            yield chunk


def _found(
    context: RunContext, detector: Detector, frames: Iterator[Frame], total: int
) -> Chunk:
    indices, ticks, people, points, scores, thumbnails = [], [], [], [], [], []
    for frame in frames:
        found = detector.people(frame.picture)
        indices.append(frame.index)
        ticks.append(frame.tick)
        people.append(len(found))
        thumbnails.append(thumbnail(frame.picture))
        points += [person.points for person in found]
        scores += [person.scores for person in found]
        context.progress(WHAT, frame.index + 1, total)
    return Chunk(
        np.array(indices, dtype=np.int64),
        np.array(ticks, dtype=np.int64),
        np.array(people, dtype=np.int64),
        np.array(points, dtype=np.float32).reshape(-1, KEYPOINTS, 2),
        np.array(scores, dtype=np.float32).reshape(-1, KEYPOINTS),
        np.stack(thumbnails),
        state=np.array(detector.state, dtype=np.float64),
    )


def _people(chunk: Chunk) -> list[list[Detection]]:
    """The people of each frame of a chunk."""
    ends = chunk.people.cumsum().tolist()
    everybody = [Detection(*each) for each in zip(chunk.points, chunk.scores, strict=True)]
    return [
        everybody[end - count : end]
        for end, count in zip(ends, chunk.people.tolist(), strict=True)
    ]


def _checkpoint(context: RunContext, number: int) -> FileCheckpoint:
    return FileCheckpoint(context.work / f"chunk-{number:06d}.npz", context.check_cancelled)


def _from_arrays(arrays: dict[str, NDArray[np.generic]]) -> Chunk:
    return Chunk(
        arrays["indices"].astype(np.int64),
        arrays["ticks"].astype(np.int64),
        arrays["people"].astype(np.int64),
        arrays["points"].astype(np.float32),
        arrays["scores"].astype(np.float32),
        arrays["thumbnails"].astype(np.uint8),
        state=arrays["state"].astype(np.float64),
    )


PROBED_FRAMES: Final = 3
"""Frames that are looked at: the first, and others evenly further on."""


def doubt_of_clip(reader: Reader) -> str:
    """A line where a clip that is read as footage looks drawn; else empty."""
    try:
        kind = kind_of_frames(reader)
    except InputError:
        return ""
    if kind is ControlKind.FOOTAGE:
        return ""
    preset = follower_of(kind.value)
    return (
        f"looks like a drawn video ({kind.value}), in which nobody can be found; --preset "
        f"{preset} follows such a video as it is"
    )


def kind_of_clip(path: Path) -> ControlKind:
    """Kind of a clip, by a few of its frames.

    What can't be read is taken for footage: the stage that reads all of it says what is
    wrong with it, and of several clips the others are still done.
    """
    if not path.exists():
        return ControlKind.FOOTAGE
    try:
        with open_footage(path, keep_going=True, fast_colour=True) as reader:
            return kind_of_frames(reader)
    except InputError:
        return ControlKind.FOOTAGE


def kind_of_frames(reader: Reader) -> ControlKind:
    """Kind of an open clip, by a few of its frames: of footage the first tells.

    Raises InputError for damaged ones.
    """
    step = max((reader.info.frames or 1) // PROBED_FRAMES, 1)
    places = range(0, PROBED_FRAMES * step, step)
    frames = (next(reader.frames(place), None) for place in places)
    return recognise(frame.picture for frame in frames if frame is not None)


Item = TypeVar("Item")


def prefetch(items: Iterable[Item]) -> Generator[Item, None, None]:
    """The items, each fetched by another thread while the one before is worked on.

    What fetching raises is raised here, in its turn. Fetching ends with the iterator.

    One in advance is enough to keep both sides busy. With more video frames about, memory
    goes back to the system and is fetched anew: 1 ms of CPU time a frame at 1080p.
    """
    iterator = iter(items)
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        coming = pool.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # all but the end are items
    finally:
        pool.shutdown(cancel_futures=True)
