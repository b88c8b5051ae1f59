"""OpenPose's JSON is read and written as others read and write it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.poses import random_pose

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.io_openpose import read_openpose, write_frames, write_openpose
from animcli.pose.sequence import PoseSequence

RATE = Fraction(24000, 1001)


def still(seed: int = 0) -> PoseSequence:
    """One pose held: whoever it is stays the same person."""
    motion = random_pose(5, RATE, seed=seed)
    scores = np.maximum(motion.scores[:1], 0.31).repeat(5, axis=0)
    return replace(motion, points=motion.points[:1].repeat(5, axis=0) + 1, scores=scores)


def test_a_folder_of_ours_comes_back(tmp_path: Path) -> None:
    motion = still()
    write_openpose(tmp_path / "dance", motion, "dance")
    back = read_openpose(tmp_path / "dance", rate=RATE, size=motion.size)
    # Three places after the point are written.
    np.testing.assert_allclose(back.points, motion.points, atol=6e-4)
    np.testing.assert_allclose(back.scores, motion.scores, atol=6e-4)
    assert (back.rate, back.size) == (RATE, motion.size)


def test_a_list_of_ours_comes_back_without_feet(tmp_path: Path) -> None:
    motion = still()
    write_frames(tmp_path / "dance.json", motion)
    back = read_openpose(tmp_path / "dance.json", rate=RATE)
    rest = np.r_[s.BODY, s.FACE, s.LEFT_HAND, s.RIGHT_HAND]
    np.testing.assert_allclose(back.points[:, rest], motion.points[:, rest], atol=6e-4)
    assert not back.scores[:, s.FEET].any()
    assert back.size == motion.size


def test_a_written_folder_looks_like_openposes(tmp_path: Path) -> None:
    motion = still()
    write_openpose(tmp_path / "dance", motion, "dance")
    said = json.loads(
        (tmp_path / "dance" / "dance_000000000003_keypoints.json").read_text()
    )
    [person] = said["people"]
    assert [len(person[key]) // 3 for key in sorted(person) if key.endswith("2d")] == [
        70,
        21,
        21,
        25,
    ]
    hips = motion.points[3, [s.RIGHT_HIP, s.LEFT_HIP]].mean(axis=0)
    np.testing.assert_allclose(person["pose_keypoints_2d"][24:26], hips, atol=6e-4)


def test_openposes_own_files_are_read(media: Path) -> None:
    motion = read_openpose(
        media / "dance_stage_openpose_body25", rate=RATE, size=(1280, 720)
    )
    assert len(motion) == 69
    np.testing.assert_allclose(motion.points[0, s.NOSE], [498.128, 180.696], rtol=1e-6)
    np.testing.assert_allclose(motion.points[0, s.RIGHT_HIP], [562.772, 396.259], rtol=1e-6)
    assert motion.visible[:, :14].mean() > 0.9


def test_shares_of_the_canvas_become_pixels(tmp_path: Path) -> None:
    body = [0.5, 0.25, 1.0] * 18
    frame = {
        "people": [{"pose_keypoints_2d": body, "face_keypoints_2d": None}],
        "canvas_width": 512,
        "canvas_height": 768,
    }
    (tmp_path / "a.json").write_text(json.dumps([frame]))
    motion = read_openpose(tmp_path / "a.json", rate=RATE)
    np.testing.assert_array_equal(motion.points[0, :18], [[256, 192]] * 18)


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for index in (10, 9, 2):
        body = [float(index), 5.0, 0.9] * 25
        (tmp_path / f"f{index}.json").write_text(
            json.dumps({"people": [{"pose_keypoints_2d": body}]})
        )
    motion = read_openpose(tmp_path, rate=RATE)
    assert motion.points[motion.visible.any(axis=1), s.NOSE, 0].tolist() == [2, 9, 10]
    assert motion.size == (10, 5)


def test_a_frame_without_people_is_a_gap(tmp_path: Path) -> None:
    write_frames(tmp_path / "a.json", still())
    frames = json.loads((tmp_path / "a.json").read_text())
    frames[2]["people"] = []
    (tmp_path / "a.json").write_text(json.dumps(frames))
    motion = read_openpose(tmp_path / "a.json", rate=RATE)
    assert motion.visible.any(axis=1).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "isn't JSON"),
        ("[" * 100_000, "isn't JSON"),
        ("[]", "the list of frames is empty"),
        ('{"a": 1}', "frames with `people` are expected"),
        ('{"people": 3}', "not a list of people"),
        ('{"people": []}', "nobody is in any"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "three numbers a joint"),
        ('{"people": [{"pose_keypoints_2d": ["a", 2, 3]}]}', "three numbers a joint"),
        ('{"people": [{"pose_keypoints_2d": [NaN, 2, 3]}]}', "isn't a place in a picture"),
        ('{"people": [{"pose_keypoints_2d": [1e308, 2, 3]}]}', "isn't a place"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "1 body keypoints; 18 or 25"),
        (
            '[{"people": [], "canvas_width": 0, "canvas_height": 5}]',
            "a canvas of 0 x 5 pixels can't be",
        ),
    ],
)
def test_what_is_not_openposes_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_openpose(tmp_path / "a.json", rate=RATE)


def test_a_folder_without_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.json files"):
        read_openpose(tmp_path, rate=RATE)


def said_by(
    tmp_path: Path, frames: object, **options: Any
) -> tuple[PoseSequence, list[str]]:
    """What is read in a file, and what is told about it."""
    (tmp_path / "a.json").write_text(json.dumps(frames))
    notes: list[str] = []
    motion = read_openpose(tmp_path / "a.json", rate=RATE, warn=notes.append, **options)
    return motion, notes


def in_shares(frames: Any, size: tuple[int, int], *keys: str) -> Any:
    """Frames of `write_frames` in which the arrays `keys` are shares of the canvas."""
    for frame in frames:
        for person in frame["people"]:
            for key in keys:
                keypoints = np.reshape(person[key], (-1, 3))
                person[key] = (keypoints / (*size, 1)).ravel().tolist()
    return frames


BODY, FACE = "pose_keypoints_2d", "face_keypoints_2d"
HANDS = ("hand_left_keypoints_2d", "hand_right_keypoints_2d")


@pytest.mark.parametrize("keys", [(BODY,), (FACE,), (BODY, *HANDS), (BODY, FACE, *HANDS)])
def test_what_is_in_shares_is_told_for_each_array_by_itself(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    motion = still()
    write_frames(tmp_path / "dance.json", motion)
    frames = json.loads((tmp_path / "dance.json").read_text())
    usual, _ = said_by(tmp_path, frames)
    read, _ = said_by(tmp_path, in_shares(frames, motion.size, *keys))
    np.testing.assert_allclose(read.points, usual.points, atol=2e-3)
    assert read.size == usual.size


def test_one_keypoint_far_outside_makes_no_pixels_of_shares(tmp_path: Path) -> None:
    motion = still()
    write_frames(tmp_path / "dance.json", motion)
    frames = json.loads((tmp_path / "dance.json").read_text())
    usual, _ = said_by(tmp_path, frames)
    shares = in_shares(frames, motion.size, BODY)
    shares[1]["people"][0][BODY][:3] = [3.5, -2.0, 0.9]
    read, _ = said_by(tmp_path, shares)
    np.testing.assert_allclose(read.points[2:, :18], usual.points[2:, :18], atol=2e-3)


def test_shares_without_a_canvas_ask_for_a_size(tmp_path: Path) -> None:
    motion = still()
    write_frames(tmp_path / "dance.json", motion)
    frames = json.loads((tmp_path / "dance.json").read_text())
    usual, _ = said_by(tmp_path, frames)
    shares = in_shares(frames, motion.size, BODY, FACE, *HANDS)
    for frame in shares:
        del frame["canvas_width"], frame["canvas_height"]
    with pytest.raises(InputError, match="in shares of a picture whose size") as refusal:
        said_by(tmp_path, shares)
    assert "--size" in refusal.value.hint
    read, _ = said_by(tmp_path, shares, size=motion.size)
    np.testing.assert_allclose(read.points, usual.points, atol=2e-3)


@pytest.mark.parametrize("side", [512.0, 511.6])
def test_a_canvas_of_decimal_numbers_is_one(tmp_path: Path, side: float) -> None:
    frame = {
        "people": [{BODY: [100.0, 50.0, 1.0] * 18}],
        "canvas_width": side,
        "canvas_height": 768,
    }
    assert said_by(tmp_path, [frame])[0].size == (512, 768)


def test_a_size_that_is_guessed_is_told(tmp_path: Path) -> None:
    _, notes = said_by(tmp_path, [{"people": [{BODY: [100.0, 50.0, 1.0] * 18}]}])
    assert "100x50 is taken" in notes[0]


@pytest.mark.parametrize(
    ("numbers", "frames", "told"),
    [
        ((3, 4, 6), [3, 4, None, 6], "1 of 4 frames are missing"),
        ((0, 5, 10), [0, 5, 10], "holds every 5th number"),
        ((0, 1, 1_700_000_000), [0, 1, 1_700_000_000], "are no frames'"),
        ((7,), [7], ""),
    ],
)
def test_numbers_that_are_missing_stay_gaps(
    tmp_path: Path, numbers: tuple[int, ...], frames: list[int | None], told: str
) -> None:
    for number in numbers:
        body = [50.0 + number % 1000, 80.0, 0.9] * 25
        (tmp_path / f"dance_{number:012d}_keypoints.json").write_text(
            json.dumps({"people": [{BODY: body}]})
        )
    notes: list[str] = []
    motion = read_openpose(tmp_path, rate=RATE, size=(2000, 100), warn=notes.append)
    seen = motion.visible.any(axis=1)
    assert seen.tolist() == [number is not None for number in frames]
    assert motion.points[seen, s.NOSE, 0].tolist() == [50.0 + n % 1000 for n in numbers]
    assert any(told in note for note in notes) == bool(told)


def coco(
    places: dict[str, float], keypoints: int, names: Sequence[str]
) -> list[list[float]]:
    """Keypoints of another order: all at (9, 9) but those that are named."""
    rows = [[9.0, 9.0, 0.8] for _ in range(keypoints)]
    for name, x in places.items():
        rows[names.index(name)] = [x, 2 * x, 0.9]
    return rows


COCO_NAMES = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]
WHOLE_NAMES = [
    *COCO_NAMES,
    *s.FEET_NAMES,
]
HALPE_NAMES = [
    *COCO_NAMES,
    *[
        "top",
        "neck",
        "hip",
        "left_big_toe",
        "right_big_toe",
        "left_small_toe",
        "right_small_toe",
    ],
    *["left_heel", "right_heel"],
]
PLACES = {"nose": 30.0, "left_wrist": 40.0, "right_knee": 50.0}


def checked(motion: PoseSequence, frames: list[bool], *, feet: bool = False) -> None:
    """Each joint is where `PLACES` says, in the frames in which anybody is."""
    seen = motion.visible.any(axis=1)
    assert seen.tolist() == frames
    for name, x in PLACES.items():
        if name.partition("_")[2] != "big_toe":
            joint = s.BODY_NAMES.index(name)
            assert motion.points[seen, joint].tolist() == [[x, 2 * x]] * seen.sum()
    assert (motion.scores[seen, s.NECK] > 0).all()
    assert ((motion.scores[seen, s.FEET] > 0) == feet).all()


@pytest.mark.parametrize("nested", [False, True])
def test_mmposes_videos_are_read(tmp_path: Path, nested: bool) -> None:
    rows = np.array(coco(PLACES, 17, COCO_NAMES))
    person = {"keypoints": rows[:, :2].tolist(), "keypoint_scores": rows[:, 2].tolist()}
    frames = [{"frame_id": k, "instances": [person]} for k in (1, 2, 4)]
    told = {"meta_info": {}, "instance_info": frames} if nested else frames
    motion, notes = said_by(tmp_path, told, size=(200, 200))
    checked(motion, [True, True, False, True])
    assert "1 of 4 frames are missing" in notes[0]


def test_mmposes_pictures_are_read(tmp_path: Path) -> None:
    rows = np.array(coco(PLACES, 133, WHOLE_NAMES))
    person = {"keypoints": rows[:, :2].tolist(), "keypoint_scores": rows[:, 2].tolist()}
    for number in (1, 2):
        (tmp_path / f"{number}.json").write_text(json.dumps([person]))
    checked(read_openpose(tmp_path, rate=RATE, size=(200, 200)), [True, True], feet=True)


@pytest.mark.parametrize(
    ("keypoints", "names"), [(17, COCO_NAMES), (26, HALPE_NAMES), (136, HALPE_NAMES)]
)
def test_alphaposes_results_are_read(
    tmp_path: Path, keypoints: int, names: Sequence[str]
) -> None:
    flat = [number for row in coco(PLACES, keypoints, names) for number in row]
    people = [
        {"image_id": f"{k}.jpg", "category_id": 1, "keypoints": flat, "score": 2.9}
        for k in (0, 2, 10, 9)
    ]
    motion, _ = said_by(tmp_path, people, size=(200, 200))
    checked(motion, [k in (0, 2, 9, 10) for k in range(11)], feet=keypoints > 17)


def test_cocos_annotations_are_read(tmp_path: Path) -> None:
    rows = coco(PLACES, 17, COCO_NAMES)
    flat = [number for x, y, _ in rows for number in (x, y, 2)]
    flat[3:6] = [0, 0, 0]
    told = {
        "images": [{"id": k, "width": 640, "height": 480} for k in (1, 2, 3)],
        "annotations": [{"image_id": k, "keypoints": flat} for k in (3, 1)],
    }
    motion, _ = said_by(tmp_path, told)
    checked(motion, [True, False, True])
    assert motion.size == (640, 480)
    assert motion.scores[0, [s.LEFT_EYE, s.RIGHT_EYE]].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ([{"image_id": 1, "keypoints": [1, 2, 3] * 16}], "16 keypoints; 17, 23, 26, 133"),
        ([{"image_id": 1, "keypoints": [1, 2]}], "isn't made of x, y and score"),
        ([{"image_id": None, "keypoints": [1, 2, 3] * 17}], "an image_id is a number"),
        ([{"instances": 3}], "not a list of people"),
        ([{"image_id": 1, "keypoints": [{}] * 17}], "isn't made of x, y and score"),
        ({"annotations": [{"image_id": 1}]}, "the list of frames is empty"),
    ],
)
def test_what_is_wrong_in_such_files_is_named(
    tmp_path: Path, told: object, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        said_by(tmp_path, told)
