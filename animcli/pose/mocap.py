"""Film a captured motion: joints by their usual names, and a camera that stands still."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import skeleton as s
from animcli.pose.bvh import Capture, read_capture, rotation
from animcli.pose.sequence import Origin, PoseSequence, even_ticks

SIDE_NAMES: Final = (
    # joints on the right and on the left, and what they are called after "right", "left"
    ((s.RIGHT_SHOULDER, s.LEFT_SHOULDER), ("arm", "uparm", "upperarm", "shoulder")),
    ((s.RIGHT_ELBOW, s.LEFT_ELBOW), ("forearm", "lowerarm", "lowarm", "elbow")),
    ((s.RIGHT_WRIST, s.LEFT_WRIST), ("hand", "wrist")),
    ((s.RIGHT_HIP, s.LEFT_HIP), ("upleg", "thigh", "upperleg", "hip")),
    ((s.RIGHT_KNEE, s.LEFT_KNEE), ("leg", "shin", "lowerleg", "lowleg", "knee")),
    ((s.RIGHT_ANKLE, s.LEFT_ANKLE), ("foot", "ankle")),
    ((s.RIGHT_BIG_TOE, s.LEFT_BIG_TOE), ("toebase", "toe", "toes")),
)
"""Mixamo, CMU, Rokoko, and older files in which `LeftShoulder` is the arm's own joint."""

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
class View:
    """Where the camera stands and what it shows.

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


def read_bvh(path: Path, view: View) -> PoseSequence:
    """The motion in a BVH file as a camera sees it; joints behind others are seen, too."""
    capture = read_capture(path)
    joints, known = to_body(path, capture)
    points = film(joints, known, view)
    frames = len(points)
    scores = np.zeros((frames, s.JOINTS), np.float32)
    scores[:, : len(known)] = known
    places = np.zeros((frames, s.JOINTS, 2), np.float32)
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
            detector={"backend": "bvh", "around": view.around, "above": view.above},
        ),
    )


def to_body(path: Path, capture: Capture) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Body and feet `(frames, 24, 3)` in the file's unit, and which of them there are."""
    names = {
        plain(bone.name): index for index, bone in reversed([*enumerate(capture.bones)])
    }
    joints = np.zeros((len(capture.places), s.FEET.stop, 3))
    known = np.zeros(s.FEET.stop, bool)
    for sides, words in SIDE_NAMES:
        for joint, side in zip(sides, ("right", "left"), strict=True):
            found = [names[side + word] for word in words if side + word in names]
            if found:
                joints[:, joint], known[joint] = capture.places[:, found[0]], True
    absent = [s.BODY_NAMES[joint] for joint in range(2, 14) if not known[joint]]
    if absent:
        raise InputError(
            f"{path}: no joint is named as {absent[0].replace('_', ' ')} usually is",
            "names as in files of Mixamo, CMU and Rokoko are known",
        )
    shoulders = [s.RIGHT_SHOULDER, s.LEFT_SHOULDER]
    joints[:, s.NECK], known[s.NECK] = joints[:, shoulders].mean(axis=1), True
    if "head" in names:
        add_head(capture, names["head"], joints, known)
    return joints, known


def add_head(
    capture: Capture,
    head: int,
    joints: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> None:
    """Nose, eyes and ears in place: the file has the head's joint and how it is turned."""
    rest = capture.rest
    names = [plain(bone.name) for bone in capture.bones]
    right, left = (
        next(index for index, name in enumerate(names) if name in hips)
        for hips in (
            {f"{side}{word}" for word in SIDE_NAMES[3][1]} for side in ("right", "left")
        )
    )
    sideways = rest[left] - rest[right]
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
    joints: NDArray[np.float64], known: NDArray[np.bool_], view: View
) -> NDArray[np.float64]:
    """`(frames, 24, 2)` pixels: from as near as the whole motion fits into the picture."""
    shown = joints[:, known]
    middle = (shown.max(axis=(0, 1)) + shown.min(axis=(0, 1))) / 2
    around = rotation(1, np.radians(np.array([-view.around])))[0]
    above = rotation(0, np.radians(np.array([view.above])))[0]
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


def plain(name: str) -> str:
    """`mixamorig:LeftUpLeg` and `left_up_leg` as `leftupleg`."""
    last = name.rpartition(":")[2].lower().removeprefix("mixamorig")
    return "".join(letter for letter in last if letter.isalnum())
