"""Motion capture in BVH files, and a camera that stands still to film it.

A file holds a tree of joints, and their angles in every frame; joints are known by their
names (`animcli.pose.bone_names`). The format is Biovision's: offsets in the parent's frame,
angles in degrees, in the order of the channels. Which axis points up it doesn't say: it is
the one along which heads are above feet. The kept libraries don't serve: pybvh 0.9 refuses
files whose inner joints have positions, as many exporters write them, and wants matplotlib;
bvhio 1.5 wants two libraries of 3D transforms. What is needed here is small.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.bone_names import find_bones
from animcli.pose.io_pose import likely_rate, read_bytes
from animcli.pose.sequence import Origin, PoseSequence, even_ticks

AXES: Final = {"X": 0, "Y": 1, "Z": 2}
LARGEST_NUMBER: Final = 1e9  # of lengths and angles, in whatever unit
RATE_RANGE: Final = (1, 1000)  # frames per second that can be


@dataclass(frozen=True, eq=False)
class CapturedJoint:
    """A joint of the tree. parent: its place in the list, -1 for the root.

    offset: from the parent, in the file's unit. channels: as the file names them.
    """

    name: str
    parent: int
    offset: NDArray[np.float64]
    channels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Capture:
    """A captured motion.

    bones: the tree, parents before children. places: `(frames, bones, 3)`, the file's unit,
    y up. turns: `(frames, bones, 3, 3)`, each joint's rotation from its rest.
    """

    bones: tuple[CapturedJoint, ...]
    places: NDArray[np.float64]
    turns: NDArray[np.float64]
    rate: Fraction

    @property
    def rest(self) -> NDArray[np.float64]:
        """`(bones, 3)`: the places before anything turns."""
        places = np.zeros((len(self.bones), 3))
        for index, bone in enumerate(self.bones):
            above = places[bone.parent] if bone.parent >= 0 else 0
            places[index] = above + bone.offset
        return places


def read_capture(path: Path) -> Capture:
    """The motion in a BVH file. Raises InputError naming what is wrong with it."""
    text = read_bytes(path).decode("utf-8-sig", "replace")
    lines = [line.strip() for line in text.splitlines()]
    start = next((at for at, line in enumerate(lines) if line.upper() == "MOTION"), None)
    first = next((line for line in lines if line), "")
    if not first.upper().startswith("HIERARCHY") or start is None:
        raise InputError(f"{path}: isn't a BVH file: HIERARCHY and MOTION are expected")
    try:
        bones = read_tree(words_of(lines[:start]))
        # Some programs write numbers with the comma of their user's country.
        words = " ".join(lines[start:]).replace(":", " ").replace(",", ".").split()
        frames = int(words[words.index("Frames") + 1])
        frame_time = float(words[words.index("Time") + 1])
        numbers = np.array(words[words.index("Time") + 2 :], np.float64)
        numbers = numbers.reshape(frames, -1)
    except (IndexError, StopIteration, ValueError) as error:
        raise InputError(f"{path}: the BVH file is cut off or damaged") from error
    wanted = sum(len(bone.channels) for bone in bones)
    if not frames or numbers.shape[1] != wanted:
        raise InputError(
            f"{path}: {numbers.shape[1]} numbers a frame, its tree has {wanted} channels"
        )
    lengths = [bone.offset for bone in bones]
    if not all((np.abs(each) < LARGEST_NUMBER).all() for each in (numbers, *lengths)):
        raise InputError(f"{path}: holds what isn't a number, or one without bounds")
    if not (
        math.isfinite(frame_time)
        and RATE_RANGE[0] <= 1 / max(frame_time, 1e-9) <= RATE_RANGE[1]
    ):
        raise InputError(f"{path}: says that a frame lasts {frame_time:g} seconds")
    places, turns = move(bones, numbers)
    return Capture(bones, places, turns, likely_rate(1 / frame_time))


def words_of(lines: Sequence[str]) -> Iterator[str]:
    """The words of the HIERARCHY part; the name of a joint is the rest of its line."""
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind.upper() in ("ROOT", "JOINT"):
            name, brace, rest = rest.partition("{")
            yield from (kind, name.strip(), *brace)
            line = rest
        yield from line.replace(",", ".").split()


def read_tree(words: Iterator[str]) -> tuple[CapturedJoint, ...]:
    """The bones of the HIERARCHY part, from behind that word on.

    Raises ValueError or StopIteration over nonsense.
    """
    next(words)  # HIERARCHY
    bones: list[CapturedJoint] = []
    open_bones: list[int] = []
    name, parent = "", -1
    offset = np.zeros(3)
    ending = False
    for word in words:
        match word.upper():
            case "ROOT" | "JOINT":
                name, ending = next(words), False
            case "END":
                next(words)  # Site
                name, ending = f"{bones[open_bones[-1]].name}_end", True
            case "{":
                parent = open_bones[-1] if open_bones else -1
                open_bones.append(len(bones))
                bones.append(CapturedJoint(name, parent, offset, ()))
            case "OFFSET":
                offset = np.array([float(next(words)) for _ in range(3)])
                bones[-1] = CapturedJoint(name, parent, offset, ())
            case "CHANNELS":
                channels = tuple(islice(words, int(next(words))))
                if ending or any(kind[:1].upper() not in AXES for kind in channels):
                    raise ValueError(f"channels {channels}")
                bones[-1] = CapturedJoint(name, parent, offset, channels)
            case "}":
                open_bones.pop()
            case _:
                raise ValueError(word)
    if open_bones or not bones:
        raise ValueError("a tree that doesn't end")
    return tuple(bones)


def move(
    bones: tuple[CapturedJoint, ...], numbers: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and turns of all bones; numbers: `(frames, channels)`."""
    frames = len(numbers)
    places = np.zeros((frames, len(bones), 3))
    turns = np.zeros((frames, len(bones), 3, 3))
    column = 0
    for index, bone in enumerate(bones):
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
        offset = np.broadcast_to(bone.offset, (frames, 3)).copy()
        for channel in bone.channels:
            axis = AXES[channel[0].upper()]
            if channel.lower().endswith("position"):
                offset[:, axis] = numbers[:, column]
            else:
                turn = turn @ rotation_matrix(axis, np.radians(numbers[:, column]))
            column += 1
        if bone.parent < 0:
            places[:, index], turns[:, index] = offset, turn
        else:
            above = turns[:, bone.parent]
            shift = np.einsum("fij,fj->fi", above, offset)
            places[:, index] = places[:, bone.parent] + shift
            turns[:, index] = above @ turn
    return places, turns


def rotation_matrix(axis: int, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(frames, 3, 3)` about x, y or z by `(frames,)` radians."""
    turn = np.zeros((len(angle), 3, 3))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, one, one] = turn[:, other, other] = np.cos(angle)
    turn[:, one, other] = -np.sin(angle)
    turn[:, other, one] = np.sin(angle)
    return turn


HEAD_PLACES: Final = {
    # from the head's joint, in lengths of the head: up, forward, to its left
    s.NOSE: (0.45, 0.55, 0.0),
    s.RIGHT_EYE: (0.60, 0.45, -0.18),
    s.LEFT_EYE: (0.60, 0.45, 0.18),
    s.RIGHT_EAR: (0.50, 0.0, -0.40),
    s.LEFT_EAR: (0.50, 0.0, 0.40),
}
HEAD_SHARE: Final = 0.13  # of the rest pose's height, where the file doesn't end the head


@dataclass(frozen=True)
class VirtualCamera:
    """Place of the camera, and what it shows.

    around: degrees from straight in front, to the dancer's left. above: degrees.
    opening: its angle of view across the shorter side, degrees.
    size: of the picture, `(width, height)`. fill: the share of the picture that the motion
    takes at most, all frames together.
    """

    around: float = 0.0
    above: float = 5.0
    opening: float = 35.0
    size: tuple[int, int] = (720, 1280)
    fill: float = 0.8


Up = Literal["auto", "x", "y", "z"]


def read_bvh(
    path: Path,
    view: VirtualCamera,
    names: Mapping[str, str] = MappingProxyType({}),
    up: Up = "auto",
) -> PoseSequence:
    """The motion in a BVH file as a camera sees it; joints behind others are seen, too.

    names: keypoint -> joint of the file, where its names aren't known.
    up: the axis that points up; `auto` is the one along which heads are above feet.
    """
    capture = read_capture(path)
    found = find_bones(path, [bone.name for bone in capture.bones], names)
    axis = highest_axis(capture, found) if up == "auto" else AXES[up.upper()]
    capture = turned_up(capture, axis)
    with np.errstate(divide="ignore", invalid="ignore"):  # bones without a length
        joints, known = to_body(capture, found)
        points = film(joints, known, view)
    if not np.isfinite(points[:, known]).all():
        raise InputError(f"{path}: its joints lie in one place")
    frames = len(points)
    scores = np.zeros((frames, s.KEYPOINTS), np.float32)
    scores[:, : len(known)] = known
    places = np.zeros((frames, s.KEYPOINTS, 2), np.float32)
    places[:, : len(known)] = np.where(known[:, None], points, 0)
    ticks, base = even_ticks(frames, capture.rate)
    return PoseSequence(
        places,
        scores,
        ticks,
        base,
        view.size,
        origin=Origin(
            source={"name": path.name, "frames": frames},
            detector={
                "backend": "bvh",
                "around": view.around,
                "above": view.above,
                "up": "xyz"[axis],
            },
        ),
    )


def highest_axis(capture: Capture, found: Mapping[int, int]) -> int:
    """The axis, 0 to 2, along which shoulders are above ankles in the mean of the motion.

    It is y as long as that is nearly so: who lies or hangs has other axes, too.
    """
    shoulders, ankles = (
        capture.places[:, [found[joint] for joint in pair]].mean(axis=(0, 1))
        for pair in (
            (s.RIGHT_SHOULDER, s.LEFT_SHOULDER),
            (s.RIGHT_ANKLE, s.LEFT_ANKLE),
        )
    )
    height = shoulders - ankles
    highest = int(np.argmax(height))
    return highest if height[highest] > 1.5 * np.abs(height[AXES["Y"]]) else AXES["Y"]


def turned_up(capture: Capture, axis: int) -> Capture:
    """The capture with the axis that points up made its y, and the two others with it."""
    if axis == AXES["Y"]:
        return capture
    turn = rotation_matrix(2, np.radians([90.0]))[0]  # x becomes y
    if axis == AXES["Z"]:
        turn = rotation_matrix(0, np.radians([-90.0]))[0]
    bones = tuple(replace(bone, offset=turn @ bone.offset) for bone in capture.bones)
    places = capture.places @ turn.T
    return replace(capture, bones=bones, places=places, turns=turn @ capture.turns @ turn.T)


def to_body(
    capture: Capture, found: Mapping[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Body and feet `(frames, 24, 3)` in the file's unit, and which of them there are."""
    joints = np.zeros((len(capture.places), s.FEET.stop, 3))
    known = np.zeros(s.FEET.stop, bool)
    for joint, bone in found.items():
        if joint != s.NOSE:
            joints[:, joint], known[joint] = capture.places[:, bone], True
    shoulders = [s.RIGHT_SHOULDER, s.LEFT_SHOULDER]
    joints[:, s.NECK], known[s.NECK] = joints[:, shoulders].mean(axis=1), True
    if s.NOSE in found:
        add_head(capture, found, joints, known)
    return joints, known


def add_head(
    capture: Capture,
    found: Mapping[int, int],
    joints: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> None:
    """Nose, eyes and ears in place: the file has the head's joint and how it is turned."""
    rest, head = capture.rest, found[s.NOSE]
    sideways = rest[found[s.LEFT_HIP]] - rest[found[s.RIGHT_HIP]]
    sideways /= np.linalg.norm(sideways)
    children = [i for i, bone in enumerate(capture.bones) if bone.parent == head]
    upward = np.array([0.0, 1.0, 0.0])
    long = HEAD_SHARE * float(np.ptp(rest[:, 1]))
    if children and np.linalg.norm(capture.bones[children[0]].offset) > 0:
        tip = capture.bones[children[0]].offset
        long = float(np.linalg.norm(tip))
        upward = tip / long
    forward = np.cross(sideways, upward)
    axes = np.stack([upward, forward, sideways])  # a row each
    for joint, place in HEAD_PLACES.items():
        step = capture.turns[:, head] @ (np.array(place) @ axes * long)
        joints[:, joint] = capture.places[:, head] + step
        known[joint] = True


def film(
    joints: NDArray[np.float64], known: NDArray[np.bool_], view: VirtualCamera
) -> NDArray[np.float64]:
    """`(frames, 24, 2)` pixels: from as near as the whole motion fits into the picture."""
    shown = joints[:, known]
    middle = (shown.max(axis=(0, 1)) + shown.min(axis=(0, 1))) / 2
    around = rotation_matrix(1, np.radians(np.array([-view.around])))[0]
    above = rotation_matrix(0, np.radians(np.array([view.above])))[0]
    turned = (joints - middle) @ (above @ around).T
    size = np.array(view.size, np.float64)
    focal = size.min() / 2 / np.tan(np.radians(view.opening) / 2)
    # Each joint must be inside: focal * |x| / (distance - z) <= half the room.
    room = size / 2 * view.fill
    near = turned[:, known]
    distance = float((np.abs(near[..., :2]) * focal / room + near[..., 2:]).max())
    # And nobody comes so near that they look distorted.
    distance = max(distance, float(near[..., 2].max() + np.ptp(near[..., 1])))
    scale = focal / (distance - turned[..., 2:])
    return np.asarray(size / 2 + turned[..., :2] * scale * (1, -1))
