"""Windows cover the clip, and blending them changes nothing that they agree on."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import write_tiny_weights
from builders.tiny_renders import PRESET, render, request
from hypothesis import given
from hypothesis import strategies as st

from animcli.rendering.context import (
    Blend,
    ContextWindow,
    bit_reversed,
    gather,
    interpolate,
    keyframes,
    moving_windows,
    select_frames,
    uniform_windows,
)

Plan = tuple[int, int, int, int]  # frames, size, overlap, step


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    size = draw(st.integers(2, 32))
    overlap = draw(st.integers(0, size - 1))
    return draw(st.integers(1, 150)), size, overlap, draw(st.integers(0, 50))


@given(plans())
def test_every_frame_is_in_some_window(plan: Plan) -> None:
    frames, size, overlap, step = plan
    for windows in (
        moving_windows(frames, size, overlap, step=step),
        uniform_windows(frames, size, overlap),
    ):
        assert {frame for window in windows for frame in window.frames} == set(
            range(frames)
        )


@given(st.integers(1, 32), st.integers(0, 50))
def test_a_clip_that_fits_into_a_window_is_one_window_and_no_frame_is_seen_twice(
    frames: int, step: int
) -> None:
    for size in (frames, 32):
        for overlap in {0, min(4, size - 1)}:
            whole = [ContextWindow(tuple(range(frames)), (1.0,) * frames)]
            assert uniform_windows(frames, size, overlap) == whole
            assert moving_windows(frames, size, overlap, step=step) == whole


@given(plans())
def test_moving_windows_are_no_more_than_cover_the_clip_and_one(plan: Plan) -> None:
    frames, size, overlap, step = plan
    enough = max(1, -(-(frames - overlap) // (size - overlap)))
    found = moving_windows(frames, size, overlap, step=step)
    assert enough <= len(found) <= enough + 1


@pytest.mark.parametrize("frames", [24, 96, 384])
def test_as_many_published_windows_see_a_frame_in_clips_that_they_divide(
    frames: int,
) -> None:
    windows = uniform_windows(frames, 12, 4)
    assert sum(len(window.frames) for window in windows) == frames * 12 / (12 - 4)


@given(plans())
def test_moving_windows_are_runs_that_share_at_least_the_overlap(plan: Plan) -> None:
    frames, size, overlap, step = plan
    windows = moving_windows(frames, size, overlap, step=step)
    for window in windows:
        first = window.frames[0]
        assert window.frames == tuple(range(first, first + min(size, frames)))
    for left, right in pairwise(windows):
        assert left.frames[0] < right.frames[0]
        assert len(set(left.frames) & set(right.frames)) >= overlap


def test_seams_move_from_step_to_step() -> None:
    starts = [
        {window.frames[0] for window in moving_windows(96, 24, 4, step=step)}
        for step in range(20)
    ]
    inner = [found - {0, 72} for found in starts]
    assert len(set.union(*inner)) == len({start for found in inner for start in found})
    assert all(not left & right for left, right in pairwise(inner))


@given(plans())
def test_windows_that_agree_blend_to_what_they_agree_on(plan: Plan) -> None:
    frames, size, overlap, step = plan
    clip = torch.arange(frames, dtype=torch.float32)[:, None, None, None]
    for windows in (
        moving_windows(frames, size, overlap, step=step),
        uniform_windows(frames, size, overlap),
    ):
        blend = Blend(clip)
        for window in windows:
            blend.add(window, gather(clip, window))
        torch.testing.assert_close(blend.mean(), clip)


def test_a_window_counts_less_near_its_seams() -> None:
    (first, second) = moving_windows(10, 6, 2)
    assert first.frames == (0, 1, 2, 3, 4, 5)
    assert second.frames == (4, 5, 6, 7, 8, 9)
    torch.testing.assert_close(
        torch.tensor(first.weights[4:]), torch.tensor([2 / 3, 1 / 3])
    )
    torch.testing.assert_close(
        torch.tensor(second.weights[:2]), torch.tensor([1 / 3, 2 / 3])
    )


def test_of_a_frame_that_a_window_lists_twice_the_last_counts() -> None:
    blend = Blend(torch.zeros(2, 1, 1, 1))
    said = torch.tensor([1.0, 2.0, 5.0])[:, None, None, None]
    blend.add(ContextWindow((0, 1, 0), (1.0, 1.0, 1.0)), said)
    assert blend.mean().flatten().tolist() == [5.0, 2.0]


def test_the_published_table_joins_the_end_to_the_start_and_moving_does_not() -> None:
    joined = [set(window.frames) for window in uniform_windows(20, 8, 2)]
    assert {18, 19, 0, 1} <= joined[-1]
    for step in range(10):
        for window in moving_windows(20, 8, 2, step=step):
            assert not {0, 19} <= set(window.frames)


def test_each_next_number_lies_in_the_largest_gap() -> None:
    assert [bit_reversed(n) for n in range(5)] == [0, 0.5, 0.25, 0.75, 0.125]


def test_overlap_as_long_as_the_window_is_refused() -> None:
    for cut in (uniform_windows, moving_windows):
        with pytest.raises(ValueError, match=r"overlap must be in 0\.\.15, got 16"):
            cut(40, 16, 16)


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.mark.parametrize(
    ("frames", "spacing", "chosen"),
    [
        (1, 3, [0]),
        (2, 3, [0, 1]),
        (7, 3, [0, 3, 6]),
        (9, 3, [0, 3, 6, 8]),
        (4, 1, [0, 1, 2, 3]),
    ],
)
def test_the_first_and_the_last_frame_are_always_denoised(
    frames: int, spacing: int, chosen: list[int]
) -> None:
    assert keyframes(frames, spacing) == chosen


def test_filling_keeps_what_is_there_and_goes_evenly_from_one_to_the_next() -> None:
    there = torch.tensor([0.0, 3.0, 4.0]).reshape(3, 1, 1, 1)
    filled = interpolate(there, [0, 3, 5], "linear").flatten()
    torch.testing.assert_close(filled, torch.tensor([0, 1, 2, 3, 3.5, 4]))


def test_an_arc_keeps_the_length_where_a_line_cuts_the_corner() -> None:
    there = torch.eye(2).reshape(2, 2, 1, 1) * 5
    arc, line = (
        interpolate(there, [0, 4], filling).flatten(1).norm(dim=1)
        for filling in ("spherical", "linear")
    )
    torch.testing.assert_close(arc, torch.full((5,), 5.0))
    assert line[2] < 3.6  # half of the square's diagonal


def test_a_render_denoises_those_frames_as_if_there_were_no_others(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path)
    asked = request(weights, 9, replace(PRESET, keyframe_interval=3))
    chosen = keyframes(9, 3)
    alone = render(select_frames(replace(asked, preset=PRESET), chosen))
    filled = render(asked)
    assert len(filled) == 9
    assert np.array_equal(filled[chosen], alone)
    assert len({frame.tobytes() for frame in filled}) == 9
