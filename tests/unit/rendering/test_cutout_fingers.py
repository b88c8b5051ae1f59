"""Fingers follow the motion's where the picture shows an open hand, and else stay."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import FINER, SKIN, STANDING, Doll, Joints, doll, pose, request
from test_cutout import drawn, prepared

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset
from animcli.rendering.renderer import RenderRequest

FINGERS = ((17, 18, 19, 20), (13, 14, 15, 16), (9, 10, 11, 12), (5, 6, 7, 8))
LITTLE, INDEX = (40, 160, 60), (150, 60, 190)
COLOURS = (LITTLE, SKIN, SKIN, INDEX)
WRIST = np.array(STANDING[s.RIGHT_WRIST], float)
AHEAD = np.array([-18.0, 40.0]) / np.hypot(18, 40)
ASIDE = np.array([AHEAD[1], -AHEAD[0]])  # towards the thumb
Hand = NDArray[np.float64]


def turned(places: Hand, about: Hand, degrees: float) -> Hand:
    c, d = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return about + (places - about) @ np.array([[c, d], [-d, c]])


def hand(spread: float = 0.0, curl: float = 0.0, long: float = 8.0) -> Hand:
    """`(21, 2)` px: the right hand; the outer fingers turn `spread` degrees outwards, and
    every joint bends by `curl`.
    """
    at = np.zeros((21, 2))
    at[0] = WRIST
    for number, aside, ahead in ((1, 8, 8), (2, 14, 12), (3, 19, 17), (4, 24, 22)):
        at[number] = WRIST + ahead * AHEAD + aside * ASIDE
    for order, finger in enumerate(FINGERS):
        aside = 8.0 * (order - 1.5)
        for step, joint in enumerate(finger):
            at[joint] = WRIST + (22 + long * step) * AHEAD + aside * ASIDE
        out = (spread, 0, 0, -spread)[order]
        for first, degrees in zip(finger[:-1], (out, curl, curl), strict=True):
            rest = [joint for joint in finger if joint > first]
            at[rest] = turned(at[rest], at[first], degrees)
    return at


def with_a_hand(own: Hand, joints: Joints = STANDING) -> Doll:
    shown = doll(joints)
    size = (shown.picture.shape[1] * FINER, shown.picture.shape[0] * FINER)
    canvas = cv2.resize(np.dstack([shown.picture, shown.alpha]), size)

    def line(near: Hand, far: Hand, colour: tuple[int, int, int], radius: float) -> None:
        ends = [tuple(int(v) for v in np.rint((at + 0.5) * FINER)) for at in (near, far)]
        cv2.line(canvas, *ends, (*colour, 255), round(2 * radius * FINER))

    for knuckle in (5, 9, 13, 17):
        line(own[0], own[knuckle], SKIN, 4)
    line(own[5], own[17], SKIN, 4)
    for first, second in ((0, 2), (2, 3), (3, 4)):
        line(own[first], own[second], SKIN, 3)
    for finger, colour in zip(FINGERS, COLOURS, strict=True):
        for first, second in pairwise(finger):
            line(own[first], own[second], colour, 4)
    small = cv2.resize(canvas, shown.alpha.shape[::-1], interpolation=cv2.INTER_AREA)
    return Doll(small[..., :3].copy(), small[..., 3].copy(), handed(shown.pose, own))


def handed(motion: PoseSequence, *hands: Hand, seen: bool = True) -> PoseSequence:
    at, scores = motion.points.copy(), motion.scores.copy()
    at[:, s.RIGHT_HAND], scores[:, s.RIGHT_HAND] = np.stack(hands), float(seen)
    return replace(motion, points=at, scores=scores)


def wanted(own: Hand, *hands: Hand, expression: bool = True) -> RenderRequest:
    motion = handed(pose(*[STANDING] * len(hands)), *hands)
    asked = request(with_a_hand(own), motion)
    return replace(asked, preset=Preset("doll", expression=expression))


def middle(frame: NDArray[np.uint8], colour: tuple[int, int, int]) -> Hand:
    """Centre in px of what is of `colour`."""
    there = np.abs(frame.astype(int) - colour).max(axis=-1) < 30
    return np.argwhere(there)[:, ::-1].mean(axis=0)


def test_spread_fingers_lie_where_the_motion_has_them() -> None:
    for frame, spread in zip(
        drawn(wanted(hand(), *[hand()] * 8, *[hand(20)] * 8))[[0, 15]], (0, 20), strict=True
    ):
        at = hand(spread)
        for finger, colour in ((FINGERS[0], LITTLE), (FINGERS[3], INDEX)):
            away = middle(frame, colour) - at[list(finger)].mean(axis=0)
            assert np.hypot(*away) < 3
    whole = drawn(wanted(hand(), *[hand(20)] * 8, expression=False))[7]
    assert np.hypot(*(middle(whole, LITTLE) - hand(20)[list(FINGERS[0])].mean(axis=0))) > 4


def test_fingers_of_a_hand_before_the_body_leave_it_with_their_arm() -> None:
    before = STANDING | {s.RIGHT_ELBOW: (74, 152), s.RIGHT_WRIST: (94, 194)}
    own = turned(hand(), WRIST, -40) + before[s.RIGHT_WRIST] - WRIST
    away = hand(20)
    motion = handed(pose(*[STANDING] * 8), *[away] * 8)
    asked = request(with_a_hand(own, before), motion)
    frame = drawn(replace(asked, preset=Preset("doll", expression=True)))[7]
    for finger, colour in ((FINGERS[0], LITTLE), (FINGERS[3], INDEX)):
        off = middle(frame, colour) - away[list(finger)].mean(axis=0)
        assert np.hypot(*off) < 4


def test_curled_fingers_bend_at_each_joint() -> None:
    frame = drawn(wanted(hand(), *[hand(curl=25)] * 8))[7]
    bent = hand(curl=25)[list(FINGERS[0])]
    assert np.hypot(*(middle(frame, LITTLE) - bent.mean(axis=0))) < 3


def test_fingers_leave_no_seams_behind_where_they_were() -> None:
    away = hand(long=5.0)
    frame = drawn(wanted(hand(), *[hand()] * 12, *[away] * 8))[19]
    true = with_a_hand(away).alpha
    around = np.s_[200:260, 20:100]
    empty = (cv2.dilate(true, np.ones((9, 9), np.uint8)) == 0)[around]
    sky = frame[around[0], :1].astype(int)
    assert np.abs(frame[around] - sky).max(axis=-1)[empty].max() < 8


def test_a_hand_that_keeps_still_shows_no_seams() -> None:
    frames = drawn(wanted(hand(), *[hand()] * 4))
    whole = drawn(wanted(hand(), *[hand()] * 4, expression=False))
    off = np.abs(frames.astype(int) - whole).max(axis=-1)
    inside = cv2.erode(with_a_hand(hand()).alpha, np.ones((5, 5), np.uint8)) > 250
    assert (
        off[:, inside].max() < 10
    )  # 31 where each finger ends with a soft edge of its own


def test_a_hand_seen_from_its_other_side_spreads_the_other_way_round() -> None:
    def over(one: Hand) -> Hand:
        along = (hand()[9] - WRIST) / np.linalg.norm(hand()[9] - WRIST)
        across = np.array([along[1], -along[0]])
        return one - 2 * ((one - WRIST) @ across)[:, None] * across

    flipped = drawn(wanted(hand(), *[over(hand(20))] * 8))
    straight = drawn(wanted(hand(), *[hand(20)] * 8))
    np.testing.assert_allclose(flipped.astype(int), straight, atol=1)


@pytest.mark.parametrize(
    "own",
    [hand(curl=80), hand(long=4.0), hand() + 30 * ASIDE],
    ids=["fist", "small", "off"],
)
def test_fists_small_hands_and_wrong_keypoints_stay_whole(own: Hand) -> None:
    shown = with_a_hand(own if own[0] @ ASIDE == WRIST @ ASIDE else hand())
    motion = handed(pose(*[STANDING] * 8), *[hand(20)] * 8)
    asked = request(replace(shown, pose=handed(shown.pose, own)), motion)
    moved, whole = (
        drawn(replace(asked, preset=Preset("doll", expression=wish)))
        for wish in (True, False)
    )
    np.testing.assert_array_equal(moved, whole)


def test_fingers_that_the_motion_loses_go_back_to_the_picture() -> None:
    motion = handed(pose(*[STANDING] * 24), *[hand(20)] * 24)
    scores = motion.scores.copy()
    scores[8:, s.RIGHT_HAND] = 0
    asked = request(with_a_hand(hand()), replace(motion, scores=scores))
    frames = drawn(replace(asked, preset=Preset("doll", expression=True)))
    at = [
        middle(frames[f], LITTLE) - hand(a)[17:21].mean(axis=0)
        for f, a in ((2, 20), (20, 0))
    ]
    assert np.hypot(*np.transpose(at)).max() < 3
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 4 * np.sort(steps)[-4]  # not in one frame


def test_fingers_are_the_same_whichever_range_is_asked_for() -> None:
    frames = prepared(wanted(hand(), *[hand()] * 4, *[hand(20)] * 4))
    whole = np.stack(list(frames(range(8))))
    np.testing.assert_array_equal(np.stack(list(frames(range(5, 7)))), whole[5:7])
    assert (whole[7] != whole[0]).any()
