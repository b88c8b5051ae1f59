"""Pixel metrics: the golden numbers, what other packages say, and what must always hold."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from builders import metric_goldens as golden
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torch_psnr

from animcli.metrics import pixels

PICTURES = golden.pictures()
PAIRS = golden.numbers()["pairs"]
NAMES = [
    ("l1", "l1_levels"),
    ("l1_disco", "l1_disco"),
    ("psnr", "psnr_star"),
    ("psnr_published", "psnr_wrapped"),
    ("ssim_wang", "ssim_skimage_rgb_gauss_wang"),
    ("ssim_wang", "ssim_common_metrics_rgb_gauss"),
    ("ssim_disco", "ssim_disco"),
]


@pytest.mark.parametrize("other", ["b", "near", "mid", "flat", "self"])
@pytest.mark.parametrize(("metric", "name"), NAMES)
def test_a_pair_has_its_golden_number(other: str, metric: str, name: str) -> None:
    found = getattr(pixels, metric)(PICTURES[other], PICTURES["a"])
    assert found == pytest.approx(PAIRS[f"a_{other}"][name], rel=1e-9, abs=1e-12)


def test_changes_over_time_have_their_golden_numbers() -> None:
    both = zip(*reversed(golden.clips()), strict=True)
    found = [pixels.dtssd(before, after) for before, after in pairwise(both)]
    assert found[0] == pytest.approx(golden.numbers()["dtssd_first_pair_levels"])
    assert np.mean(found) == pytest.approx(golden.numbers()["dtssd_all_pairs_levels"])


def test_psnr_of_bright_against_dark_is_that_of_a_large_difference() -> None:
    bright, dark = (np.full((8, 8, 3), level, np.uint8) for level in (250, 5))
    assert pixels.psnr(bright, dark) == pytest.approx(20 * np.log10(255 / 245))
    assert pixels.psnr_published(bright, dark) > 25


def test_unrelated_pictures_score_27_9_db_under_the_published_psnr() -> None:
    """All 65,536 pairs of levels, each as often."""
    left, right = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2)
    left, right = (np.repeat(each[..., None], 3, 2) for each in (left, right))
    floor = golden.numbers()["uint8_wrap_floor"]["psnr_db"]
    assert pixels.psnr_published(left, right) == pytest.approx(floor)
    assert pixels.psnr(left, right) < 8


SMALL = arrays(np.uint8, (12, 14, 3), elements=st.integers(0, 255))


@given(SMALL, SMALL)
def test_the_published_psnr_is_never_below_the_right_one(
    left: np.ndarray, right: np.ndarray
) -> None:
    assert pixels.psnr_published(left, right) >= pixels.psnr(left, right) - 1e-9


@given(SMALL, SMALL)
def test_no_psnr_exceeds_what_its_l1_allows(left: np.ndarray, right: np.ndarray) -> None:
    """The proof that the tables' numbers are wrong: their L1 allows no such PSNR."""
    if (distance := pixels.l1(left, right)) > 0:
        assert pixels.psnr(left, right) <= 20 * np.log10(255 / distance) + 1e-9


def test_what_a_papers_l1_allows_is_below_what_its_table_says() -> None:
    levels = 3.13e-4 * 256 * 256  # MagicAnimate on TikTok, whose PSNR is given as 29.16
    assert 20 * np.log10(255 / levels) == pytest.approx(21.9, abs=0.05)


@given(SMALL, SMALL)
def test_other_packages_agree(left: np.ndarray, right: np.ndarray) -> None:
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(left, right, data_range=255, channel_axis=2, **wang)
    assert pixels.ssim_wang(left, right) == pytest.approx(expected, abs=1e-9)
    if (left != right).any():
        expected = peak_signal_noise_ratio(left, right, data_range=255)
        assert pixels.psnr(left, right) == pytest.approx(expected, abs=1e-9)
        pair = (torch.from_numpy(each.astype(np.float64)) for each in (left, right))
        assert pixels.psnr(left, right) == pytest.approx(
            float(torch_psnr(*pair, data_range=255.0)), abs=1e-5
        )  # torchmetrics takes the range as float32


@given(SMALL)
def test_a_picture_against_itself_is_perfect(picture: np.ndarray) -> None:
    assert pixels.l1(picture, picture) == 0
    assert pixels.psnr(picture, picture) == 100
    assert pixels.ssim_wang(picture, picture) == pytest.approx(1)
    assert pixels.ssim_disco(picture, picture) == pytest.approx(1)


def test_a_picture_smaller_than_the_window_is_refused() -> None:
    small = np.zeros((10, 40, 3), np.uint8)
    with pytest.raises(ValueError, match="window of 11 pixels"):
        pixels.ssim_wang(small, small)


def test_resizing_takes_the_nearest_two_pixels_only() -> None:
    """Without antialiasing a fine pattern stays, or vanishes, and isn't averaged."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 255
    assert set(np.unique(pixels.resize(stripes, (16, 16)))) == {0}
    assert pixels.resize(stripes, (64, 64)) is stripes


def test_a_square_is_cut_from_the_middle() -> None:
    wide = np.zeros((4, 10, 3), np.uint8)
    wide[:, 3:7] = 9
    assert (pixels.crop_square(wide) == 9).all()
    assert pixels.crop_square(wide.transpose(1, 0, 2)).shape == (4, 4, 3)


def test_blur_lowers_the_gradient_energy_and_only_inside_the_mask() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    half = sharp.copy()
    half[:, 20:] = 128
    left = np.zeros((40, 40), bool)
    left[:, :15] = True
    assert pixels.gradient_energy(half, left) == pixels.gradient_energy(sharp, left)
    assert pixels.gradient_energy(half, ~left) < pixels.gradient_energy(sharp, ~left)
    assert np.isnan(pixels.gradient_energy(sharp, np.zeros((40, 40), bool)))
