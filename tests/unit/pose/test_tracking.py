"""People keep their numbers through crossings and short disappearances."""

from dataclasses import replace

import numpy as np
import pytest
from builders import dancer

from animcli.errors import InputError, UsageError
from animcli.pose.tracking import PATIENCE, Detection, Track, Tracker, choose

SIZE = (1280, 720)


def dancer_at(
    seed: int, start_x: float, speed: float, frames: int = 120
) -> list[Detection]:
    """A dancer whose place moves `speed` px a frame across the picture."""
    motion = dancer.film(
        dancer.perform(dancer.Body(), dancer.dance(seed, frames)), dancer.STAGE
    )
    shift = np.zeros((frames, 1, 2), np.float32)
    shift[:, 0, 0] = start_x - 640 + speed * np.arange(frames)
    points = motion.points + shift * (motion.scores > 0)[..., None]
    return [Detection(*pair) for pair in zip(points, motion.scores, strict=True)]


def run(people: list[list[Detection]], hidden: set[tuple[int, int]] = frozenset()) -> list:
    """For each frame, the number of each person's track, None where hidden."""
    tracker = Tracker(0.3)
    random = np.random.default_rng(0)
    numbers = []
    for frame in range(len(people[0])):
        there = [who for who in range(len(people)) if (who, frame) not in hidden]
        random.shuffle(there)  # detectors give no order
        tracks = tracker.update(frame, [people[who][frame] for who in there])
        named = {who: track.number for who, track in zip(there, tracks, strict=True)}
        numbers.append([named.get(who) for who in range(len(people))])
    return numbers


def test_people_are_numbered_from_the_left() -> None:
    people = [dancer_at(1, 1000, 0), dancer_at(2, 300, 0), dancer_at(3, 640, 0)]
    assert run(people) == [[3, 1, 2]] * 120


@pytest.mark.parametrize("seed", range(8))
def test_two_who_cross_keep_their_numbers(seed: int) -> None:
    people = [dancer_at(seed, 300, 6), dancer_at(seed + 100, 1000, -6)]
    assert run(people) == [[1, 2]] * 120


@pytest.mark.parametrize("seed", range(8))
def test_one_hidden_behind_another_comes_out_with_her_number(seed: int) -> None:
    people = [dancer_at(seed, 300, 6), dancer_at(seed + 100, 1000, -6)]
    behind = {(1, frame) for frame in range(52, 66)}
    numbers = run(people, behind)
    assert [pair[0] for pair in numbers] == [1] * 120
    assert {pair[1] for pair in numbers} == {2, None}


def test_one_who_is_away_for_long_gets_a_new_number() -> None:
    away = {(0, frame) for frame in range(20, 20 + PATIENCE + 1)}
    numbers = run([dancer_at(1, 640, 0)], away)
    assert [numbers[0], numbers[-1]] == [[1], [2]]


def test_a_track_has_gaps_where_nobody_was_found() -> None:
    person = dancer_at(1, 640, 0)[0]
    points, scores = Track(1, [0, 2], [person, person]).sequence_of(4)
    np.testing.assert_array_equal(scores[[1, 3]], 0)
    np.testing.assert_array_equal(points[2], person.points)


def tracks_of(*people: list[Detection]) -> list[Track]:
    return [
        Track(number, list(range(len(person))), person)
        for number, person in enumerate(people, start=1)
    ]


def test_the_largest_is_the_largest_over_the_whole_clip() -> None:
    small = [replace(one, points=one.points * 0.5) for one in dancer_at(1, 640, 0)]
    giant = [replace(one, points=one.points * 1.5) for one in dancer_at(2, 640, 0)[:10]]
    tracks = tracks_of(small, dancer_at(3, 200, 0), giant)
    assert choose(tracks, "largest", SIZE, 0.3).number == 2


def test_center_is_who_stays_nearest_to_the_middle() -> None:
    tracks = tracks_of(dancer_at(1, 100, 0), dancer_at(2, 600, 0), dancer_at(3, 1100, 0))
    assert choose(tracks, "center", SIZE, 0.3).number == 2


def test_a_number_is_that_person() -> None:
    tracks = tracks_of(dancer_at(1, 100, 0), dancer_at(2, 600, 0))
    assert choose(tracks, "2", SIZE, 0.3).number == 2


def test_a_number_that_nobody_has_says_how_many_there_are() -> None:
    with pytest.raises(InputError, match="no person 3: 1 was found"):
        choose(tracks_of(dancer_at(1, 100, 0)), "3", SIZE, 0.3)


@pytest.mark.parametrize("policy", ["biggest", "0", "-1", ""])
def test_a_policy_that_is_none_is_refused(policy: str) -> None:
    with pytest.raises(UsageError, match="no person to choose"):
        choose(tracks_of(dancer_at(1, 100, 0)), policy, SIZE, 0.3)


def test_nobody_at_all_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nobody was found"):
        choose([], "largest", SIZE, 0.3)
