"""A driving video's frames at the times of a result's."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.stages import spot_motion
from builders.videos import tiny_clip

from animcli.stages.footage import follow, frames_at, times_of
from animcli.video.reader import open_footage

FRAMES = 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    tiny_clip(path, FRAMES)
    return path


def test_every_frame_is_the_nearest_in_time(clip: Path) -> None:
    with open_footage(clip) as reader:
        rate = reader.info.rate
        doubled = frames_at(
            times_of(2 * FRAMES - 1, 2 * FRAMES - 1, 2 * rate), None, reader
        )
        halved = frames_at(times_of(6, 6, rate / 2), None, reader)
    assert doubled[::2].tolist() == list(range(FRAMES))
    assert (np.diff(doubled) >= 0).all()
    assert halved.tolist() == [0, 2, 4, 6, 8, 10]


def test_unevenly_spaced_frames_are_when_the_keypoints_say(clip: Path) -> None:
    ticks = np.array([0, 1, 2, 3, 20, 21, 22, 23, 24, 25, 26, 27])
    uneven = replace(spot_motion(FRAMES), ticks=ticks, time_base=Fraction(1, 10))
    with open_footage(clip) as reader:
        found = frames_at(np.array([0.0, 0.31, 1.0, 1.9, 2.7]), uneven, reader)
    assert found.tolist() == [0, 3, 3, 4, 11]


def test_a_motion_that_loops_starts_its_video_again(clip: Path) -> None:
    with open_footage(clip) as reader:
        found = frames_at(times_of(30, FRAMES, reader.info.rate), None, reader)
        assert found[:FRAMES].tolist() == found[FRAMES : 2 * FRAMES].tolist()


def test_frames_come_in_any_order_and_are_always_the_same(clip: Path) -> None:
    with open_footage(clip) as reader:
        whole = [frame.picture for frame in reader.frames()]
        indices = [0, 0, 3, 11, 2, 5, 5, 1]
        source = follow(reader, indices)
        for span in (range(8), range(2, 5), range(7, 8), range(0, 1)):
            shown = list(source(span))
            assert len(shown) == len(span)
            for frame, picture in zip(span, shown, strict=True):
                np.testing.assert_array_equal(picture, whole[indices[frame]])
