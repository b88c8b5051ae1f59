"""Motion capture in BVH files: a tree of joints, and their angles in every frame.

The format is Biovision's: offsets in the parent's frame, angles in degrees, in the order of
the channels. The kept libraries don't serve: pybvh 0.9 refuses files whose inner joints
have positions, as many exporters write them, and brings matplotlib; bvhio 1.5 brings two
libraries of 3D transforms. What is needed here is small.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.posefile import likely_rate, read_bytes

AXES: Final = {"X": 0, "Y": 1, "Z": 2}
RATES: Final = (1, 1000)  # frames per second that can be


@dataclass(frozen=True, eq=False)
class Bone:
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

    bones: tuple[Bone, ...]
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
    raw = read_bytes(path)
    head, separator, tail = raw.partition(b"MOTION")
    if not head.lstrip().upper().startswith(b"HIERARCHY") or not separator:
        raise InputError(f"{path}: isn't a BVH file: HIERARCHY and MOTION are expected")
    try:
        bones = read_tree(iter(head.decode("utf-8", "replace").split()[1:]))
        words = tail.decode("ascii").replace(":", " ").split()
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
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: holds what isn't a number")
    if not (
        math.isfinite(frame_time) and RATES[0] <= 1 / max(frame_time, 1e-9) <= RATES[1]
    ):
        raise InputError(f"{path}: says that a frame lasts {frame_time:g} seconds")
    places, turns = move(bones, numbers)
    return Capture(bones, places, turns, likely_rate(1 / frame_time))


def read_tree(words: Iterator[str]) -> tuple[Bone, ...]:
    """The bones of the HIERARCHY part. Raises ValueError or StopIteration over nonsense."""
    bones: list[Bone] = []
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
                bones.append(Bone(name, parent, offset, ()))
            case "OFFSET":
                offset = np.array([float(next(words)) for _ in range(3)])
                bones[-1] = Bone(name, parent, offset, ())
            case "CHANNELS":
                channels = tuple(next(words) for _ in range(int(next(words))))
                if ending or any(kind[:1].upper() not in AXES for kind in channels):
                    raise ValueError(f"channels {channels}")
                bones[-1] = Bone(name, parent, offset, channels)
            case "}":
                open_bones.pop()
            case _:
                raise ValueError(word)
    if open_bones or not bones:
        raise ValueError("a tree that doesn't end")
    return tuple(bones)


def move(
    bones: tuple[Bone, ...], numbers: NDArray[np.float64]
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
                turn = turn @ rotation(axis, np.radians(numbers[:, column]))
            column += 1
        if bone.parent < 0:
            places[:, index], turns[:, index] = offset, turn
        else:
            above = turns[:, bone.parent]
            shift = np.einsum("fij,fj->fi", above, offset)
            places[:, index] = places[:, bone.parent] + shift
            turns[:, index] = above @ turn
    return places, turns


def rotation(axis: int, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(frames, 3, 3)` about x, y or z by `(frames,)` radians."""
    turn = np.zeros((len(angle), 3, 3))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, one, one] = turn[:, other, other] = np.cos(angle)
    turn[:, one, other] = -np.sin(angle)
    turn[:, other, one] = np.sin(angle)
    return turn
