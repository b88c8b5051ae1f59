"""Every switch of the loss changes it as its formula says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from animcli.errors import ProjectError
from animcli.training.diffusion import STEPS, Diffusion

PLAIN = Diffusion(
    prediction="epsilon", betas="linear", zero_snr=False, snr_weights="none",
    noise_offset=0,
)  # fmt: skip
TIMES = torch.tensor([3, 500, 977])


def drawn(seed: int) -> Tensor:
    """Latents of three clips of two frames."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, 2, 5, 6, generator=random)


def share(timestep: int, betas: np.ndarray) -> float:
    """How much of the variance is signal: what each step up to this one has left."""
    return float(np.prod(1 - betas[: timestep + 1]))


def ratio(diffusion: Diffusion) -> Tensor:
    """Of signal to noise at the three time steps."""
    left = diffusion.shares[TIMES].double()
    return left / (1 - left)


def test_betas_grow_evenly_or_their_roots_do() -> None:
    even = np.linspace(0.00085, 0.012, STEPS)
    roots = np.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2
    for diffusion, betas in (
        (PLAIN, even),
        (replace(PLAIN, betas="scaled_linear"), roots),
        (replace(PLAIN, beta_start=0.0001, beta_end=0.02), np.linspace(1e-4, 0.02, STEPS)),
    ):
        expected = [share(t, betas) for t in (0, 500, 999)]
        np.testing.assert_allclose(diffusion.shares[[0, 500, 999]], expected, rtol=1e-6)


def test_zero_snr_ends_in_noise_and_begins_as_before() -> None:
    before = replace(PLAIN, prediction="v").shares.sqrt()
    after = replace(PLAIN, prediction="v", zero_snr=True).shares.sqrt()
    assert after[-1] == 0
    torch.testing.assert_close(after[0], before[0])
    # All roots are moved and stretched alike.
    stretch = before[0] / (before[0] - before[-1])
    torch.testing.assert_close(after, (before - before[-1]) * stretch)


def test_zero_snr_refuses_to_predict_noise() -> None:
    with pytest.raises(ProjectError, match="zero_snr doesn't go with prediction"):
        replace(PLAIN, zero_snr=True)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_a_prediction_is_compared_with_what_it_should_be(prediction: str) -> None:
    diffusion = replace(PLAIN, prediction=prediction)
    clean, noise, told = drawn(0), drawn(1), drawn(2)
    left = diffusion.shares[TIMES][:, None, None, None, None]
    wanted = {
        "epsilon": noise,
        "v": left.sqrt() * noise - (1 - left).sqrt() * clean,
        "x0": clean,
    }[prediction]
    loss = diffusion.loss(told, clean, noise, TIMES)
    torch.testing.assert_close(loss, ((told - wanted) ** 2).mean())
    # A perfect prediction means the clean latents again.
    noisy = diffusion.mix(clean, noise, TIMES)
    torch.testing.assert_close(noisy, left.sqrt() * clean + (1 - left).sqrt() * noise)
    for row, timestep in enumerate(TIMES[:2].tolist()):
        found = diffusion.clean(wanted[row], noisy[row], timestep)
        # Divided by the root of a share of signal of 0.14.
        torch.testing.assert_close(found, clean[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_weights_are_as_their_papers_say(prediction: str, gamma: float) -> None:
    diffusion = replace(
        PLAIN, prediction=prediction, snr_weights="min-snr", snr_gamma=gamma
    )
    snr = ratio(diffusion)
    least = torch.minimum(snr, torch.tensor(gamma))
    wanted = {"epsilon": least / snr, "v": least / (snr + 1), "x0": least}[prediction]
    torch.testing.assert_close(diffusion.weights(TIMES).double(), wanted, rtol=1e-5, atol=0)

    authors = replace(diffusion, snr_weights="authors").weights(TIMES).double()
    wanted = torch.minimum(snr + 1, torch.tensor(gamma)) / (snr + 1)
    torch.testing.assert_close(authors, wanted, rtol=1e-5, atol=0)

    # And the loss is their mean with each clip's error.
    clean, noise, told = drawn(0), drawn(1), drawn(2)
    target = diffusion.target(clean, noise, TIMES)
    errors = ((told - target) ** 2).mean(dim=(1, 2, 3, 4))
    wanted = (errors * diffusion.weights(TIMES)).mean()
    torch.testing.assert_close(diffusion.loss(told, clean, noise, TIMES), wanted)


def test_noise_may_be_offset_and_shared() -> None:
    shape = torch.Size([2, 3, 5, 40, 40])

    def noise(**switches: float) -> Tensor:
        random = torch.Generator().manual_seed(7)
        return replace(PLAIN, **switches).noise(shape, random)

    plain, shared, lifted = noise(), noise(shared_noise=0.6), noise(noise_offset=0.5)
    torch.testing.assert_close(
        plain, torch.randn(shape, generator=torch.Generator().manual_seed(7))
    )
    # The mean over 5 x 1600 numbers has an error of 0.01.
    level = (lifted - plain).mean(dim=(2, 3, 4), keepdim=True)
    torch.testing.assert_close(lifted - plain, level.expand(shape))
    assert 0.1 < level.std() < 1.0
    # Frames correlate as much as was asked for, to about 1 / sqrt(9600).
    for noisy, wanted in ((plain, 0.0), (shared, 0.6)):
        frames = torch.corrcoef(noisy.transpose(0, 2).flatten(1))
        assert frames[0, 1].item() == pytest.approx(wanted, abs=0.04)
        assert noisy.var().item() == pytest.approx(1, abs=0.05)
