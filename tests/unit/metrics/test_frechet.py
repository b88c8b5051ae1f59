"""The Fréchet distance: golden numbers, another package, matrices without a root."""

import numpy as np
import pytest
import torch
from builders import metric_goldens as golden
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from animcli.metrics.frechet import frechet_distance, windows

NUMBERS = golden.numbers()["frechet"]
LEFT, RIGHT = (np.array(NUMBERS[f"features_{side}"]) for side in (1, 2))


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (12, "by_singular_values n-1"),
        (3, "few (first 3 rows of each), n-1, by singular values"),
        (1, "one row each: squared distance of the rows"),
    ],
)
def test_features_have_their_golden_distance(rows: int, name: str) -> None:
    assert frechet_distance(LEFT[:rows], RIGHT[:rows]) == pytest.approx(NUMBERS[name])


def test_it_is_the_square_root_of_the_matrix_where_there_is_one() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 8)), rng.normal(0.3, 2, (500, 8)) @ rng.normal(size=(8, 8))
    c1, c2 = np.cov(x.T), np.cov(y.T)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(c1 + c2)
    expected -= 2 * np.trace(sqrtm(c1 @ c2).real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


class Pixels(nn.Module):
    """Features that are the pixels themselves."""

    num_features = 12

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.flatten(1).double()


def test_torchmetrics_gives_the_same_from_the_same_features() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.random((40, 3, 2, 2)), rng.random((50, 3, 2, 2)) ** 2
    metric = FrechetInceptionDistance(Pixels(), input_img_size=(3, 2, 2), normalize=True)
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(left), real=True)
    metric.update(torch.from_numpy(right), real=False)
    features = [each.reshape(-1, 12) for each in (left, right)]
    assert frechet_distance(*features) == pytest.approx(float(metric.compute()), rel=1e-6)


SETS = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))


@given(SETS)
def test_it_is_a_distance(sizes: tuple[int, int, int]) -> None:
    n, m, seed = sizes
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 10)), rng.normal(1, 3, (m, 10))
    assert frechet_distance(x, y) >= 0
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x + 2, y + 2) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def test_more_samples_than_dimensions_change_nothing_but_the_time() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5000, 6)), rng.normal(0.5, 1, (4000, 6))
    doubled = np.concatenate([x, x])
    n = len(x)
    scale = np.sqrt((2 * n - 1) / (2 * (n - 1)))  # n - 1 counts otherwise twice
    again = x.mean(0) + (doubled - x.mean(0)) * scale
    assert frechet_distance(again, y) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def test_features_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4\) and \(3, 5\)"):
        frechet_distance(np.zeros((3, 4)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="no features"):
        frechet_distance(np.zeros((0, 4)), np.zeros((3, 4)))


def test_windows_are_the_protocols() -> None:
    assert [w.start for w in windows(18)] == [0, 1, 2]
    assert list(windows(40, 16, 16)) == [range(0, 16), range(16, 32)]
    assert list(windows(15)) == []
