"""The objective: diffusers' schedule, and every switch of the loss as its formula says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from animcli.errors import ProjectError
from animcli.rendering.schedulers import (
    ANIMATE_ANYONE_SCHEDULE,
    CINEMO_SCHEDULE,
    MAGIC_ANIMATE_SCHEDULE,
    make_scheduler,
)
from animcli.training.objective import TIMESTEPS, Objective
from animcli.training.settings import DEFAULTS

PLAIN = Objective(
    "epsilon", "linear", zero_snr=False, snr_weights="none", noise_offset=0
)  # fmt: skip
TIMES = torch.tensor([3, 500, 977])
PREDICTIONS = ("epsilon", "v_prediction", "sample")


def normal(seed: int) -> Tensor:
    """Latents of three clips of two frames."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, 2, 5, 6, generator=rng)


def shares(objective: Objective) -> Tensor:
    """Share of the variance that is signal, at each timestep."""
    return objective.scheduler.alphas_cumprod


def snr_of(objective: Objective) -> Tensor:
    """Of signal to noise at the three timesteps."""
    left = shares(objective)[TIMES].double()
    return left / (1 - left)


def test_betas_grow_evenly_or_their_roots_do() -> None:
    even = np.linspace(0.00085, 0.012, TIMESTEPS)
    roots = np.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS) ** 2
    for objective, betas in (
        (PLAIN, even),
        (replace(PLAIN, beta_schedule="scaled_linear"), roots),
        (
            replace(PLAIN, beta_start=0.0001, beta_end=0.02),
            np.linspace(1e-4, 0.02, TIMESTEPS),
        ),
    ):
        expected = [np.prod(1 - betas[: t + 1]) for t in (0, 500, 999)]
        np.testing.assert_allclose(shares(objective)[[0, 500, 999]], expected, rtol=1e-6)


def test_zero_snr_ends_in_noise_and_begins_as_before() -> None:
    before = shares(replace(PLAIN, prediction="v_prediction")).sqrt()
    after = shares(replace(PLAIN, prediction="v_prediction", zero_snr=True)).sqrt()
    assert after[-1] == 0
    # diffusers makes betas of the new shares, and these anew: two roundings.
    torch.testing.assert_close(after[0], before[0], rtol=1e-6, atol=0)
    # All roots are moved and stretched alike.
    stretch = before[0] / (before[0] - before[-1])
    torch.testing.assert_close(after, (before - before[-1]) * stretch, rtol=2e-4, atol=1e-6)


def test_zero_snr_refuses_to_predict_noise() -> None:
    with pytest.raises(ProjectError, match="zero_snr doesn't go with prediction"):
        replace(PLAIN, zero_snr=True)


@pytest.mark.parametrize("name", list(DEFAULTS))
def test_sampling_and_training_have_one_schedule(name: str) -> None:
    objective = DEFAULTS[name].first.objective
    sampler = make_scheduler("ddim", objective.schedule)
    torch.testing.assert_close(sampler.alphas_cumprod, shares(objective), rtol=0, atol=0)
    assert sampler.config.prediction_type == objective.prediction


def test_the_published_renderers_sample_by_the_schedules_of_training() -> None:
    for name, schedule in (
        ("magic-animate", MAGIC_ANIMATE_SCHEDULE), ("cinemo", CINEMO_SCHEDULE),
    ):  # fmt: skip
        trained = DEFAULTS[name].first.objective
        sampled = make_scheduler("ddim", schedule).alphas_cumprod
        torch.testing.assert_close(sampled, shares(trained), rtol=0, atol=0)
    # Moore Threads train with scaled_linear betas and sample with linear ones.
    published = DEFAULTS["animate-anyone"].first.objective
    linear = shares(replace(published, beta_schedule="linear"))
    sampled = make_scheduler("ddim", ANIMATE_ANYONE_SCHEDULE).alphas_cumprod
    torch.testing.assert_close(sampled, linear, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("prediction", "zero_snr"),
    [(each, False) for each in PREDICTIONS] + [("v_prediction", True), ("sample", True)],
)
def test_noise_and_targets_are_those_of_diffusers(prediction: str, zero_snr: bool) -> None:
    objective = replace(PLAIN, prediction=prediction, zero_snr=zero_snr)
    theirs = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear",
        rescale_betas_zero_snr=zero_snr,
    )  # fmt: skip
    clean, noise = normal(0), normal(1)
    torch.testing.assert_close(
        objective.add_noise(clean, noise, TIMES),
        theirs.add_noise(clean, noise, TIMES),
        rtol=0,
        atol=0,
    )
    wanted = {
        "epsilon": noise,
        "v_prediction": theirs.get_velocity(clean, noise, TIMES),
        "sample": clean,
    }[prediction]
    torch.testing.assert_close(
        objective.target(clean, noise, TIMES), wanted, rtol=0, atol=0
    )
    torch.testing.assert_close(
        snr_of(objective).float(), compute_snr(theirs, TIMES), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_prediction_is_compared_with_its_formula(prediction: str) -> None:
    objective = replace(PLAIN, prediction=prediction)
    clean, noise, predicted = normal(0), normal(1), normal(2)
    left = shares(objective)[TIMES][:, None, None, None, None]
    wanted = {
        "epsilon": noise,
        "v_prediction": left.sqrt() * noise - (1 - left).sqrt() * clean,
        "sample": clean,
    }[prediction]
    loss = objective.loss(predicted, clean, noise, TIMES)
    torch.testing.assert_close(loss, ((predicted - wanted) ** 2).mean())
    noisy = objective.add_noise(clean, noise, TIMES)
    torch.testing.assert_close(noisy, left.sqrt() * clean + (1 - left).sqrt() * noise)


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_weights_are_as_their_papers_say(prediction: str, gamma: float) -> None:
    objective = replace(
        PLAIN, prediction=prediction, snr_weights="min-snr", snr_gamma=gamma
    )
    snr = snr_of(objective)
    least = torch.minimum(snr, torch.tensor(gamma))
    wanted = {"epsilon": least / snr, "v_prediction": least / (snr + 1), "sample": least}
    torch.testing.assert_close(
        objective.weights(TIMES).double(), wanted[prediction], rtol=1e-5, atol=0
    )
    floored = replace(objective, snr_floor=0.5).weights(TIMES).double()
    ratio = torch.maximum(least, torch.tensor(0.5)) / least
    torch.testing.assert_close(floored, wanted[prediction] * ratio, rtol=1e-5, atol=0)
    assert not torch.equal(floored[-1], objective.weights(TIMES).double()[-1])

    authors = replace(objective, snr_weights="authors").weights(TIMES).double()
    right = torch.minimum(snr + 1, torch.tensor(gamma)) / (snr + 1)
    torch.testing.assert_close(authors, right, rtol=1e-5, atol=0)

    # And the loss is their mean with each clip's error.
    clean, noise, predicted = normal(0), normal(1), normal(2)
    target = objective.target(clean, noise, TIMES)
    errors = ((predicted - target) ** 2).mean(dim=(1, 2, 3, 4))
    right = (errors * objective.weights(TIMES)).mean()
    torch.testing.assert_close(objective.loss(predicted, clean, noise, TIMES), right)


def test_pure_noise_counts_only_with_a_floor() -> None:
    last = torch.tensor([TIMESTEPS - 1])
    objective = Objective("sample", snr_weights="min-snr")
    assert objective.weights(last).item() == 0
    assert replace(objective, snr_floor=1.0).weights(last).item() == 1


def test_emphasis_weighs_positions() -> None:
    clean, noise, predicted = normal(0), normal(1), normal(2)
    emphasis = 1 + torch.rand(3, 1, 2, 5, 6, generator=torch.Generator().manual_seed(3))
    loss = PLAIN.loss(predicted, clean, noise, TIMES, emphasis)
    torch.testing.assert_close(loss, (emphasis * (predicted - noise) ** 2).mean())


def test_a_timestep_power_draws_more_of_the_noisy_ones() -> None:
    shape = torch.Size([20_000, 1, 1, 1, 1])
    for power in (0.4, 1.0, 2.0):
        objective = replace(PLAIN, timestep_power=power)
        drawn, noise = objective.draw(shape, torch.Generator().manual_seed(0))
        assert drawn.dtype == torch.int64
        assert noise.shape == shape
        assert 0 <= drawn.min() <= drawn.max() < TIMESTEPS
        # The mean of u^p is 1 / (1 + p); that of 20,000 has a deviation of 2.1 at most.
        assert drawn.double().mean().item() == pytest.approx(1000 / (1 + power), abs=10)
        # P(u^p < 1/4) is (1/4)^(1/p).
        first = (drawn < 250).double().mean().item()
        assert first == pytest.approx(0.25 ** (1 / power), abs=0.015)


def test_noise_may_be_offset_and_shared() -> None:
    shape = torch.Size([2, 3, 5, 40, 40])

    def noise(**switches: float) -> Tensor:
        rng = torch.Generator().manual_seed(7)
        return replace(PLAIN, **switches).noise(shape, rng)

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
