"""The driving video without its person, and a character in that person's place."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
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
    found, known = empty_room(pictures, holes, np.zeros(holes.shape[1:], bool))
    assert not known[40:50, 60:70].any()
    assert known.sum() == known.size - 100
    np.testing.assert_array_equal(found[known], room()[known])
    assert np.abs(found[45, 65] - room()[45, 65]).max() < 60


def test_the_edge_between_wall_and_floor_goes_on_behind_a_person() -> None:
    truth = np.full((96, 160, 3), (30, 25, 40), np.uint8)
    truth[60:] = (170, 120, 60)
    truth[60:] -= (12 * (np.arange(160) // 6 % 2)).astype(np.uint8)[:, None]
    pictures = np.stack([truth] * 3)
    holes = np.zeros(pictures.shape[:3], bool)
    holes[:, 5:62, 50:110] = holes[:, 50:80, 40:60] = holes[:, 50:80, 100:120] = True
    found, _ = empty_room(pictures, holes, np.zeros(holes.shape[1:], bool))
    # a smooth fill lets the floor climb: 14 % of the hole are then another thing
    wrong = np.abs(found - truth)[holes[0]].max(axis=1) > 40
    assert wrong.mean() < 0.03


def dancing() -> tuple[Driving, list[NDArray[np.bool_]]]:
    """Somebody who steps aside by 9 px a frame, in light that casts a shadow below, and
    masks of the trunk alone.
    """
    joints = {j: (0.4 * x - 20, 0.24 * y) for j, (x, y) in STANDING.items()}
    steps = [{j: (x + 9 * k, y) for j, (x, y) in joints.items()} for k in range(FRAMES)]
    motion = pose(*steps)
    pictures, masks = [], []
    for step in steps:
        picture, body = room().astype(np.float32), np.zeros((SIZE[1], SIZE[0]), np.uint8)
        x, y = step[s.RIGHT_ANKLE]
        shadow = np.zeros_like(body)
        cv2.ellipse(shadow, (round(x) + 6, round(y) + 8), (14, 4), 0, 0, 360, 1, -1)
        picture[shadow > 0] *= 0.7
        for line in LEGS:
            way = np.rint([step[joint] for joint in line]).astype(np.int32)
            cv2.polylines(picture, [way], False, (15, 15, 20), 4)
        neck, hip = (np.rint(step[j]).astype(int) for j in (s.NECK, s.RIGHT_HIP))
        body[neck[1] - 20 : hip[1] + 2, neck[0] - 8 : neck[0] + 9] = 1
        picture[body > 0] = (20, 220, 20)
        pictures.append(picture.astype(np.uint8))
        masks.append(body > 0)

    def footage(span: range) -> Iterator[Pictures]:
        return iter(pictures[span.start : span.stop])

    return Driving(footage, FRAMES, motion), masks


LEGS = ((s.RIGHT_HIP, s.RIGHT_KNEE, s.RIGHT_ANKLE), (s.LEFT_HIP, s.LEFT_KNEE, s.LEFT_ANKLE))


def test_legs_that_a_mask_misses_and_the_shadow_go_with_their_person() -> None:
    driving, masks = dancing()
    frames = without_person(
        driving, SIZE, lambda frame, _: masks[frame], lambda _: pytest.fail("told")
    )
    shown = list(driving.footage(range(FRAMES)))
    for index, frame in enumerate(frames(range(FRAMES))):
        left = np.abs(frame.astype(int) - room()).max(axis=-1) > 12
        there = np.abs(shown[index].astype(int) - room()).max(axis=-1) > 12
        assert left.sum() < 0.03 * there.sum()  # .39 by the masks alone


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
