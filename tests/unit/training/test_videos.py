"""Footage from videos: frames and joints cut alike."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.posefile import write_pose
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.pose.skeleton import BODY, JOINTS
from animcli.training.videos import APART, Film, VideoClips
from animcli.video.picture import write_picture

FRAMES, WIDTH, HEIGHT = 40, 96, 64


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Each joint is a white dot on black that moves; pictures are numbered by blue."""
    folder = tmp_path / "film"
    folder.mkdir()
    chance = np.random.default_rng(0)
    start = np.stack([np.linspace(14, 70, 18), chance.permutation(18) * 2 + 14], axis=-1)
    points = np.zeros((FRAMES, JOINTS, 2), np.float32)
    scores = np.zeros((FRAMES, JOINTS), np.float32)
    scores[:, BODY] = 1
    for frame in range(FRAMES):
        points[frame, BODY] = np.round(start + frame / 4)
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[..., 2] = 6 * frame
        for x, y in points[frame, BODY].astype(int):
            picture[y - 2 : y + 3, x - 2 : x + 3, 0] = 255
        write_picture(folder / f"{frame:03}.png", picture)
    ticks, base = even_ticks(FRAMES, Fraction(24))
    write_pose(
        tmp_path / "film.pose", PoseSequence(points, scores, ticks, base, (WIDTH, HEIGHT))
    )
    return Film(folder, tmp_path / "film.pose")


def frame_of(picture: NDArray[np.uint8]) -> int:
    return round(float(np.median(picture[..., 2])) / 6)


def test_joints_lie_where_their_pixels_do(film: Film) -> None:
    clip = VideoClips((film,), 1000, targets=3, size=128)(7)
    assert clip.pictures.shape == (4, 128, 128, 3)
    for picture, joints, seen in zip(clip.pictures, clip.joints, clip.seen, strict=True):
        assert seen.all()
        for x, y in (joints * 128).astype(int):
            assert picture[y, x, 0] > 200


def test_targets_are_far_from_the_reference(film: Film) -> None:
    for number in range(5):
        clip = VideoClips((film,), 1000, targets=3, size=64)(number)
        reference, *targets = map(frame_of, clip.pictures)
        others = [abs(target - reference) for target in targets]
        reachable = max(reference, FRAMES - 1 - reference) >= APART
        assert all(other >= APART for other in others) or not reachable


def test_a_clip_is_always_the_same(film: Film) -> None:
    clips = VideoClips((film,), 1000, targets=2, size=64)
    np.testing.assert_array_equal(clips(3).pictures, clips(3).pictures)


def test_the_last_film_is_for_validation(film: Film, tmp_path: Path) -> None:
    missing = Film(tmp_path / "gone.mp4", film.pose)
    assert len(VideoClips((film, missing), 1000, 1, 64)(999).pictures) == 2
    with pytest.raises(InputError, match=r"gone\.mp4"):
        VideoClips((film, missing), 1000, 1, 64)(1000)


@pytest.mark.parametrize("number", range(4))
def test_a_clip_follows_its_film_at_an_even_pace(film: Film, number: int) -> None:
    clip = VideoClips((film,), 1000, targets=6, size=64, on_end=True)(number)
    frames = [frame_of(picture) for picture in clip.pictures[1:]]
    assert set(np.diff(frames)) in ({1}, {2})  # 24 or 12 of its 24 frames a second


def test_a_film_that_is_too_short_is_named(film: Film) -> None:
    assert VideoClips((film,), 1000, FRAMES, 64, on_end=True)(0).pictures.any()
    with pytest.raises(InputError, match="has 40 frames, clips of 41 are wanted"):
        VideoClips((film,), 1000, FRAMES + 1, 64, on_end=True)(0)
