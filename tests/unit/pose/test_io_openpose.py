"""OpenPose's JSON is read and written as others read and write it."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

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
    assert motion.points[:, s.NOSE, 0].tolist() == [2, 9, 10]
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
        ('{"people": [{"pose_keypoints_2d": [NaN, 2, 3]}]}', "isn't a number"),
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
