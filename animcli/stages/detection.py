"""Finding one person through a whole clip, a chunk of frames at a time.

What was found in a chunk is kept together with the detector's state after it. A run that
was stopped reads the chunks there are, restores the last state and goes on with the next
frame, so that it finds what an unbroken run would have found, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.sequence import Origin, PoseSequence
from animcli.pose.skeleton import JOINTS
from animcli.project.checkpoint import FileCheckpoint
from animcli.stages.detectors import Detector
from animcli.stages.stage import Bench
from animcli.video.footage import Frame
from animcli.video.read import Reader

CHUNK: Final = 48
"""Frames between two saves: a few seconds of work."""

LEAST_SEEN: Final = 0.5
"""Of the frames; a motion that is guessed for more than half isn't the person's."""

WHAT: Final = "finding joints"


@dataclass(frozen=True, eq=False)
class Chunk:
    """What was found in some frames, one after another.

    indices: `(frames,)` int64, their places in the clip. ticks: `(frames,)` int64.
    points: `(frames, 134, 2)` float32 pixels. scores: `(frames, 134)` float32, all 0 in a
        frame in which nobody was found.
    state: what the detector remembers after the last of them.
    """

    indices: NDArray[np.int64]
    ticks: NDArray[np.int64]
    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    state: NDArray[np.float64]


def find_motion(bench: Bench, reader: Reader, detector: Detector) -> PoseSequence:
    """One person's joints in every frame of a clip, and nothing of what they came from.

    Raises InputError where too little of a person was seen.
    """
    chunks = list(_chunks(bench, reader, detector))
    if not chunks:
        raise InputError(f"{reader.info.path}: has no frames that can be read")
    scores = np.concatenate([chunk.scores for chunk in chunks])
    seen = int(scores.any(axis=1).sum())
    if seen == 0:
        raise InputError(
            f"{reader.info.path}: nobody was found in any of its {len(scores)} frames",
            "the person should be seen whole, and at least a quarter of the picture high",
        )
    if seen < LEAST_SEEN * len(scores):
        raise InputError(
            f"{reader.info.path}: a person is in {seen} of {len(scores)} frames only",
            "cut the video to where the person is in the picture",
        )
    return PoseSequence(
        points=np.concatenate([chunk.points for chunk in chunks]),
        scores=scores,
        ticks=np.concatenate([chunk.ticks for chunk in chunks]),
        time_base=reader.info.time_base,
        size=(reader.info.width, reader.info.height),
        origin=Origin(),
    )


def _chunks(bench: Bench, reader: Reader, detector: Detector) -> Iterator[Chunk]:
    """The chunks that were kept, then those that are left."""
    total = reader.info.frames or 0
    number = start = 0
    while kept := _checkpoint(bench, number).load():
        chunk = _from_arrays(kept)
        number, start = number + 1, int(chunk.indices[-1]) + 1
        bench.report(WHAT, start, total)
        yield chunk
        detector.restore([float(value) for value in chunk.state])
    frames = reader.frames(start)
    for first in frames:
        chunk = _found(bench, detector, chain([first], islice(frames, CHUNK - 1)), total)
        arrays = {name: getattr(chunk, name) for name in Chunk.__dataclass_fields__}
        _checkpoint(bench, number).save(arrays)
        number += 1
        yield chunk


def _found(bench: Bench, detector: Detector, frames: Iterator[Frame], total: int) -> Chunk:
    indices, ticks, points, scores = [], [], [], []
    for frame in frames:
        person = detector.detect(frame.picture)
        indices.append(frame.index)
        ticks.append(frame.tick)
        points.append(np.zeros((JOINTS, 2)) if person is None else person.points)
        scores.append(np.zeros(JOINTS) if person is None else person.scores)
        bench.report(WHAT, frame.index + 1, total)
    return Chunk(
        np.array(indices, dtype=np.int64),
        np.array(ticks, dtype=np.int64),
        np.array(points, dtype=np.float32),
        np.array(scores, dtype=np.float32),
        np.array(detector.state, dtype=np.float64),
    )


def _checkpoint(bench: Bench, number: int) -> FileCheckpoint:
    return FileCheckpoint(bench.work / f"chunk-{number:06d}.npz", bench.may_stop)


def _from_arrays(arrays: dict[str, NDArray[np.generic]]) -> Chunk:
    return Chunk(
        arrays["indices"].astype(np.int64),
        arrays["ticks"].astype(np.int64),
        arrays["points"].astype(np.float32),
        arrays["scores"].astype(np.float32),
        arrays["state"].astype(np.float64),
    )
