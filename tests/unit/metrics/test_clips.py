"""Pairs of videos: what goes together, what is refused, and what is said about it."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from animcli.errors import InputError
from animcli.metrics.clips import (
    DISCO,
    SOUND,
    Clip,
    Protocol,
    frame_at_times,
    match_by_stem,
    paired,
)
from animcli.metrics.pixels import Pixels

RATE = Fraction(24)


def clip(
    name: str = "a.mp4",
    frames: int = 6,
    size: tuple[int, int] = (20, 16),
    rate: Fraction = RATE,
) -> Clip:
    """Frame number f is grey of level f."""

    def read() -> Iterator[Pixels]:
        for level in range(frames):
            yield np.full((size[1], size[0], 3), level, np.uint8)

    return Clip(name, frames, size, rate, read, f"digest of {name}")


def levels(clip: Clip) -> list[int]:
    return [int(picture.flat[0]) for picture in clip.read()]


def test_unequal_lengths_are_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match=r"a\.mp4 has 6 frames and b\.mp4 9") as caught:
        paired(clip(), clip("b.mp4", 9))
    assert "--shortest" in caught.value.hint


def test_the_shortest_or_a_span_makes_them_equal() -> None:
    pair = paired(clip(), clip("b.mp4", 9), shortest=True)
    assert (pair.result.frames, pair.truth.frames) == (6, 6)
    assert levels(pair.truth) == list(range(6))
    pair = paired(clip(), clip("b.mp4", 9), span=(2, 5))
    assert levels(pair.result) == levels(pair.truth) == [2, 3, 4]
    assert pair.truth.digest != clip("b.mp4", 9).digest


def test_unequal_rates_are_refused() -> None:
    with pytest.raises(InputError, match=r"24 frames per second and b\.mp4 30"):
        paired(clip(), clip("b.mp4", rate=Fraction(30)))


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="no frames to compare"):
        paired(clip(), clip("b.mp4"), span=(6, 9))


def test_frames_at_another_rate_are_those_shown_at_the_time() -> None:
    faster = clip("b.mp4", 12, rate=Fraction(60))
    assert levels(frame_at_times(faster, RATE, 5)) == [0, 2, 5, 7, 10]
    slower = clip("b.mp4", 3, rate=Fraction(12))
    taken = frame_at_times(slower, RATE, 6)
    assert levels(taken) == [0, 0, 1, 1, 2, 2]
    assert (taken.frames, taken.rate) == (6, RATE)
    with pytest.raises(InputError, match="too short for 7 frames"):
        frame_at_times(slower, RATE, 7)


def test_a_set_is_matched_by_the_names_without_suffix() -> None:
    assert match_by_stem(["b.mp4", "a.mp4"], ["a.mov", "b.webm", "c.mp4"]) == [1, 0]


def test_a_result_without_its_truth_is_an_error_and_no_number() -> None:
    with pytest.raises(InputError, match=r"no truth for b\.mp4, d\.mp4"):
        match_by_stem(["b.mp4", "a.mp4", "d.mp4"], ["a.mp4"])


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two truths"):
        match_by_stem(["a.mp4"], ["a.mp4", "a.mov"])
    with pytest.raises(InputError, match="two results"):
        match_by_stem(["a.mp4", "a.mov"], ["a.mp4"])


def test_a_result_of_another_size_is_brought_to_the_truths_and_it_is_said() -> None:
    pair = paired(clip(size=(10, 8)), clip("b.mp4"))
    assert {r.shape for r, _ in pair.sides(SOUND)} == {(16, 20, 3)}
    assert pair.notes(SOUND)[0] == "a.mp4 was 10x8 and was brought to the truth's 20x16"
    assert {t.shape for _, t in pair.sides(DISCO)} == {(256, 256, 3)}
    assert pair.notes(DISCO) == ["a.mp4: frames of the encoded file"]


def test_a_protocol_may_leave_out_the_first_frame_and_the_sides() -> None:
    protocol = Protocol("disco", (8, 8), square=True, skip_first=True)
    sides = list(paired(clip(), clip("b.mp4")).sides(protocol))
    assert [int(result.flat[0]) for result, _ in sides] == [1, 2, 3, 4, 5]
    assert protocol.pictures() == (
        "RGB, middle square, 8x8 bilinear, without the first frame"
    )
