"""OpenPose's JSON in and out, in both layouts that are about.

OpenPose itself writes a folder with one file per frame, 25 body keypoints, and neither rate
nor picture size. Node editors exchange one list of frames, 18 body keypoints, with the size
as `canvas_width` and `canvas_height`. In both a joint is three numbers, x, y and score, and
a joint that wasn't found three zeros.
"""

import json
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError, StorageError
from animcli.pose import keypoints as s
from animcli.pose.layouts import BODY_25_ROWS
from animcli.pose.sequence import Origin, PoseSequence, even_ticks
from animcli.pose.tracking import Detection, choose, tracks_of

THRESHOLD: Final = 0.3
MIDDLE_HIP: Final = 8  # of the 25
FACE_POINTS: Final = 70  # 68, and the pupils

BODY, FACE, LEFT, RIGHT = (
    "pose_keypoints_2d",
    "face_keypoints_2d",
    "hand_left_keypoints_2d",
    "hand_right_keypoints_2d",
)

Json = object
"""Result of `json.loads`: anything, until looked at."""


def read_openpose(
    path: Path,
    *,
    rate: Fraction,
    size: tuple[int, int] | None = None,
    person: str = "largest",
) -> PoseSequence:
    """The motion in a folder of OpenPose's, or in one file with a list of frames.

    rate: frames per second, which neither layout says. size: of the picture, `(width,
    height)`; without it the canvas of the file, or else the smallest that holds the
    keypoints.
    person: `largest`, `center` or a number, where there are several.
    """
    if path.is_dir():
        files = sorted(path.glob("*.json"), key=natural)
        if not files:
            raise InputError(f"{path}: no .json files are in this folder")
        frames = [frame for file in files for frame in frames_in(file, load(file))]
    else:
        frames = frames_in(path, load(path))
    if not frames:
        raise InputError(f"{path}: the list of frames is empty")
    canvas = size or canvas_of(path, frames)
    people = [
        [read_person(path, one, canvas) for one in people_of(path, frame)]
        for frame in frames
    ]
    everybody = tracks_of(people, THRESHOLD)
    if not everybody:
        raise InputError(f"{path}: nobody is in any of its {len(frames)} frames")
    around = canvas or smallest_size(
        [one.points for track in everybody for one in track.people]
    )
    track = choose(everybody, person, around, THRESHOLD)
    points, scores = track.sequence_of(len(frames))
    ticks, base = even_ticks(len(frames), rate)
    return PoseSequence(
        points,
        scores,
        ticks,
        base,
        around,
        THRESHOLD,
        Origin(
            source={"name": path.name},
            detector={"backend": "OpenPose"},
            person={"policy": person, "track": track.number, "of": len(everybody)},
        ),
    )


def write_openpose(folder: Path, sequence: PoseSequence, clip: str) -> None:
    """One file per frame, as OpenPose names and fills them for a video `clip`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(len(sequence)):
            frame = {"version": 1.3, "people": [person_of(sequence, index, body_25=True)]}
            name = f"{clip}_{index:012d}_keypoints.json"
            (folder / name).write_text(json.dumps(frame), encoding="ascii")
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error


def write_frames(path: Path, sequence: PoseSequence) -> None:
    """One file with a list of frames, as node editors exchange them."""
    width, height = sequence.size
    frames = [
        {
            "people": [person_of(sequence, index, body_25=False)],
            "canvas_width": width,
            "canvas_height": height,
        }
        for index in range(len(sequence))
    ]
    try:
        path.write_text(json.dumps(frames), encoding="ascii")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def load(file: Path) -> Json:
    """Contents of a JSON file, or an InputError that names it."""
    try:
        parsed: Json = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: isn't JSON, or is cut off") from error
    return parsed


def frames_in(file: Path, parsed: Json) -> list[dict[str, Json]]:
    """The frames of a file: a list of them, or one."""
    said = parsed if isinstance(parsed, list) else [parsed]
    frames = [frame for frame in said if isinstance(frame, dict) and "people" in frame]
    if len(frames) < len(said):
        raise InputError(
            f"{file}: isn't OpenPose's JSON: frames with `people` are expected"
        )
    return frames


def people_of(path: Path, frame: dict[str, Json]) -> Sequence[dict[str, Json]]:
    """The people of a frame."""
    people = frame["people"]
    if not isinstance(people, list) or not all(isinstance(one, dict) for one in people):
        raise InputError(f"{path}: `people` is not a list of people")
    return people


def canvas_of(path: Path, frames: Sequence[dict[str, Json]]) -> tuple[int, int] | None:
    """The size that the first frame says, if it says one."""
    width, height = (frames[0].get(key) for key in ("canvas_width", "canvas_height"))
    if width is None or height is None:
        return None
    if not isinstance(width, int) or not isinstance(height, int) or min(width, height) < 1:
        raise InputError(f"{path}: a canvas of {width} x {height} pixels can't be")
    return width, height


def read_person(
    path: Path, said: dict[str, Json], canvas: tuple[int, int] | None
) -> Detection:
    """One person in our rows."""
    points = np.zeros((s.KEYPOINTS, 2), np.float32)
    scores = np.zeros(s.KEYPOINTS, np.float32)
    body = triples(path, said, BODY)
    if len(body) == 25:
        rows = np.arange(24)
        body = body[list(BODY_25_ROWS)]
    elif len(body) in (0, 18):
        rows = np.arange(len(body))
    else:
        raise InputError(f"{path}: {len(body)} body keypoints; 18 or 25 are known")
    parts = [(rows, body)]
    for key, part, known in (
        (FACE, s.FACE, (68, FACE_POINTS)),
        (LEFT, s.LEFT_HAND, (21,)),
        (RIGHT, s.RIGHT_HAND, (21,)),
    ):
        found = triples(path, said, key)
        if len(found) not in (0, *known):
            raise InputError(
                f"{path}: {len(found)} keypoints in {key}; {known[0]} are expected"
            )
        places = np.arange(part.start, part.stop)[: len(found)]
        parts.append((places, found[: len(places)]))
    for places, found in parts:
        points[places], scores[places] = found[:, :2], found[:, 2]
    points[scores == 0] = 0
    if canvas and 0 < np.abs(points).max() <= 1.5:  # shares of the canvas, as some write
        points *= np.array(canvas, np.float32)
    return Detection(points, scores)


def triples(path: Path, said: dict[str, Json], key: str) -> NDArray[np.float32]:
    """`(keypoints, 3)`: x, y, score. Absent or null is no keypoints."""
    numbers = said.get(key) or []
    try:
        found = np.array(numbers, np.float32).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {key} isn't made of three numbers a joint") from error
    if not np.isfinite(found).all():
        raise InputError(f"{path}: {key} holds what isn't a number")
    found[:, 2] = found[:, 2].clip(min=0)
    return found


def smallest_size(points: Sequence[NDArray[np.float32]]) -> tuple[int, int]:
    """The smallest picture that holds all the keypoints."""
    right, down = np.max([one.max(axis=0) for one in points], axis=0)
    return max(1, math.ceil(right)), max(1, math.ceil(down))


def person_of(sequence: PoseSequence, index: int, *, body_25: bool) -> dict[str, Json]:
    """One frame's person as OpenPose says it."""
    scores = sequence.scores[index]
    points = np.where(scores[:, None] > 0, sequence.points[index], 0)
    keypoints = np.concatenate([points, scores[:, None]], axis=1).astype(np.float64)
    body = keypoints[s.BODY]
    if body_25:
        body = np.zeros((25, 3))
        body[list(BODY_25_ROWS)] = keypoints[:24]
        hips = keypoints[[s.RIGHT_HIP, s.LEFT_HIP]]
        if (hips[:, 2] > 0).all():
            body[MIDDLE_HIP] = *hips[:, :2].mean(axis=0), hips[:, 2].min()
    face = np.zeros((FACE_POINTS, 3))
    face[:68] = keypoints[s.FACE]
    return {
        "person_id": [-1],
        BODY: flat(body),
        FACE: flat(face),
        LEFT: flat(keypoints[s.LEFT_HAND]),
        RIGHT: flat(keypoints[s.RIGHT_HAND]),
    }


def flat(keypoints: NDArray[np.float64]) -> list[float]:
    """x, y, score, x, y, score: to a thousandth, as OpenPose has it."""
    return [round(float(number), 3) for number in keypoints.ravel()]


def natural(file: Path) -> list[tuple[int, str]]:
    """Sorts `f2` before `f10`."""
    parts = re.split(r"(\d+)", file.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
