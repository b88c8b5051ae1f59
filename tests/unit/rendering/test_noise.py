"""A frame's noise depends on the seed and the frame, whatever the clip's length."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from animcli.rendering.cinemo import cut_parts
from animcli.rendering.noise import (
    SHARED_VARIANCE,
    TILED_FRAMES,
    NoiseKind,
    clip_noise,
    dct_matrix,
    refine_noise,
)

SHAPE = (4, 8, 6)


@pytest.mark.parametrize("kind", ["independent", "tiled", "shared"])
def test_a_longer_clip_begins_like_a_shorter_one(kind: NoiseKind) -> None:
    short, long = clip_noise(kind, 3, SHAPE, seed=5), clip_noise(kind, 40, SHAPE, seed=5)
    assert torch.equal(short, long[:3])


@pytest.mark.parametrize("kind", ["independent", "tiled", "shared"])
def test_noise_is_normal(kind: NoiseKind) -> None:
    noise = clip_noise(kind, TILED_FRAMES, (4, 64, 64), seed=1)
    # 262144 numbers: the standard error of the deviation is 0.0014; shared noise has fewer.
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)


def test_another_seed_is_another_noise() -> None:
    one, other = (clip_noise("independent", 2, SHAPE, seed) for seed in (1, 2))
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_tiled_noise_repeats() -> None:
    noise = clip_noise("tiled", 2 * TILED_FRAMES + 3, SHAPE, seed=0)
    assert torch.equal(noise[:TILED_FRAMES], noise[TILED_FRAMES : 2 * TILED_FRAMES])
    assert torch.equal(noise[:3], noise[2 * TILED_FRAMES :])
    assert not torch.equal(noise[0], noise[1])


def test_shared_noise_has_its_share_in_common() -> None:
    noise = clip_noise("shared", 2, (4, 64, 64), seed=3).flatten(1)
    # The correlation of 16384 pairs has a standard error of 0.006.
    assert float(torch.corrcoef(noise)[0, 1]) == pytest.approx(SHARED_VARIANCE, abs=0.03)


GENERATOR = torch.Generator().manual_seed(0)
NOISE = torch.randn(5, 2, 9, 11, generator=GENERATOR, dtype=torch.float64)
FIRST = torch.randn(2, 9, 11, generator=GENERATOR, dtype=torch.float64)


def in_three_dimensions(signal: float, fraction: float) -> np.ndarray:
    """The paper's form: one transform over frames, rows and columns."""
    noise = NOISE.transpose(0, 1).numpy()  # (c, f, h, w)
    guide = signal**0.5 * FIRST[:, None].numpy() + (1 - signal) ** 0.5 * noise
    axes = (1, 2, 3)
    low = np.zeros((9, 11))
    low[: int(9 * fraction), : int(11 * fraction)] = 1
    mixed = low * dctn(guide, axes=axes, norm="ortho") + (1 - low) * dctn(
        noise, axes=axes, norm="ortho"
    )
    return idctn(mixed, axes=axes, norm="ortho")


@pytest.mark.parametrize("fraction", [0.0, 0.23, 0.5, 1.0])
def test_frame_by_frame_it_is_the_same_as_in_three_dimensions(fraction: float) -> None:
    expected = torch.from_numpy(in_three_dimensions(0.1, fraction)).transpose(0, 1)
    said = refine_noise(NOISE, FIRST, 0.1, fraction)
    torch.testing.assert_close(said, expected, rtol=0, atol=1e-12)  # float64


def test_a_frame_does_not_depend_on_the_others() -> None:
    alone = refine_noise(NOISE[3:4], FIRST, 0.1, 0.4)
    assert torch.equal(alone[0], refine_noise(NOISE, FIRST, 0.1, 0.4)[3])


def test_the_transform_keeps_lengths() -> None:
    rows = dct_matrix(12)
    torch.testing.assert_close(rows @ rows.T, torch.eye(12, dtype=torch.float64))


def test_parts_are_whole_windows_that_follow_each_other() -> None:
    assert cut_parts(16, 15, "continue") == [range(1, 16)]
    assert cut_parts(17, 15, "continue") == [range(1, 16), range(16, 31)]
    assert cut_parts(5, 15, "continue") == [range(1, 16)]
    assert cut_parts(1, 15, "continue") == [range(1, 16)]
    assert cut_parts(40, 15, "overlap") == [range(1, 40)]
    assert cut_parts(4, 15, "overlap") == [range(1, 16)]
