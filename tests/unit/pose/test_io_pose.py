"""Pose files: everything comes back, and what can't be read is named as what it is."""

import struct
import time
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from builders.poses import random_pose
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.cocowholebody133_header import cocowholebody_components
from pose_format.utils.openpose import OpenPose_Components
from pose_format.utils.openpose_135 import OpenPose_Components as OpenPose135_Components

from animcli.errors import InputError, StorageError
from animcli.pose.io_pose import likely_rate, read_pose, write_pose
from animcli.pose.keypoints import LEFT_BIG_TOE, LEFT_WRIST, NECK, RIGHT_KNEE
from animcli.pose.sequence import Origin, PoseSequence


def assert_same(left: PoseSequence, right: PoseSequence) -> None:
    np.testing.assert_array_equal(left.points, right.points)
    np.testing.assert_array_equal(left.scores, right.scores)
    np.testing.assert_array_equal(left.ticks, right.ticks)
    assert (left.time_base, left.size, left.draw_threshold, left.origin) == (
        (right.time_base, right.size, right.draw_threshold, right.origin)
    )


def write_foreign(
    path: Path,
    components: list[PoseHeaderComponent],
    people: int = 1,
    fps: float = 25.0,
    frames: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    keypoints = sum(len(part.points) for part in components)
    random = np.random.default_rng(5)
    points = random.random((frames, people, keypoints, 2)).astype(np.float32) * 100
    scores = random.uniform(0.4, 1, (frames, people, keypoints)).astype(np.float32)
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480), components)
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(fps, points, scores)).write(file)
    return points, scores


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dance.pose"


def test_a_motion_comes_back_bit_for_bit(file: Path) -> None:
    motion = random_pose(
        origin=Origin(
            source={"name": "tänzerin 踊り.mp4", "sha256": "ab" * 32},
            detector={"backend": "dwpose"},
            person={"policy": "largest"},
            smoothing={"filled": 3},
            retarget={"ratios": {"thigh": 0.91}},
        )
    )
    write_pose(file, motion)
    assert_same(read_pose(file), motion)


def test_the_same_motion_gives_the_same_bytes(tmp_path: Path) -> None:
    write_pose(tmp_path / "a", random_pose())
    write_pose(tmp_path / "b", random_pose())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_times_that_fit_no_single_name_come_back(file: Path) -> None:
    motion = random_pose(frames=20_000)
    steps = np.random.default_rng(1).integers(1000, 9000, 19_999)
    ticks = np.concatenate([[-7], -7 + np.cumsum(steps)])
    uneven = replace(motion, ticks=ticks, time_base=Fraction(1, 90_000))
    write_pose(file, uneven)
    assert_same(read_pose(file), uneven)


def test_one_frame_comes_back(file: Path) -> None:
    write_pose(file, random_pose(frames=1))
    assert_same(read_pose(file), random_pose(frames=1))


def test_a_place_without_a_score_is_not_kept(file: Path) -> None:
    motion = random_pose()
    motion.points[2, 5] = np.nan
    motion.scores[2, 5] = 0
    write_pose(file, motion)
    assert read_pose(file).points[2, 5].tolist() == [0, 0]


def test_a_seen_joint_at_no_place_is_refused_in_writing(file: Path) -> None:
    motion = random_pose()
    motion.points[2, 5], motion.scores[2, 5] = np.nan, 0.5
    with pytest.raises(ValueError, match="finite place"):
        write_pose(file, motion)


def test_other_programs_see_five_parts_and_an_empty_one(file: Path) -> None:
    motion = random_pose()
    write_pose(file, motion)
    pose = Pose.read(file.read_bytes())
    assert [(part.name, len(part.points)) for part in pose.header.components[:5]] == [
        ("BODY_18", 18),
        ("FEET", 6),
        ("FACE_68", 68),
        ("LEFT_HAND", 21),
        ("RIGHT_HAND", 21),
    ]
    assert pose.header.components[5].name.startswith('META:{"checksum":')
    np.testing.assert_array_equal(pose.body.data.data[:, 0], motion.points)
    assert pose.body.fps == pytest.approx(30000 / 1001)  # the file holds a float32


def test_ten_thousand_frames_are_written_and_read_in_a_fifth_of_a_second(
    file: Path,
) -> None:
    motion = random_pose(frames=10_000)
    times = []
    for act in (lambda: write_pose(file, motion), lambda: read_pose(file)) * 5:
        start = time.process_time()  # of the CPU: other work mustn't count
        act()
        times.append(time.process_time() - start)
    assert min(times[::2]) < 0.2
    assert min(times[1::2]) < 0.2


# ---- files that can't be read


def error_of(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_pose(file)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_an_absent_file_is_named(file: Path) -> None:
    assert error_of(file) == f"{file}: no such file"


def test_a_folder_is_named(tmp_path: Path) -> None:
    assert "is a folder" in error_of(tmp_path)


def test_an_empty_file_is_named(file: Path) -> None:
    file.write_bytes(b"")
    assert error_of(file) == f"{file}: the file is empty (0 bytes)"


@pytest.mark.parametrize("raw", [b"<!DOCTYPE html>", b"\x00\x00\x00\x18ftypmp42", b"hi"])
def test_something_else_is_not_a_pose_file(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    assert error_of(file) == f"{file}: isn't a .pose file"


def test_a_newer_container_is_named_by_its_version(file: Path) -> None:
    write_pose(file, random_pose())
    file.write_bytes(struct.pack("<f", 0.3) + file.read_bytes()[4:])
    assert error_of(file) == f"{file}: pose file is version 0.3, needs 0.0-0.2"


def test_a_newer_meta_is_named(file: Path) -> None:
    write_pose(file, random_pose())
    file.write_bytes(file.read_bytes().replace(b"anim.pose/1", b"anim.pose/2"))
    assert "its META is anim.pose/2, this animcli reads anim.pose/1" in error_of(file)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"base":"1001/30000"', b'"base":"1e99999999"'),
        (b'"steps":[[1,11]]', b'"steps":[[1,-1]]'),
        (b'"first":0', b'"first":x'),
        (b"anim.pose/1", b"nima.pose/1"),
    ],
)
def test_a_meta_of_nonsense_is_damage(file: Path, old: bytes, new: bytes) -> None:
    write_pose(file, random_pose())
    whole = file.read_bytes()
    assert old in whole
    file.write_bytes(whole.replace(old, new))
    assert error_of(file) == f"{file}: the META of the pose file is damaged"


TRACK = {"number": 1, "frames": 9, "first": 0, "last": 8, "largest_in": 3, "box": []}
BODIES = {"size": [9, 9], "frames": [0], "points": [[[1.0, 2.0], []]]}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("person", {"tracks": "two"}),
        ("person", {"tracks": [7]}),
        ("person", {"tracks": [{"number": 1}]}),
        ("person", {"tracks": [{**TRACK, "frames": "many"}]}),
        ("person", {"tracks": [{**TRACK, "box": [1, 2, 3]}]}),
        ("person", {"tracks": [{**TRACK, "box": [1, 2, 3, None]}]}),
        ("retarget", {"reference": BODIES}),
        ("retarget", {"reference": BODIES, "source": "dance"}),
        ("retarget", {"reference": BODIES, "source": {**BODIES, "frames": [12]}}),
        ("retarget", {"reference": BODIES, "source": {**BODIES, "points": []}}),
        ("retarget", {"reference": BODIES, "source": {**BODIES, "points": [[["a", 1]]]}}),
        ("retarget", {"reference": BODIES, "source": {**BODIES, "points": [[[1.0]]]}}),
    ],
)
def test_a_meta_whose_parts_cannot_be_shown_is_damage(
    file: Path, part: str, said: dict[str, object]
) -> None:
    sequence = random_pose()
    origin = replace(sequence.origin, **{part: said})
    write_pose(file, replace(sequence, origin=origin))
    assert error_of(file) == f"{file}: the META of the pose file is damaged"


def test_people_and_snapshots_that_are_whole_are_read(file: Path) -> None:
    sequence = random_pose()
    person, retarget = {"tracks": [TRACK]}, {"reference": BODIES, "source": BODIES}
    origin = replace(sequence.origin, person=person, retarget=retarget)
    write_pose(file, replace(sequence, origin=origin))
    assert read_pose(file).origin == origin


def test_a_file_cut_off_anywhere_is_refused(file: Path) -> None:
    write_pose(file, random_pose(frames=2))
    whole = file.read_bytes()
    for length in range(1, len(whole), 37):
        file.write_bytes(whole[:length])
        error_of(file)


def test_a_flipped_bit_never_gives_other_keypoints(file: Path) -> None:
    motion = random_pose(frames=2)
    write_pose(file, motion)
    whole = file.read_bytes()
    random = np.random.default_rng(3)
    refused = 0
    for place in random.integers(0, len(whole), 300).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        file.write_bytes(damaged)
        try:
            assert_same(read_pose(file), motion)  # a colour or a name that nobody reads
        except InputError:
            refused += 1
    assert refused > 150  # more than half of the file is keypoints


def test_a_changed_joint_is_noticed(file: Path) -> None:
    write_pose(file, random_pose())
    damaged = bytearray(file.read_bytes())
    damaged[-6] ^= 1
    file.write_bytes(damaged)
    assert "its keypoints aren't those that its checksum is of" in error_of(file)


def test_a_file_of_nobody_is_named(file: Path) -> None:
    write_foreign(file, OpenPose_Components, people=0)
    assert error_of(file) == f"{file}: nobody is in any of its 3 frames"


def test_a_file_without_frames_is_named(file: Path) -> None:
    write_pose(file, random_pose(frames=0))
    assert error_of(file) == f"{file}: the pose file has no frames"


def test_a_file_with_too_few_keypoints_is_named(file: Path) -> None:
    points = [f"joint_{joint}" for joint in range(17)]
    write_foreign(file, [PoseHeaderComponent("BODY_17", points, [], [], "XYC")])
    assert "17 keypoints in the parts BODY_17, a layout that anim doesn't know" in (
        error_of(file)
    )


def test_a_joint_that_is_no_number_is_named(file: Path) -> None:
    write_pose(file, random_pose(frames=3))
    pose = Pose.read(file.read_bytes())
    pose.body.data.data[1, 0, 7] = np.nan
    pose.body.confidence[1, 0, 7] = 1
    buffer = BytesIO()
    pose.write(buffer)
    file.write_bytes(buffer.getvalue())
    assert "the place of joint 7 in frame 1 isn't a number" in error_of(file)


def test_a_rate_that_can_not_be_is_named(file: Path) -> None:
    write_foreign(file, OpenPose_Components, fps=0)
    assert error_of(file) == f"{file}: says that it has 0 frames per second"


def test_a_place_that_can_not_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_pose(tmp_path / "absent" / "dance.pose", random_pose())


# ---- files of other programs


def test_openpose_body_25_is_read(file: Path) -> None:
    points, scores = write_foreign(file, OpenPose_Components)
    motion = read_pose(file)
    for ours, theirs in ((NECK, 1), (RIGHT_KNEE, 10), (LEFT_BIG_TOE, 19), (24, 25)):
        np.testing.assert_array_equal(motion.points[:, ours], points[:, 0, theirs])
        np.testing.assert_array_equal(motion.scores[:, ours], scores[:, 0, theirs])
    np.testing.assert_array_equal(motion.points[:, 92:], points[:, 0, 95:])
    assert (motion.rate, motion.size) == (25, (640, 480))


def test_coco_wholebody_is_read_as_the_golden_mapping_has_it(
    file: Path, goldens: Path
) -> None:
    golden = np.load(goldens / "dwpose" / "coco133_to_op134.npz")
    points = golden["rt_in_kpt"].astype(np.float32)
    scores = golden["rt_in_score"]
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480), cocowholebody_components())
    with file.open("wb") as out:
        body = NumPyPoseBody(25.0, points[:, None], scores[:, None])
        Pose(header, body).write(out)
    motion = read_pose(file)
    np.testing.assert_array_equal(motion.scores, golden["score134_rtmlib"].clip(min=0))
    expected = golden["kpt134_rtmlib"].astype(np.float32)
    expected[motion.scores == 0] = 0
    # The neck's mean is taken in float32 here and in float64 there.
    np.testing.assert_allclose(motion.points, expected, rtol=1e-6)


def test_openpose_135_hangs_its_hands_on_the_wrists(file: Path) -> None:
    points, _ = write_foreign(file, OpenPose135_Components)
    motion = read_pose(file)
    np.testing.assert_array_equal(motion.points[:, 92], motion.points[:, LEFT_WRIST])
    np.testing.assert_array_equal(motion.points[:, 93], points[:, 0, 25])
    np.testing.assert_array_equal(motion.points[:, 24], points[:, 0, 65])


MEDIAPIPE_BODY = (
    *("NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER"),
    *("RIGHT_EYE", "RIGHT_EYE_OUTER", "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT"),
    *("LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW", "LEFT_WRIST"),
    *("RIGHT_WRIST", "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX"),
    *("LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP", "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE"),
    *("LEFT_ANKLE", "RIGHT_ANKLE", "LEFT_HEEL", "RIGHT_HEEL", "LEFT_FOOT_INDEX"),
    "RIGHT_FOOT_INDEX",
)


@pytest.mark.parametrize("face_points", [468, 478, 128])
def test_mediapipe_holistic_is_read(file: Path, face_points: int) -> None:
    face = [str(point) for point in range(face_points)]
    hand = [f"point {point}" for point in range(21)]
    parts = [
        ("POSE_LANDMARKS", list(MEDIAPIPE_BODY)),
        ("FACE_LANDMARKS", face),
        ("LEFT_HAND_LANDMARKS", hand),
        ("RIGHT_HAND_LANDMARKS", hand),
        ("POSE_WORLD_LANDMARKS", list(MEDIAPIPE_BODY)),
    ]
    components = [PoseHeaderComponent(name, names, [], [], "XYZC") for name, names in parts]
    keypoints = sum(len(names) for _, names in parts)
    points = np.random.default_rng(6).random((2, 1, keypoints, 3)).astype(np.float32)
    scores = np.full((2, 1, keypoints), 0.9, np.float32)
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480, 640), components)
    with file.open("wb") as out:
        Pose(header, NumPyPoseBody(30.0, points, scores)).write(out)
    motion = read_pose(file)
    for ours, theirs in (
        (RIGHT_KNEE, 26),
        (LEFT_BIG_TOE, 31),
        (92, 33 + face_points),  # the left hand's wrist
        (24 + 38, 33 + 158 if face_points > 158 else None),  # right eye
        (24 + 30, 33 + 4),  # tip of the nose
    ):
        if theirs is None:
            assert not motion.scores[:, ours].any()
        else:
            np.testing.assert_array_equal(motion.points[:, ours], points[:, 0, theirs, :2])
    shoulders = points[:, 0, 11:13, :2].mean(axis=1)
    np.testing.assert_allclose(motion.points[:, NECK], shoulders, rtol=1e-6)
    assert motion.draw_threshold == 0.5


def test_of_two_people_the_one_seen_most_is_read(file: Path) -> None:
    write_foreign(file, OpenPose_Components, people=2)
    pose = Pose.read(file.read_bytes())
    pose.body.confidence[1:, 0] = 0
    with file.open("wb") as out:
        pose.write(out)
    np.testing.assert_array_equal(
        read_pose(file).points[:, NECK], pose.body.data.data[:, 1, 1]
    )


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (np.float32(29.97003), Fraction(30000, 1001)),
        (np.float32(23.976), Fraction(24000, 1001)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_a_rounded_rate_is_taken_for_the_exact_one(fps: float, rate: Fraction) -> None:
    assert likely_rate(float(fps)) == rate
