"""A frame's noise depends on the seed and the frame, whatever the clip's length."""

import pytest
import torch

from animcli.rendering.noise import SHARE, TILE, Kind, clip_noise

SHAPE = (4, 8, 6)


@pytest.mark.parametrize("kind", ["independent", "tiled", "shared"])
def test_a_longer_clip_begins_like_a_shorter_one(kind: Kind) -> None:
    short, long = clip_noise(kind, 3, SHAPE, seed=5), clip_noise(kind, 40, SHAPE, seed=5)
    assert torch.equal(short, long[:3])


@pytest.mark.parametrize("kind", ["independent", "tiled", "shared"])
def test_noise_is_normal(kind: Kind) -> None:
    noise = clip_noise(kind, TILE, (4, 64, 64), seed=1)
    # 262144 numbers: the standard error of the deviation is 0.0014; shared noise has fewer.
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)


def test_another_seed_is_another_noise() -> None:
    one, other = (clip_noise("independent", 2, SHAPE, seed) for seed in (1, 2))
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_tiled_noise_repeats() -> None:
    noise = clip_noise("tiled", 2 * TILE + 3, SHAPE, seed=0)
    assert torch.equal(noise[:TILE], noise[TILE : 2 * TILE])
    assert torch.equal(noise[:3], noise[2 * TILE :])
    assert not torch.equal(noise[0], noise[1])


def test_shared_noise_has_its_share_in_common() -> None:
    noise = clip_noise("shared", 2, (4, 64, 64), seed=3).flatten(1)
    # The correlation of 16384 pairs has a standard error of 0.006.
    assert float(torch.corrcoef(noise)[0, 1]) == pytest.approx(SHARE, abs=0.03)
