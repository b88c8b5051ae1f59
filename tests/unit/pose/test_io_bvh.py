"""Captured motions are read, posed and filmed as they were captured."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from animcli.errors import InputError, ProjectError
from animcli.pose import keypoints as s
from animcli.pose.bone_names import read_names
from animcli.pose.io_bvh import VirtualCamera, read_bvh, read_capture

TURNS = "CHANNELS 3 Zrotation Xrotation Yrotation"


def joint(name: str, offset: str, *children: str, root: bool = False) -> str:
    kind, channels = (
        ("ROOT", TURNS.replace("3", "6 Xposition Yposition Zposition"))
        if root
        else ("JOINT", TURNS)
    )
    return f"{kind} {name}\n{{\nOFFSET {offset}\n{channels}\n{' '.join(children)}\n}}\n"


def end(offset: str) -> str:
    return f"End Site\n{{\nOFFSET {offset}\n}}\n"


def leg(prefix: str, x: int) -> str:
    toe = joint(f"{prefix}ToeBase", "0 -5 12", end("0 0 5"))
    foot = joint(f"{prefix}Foot", "0 -42 0", toe)
    return joint(f"{prefix}UpLeg", f"{x} -5 0", joint(f"{prefix}Leg", "0 -42 0", foot))


def arm(prefix: str, side: int) -> str:
    hand = joint(f"{prefix}Hand", f"{25 * side} 0 0", end(f"{8 * side} 0 0"))
    upper = joint(
        f"{prefix}Arm",
        f"{12 * side} 0 0",
        joint(f"{prefix}ForeArm", f"{28 * side} 0 0", hand),
    )
    return joint(f"{prefix}Shoulder", f"{5 * side} 45 0", upper)


def write(
    file: Path,
    angles: dict[str, tuple[float, float, float]],
    *,
    frames: int = 3,
    prefix: str = "mixamorig:",
) -> Path:
    """A T-pose facing the camera; angles: joint -> z, x, y in degrees."""
    head = joint(f"{prefix}Neck", "0 48 0", joint(f"{prefix}Head", "0 8 0", end("0 20 0")))
    tree = joint(
        f"{prefix}Hips", "0 0 0", head,
        arm(f"{prefix}Left", 1), arm(f"{prefix}Right", -1),
        leg(f"{prefix}Left", 9), leg(f"{prefix}Right", -9),
        root=True,
    )  # fmt: skip
    names = [
        word.removeprefix(prefix)
        for before, word in zip(tree.split(), tree.split()[1:], strict=False)
        if before in ("ROOT", "JOINT")
    ]
    row = [0, 95, 0, *angles.get("Hips", (0, 0, 0))]
    for name in names[1:]:
        row += angles.get(name, (0, 0, 0))
    lines = "\n".join(" ".join(map(str, row)) for _ in range(frames))
    file.write_text(
        f"HIERARCHY\n{tree}MOTION\nFrames: {frames}\nFrame Time: 0.0333333\n{lines}\n"
    )
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dance.bvh"


def test_a_rest_pose_stands_as_its_offsets_say(file: Path) -> None:
    capture = read_capture(write(file, {}))
    names = [bone.name for bone in capture.bones]
    hand = capture.places[0, names.index("mixamorig:LeftHand")]
    np.testing.assert_allclose(hand, [5 + 12 + 28 + 25, 95 + 45, 0])
    assert capture.rate == 30


def test_a_turned_arm_carries_its_hand(file: Path) -> None:
    capture = read_capture(
        write(file, {"LeftArm": (-90, 0, 0), "LeftForeArm": (0, 0, -90)})
    )
    names = [bone.name for bone in capture.bones]
    # The arm hangs; the forearm then turns about the arm's own y and points to the front.
    hand = capture.places[0, names.index("mixamorig:LeftHand")]
    np.testing.assert_allclose(hand, [17, 140 - 28, 25], atol=1e-9)


def test_a_dancer_who_faces_the_camera_has_her_left_on_the_right(file: Path) -> None:
    motion = read_bvh(write(file, {}), VirtualCamera(above=0))
    assert motion.rate == Fraction(30)
    points = motion.points[0]
    assert points[s.LEFT_WRIST, 0] > points[s.RIGHT_WRIST, 0]
    assert (
        points[s.NOSE, 1]
        < points[s.NECK, 1]
        < points[s.LEFT_HIP, 1]
        < points[s.LEFT_ANKLE, 1]
    )
    np.testing.assert_allclose(points[[s.NOSE, s.NECK], 0], 360, atol=1e-3)
    assert points[s.LEFT_EYE, 0] > points[s.RIGHT_EYE, 0]


def test_a_camera_behind_sees_her_left_on_the_left(file: Path) -> None:
    points = read_bvh(write(file, {}), VirtualCamera(around=180)).points[0]
    assert points[s.LEFT_WRIST, 0] < points[s.RIGHT_WRIST, 0]


def test_a_turned_head_takes_the_nose_along(file: Path) -> None:
    straight = read_bvh(write(file, {}), VirtualCamera()).points[0]
    turned = read_bvh(write(file, {"Head": (0, 0, 60)}), VirtualCamera()).points[0]
    # About y, from z to x: to the dancer's left, which is the picture's right.
    assert turned[s.NOSE, 0] > straight[s.NOSE, 0] + 5
    # The camera stands a little nearer, now that the head takes less room.
    np.testing.assert_allclose(turned[1:8], straight[1:8], atol=2)


@pytest.mark.parametrize("around", [0, 37, 90, 200])
def test_the_whole_motion_fits_into_the_picture(file: Path, around: float) -> None:
    view = VirtualCamera(around=around, above=15, size=(512, 768))
    motion = read_bvh(write(file, {"Hips": (40, 0, 30)}), view)
    shown = motion.points[motion.visible]
    room = np.array([512, 768]) * 0.1
    assert (shown >= room - 0.01).all()
    assert (shown <= np.array([512, 768]) - room + 0.01).all()


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "Character1_"])
def test_prefixes_of_names_do_not_matter(file: Path, prefix: str) -> None:
    if prefix == "Character1_":
        with pytest.raises(
            InputError, match="no joint is named as right shoulder usually is"
        ):
            read_bvh(write(file, {}, prefix=prefix), VirtualCamera())
        return
    assert read_bvh(write(file, {}, prefix=prefix), VirtualCamera()).visible[0, :18].all()


def test_older_names_are_known(file: Path) -> None:
    text = write(file, {}, prefix="").read_text()
    for new, old in (
        ("LeftShoulder", "LeftCollar"), ("RightShoulder", "RightCollar"),
        ("LeftArm", "LeftShoulder"), ("RightArm", "RightShoulder"),
        ("ForeArm", "Elbow"), ("Hand", "Wrist"), ("UpLeg", "Hip"), ("LeftLeg", "LeftKnee"),
        ("RightLeg", "RightKnee"), ("Foot", "Ankle"),
    ):  # fmt: skip
        text = text.replace(new, old)
    old_file = file.with_name("old.bvh")
    old_file.write_text(text)
    np.testing.assert_array_equal(
        read_bvh(old_file, VirtualCamera()).points, read_bvh(file, VirtualCamera()).points
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("HIERARCHY", "<html>", "isn't a BVH file"),
        ("MOTION", "", "isn't a BVH file"),
        ("Frames: 3", "Frames: 7", "cut off or damaged"),
        ("Frames: 3", "Frames: 0", "cut off or damaged"),
        ("Frame Time: 0.0333333", "Frame Time: 0", "a frame lasts 0 seconds"),
        ("0 95 0", "0 nan 0", "isn't a number"),
        ("OFFSET 0 -42 0", "OFFSET 0 -inf 0", "isn't a number"),
        ("OFFSET 0 -42 0", "OFFSET 0 -4e308 0", "isn't a number"),
        ("0 95 0", "0 9e99 0", "isn't a number"),
        ("0 95 0", "0 x 0", "cut off or damaged"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "cut off or damaged"),
        ("OFFSET 0 0 0", "OFFSET 0 0 {", "cut off or damaged"),
        ("}\nMOTION", "\nMOTION", "cut off or damaged"),
        ("}\nMOTION", "CHANNELS 6 Xposition\nMOTION", "cut off or damaged"),
        ("}\nMOTION", "CHANNELS 99999999999999999999\nMOTION", "cut off or damaged"),
        ("}\nMOTION", "OFFSET 0 0\nMOTION", "cut off or damaged"),
    ],
)
def test_what_is_wrong_is_named(file: Path, old: str, new: str, complaint: str) -> None:
    text = write(file, {}).read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=complaint):
        read_bvh(file, VirtualCamera())


def test_bones_without_a_length_are_refused(file: Path) -> None:
    text = write(file, {}).read_text()
    file.write_text(re.sub(r"OFFSET .*", "OFFSET 0 0 0", text))
    with pytest.raises(InputError, match="its joints lie in one place"):
        read_bvh(file, VirtualCamera())


def renamed(file: Path, names: dict[str, str]) -> Path:
    """The T-pose of `write` with other names of its joints."""
    text = write(file, {}, prefix="").read_text()
    for ours, theirs in names.items():
        for kind in ("JOINT", "ROOT"):
            text = text.replace(f"{kind} {ours}\n", f"{kind} {theirs}\n")
    file.write_text(text)
    return file


PARTS = ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")
PROGRAMS = {
    # how a program writes a side and a part, and what it calls the parts
    "Rigify": ("{part}.{s}", "LR", "upper_arm forearm hand thigh shin foot toe", "head"),
    "Rigify's deforming bones": (
        "DEF-{part}.{s}", "LR", "upper_arm forearm hand thigh shin foot toe", "DEF-head",
    ),
    "Biped": (
        "Bip01 {s} {part}", "LR", "UpperArm Forearm Hand Thigh Calf Foot Toe0",
        "Bip01 Head",
    ),
    "Unreal": ("{part}_{s}", "lr", "upperarm lowerarm hand thigh calf foot ball", "head"),
    "DAZ": ("{s}{part}", "lr", "Shldr ForeArm Hand Thigh Shin Foot Toe", "head"),
    "DAZ Genesis 8": (
        "{s}{part}", "lr", "ShldrBend ForearmBend Hand ThighBend Shin Foot Toe", "head",
    ),
    "SMPL": ("{s}_{part}", "LR", "Shoulder Elbow Wrist Hip Knee Ankle Foot", "Head"),
    "SMPL-X": (
        "{s}_{part}", ("left", "right"), "shoulder elbow wrist hip knee ankle foot", "head",
    ),
    "Mixamo, numbered": (
        "mixamorig1_{s}{part}", ("Left", "Right"), " ".join(PARTS), "mixamorig1_Head",
    ),
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_names_of_other_programs_are_known(tmp_path: Path, program: str) -> None:
    pattern, sides, parts, head = PROGRAMS[program]
    names = {"Head": head, "LeftShoulder": "collar_a", "RightShoulder": "collar_b"}
    for side, s_ in zip(("Left", "Right"), sides, strict=True):
        for ours, theirs in zip(PARTS, parts.split(), strict=True):
            names[side + ours] = pattern.format(s=s_, part=theirs)
    motion = read_bvh(renamed(tmp_path / "other.bvh", names), VirtualCamera())
    usual = read_bvh(write(tmp_path / "usual.bvh", {}), VirtualCamera())
    np.testing.assert_array_equal(motion.scores, usual.scores)
    np.testing.assert_array_equal(motion.points, usual.points)


def test_names_that_nobody_knows_are_told_by_a_table(file: Path) -> None:
    usual = read_bvh(write(file, {}, prefix=""), VirtualCamera())
    renamed(file, {"LeftArm": "Bone 7", "Head": "Bone 3"})
    with pytest.raises(InputError, match="no joint is called 'Bone 8'"):
        read_bvh(file, VirtualCamera(), {"left_shoulder": "Bone 8"})
    assert (read_bvh(file, VirtualCamera()).scores[:, s.NOSE] == 0).all()
    named = read_bvh(file, VirtualCamera(), {"left_shoulder": "Bone 7", "head": "Bone 3"})
    np.testing.assert_array_equal(named.points, usual.points)


def test_a_table_of_names_says_keypoints(tmp_path: Path) -> None:
    table = tmp_path / "map.toml"
    table.write_text('left_shoulder = "Bone 7"\nhead = "Bone 3"\n')
    assert read_names(table) == {"left_shoulder": "Bone 7", "head": "Bone 3"}
    table.write_text('left_sholder = "x"')
    with pytest.raises(ProjectError, match="no keypoint 'left_sholder'") as refusal:
        read_names(table)
    assert refusal.value.hint == "did you mean 'left_shoulder'?"


def laid_over(file: Path, order: tuple[int, int, int], signs: tuple[int, int, int]) -> Path:
    """The same motion by a program whose axes are others."""
    lines = []
    letters = "XYZ"
    for line in file.read_text().splitlines():
        words = line.split()
        if words[:1] == ["OFFSET"]:
            old = [float(word) for word in words[1:4]]
            new = [signs[k] * old[order[k]] for k in range(3)]
            line = " ".join(["OFFSET", *map(str, new)])
        elif words[:1] == ["CHANNELS"]:
            for k in range(3):
                line = line.replace(f"{letters[order[k]]}rot", f"{k}rot")
            for k in range(3):
                line = line.replace(f"{k}rot", f"{letters[k]}rot")
        lines.append(line)
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(
    ("order", "signs", "up"),
    [((0, 2, 1), (1, -1, 1), "z"), ((1, 0, 2), (1, -1, 1), "x")],
)
def test_whatever_axis_points_up_the_dancer_stands_upright(
    tmp_path: Path, order: tuple[int, int, int], signs: tuple[int, int, int], up: str
) -> None:
    usual = read_bvh(write(tmp_path / "y.bvh", {}), VirtualCamera())
    other = laid_over(write(tmp_path / "other.bvh", {}), order, signs)
    turned = read_bvh(other, VirtualCamera())
    np.testing.assert_allclose(turned.points, usual.points, atol=1e-3)
    assert turned.origin.detector["up"] == up
    assert usual.origin.detector["up"] == "y"
    left = read_bvh(other, VirtualCamera(), up="y")
    assert abs(left.points - usual.points).max() > 50
    np.testing.assert_array_equal(
        read_bvh(other, VirtualCamera(), up=up).points, turned.points
    )  # type: ignore[arg-type]


def test_names_with_spaces_marks_and_the_word_motion_are_names(file: Path) -> None:
    usual = read_bvh(write(file, {}, prefix=""), VirtualCamera())
    text = renamed(file, {"Hips": "the MOTION of hips", "Neck": "MOTION"}).read_text()
    assert "ROOT the MOTION of hips" in text
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(read_bvh(file, VirtualCamera()).points, usual.points)
    bones = read_capture(file).bones
    assert bones[0].name == "the MOTION of hips"


def test_numbers_with_a_comma_are_numbers(file: Path) -> None:
    usual = read_bvh(write(file, {"LeftArm": (10.5, 0, 0)}), VirtualCamera())
    file.write_text(file.read_text().replace(".", ","))
    np.testing.assert_allclose(
        read_bvh(file, VirtualCamera()).points, usual.points, atol=1e-3
    )
