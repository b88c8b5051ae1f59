"""Changes over time: what the flow explains, what it leaves, and where it is looked for."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.metrics.temporal import (
    LONGEST,
    background,
    background_psnr,
    cuts,
    grow_mask,
    largest_step,
    seam_ratio,
    steps,
    window_borders,
)

FRAMES = 6


def texture(size: int = 96, seed: int = 0) -> np.ndarray:
    """A smooth pattern that an optical flow can follow."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (size // 6, size // 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def panned(step: int) -> list[np.ndarray]:
    wide = texture(160)
    return [wide[20:116, 10 + step * f : 106 + step * f] for f in range(FRAMES)]


def test_a_still_video_has_no_change_at_all() -> None:
    found = steps([texture()] * FRAMES)
    for values in (found.warp_error, found.residual, found.motion, found.difference):
        np.testing.assert_allclose(values, 0, atol=1e-3)
    np.testing.assert_allclose(found.flickering, 1)
    assert len(found.kept) == FRAMES - 1


def test_what_only_moves_is_explained() -> None:
    found = steps(panned(3))
    assert found.difference.mean() > 10
    assert found.residual.mean() < 0.1 * found.difference.mean()
    np.testing.assert_allclose(96 * found.motion, 3, atol=0.3)
    assert found.kept.mean() > 0.8


def test_what_changes_without_moving_is_not() -> None:
    frames = [np.clip(texture() + 6.0 * (f % 2), 0, 255).astype(np.uint8) for f in range(6)]
    found = steps(frames)
    np.testing.assert_allclose(found.residual, 6, atol=0.6)
    np.testing.assert_allclose(found.warp_error, (6 / 255) ** 2, rtol=0.25)


def test_flicker_is_of_the_background_alone() -> None:
    mask = np.zeros((96, 96), bool)
    mask[30:60, 30:60] = True
    frames = [texture() for _ in range(FRAMES)]
    for f, frame in enumerate(frames):
        frame[35:55, 35:55] = 40 * f
    assert np.nanmax(steps(frames, [mask] * FRAMES).flicker) == 0
    for f, frame in enumerate(frames):
        frame[:10] = np.clip(frame[:10].astype(int) + 5 * (f % 2), 0, 255)
    assert np.nanmin(steps(frames, [mask] * FRAMES).flicker) > 0.3
    assert np.isnan(steps(frames).flicker).all()


def test_a_seam_in_the_figure_shows_there_where_the_whole_hides_it() -> None:
    mask = np.zeros((96, 96), bool)
    mask[40:56, 40:56] = True
    noise = np.random.default_rng(0).normal(0, 4, (8, 96, 96, 3))
    frames = np.clip(texture() + noise, 0, 255)
    frames[4:, mask] = np.clip(frames[4:, mask] + 20, 0, 255)
    found = steps(frames.astype(np.uint8), [mask] * 8)
    assert seam_ratio(found.figure_residual, [4]) > 3
    assert seam_ratio(found.residual, [4]) < 1.5


def test_large_frames_are_measured_smaller() -> None:
    large = cv2.resize(np.stack(panned(3))[0], (2 * LONGEST, LONGEST))
    other = np.roll(large, 16, axis=1)
    found = steps([large, other])
    assert LONGEST / 2 * found.motion[0] == pytest.approx(8, abs=1)


def test_a_seam_is_the_change_at_borders_by_the_usual_one() -> None:
    residual = np.array([1.0, 1, 5, 1, 1, 3, 1])
    assert seam_ratio(residual, [3, 6]) == 4
    assert seam_ratio(residual, [1]) == 1
    assert np.isnan(seam_ratio(residual, []))
    assert np.isnan(seam_ratio(residual, [0, 8]))
    assert np.isnan(seam_ratio(residual, range(1, 8)))


def test_frames_that_could_not_be_compared_do_not_spoil_a_seam() -> None:
    nan = float("nan")
    assert seam_ratio(np.array([1.0, nan, 4, 1]), [3]) == 4
    assert np.isnan(seam_ratio(np.array([1.0, nan, 1]), [2]))


def test_a_step_of_a_frozen_video_is_still_a_number() -> None:
    value, frame = largest_step(np.array([0.0, 0, 5, 0]))
    assert frame == 3
    assert 50 < value < 200
    assert largest_step(np.zeros(4))[0] == 0


def test_cuts_of_the_motion_are_no_steps() -> None:
    residual = np.array([1.0, 9, 1, 4, 1])
    assert largest_step(residual) == (9, 2)
    assert largest_step(residual, [2]) == (4, 4)
    assert np.isnan(largest_step(np.array([9.0]), [1])[0])


def test_a_cut_is_found_where_everything_changes() -> None:
    difference = np.full(40, 3.0)
    difference[17] = 60
    assert cuts(difference) == [18]
    assert cuts(np.full(40, 60.0)) == []
    assert cuts(np.where(np.arange(40) == 17, 15.0, 0.5)) == []


def test_borders_are_where_windows_begin_and_end() -> None:
    windows = [range(0, 16), range(12, 28), range(24, 40)]
    assert window_borders(windows, 40) == (12, 16, 24, 28)
    assert window_borders([range(40)], 40) == ()


def test_a_window_that_joins_the_end_to_the_start_has_borders_at_both() -> None:
    wrapped = (36, 37, 38, 39, 0, 1, 2, 3)
    assert window_borders([wrapped], 40) == (4, 36)


def test_windows_over_every_second_frame_have_no_border() -> None:
    assert window_borders([range(0, 32, 2)], 40) == ()


@given(st.integers(2, 30), st.integers(1, 5))
def test_borders_lie_inside_of_the_clip(frames: int, size: int) -> None:
    windows = [range(s, min(s + size, frames)) for s in range(0, frames, size)]
    found = window_borders(windows, frames)
    assert all(0 < frame < frames for frame in found)
    assert found == tuple(range(size, frames, size))


def backgrounds(
    change: float, noise: float = 0.0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    masks, frames = [], []
    for f in range(8):
        mask = np.zeros((96, 96), bool)
        mask[30:60, 10 + 3 * f : 40 + 3 * f] = True
        picture = texture() + change * f / 7 + rng.normal(0, noise, (96, 96, 3))
        picture[mask] = 255 * (f % 2)
        masks.append(mask)
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return frames, masks


def test_a_background_that_stays_has_no_drift_whatever_the_figure_does() -> None:
    frames, masks = backgrounds(0)
    found = background(frames, masks)
    assert found.drift == pytest.approx(0, abs=1e-3)
    assert not found.free[30:60, 10:61].any()
    np.testing.assert_array_equal(found.median[:20], texture()[:20])


def test_drift_is_the_spread_over_time() -> None:
    frames, masks = backgrounds(14)
    spread = np.std(np.linspace(0, 14, 8))
    assert background(frames, masks).drift == pytest.approx(spread, rel=0.1)


def test_another_background_is_unlike_the_references_though_it_stays() -> None:
    frames, masks = backgrounds(0)
    found = background(frames, masks)
    assert background_psnr(found, texture(), masks[0]) == 100
    assert background_psnr(found, texture(seed=1), masks[0]) < 20


def test_a_figure_that_is_everywhere_leaves_no_background() -> None:
    frames, _ = backgrounds(0)
    everywhere = [np.ones((96, 96), bool)] * 8
    assert background(frames, everywhere) is None
    assert background([], []) is None


def test_a_long_video_is_not_kept_whole() -> None:
    picture = texture(24)
    frames = (picture if f % 3 else np.zeros_like(picture) for f in range(1000))
    empty = (np.zeros((24, 24), bool) for _ in range(1000))
    np.testing.assert_array_equal(background(frames, empty).median, picture)


def test_a_mask_grows_by_four_pixels() -> None:
    mask = np.zeros((21, 21), bool)
    mask[10, 10] = True
    assert grow_mask(mask)[10, 6:15].all()
    assert grow_mask(mask).sum() < 81
    assert not grow_mask(mask)[10, 5]
