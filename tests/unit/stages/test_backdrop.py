"""The driving video without its person, and a character in that person's place."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from builders.paper_doll import STANDING, pose, turned
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.stages.backdrop import MOVING_CAMERA, empty_room, in_place_of, without_person
from animcli.stages.footage import Driving

SIZE, FRAMES = (160, 96), 12
Pictures = NDArray[np.uint8]


def room(shift: int = 0) -> Pictures:
    """A wall with stripes and a floor."""
    x, y = np.meshgrid(np.arange(SIZE[0]) + shift, np.arange(SIZE[1]))
    return np.dstack([60 + 40 * (x // 16 % 2), 90 + y, 200 - x // 2]).astype(np.uint8)


def person(frame: int) -> NDArray[np.bool_]:
    """A block that walks through it."""
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[20:80, 10 + 9 * frame : 30 + 9 * frame] = True
    return mask


def filmed(*, moving: bool) -> Driving:
    def footage(span: range) -> Iterator[Pictures]:
        for frame in span:
            picture = room(8 * frame if moving else 0)
            picture[person(frame)] = (20, 220, 20)
            yield picture

    return Driving(footage, FRAMES, None)


def emptied(*, moving: bool, notes: list[str]) -> list[Pictures]:
    driving = filmed(moving=moving)
    frames = without_person(driving, SIZE, lambda frame, _: person(frame), notes.append)
    return list(frames(range(FRAMES)))


def test_behind_a_person_the_room_is_that_of_other_frames() -> None:
    notes: list[str] = []
    for frame in emptied(moving=False, notes=notes):
        assert np.abs(frame.astype(int) - room()).max() <= 1
    assert notes == []


def test_where_the_camera_moves_nobody_is_left_and_it_is_told() -> None:
    notes: list[str] = []
    for index, frame in enumerate(emptied(moving=True, notes=notes)):
        off = np.abs(frame[person(index)].astype(int) - (20, 220, 20)).max(axis=1)
        assert off.min() > 25
    assert notes == [MOVING_CAMERA]


def test_any_range_of_frames_is_the_same() -> None:
    frames = without_person(
        filmed(moving=False), SIZE, lambda frame, _: person(frame), lambda _: None
    )
    whole = list(frames(range(FRAMES)))
    np.testing.assert_array_equal(np.stack(list(frames(range(5, 8)))), whole[5:8])


def test_what_no_frame_shows_of_a_room_is_filled_from_around() -> None:
    pictures = np.stack([room()] * 3)
    holes = np.zeros(pictures.shape[:3], bool)
    holes[:, 40:50, 60:70] = True
    found, known = empty_room(pictures, holes)
    assert not known[40:50, 60:70].any()
    assert known.sum() == known.size - 100
    np.testing.assert_array_equal(found[known], room()[known])
    assert np.abs(found[45, 65] - room()[45, 65]).max() < 60


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_a_motion_stands_where_its_dancer_stands_and_is_as_tall(scale: float) -> None:
    joints = [
        turned(STANDING, s.LEFT_SHOULDER, (s.LEFT_ELBOW, s.LEFT_WRIST), 5 * step)
        for step in range(20)
    ]
    motion = pose(*joints)
    path = np.stack([100 + 3 * np.arange(20), np.full(20, 40)], axis=1)[:, None]
    dancer = replace(motion, points=(motion.points * scale + path).astype(np.float32))
    placed = in_place_of(motion, dancer)
    body = motion.visible[0]
    # its way is smoothed in time: at the ends by half a step
    assert np.abs(placed.points[:, body] - dancer.points[:, body]).max() < 5
    assert np.abs(placed.points[4:-4, body] - dancer.points[4:-4, body]).max() < 0.1


def test_a_dancer_who_is_never_seen_moves_nobody() -> None:
    motion = pose(STANDING, STANDING)
    unseen = replace(motion, scores=np.zeros_like(motion.scores))
    assert in_place_of(motion, unseen) is motion
