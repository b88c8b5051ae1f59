"""Several people at a time, on figures drawn here and on two who touch in a street."""

from pathlib import Path

import numpy as np
import pytest
import two_dancers
from numpy.typing import NDArray

from animcli.characters.clip import clip
from animcli.pose.blazepose_body import Body
from animcli.pose.blazepose_crop import Roi
from animcli.pose.blazepose_people import (
    DRAW_THRESHOLD,
    EVERY,
    BlazePeople,
    State,
    distinct,
    the_largest,
)
from animcli.pose.skeleton import NECK
from animcli.pose.track import Tracker
from animcli.video.read import open_footage

SIZE = (256, 384)


def body(x: float, size: float = 100, sure: float = 1) -> Body:
    """A body about x, its landmarks spread over a square."""
    points = np.random.default_rng(0).random((33, 2)) * size + (x, 0)
    points[:2] = (x, 0), (x + size, size)
    middle = np.array([x + size / 2, size / 2])
    row = np.ones(33)
    return Body(
        points, row, row, row, np.zeros((33, 3)), sure, middle,
        middle - (0, size / 2), np.zeros((256, 256), np.float32),
    )  # fmt: skip


def test_a_state_survives_as_numbers() -> None:
    squares = (Roi(1.5, 2, 30, 30, 0.1), Roi(4, 5, 60, 60, -2))
    assert State.from_numbers(State(squares, 3).to_numbers()) == State(squares, 3)
    assert State.from_numbers(State().to_numbers()) == State()


def test_of_two_squares_on_one_body_the_surer_stays() -> None:
    less, other, more = body(3, sure=0.8), body(60), body(0)
    assert distinct([less, other, more]) == [other, more]


def test_the_largest_stay_in_their_order() -> None:
    small, large, middle = body(0, 50), body(200, 300), body(600, 100)
    assert the_largest([small, large, middle], 2) == [large, middle]


@pytest.fixture(scope="module")
def people(blazepose_models: Path) -> BlazePeople:
    return BlazePeople(blazepose_models, hands=False, face=False)


@pytest.fixture(scope="module")
def pairs() -> list[NDArray[np.uint8]]:
    """Frames with a dancer on the left, and from the fourth on one on the right too."""
    alone = [drawing.picture for drawing in clip(1, EVERY + 4, SIZE, rate=12.0)]
    wall = np.full_like(alone[0], alone[0][0, 0])
    return [
        np.concatenate([picture, picture if index > 2 else wall], axis=1)
        for index, picture in enumerate(alone)
    ]


@pytest.mark.blazepose
def test_going_on_from_a_state_finds_the_same_people(
    people: BlazePeople, pairs: list[NDArray[np.uint8]]
) -> None:
    people.restore((-1,))
    unbroken = [people.people(picture) for picture in pairs]
    people.restore((-1,))
    for picture in pairs[: EVERY + 2]:
        people.people(picture)
    kept = people.state
    people.people(pairs[0])
    people.restore(kept)
    for picture, expected in zip(pairs[EVERY + 2 :], unbroken[EVERY + 2 :], strict=True):
        for one, other in zip(people.people(picture), expected, strict=True):
            np.testing.assert_array_equal(one.points, other.points)
            np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.blazepose
def test_two_far_apart_are_followed_and_keep_their_numbers(people: BlazePeople) -> None:
    pair = two_dancers.dance(EVERY + 2)
    people.restore((-1,))
    tracker = Tracker(DRAW_THRESHOLD)
    for index, picture in enumerate(pair.pictures):
        found = people.people(picture)
        tracks = tracker.update(index, found)
        assert {track.number for track in tracks} == {1, 2}
        for one, track in zip(found, tracks, strict=True):
            truth = (pair.left if track.number == 1 else pair.right)[index]
            assert two_dancers.typical_error(one.points, truth) < two_dancers.NEAR


@pytest.mark.blazepose
def test_nobody_is_there_on_an_empty_wall(people: BlazePeople) -> None:
    people.restore((-1,))
    assert people.people(np.full((240, 320, 3), 128, np.uint8)) == ()
    assert people.state == (0,)


@pytest.mark.blazepose
def test_a_square_does_not_slide_to_somebody_who_is_touched(
    people: BlazePeople, media: Path
) -> None:
    people.restore((-1,))
    with open_footage(media / "street_walk_audio.avi", quick=True) as reader:
        necks = [
            people.people(frame.picture)[0].points[NECK, 0]
            for frame in reader.frames(125, 150)
        ]
    # Set by eye: in frames 141 to 147 the nearer of the two has her neck left of 740 px;
    # the other, whom the square slid to, has hers right of 770.
    assert max(necks[16:23]) < 740
