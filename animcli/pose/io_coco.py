"""Keypoints as MMPose, AlphaPose and COCO write them.

    MMPose, a video     [{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...],
                          "keypoint_scores": [...]}, ...]}, ...]; also as "instance_info"
    MMPose, a picture   [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...]
    AlphaPose, results  [{"image_id": "12.jpg", "keypoints": [x, y, score, ...]}, ...]
    of COCO
    COCO                {"images": [...], "annotations": [{"image_id": 1,
                          "keypoints": [x, y, v, ...]}, ...]}

How many keypoints there are tells their order: 17 are COCO's, 26 and 136 Halpe's, 133 those
of COCO-WholeBody. Sources: the formats' own descriptions at cocodataset.org, of
Halpe-FullBody and of COCO-WholeBody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.layouts import (
    ABSENT,
    COCO_BODY_ROWS,
    COCO_ROWS,
    NOWHERE_FACE,
    NOWHERE_HAND,
    Layout,
    count,
    lay_out,
)

Json = object
"""Value that `json.loads` gives: anything, until looked at."""

Joints = NDArray[np.float64]
"""`(134, 3)`: x, y and score of our keypoints; score 0 = not seen."""

NO_FEET: Final = [ABSENT] * 6
HALPE_BODY: Final = (0, 18, *COCO_BODY_ROWS[2:18], 20, 22, 24, 21, 23, 25)
ROWS: Final = {
    17: lay_out((*COCO_BODY_ROWS[:18], *NO_FEET), NOWHERE_FACE, NOWHERE_HAND, NOWHERE_HAND),
    23: lay_out(COCO_BODY_ROWS, NOWHERE_FACE, NOWHERE_HAND, NOWHERE_HAND),
    26: lay_out(HALPE_BODY, NOWHERE_FACE, NOWHERE_HAND, NOWHERE_HAND),
    133: COCO_ROWS,
    136: lay_out(HALPE_BODY, count(26, 68), count(94, 21), count(115, 21)),
}
"""Number of keypoints -> for each of ours the place among them."""


@dataclass(frozen=True, eq=False)
class Said:
    """Everybody in every frame of a file, and the picture's size where it is said.

    numbers: of the frames, where they have some.
    """

    frames: list[list[Joints]]
    numbers: list[int | str] | None = None
    canvas: tuple[int, int] | None = None


def read_coco(path: Path, parsed: Json) -> Said | None:
    """The people in such a file; None for one of another kind. Raises InputError."""
    if isinstance(parsed, Mapping):
        if isinstance(parsed.get("annotations"), list):
            return _annotated(path, parsed)
        parsed = parsed.get("instance_info")
    if not isinstance(parsed, list) or not parsed:
        return None
    if all(isinstance(frame, list) for frame in parsed):
        parsed = [{"instances": frame} for frame in parsed]
    if not all(isinstance(each, Mapping) for each in parsed):
        return None
    if all("instances" in each for each in parsed):
        frames = [_people(path, each["instances"]) for each in parsed]
        said = [each.get("frame_id") for each in parsed]
        numbers = [number for number in said if isinstance(number, int)]
        return Said(frames, [*numbers] if len(numbers) == len(said) else None)
    if not all("keypoints" in each for each in parsed):
        return None
    if not all("image_id" in each for each in parsed):
        return Said([_people(path, parsed)])
    return _by_image(path, parsed, flags=False)


def _annotated(path: Path, parsed: Mapping[str, Json]) -> Said:
    """COCO's own files: pictures without anybody are frames, too."""
    images, said = parsed.get("images"), parsed["annotations"]
    people = [
        each
        for each in (said if isinstance(said, list) else [])
        if isinstance(each, Mapping) and "keypoints" in each
    ]
    known = [each for each in images if isinstance(each, Mapping) and "id" in each] if (
        isinstance(images, list)
    ) else []  # fmt: skip
    found = _by_image(path, people, flags=True, there=[each["id"] for each in known])
    sizes = {(each.get("width"), each.get("height")) for each in known}
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            return Said(found.frames, found.numbers, (width, height))
    return found


def _by_image(
    path: Path,
    people: Sequence[Mapping[str, Json]],
    *,
    flags: bool,
    there: Sequence[Json] = (),
) -> Said:
    """People who say which picture they are in, as frames in the pictures' order."""
    frames: dict[int | str, list[Joints]] = {}
    for number in there:
        if isinstance(number, int | str):
            frames[number] = []
    for each in people:
        number = each.get("image_id")
        if not isinstance(number, int | str):
            raise InputError(f"{path}: an image_id is a number or a name, not {number!r}")
        frames.setdefault(number, []).append(_person(path, each, flags=flags))
    return Said(list(frames.values()), list(frames))


def _people(path: Path, said: Json) -> list[Joints]:
    if not isinstance(said, list) or not all(isinstance(each, Mapping) for each in said):
        raise InputError(f"{path}: `instances` is not a list of people")
    return [_person(path, each, flags=False) for each in said]


def _person(path: Path, said: Mapping[str, Json], *, flags: bool) -> Joints:
    """One person in our rows. flags: scores are 0 absent, 1 hidden, 2 seen."""
    try:
        keypoints = np.array(said["keypoints"], np.float64)
        scores = said.get("keypoint_scores")
        if keypoints.ndim == 1:
            keypoints = keypoints.reshape(-1, 3)
        if keypoints.shape[1] == 2:
            found = (
                np.ones(len(keypoints)) if scores is None else np.array(scores, np.float64)
            )
            keypoints = np.column_stack([keypoints, found])
        if keypoints.shape[1] != 3:
            raise ValueError(keypoints.shape)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: `keypoints` isn't made of x, y and score") from error
    if len(keypoints) not in ROWS:
        known = ", ".join(map(str, ROWS))
        raise InputError(f"{path}: {len(keypoints)} keypoints; {known} are known")
    if flags:
        keypoints[:, 2] /= 2
    layout = Layout("", {}, ROWS[len(keypoints)], 0.3)
    points, visible = layout.convert(keypoints[None, :, :2], keypoints[None, :, 2])  # type: ignore[arg-type]
    return np.column_stack([points[0], visible[0]])
