"""Captured motions are read, posed and filmed as they were captured."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from animcli.errors import InputError
from animcli.pose import keypoints as s
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
        ("0 95 0", "0 x 0", "cut off or damaged"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "cut off or damaged"),
        ("OFFSET 0 0 0", "OFFSET 0 0 {", "cut off or damaged"),
        ("}\nMOTION", "\nMOTION", "cut off or damaged"),
    ],
)
def test_what_is_wrong_is_named(file: Path, old: str, new: str, complaint: str) -> None:
    text = write(file, {}).read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=complaint):
        read_bvh(file, VirtualCamera())
