"""OpenPose's JSON in and out, in both layouts that are about.

OpenPose itself writes a folder with one file per frame, 25 body keypoints, and neither rate
nor picture size. Node editors exchange one list of frames, 18 body keypoints, with the size
as `canvas_width` and `canvas_height`. In both a joint is three numbers, x, y and score, and
a joint that wasn't found three zeros. Coordinates are pixels, or shares of the canvas: what
they are is told once for all frames, for body, face and each hand by itself.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError, StorageError, reason_of
from animcli.pose import keypoints as s
from animcli.pose.io_coco import Joints, Json, Said, read_coco
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

_PARTS: Final = {
    "body": slice(s.BODY.start, s.FEET.stop),
    "face": s.FACE,
    "left hand": s.LEFT_HAND,
    "right hand": s.RIGHT_HAND,
}
SHARES_FROM: Final = 0.8
"""The share of keypoints within a pixel or two from where on they aren't pixels."""

MOST_GAPS: Final = 20
"""Frames for each one that is there, beyond which numbers count something else."""

LARGEST: Final = 65535  # pixels of a side, as a `.pose` can say it
_FARTHEST: Final = 1e6  # pixels or shares


def read_openpose(
    path: Path,
    *,
    rate: Fraction,
    size: tuple[int, int] | None = None,
    person: str = "largest",
    warn: Callable[[str], None] = lambda line: None,
) -> PoseSequence:
    """The motion in a folder with a file for each frame, or in one file with all of them.

    rate: frames per second, which no layout says. size: of the picture, `(width, height)`;
    without it the canvas of the file, or else the smallest that holds the keypoints.
    person: `largest`, `center` or a number, where there are several.
    warn: told what had to be guessed, and which frames are missing.
    """
    said = in_folder(path) if path.is_dir() else in_file(path, load(path))
    said = with_gaps(path, said, warn)
    if not said.frames:
        raise InputError(f"{path}: the list of frames is empty")
    canvas = size or said.canvas
    in_pixels(path, [one for people in said.frames for one in people], canvas)
    people = [[person_in(one) for one in frame] for frame in said.frames]
    everybody = tracks_of(people, THRESHOLD)
    if not everybody:
        raise InputError(f"{path}: nobody is in any of its {len(people)} frames")
    if canvas is None:
        canvas = smallest_size([one.points for track in everybody for one in track.people])
        warn(
            f"{path} doesn't say how large the picture is; {canvas[0]}x{canvas[1]} is "
            "taken, the smallest that holds all keypoints (--size says another)"
        )
    track = choose(everybody, person, canvas, THRESHOLD)
    points, scores = track.sequence_of(len(people))
    ticks, base = even_ticks(len(people), rate)
    return PoseSequence(
        points,
        scores,
        ticks,
        base,
        canvas,
        THRESHOLD,
        origin=Origin(
            source={"name": path.name},
            detector={"backend": "OpenPose"},
            person={"policy": person, "track": track.number, "of": len(everybody)},
        ),
    )


def in_folder(folder: Path) -> Said:
    """The frames of a folder; the last number in a file's name is the frame's."""
    files = sorted(folder.glob("*.json"), key=natural)
    if not files:
        raise InputError(f"{folder}: no .json files are in this folder")
    each = [in_file(file, load(file)) for file in files]
    found = [re.findall(r"\d+", file.stem) for file in files]
    numbered = all(found) and all(len(one.frames) == 1 for one in each)
    return Said(
        [frame for one in each for frame in one.frames],
        [int(numbers[-1]) for numbers in found] if numbered else None,
        each[0].canvas,
    )


def in_file(file: Path, parsed: Json) -> Said:
    """The frames in a file: OpenPose's, or of one of the layouts of `io_coco`."""
    if (found := read_coco(file, parsed)) is not None:
        return found
    frames = frames_in(file, parsed)
    people = [[read_person(file, one) for one in people_of(file, each)] for each in frames]
    return Said(people, canvas=canvas_of(file, frames) if frames else None)


def with_gaps(path: Path, said: Said, warn: Callable[[str], None]) -> Said:
    """The frames in the order of their numbers; numbers that are missing are gaps.

    Where only every nth was kept, these are the frames.
    """
    numbers = [number_in(each) for each in said.numbers or ()]
    if not said.frames or None in numbers or len({*numbers}) < max(len(numbers), 2):
        return said
    places = sorted(zip(numbers, said.frames, strict=True), key=lambda pair: pair[0] or 0)
    at = np.array([number for number, _ in places], np.int64)
    step = int(np.gcd.reduce(np.diff(at)))
    at = (at - at[0]) // step
    if step > 1:
        warn(f"{path} holds every {step}th number; these are taken as the frames")
    if at[-1] >= MOST_GAPS * len(at):
        warn(f"the numbers in {path} are no frames'; their order is taken, without gaps")
        return replace(said, frames=[frame for _, frame in places])
    frames: list[list[Joints]] = [[] for _ in range(int(at[-1]) + 1)]
    for place, (_, frame) in zip(at, places, strict=True):
        frames[int(place)] = frame
    if lacking := len(frames) - len(at):
        warn(f"{lacking} of {len(frames)} frames are missing in {path}; they stay gaps")
    return replace(said, frames=frames)


def number_in(name: int | str) -> int | None:
    """The frame's number: itself, or the last one in a name such as `000012.jpg`."""
    if isinstance(name, int):
        return name
    found = re.findall(r"\d+", name)
    return int(found[-1]) if found else None


def in_pixels(path: Path, people: Sequence[Joints], canvas: tuple[int, int] | None) -> None:
    """Make pixels of what is given as shares of the canvas, in place.

    Nobody's body, face or hands lie within a pixel or two: that nearly all coordinates do,
    means shares. A few beyond the picture, or wrongly found, change nothing.

    Raises InputError for shares of a canvas that isn't known.
    """
    for name, part in _PARTS.items():
        visible = [one[part][one[part][:, 2] > 0, :2] for one in people]
        places = np.concatenate([*visible, np.empty((0, 2))])
        near = (places > -1).all(axis=1) & (places < 2).all(axis=1)
        if not len(places) or near.mean() < SHARES_FROM or max(canvas or (9,)) <= 8:
            continue
        if canvas is None:
            raise InputError(
                f"{path}: the {name} is in shares of a picture whose size isn't said",
                "anim extract-pose FILE --size 1280x720 says it",
            )
        for one in people:
            one[part][:, :2] *= canvas


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
        raise InputError(f"{file}: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: isn't JSON, or is cut off") from error
    return parsed


def frames_in(file: Path, parsed: Json) -> list[dict[str, Json]]:
    """The frames of a file: a list of them, or one."""
    said = parsed if isinstance(parsed, list) else [parsed]
    frames = [frame for frame in said if isinstance(frame, dict) and "people" in frame]
    if len(frames) < len(said):
        raise InputError(
            f"{file}: isn't OpenPose's JSON: frames with `people` are expected",
            "the JSON of MMPose, AlphaPose and COCO is read as well",
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
    for side in (width, height):
        if not isinstance(side, int | float) or not 1 <= side <= LARGEST:
            raise InputError(f"{path}: a canvas of {width} x {height} pixels can't be")
    return round(float(str(width))), round(float(str(height)))


def read_person(path: Path, said: dict[str, Json]) -> Joints:
    """One person in our rows."""
    keypoints = np.zeros((s.KEYPOINTS, 3))
    body = triples(path, said, BODY)
    if len(body) == 25:
        body = body[list(BODY_25_ROWS)]
    elif len(body) not in (0, 18):
        raise InputError(f"{path}: {len(body)} body keypoints; 18 or 25 are known")
    keypoints[: len(body)] = body
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
        found = found[: known[0]]
        keypoints[part.start : part.start + len(found)] = found
    return keypoints


def person_in(keypoints: Joints) -> Detection:
    """A person of `(134, 3)` in pixels; who isn't seen is nowhere."""
    points = np.where(keypoints[:, 2:] > 0, keypoints[:, :2], 0)
    return Detection(points.astype(np.float32), keypoints[:, 2].astype(np.float32))


def triples(path: Path, said: dict[str, Json], key: str) -> NDArray[np.float64]:
    """`(keypoints, 3)`: x, y, score. Absent or null is no keypoints."""
    numbers = said.get(key) or []
    try:
        found = np.array(numbers, np.float64).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {key} isn't made of three numbers a joint") from error
    if not (np.abs(found) < _FARTHEST).all():  # nor NaN
        raise InputError(f"{path}: {key} holds what isn't a place in a picture")
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
