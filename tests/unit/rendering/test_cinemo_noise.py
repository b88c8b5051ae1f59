"""Noise that takes the picture's layout: what the paper says, and what is done instead."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from animcli.rendering.cinemo_noise import dct_matrix, refine
from animcli.rendering.cinemo_parts import cut_parts

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
    said = refine(NOISE, FIRST, 0.1, fraction)
    torch.testing.assert_close(said, expected, rtol=0, atol=1e-12)  # float64


def test_a_frame_does_not_depend_on_the_others() -> None:
    alone = refine(NOISE[3:4], FIRST, 0.1, 0.4)
    assert torch.equal(alone[0], refine(NOISE, FIRST, 0.1, 0.4)[3])


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
