"""Pictures and motions come to lie in the result at the same place."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.stages import executor, spot_motion
from PIL import Image

from animcli.errors import UsageError
from animcli.stages.fitting import (
    Fit,
    fit_motion,
    fit_picture,
    nominal_rate,
    placement,
    resample,
    take_frames,
)
from animcli.stages.reference import FitPicture, check_size
from animcli.video.images import read_picture, write_picture

SHAPES = [
    ((300, 200), (128, 192)),
    ((200, 300), (192, 128)),
    ((64, 96), (128, 192)),
    ((201, 307), (192, 128)),
    ((128, 192), (128, 192)),
]


@pytest.mark.parametrize(("source", "size"), SHAPES)
@pytest.mark.parametrize("fit", Fit)
def test_a_dot_and_a_joint_on_it_stay_together(
    source: tuple[int, int], size: tuple[int, int], fit: Fit
) -> None:
    x, y = source[0] // 2 + 20, source[1] // 2 - 15
    picture = np.zeros((source[1], source[0], 3), np.uint8)
    picture[y - 4 : y + 5, x - 4 : x + 5] = 255
    motion = spot_motion(1)
    points = np.full_like(motion.points, 0) + np.array([x + 0.5, y + 0.5], np.float32)
    moved = fit_motion(replace(motion, points=points, size=source), size, fit)
    fitted = fit_picture(picture, size, fit)
    assert fitted.shape == (size[1], size[0], 3)
    weight = fitted[..., 0].astype(float)
    rows, columns = np.mgrid[: size[1], : size[0]] + 0.5
    centre = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
    # A tenth of a pixel: what sampling a shrunken dot at whole pixels moves its middle by.
    np.testing.assert_allclose(moved.points[0, 0], centre, atol=0.1)
    back = placement(source, size, fit).back(moved.points)
    np.testing.assert_allclose(back, points, atol=1e-3)  # float32


def test_padding_continues_the_border_and_is_no_part_of_the_figure() -> None:
    picture = np.full((40, 20, 4), (10, 20, 30, 255), np.uint8)
    fitted = fit_picture(picture, (80, 80), Fit.PAD)
    assert (fitted[..., :3] == (10, 20, 30)).all()
    assert (fitted[:, 20:60, 3] == 255).all()
    assert not fitted[:, :20, 3].any()
    assert not fitted[:, 60:, 3].any()


def test_cropping_fills_the_size_from_the_middle() -> None:
    assert placement((100, 50), (50, 50), Fit.CROP).left == -25
    picture = np.zeros((50, 100, 3), np.uint8)
    picture[:, 25:75] = 255
    assert (fit_picture(picture, (50, 50), Fit.CROP) == 255).all()


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (96, 64, 3)).astype(np.uint8)
    for fit in (Fit.PAD, Fit.CROP):  # COVER enlarges by a pixel, as Cinemo's authors do
        np.testing.assert_array_equal(fit_picture(picture, (64, 96), fit), picture)


@pytest.mark.parametrize("size", [(511, 768), (512, 767), (8, 8)])
def test_a_size_that_networks_cannot_take_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="multiples of 8"):
        check_size(size)


def test_the_nearest_size_is_named() -> None:
    with pytest.raises(UsageError) as refusal:
        check_size((511, 767))
    assert refusal.value.hint == "nearest 512x768"


def test_an_even_motion_keeps_its_rate_exactly() -> None:
    assert nominal_rate(spot_motion(5, Fraction(30000, 1001))) == Fraction(30000, 1001)


def test_a_trembling_clock_is_taken_for_the_usual_rate() -> None:
    ticks = np.array([0, 3000, 6010, 8990, 11991, 14992], np.int64)
    motion = replace(spot_motion(6), ticks=ticks, time_base=Fraction(1, 90000))
    assert motion.rate is None
    assert nominal_rate(motion) == 30


def test_resampling_meets_a_straight_line() -> None:
    motion = spot_motion(6)
    ticks = np.array([0, 1, 2, 5, 6, 9], np.int64)
    x = np.repeat(ticks[:, None], 134, axis=1).astype(np.float32)
    motion = replace(
        motion, points=np.stack([x, 2 * x], axis=2), ticks=ticks, time_base=Fraction(1, 10)
    )
    even = resample(motion, Fraction(10))
    assert len(even) == 10
    assert even.rate == 10
    np.testing.assert_allclose(even.points[:, 7, 0], np.arange(10), atol=1e-5)  # float32
    np.testing.assert_allclose(even.points[:, 7, 1], 2 * np.arange(10), atol=1e-5)


def test_a_joint_seen_on_one_side_only_comes_from_the_nearer_frame() -> None:
    motion = spot_motion(2, Fraction(1))
    scores = motion.scores.copy()
    scores[0, 3] = 0
    even = resample(replace(motion, scores=scores), Fraction(4))
    assert even.scores[:, 3].tolist() == [0, 0, scores[1, 3], scores[1, 3], scores[1, 3]]
    np.testing.assert_array_equal(even.points[2, 3], motion.points[1, 3])


def test_more_frames_than_the_motion_has_are_refused_with_both_remedies() -> None:
    with pytest.raises(UsageError, match="has 5 frames, 6 were asked for") as refusal:
        take_frames(spot_motion(5), 6, loop=False)
    assert refusal.value.hint == "--loop or --frames 5"


def test_a_loop_begins_again() -> None:
    motion = spot_motion(5)
    looped = take_frames(motion, 12, loop=True)
    np.testing.assert_array_equal(looped.points[5:10], motion.points)
    assert looped.rate == motion.rate
    assert len(looped) == 12


@pytest.mark.parametrize(("fit", "beside"), [(Fit.PAD, 0), (Fit.CROP, 255)])
def test_a_fitted_picture_says_what_is_room_beside_it(
    tmp_path: Path, fit: Fit, beside: int
) -> None:
    picture = tmp_path / "wide.png"
    write_picture(picture, np.full((20, 40, 3), 90, np.uint8))
    fitted = executor(tmp_path).make(FitPicture(picture, (64, 64), fit)).path
    with Image.open(fitted) as image:
        alpha = np.asarray(image.getchannel("A"))
    shown = np.full((64, 64), beside)
    shown[16:48] = 255
    np.testing.assert_array_equal(alpha, shown)
    assert (read_picture(fitted).pixels == 90).all()


def test_lanczos_is_pillows_and_no_colour_is_weighed_by_alpha() -> None:
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
    fitted = fit_picture(picture, (32, 32), Fit.CROP, by_lanczos=True)
    colours = Image.fromarray(np.ascontiguousarray(picture[..., :3]))
    scaled = np.asarray(colours.resize((48, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(fitted[..., :3], scaled[:, 8:40])
    assert not np.array_equal(fitted, fit_picture(picture, (32, 32), Fit.CROP))
