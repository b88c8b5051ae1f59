"""Corrections by hand: as a stage, by its file, and on another extraction."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.poses import random_pose
from builders.stages import executor

from animcli.cli.main import main
from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.corrections import (
    Corrections,
    MoveJoint,
    ShowJoint,
    SwapSides,
    correct,
    parse_corrections,
    reach_of,
    read_corrections,
)
from animcli.pose.io_pose import read_pose, write_pose
from animcli.pose.sequence import Origin, PoseSequence
from animcli.stages.correct import CorrectStage

WRIST = s.LEFT_WRIST


def walk(frames: int = 12) -> PoseSequence:
    """Every joint is seen in every frame, and moves a pixel to the right in each."""
    pose = random_pose(frames, origin=Origin(source={"sha256": "f" * 64}))
    points = np.repeat(pose.points[:1], frames, axis=0)
    points[..., 0] += np.arange(frames)[:, None]
    return replace(pose, points=points, scores=np.full_like(pose.scores, 0.9))


def test_the_offset_fades_over_the_reach() -> None:
    pose = walk()
    x, y = (float(v) for v in pose.points[6, WRIST])
    made, _ = correct(pose, Corrections((MoveJoint(6, WRIST, x, y + 30, 3, free=True),)))
    moved = made.points[:, WRIST, 1] - pose.points[:, WRIST, 1]
    assert moved[6] == pytest.approx(30, abs=1e-3)
    assert moved[:3].tolist() == [0, 0, 0]
    assert (np.diff(moved[2:7]) > 0).all()
    assert (np.diff(moved[6:11]) < 0).all()
    np.testing.assert_allclose(moved[3:6], moved[9:6:-1], atol=1e-3)


def test_between_two_edits_the_path_goes_from_one_to_the_other() -> None:
    pose = walk()
    x, y = (float(v) for v in pose.points[0, WRIST])
    edits = [MoveJoint(f, WRIST, x + f, y + 20, 3, free=True) for f in (4, 8)]
    made, _ = correct(pose, Corrections(tuple(edits)))
    np.testing.assert_allclose(made.points[4:9, WRIST, 1], y + 20, atol=1e-3)


def test_by_itself_an_edit_reaches_to_where_the_detector_was_sure() -> None:
    pose = walk()
    pose.scores[4:8, WRIST] = 0.35
    assert reach_of(pose, MoveJoint(6, WRIST, 0, 0)) == (2, 1)
    pose.scores[:, WRIST] = 0.35
    pose.scores[0, WRIST] = 0.9
    pose.scores[11, WRIST] = 0.95
    assert reach_of(pose, MoveJoint(6, WRIST, 0, 0)) == (5, 4)


def test_a_hand_goes_with_its_wrist() -> None:
    pose = walk()
    x, y = (float(v) for v in pose.points[6, WRIST])
    for free in (False, True):
        made, _ = correct(pose, Corrections((MoveJoint(6, WRIST, x + 9, y - 9, 0, free),)))
        gone = made.points[6] - pose.points[6]
        np.testing.assert_allclose(
            gone[s.LEFT_HAND], np.tile(gone[WRIST], (21, 1)), atol=1e-3
        )
        assert (gone[s.RIGHT_HAND] == 0).all()


def test_a_free_elbow_leaves_the_wrist_where_it_is() -> None:
    pose = walk()
    for free, stays in ((True, True), (False, False)):
        made, _ = correct(pose, Corrections((MoveJoint(6, s.LEFT_ELBOW, 10, 10, 0, free),)))
        same = (made.points[6, WRIST] == pose.points[6, WRIST]).all()
        assert same == stays


def test_hidden_and_restored_keypoints() -> None:
    pose = walk()
    pose.scores[2:5, WRIST] = 0.1
    pose.scores[9, WRIST] = 0
    edits = (
        ShowJoint(0, 1, WRIST, True),
        ShowJoint(2, 4, WRIST, False),
        ShowJoint(9, 9, WRIST, False),
    )
    made, notes = correct(pose, Corrections(edits))
    assert made.visible[:5, WRIST].tolist() == [False, False, True, True, True]
    assert (made.points[2:5, WRIST] == pose.points[2:5, WRIST]).all()
    assert notes == [
        "nothing was found of left_wrist that could be restored; move it there"
    ]


def test_sides_are_exchanged_in_the_span_alone() -> None:
    pose = walk()
    made, _ = correct(pose, Corrections((SwapSides(3, 5, "arms"),)))
    assert (made.points[3:6, WRIST] == pose.points[3:6, s.RIGHT_WRIST]).all()
    assert (made.points[3:6, s.LEFT_HAND] == pose.points[3:6, s.RIGHT_HAND]).all()
    assert (made.points[3:6, s.LEFT_KNEE] == pose.points[3:6, s.LEFT_KNEE]).all()
    assert (made.points[[2, 6]] == pose.points[[2, 6]]).all()


def test_a_joint_that_was_not_seen_is_filled_between_edits() -> None:
    pose = walk()
    pose.scores[4:8, WRIST] = 0
    edits = tuple(MoveJoint(f, WRIST, 100, 100, 2, free=True) for f in (4, 7))
    made, _ = correct(pose, Corrections(edits))
    assert made.scores[4:8, WRIST].tolist() == [1, 0.75, 0.75, 1]
    np.testing.assert_allclose(made.points[4:8, WRIST], 100, atol=1e-3)


def test_edits_find_their_frames_in_another_extraction() -> None:
    pose = walk()
    edit = MoveJoint(6, WRIST, 50, 60, 0, True, at=str(6 * pose.time_base))
    late = replace(
        pose, points=pose.points[2:], scores=pose.scores[2:],
        ticks=pose.ticks[2:],
    )  # fmt: skip
    shifted = replace(late, ticks=np.concatenate([[0], np.arange(3, 12)]))
    made, notes = correct(shifted, Corrections((edit,)))
    assert made.points[4, WRIST].tolist() == [50, 60]  # of the ticks 0, 3, 4, 5, 6
    assert notes == []
    lost = replace(edit, at=str(pose.time_base))
    made, notes = correct(shifted, Corrections((edit, lost)))
    assert notes == [
        "1 of 2 edits are for frames that this motion doesn't have; they are left out"
    ]
    assert made.origin.corrections["left_out"] == 1


def test_edits_find_their_frames_in_a_part_of_the_footage() -> None:
    whole = walk()
    edit = MoveJoint(6, WRIST, 50, 60, 0, True, at=str(6 * whole.time_base))
    start = str(4 * whole.time_base)
    part = replace(
        whole, points=whole.points[4:], scores=whole.scores[4:],
        ticks=whole.ticks[4:] - whole.ticks[4],
        origin=replace(whole.origin, source={**whole.origin.source, "start": start}),
    )  # fmt: skip
    made, notes = correct(part, Corrections((edit,)))
    assert notes == []
    assert (made.points != part.points).any(axis=(1, 2)).nonzero()[0].tolist() == [2]
    assert made.points[2, WRIST].tolist() == [50, 60]


def test_edits_for_another_picture_are_refused_and_for_other_footage_told() -> None:
    pose, edit = walk(), MoveJoint(0, WRIST, 1, 1)
    with pytest.raises(InputError, match="edits are for a picture of 10x10"):
        correct(pose, Corrections((edit,), size=(10, 10)))
    _, notes = correct(pose, Corrections((edit,), source="0" * 64))
    assert notes == ["the edits were made on other footage than this motion comes from"]


def test_the_key_follows_from_the_edits_and_the_file_names_them(tmp_path: Path) -> None:
    write_pose(tmp_path / "a.pose", walk())
    stages = [
        CorrectStage(tmp_path / "a.pose", Corrections((MoveJoint(1, WRIST, x, 5.0),)))
        for x in (1.0, 2.0, 1.0)
    ]
    made = [executor(tmp_path).make(stage) for stage in stages]
    keys = [each.record.cache_key.digest for each in made]
    assert keys[0] == keys[2] != keys[1]
    said = read_pose(made[0].path).origin.corrections
    assert said["edits"] == 1
    assert said["sha256"] == stages[0].corrections.digest


def test_a_motion_without_edits_has_the_bytes_it_always_had(tmp_path: Path) -> None:
    write_pose(tmp_path / "a.pose", walk())
    assert b"corrections" not in (tmp_path / "a.pose").read_bytes()


def test_the_command_corrects_a_pose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pose(Path("dance.pose"), walk())
    edit = {"frame": 3, "joint": "left_wrist", "x": 70, "y": 80, "reach": 0, "free": True}
    Path("edits.json").write_text(json.dumps({"edits": [edit]}))
    assert main(["correct-pose", "edits.json", "dance.pose"]) == 0
    assert capsys.readouterr().out == "dance-corrected.pose\n"
    made = read_pose(Path("dance-corrected.pose"))
    assert made.points[3, WRIST].tolist() == [70, 80]
    assert (made.points[4:] == walk().points[4:]).all()


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"frame": 1, "joint": "left_wirst", "x": 1, "y": 1}, "did you mean 'left_wrist'"),
        ({"frame": -1, "joint": 4, "x": 1, "y": 1}, "frame is a whole number"),
        ({"frame": 1, "joint": 134, "x": 1, "y": 1}, "no joint 134"),
        ({"frame": 1, "joint": 4, "x": "1", "y": 1}, "x is a number of pixels"),
        ({"frame": 1, "joint": 4, "x": float("nan"), "y": 1}, "x is a number of pixels"),
        ({"frame": 1, "joint": 4, "x": 1, "y": 1, "raech": 1}, "no key raech"),
        ({"frame": 5, "to": 4, "swap": "all"}, "to 4 comes before frame 5"),
        ({"frame": 5, "swap": "ears"}, "swap is all, arms, legs"),
        ({"frame": 5, "joint": 4, "hidden": True, "restored": True}, "either hidden"),
        ({"frame": 5, "joint": 4, "x": 1, "y": 1, "at": "1e9"}, "edit 2: "),
        ([], "an edit is an object"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_number(edit: object, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        parse_corrections({"edits": [{"frame": 0, "swap": "all"}, edit]})
    assert str(error.value).startswith("edit 2: ")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"edits": 3}', "[" * 100_000])
def test_what_is_no_file_of_edits_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"edits\.json: "):
        read_corrections(path)


@pytest.mark.parametrize("content", [b"\xcd\xcc\x4c\x3e", b"\x00\x00\x00\x20ftypisom"])
def test_a_motion_in_the_place_of_the_edits_is_told_the_order(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "dance.pose"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"dance\.pose: isn't JSON") as refusal:
        read_corrections(path)
    assert "codec" not in refusal.value.message
    assert refusal.value.hint.endswith("anim correct-pose edits.json dance.pose")
