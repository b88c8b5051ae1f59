"""How alike pictures are."""

import numpy as np
import pytest

from animcli.video.ssim import neighbour_ssim, ssim

NOISE = np.random.default_rng(0).integers(0, 256, (3, 20, 24), np.uint8)


def test_a_picture_is_like_itself_and_unlike_its_negative() -> None:
    assert ssim(NOISE[0], NOISE[0]) == pytest.approx(1)
    assert ssim(NOISE[0], 255 - NOISE[0]) < 0


def test_the_mean_is_over_neighbours() -> None:
    both = [ssim(NOISE[0], NOISE[1]), ssim(NOISE[1], NOISE[2])]
    assert neighbour_ssim(NOISE) == pytest.approx(np.mean(both))


def test_one_frame_has_no_neighbour() -> None:
    assert neighbour_ssim(NOISE[:1]) is None


def test_pictures_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="can't compare"):
        ssim(NOISE[0, :6], NOISE[1, :6])
