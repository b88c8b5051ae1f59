"""Noise schedule, prediction target and loss of diffusion, on diffusers' scheduler.

Sources: Ho et al., arXiv:2006.11239 (noise); Salimans and Ho, arXiv:2202.00512 (velocity);
Lin et al., arXiv:2305.08891 (zero terminal SNR); Hang et al., arXiv:2303.09556 (min-SNR
weights); Ge et al., arXiv:2305.10474 (noise that frames share).

Shapes: b samples, c channels, f frames, h by w latent positions.
"""

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor

from animcli.errors import ProjectError
from animcli.rendering.schedulers import NoiseSchedule
from animcli.settings import setting

if TYPE_CHECKING:  # its import takes seconds
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

TIMESTEPS: Final = 1000
"""Of every published network."""


@dataclass(frozen=True)
class Objective:
    """A noise schedule and its loss; the defaults are Animate Anyone's."""

    prediction: Literal["epsilon", "v_prediction", "sample"] = setting(
        "v_prediction", "Target of the network: the noise, the velocity, or clean latents."
    )
    beta_schedule: Literal["linear", "scaled_linear"] = setting(
        "scaled_linear", "Growth of the betas, or of their roots, even from step to step."
    )
    beta_start: float = setting(0.00085, "The first beta.", low=1e-8, high=0.5)
    beta_end: float = setting(0.012, "The last beta.", low=1e-8, high=0.5)
    zero_snr: bool = setting(True, "Rescale the schedule to zero SNR at the last timestep.")
    timestep_power: float = setting(
        1.0,
        "Timesteps are 1000 u^power, u uniform: below 1 most are near pure noise.",
        low=0.05,
        high=10,
    )
    _: KW_ONLY
    snr_weights: Literal["none", "min-snr", "authors"] = setting(
        "authors",
        "Weight of a timestep by its SNR S: all alike; min-SNR by the prediction; or "
        "min(S + 1, gamma) / (S + 1), as in Animate Anyone's code.",
    )
    snr_gamma: float = setting(5.0, "SNR from which on the weight stays the same.", low=1)
    snr_floor: float = setting(
        0.0, "Least SNR that min-SNR weights count with, so that pure noise counts.", low=0
    )
    noise_offset: float = setting(
        0.05, "Deviation of a constant added to the noise of each channel.", low=0
    )
    shared_noise: float = setting(
        0.0, "Share of the noise's variance that the frames of a clip share.", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Refuse what can't be learnt.

        Raises ProjectError for epsilon at zero SNR: where there is nothing but noise, the
        input is the target, and the network would learn nothing about where to begin.
        """
        if self.zero_snr and self.prediction == "epsilon":
            raise ProjectError(
                "zero_snr doesn't go with prediction = 'epsilon'",
                "predict v_prediction or sample, or set zero_snr = false",
            )

    @property
    def schedule(self) -> NoiseSchedule:
        """The same noise schedule for sampling; the authors' timestep spacing."""
        return NoiseSchedule(
            self.beta_schedule,
            self.prediction,
            self.zero_snr,
            "trailing" if self.zero_snr else "leading",
            beta_start=self.beta_start,
            beta_end=self.beta_end,
        )

    @cached_property
    def scheduler(self) -> "DDPMScheduler":
        """diffusers' DDPMScheduler with this noise schedule."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        return DDPMScheduler(
            TIMESTEPS,
            beta_start=self.beta_start,
            beta_end=self.beta_end,
            beta_schedule=self.beta_schedule,
            prediction_type=self.prediction,
            rescale_betas_zero_snr=self.zero_snr,
            clip_sample=False,
        )

    def noise(self, shape: torch.Size, rng: torch.Generator) -> Tensor:
        """Noise for latents of `shape` (b, c, f, h, w), float32, on the CPU."""
        b, c, _, h, w = shape
        noise = torch.randn(shape, generator=rng)
        if self.shared_noise:
            common = torch.randn(b, c, 1, h, w, generator=rng)
            own = (1 - self.shared_noise) ** 0.5
            noise = own * noise + self.shared_noise**0.5 * common
        if self.noise_offset:
            level = torch.randn(b, c, 1, 1, 1, generator=rng)
            noise = noise + self.noise_offset * level
        return noise

    def draw(self, shape: torch.Size, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Timesteps (b,) and noise for latents of `shape`."""
        if self.timestep_power == 1:
            timesteps = torch.randint(0, TIMESTEPS, shape[:1], generator=rng)
        else:
            u = torch.rand(shape[:1], generator=rng)
            timesteps = (TIMESTEPS * u**self.timestep_power).long().clamp(max=TIMESTEPS - 1)
        return timesteps, self.noise(shape, rng)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents (b, c, f, h, w) at `timesteps` (b,)."""
        return self.scheduler.add_noise(latents, noise, timesteps)  # type: ignore[arg-type]

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Target of the network, (b, c, f, h, w)."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "sample":
            return latents
        return self.scheduler.get_velocity(latents, noise, timesteps)  # type: ignore[arg-type]

    def weights(self, timesteps: Tensor) -> Tensor:
        """Weight of the error at each of `timesteps` (b,), (b,)."""
        from diffusers.training_utils import compute_snr

        snr = compute_snr(self.scheduler, timesteps)
        if self.snr_weights == "none":
            return torch.ones_like(snr)
        if self.snr_weights == "authors":
            return (snr + 1).clamp_max(self.snr_gamma) / (snr + 1)
        least = snr.clamp(self.snr_floor, self.snr_gamma)
        if self.prediction == "sample":
            return least
        return least / (snr + 1 if self.prediction == "v_prediction" else snr)

    def loss(
        self,
        prediction: Tensor,
        latents: Tensor,
        noise: Tensor,
        timesteps: Tensor,
        emphasis: Tensor | None = None,
    ) -> Tensor:
        """Weighted mean squared error of a prediction (b, c, f, h, w), a scalar.

        emphasis: (b, 1, f, h, w), weight of each position, of mean 1 or not.
        """
        error = (prediction.float() - self.target(latents, noise, timesteps)).square()
        if emphasis is not None:
            error = error * emphasis
        return (error.flatten(1).mean(dim=1) * self.weights(timesteps).to(error)).mean()
