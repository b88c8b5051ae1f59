"""How latents are made noisy, what of it a network tells, and what counts how much.

Sources: Ho et al., arXiv:2006.11239 (noise); Salimans and Ho, arXiv:2202.00512 (velocity);
Lin et al., arXiv:2305.08891 (nothing but noise at the last step); Hang et al.,
arXiv:2303.09556 (min-SNR weights); Ge et al., arXiv:2305.10474 (noise that frames share).

Shapes: b samples, c channels, f frames, h by w latent positions.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import torch
from torch import Tensor

from animcli.errors import ProjectError
from animcli.settings import key

STEPS: Final = 1000
"""Time steps of every published network."""


@dataclass(frozen=True)
class Diffusion:
    """A noise schedule and its loss; the defaults are Animate Anyone's."""

    prediction: Literal["epsilon", "v", "x0"] = key(
        "v", "What the network tells: the noise, the velocity, or what is clean."
    )
    betas: Literal["linear", "scaled_linear"] = key(
        "scaled_linear", "How noise grows from step to step: betas, or their roots, evenly."
    )
    beta_start: float = key(0.00085, "The first beta.", low=1e-8, high=0.5)
    beta_end: float = key(0.012, "The last beta.", low=1e-8, high=0.5)
    zero_snr: bool = key(True, "Whether the last step is rescaled to nothing but noise.")
    snr_weights: Literal["none", "min-snr", "authors"] = key(
        "authors",
        "How much a step counts, by its ratio S of signal to noise: all alike; as in the "
        "paper on min-SNR, by what is predicted; or min(S + 1, gamma) / (S + 1), as in "
        "Animate Anyone's code.",
    )
    snr_gamma: float = key(5.0, "The ratio from which on steps count no more.", low=1)
    noise_offset: float = key(
        0.05, "Deviation of a constant added to the noise of each channel.", low=0
    )
    shared_noise: float = key(
        0.0, "Share of the noise's variance that the frames of a clip share.", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Refuse what can't be learnt.

        Raises ProjectError: where there is nothing but noise, what is given is what is
        asked for, and the network would learn nothing about where to begin.
        """
        if self.zero_snr and self.prediction == "epsilon":
            raise ProjectError(
                "zero_snr doesn't go with prediction = 'epsilon'",
                "predict v or x0, or set zero_snr = false",
            )

    @cached_property
    def shares(self) -> Tensor:
        """How much of the variance is signal at each step (alphas_cumprod), (STEPS,)."""
        start, end = self.beta_start, self.beta_end
        if self.betas == "linear":
            betas = torch.linspace(start, end, STEPS, dtype=torch.float64)
        else:
            roots = torch.linspace(start**0.5, end**0.5, STEPS, dtype=torch.float64)
            betas = roots.square()
        roots = (1 - betas).cumprod(0).sqrt()
        if self.zero_snr:
            roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
        return roots.square().float()

    def noise(self, shape: torch.Size, random: torch.Generator) -> Tensor:
        """Noise for latents of `shape` (b, c, f, h, w), float32, on the processor."""
        b, c, _, h, w = shape
        noise = torch.randn(shape, generator=random)
        if self.shared_noise:
            common = torch.randn(b, c, 1, h, w, generator=random)
            own = (1 - self.shared_noise) ** 0.5
            noise = own * noise + self.shared_noise**0.5 * common
        if self.noise_offset:
            level = torch.randn(b, c, 1, 1, 1, generator=random)
            noise = noise + self.noise_offset * level
        return noise

    def draw(self, shape: torch.Size, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Time steps (b,), all as likely, and noise for latents of `shape`."""
        timesteps = torch.randint(0, STEPS, shape[:1], generator=random)
        return timesteps, self.noise(shape, random)

    def mix(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """`latents` (b, c, f, h, w) with their noise; timesteps: (b,)."""
        signal, rest = self._roots(timesteps, latents)
        return signal * latents + rest * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should tell, (b, c, f, h, w)."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "x0":
            return latents
        signal, rest = self._roots(timesteps, latents)
        return signal * noise - rest * latents

    def clean(self, prediction: Tensor, noisy: Tensor, timestep: int) -> Tensor:
        """The clean latents that a prediction of this shape means."""
        if self.prediction == "x0":
            return prediction
        share = self.shares[timestep]
        signal, rest = share.sqrt(), (1 - share).sqrt()
        if self.prediction == "epsilon":
            return (noisy - rest * prediction) / signal
        return signal * noisy - rest * prediction

    def weights(self, timesteps: Tensor) -> Tensor:
        """How much the error at each of `timesteps` (b,) counts, (b,)."""
        share = self.shares[timesteps.cpu()]
        ratio = share / (1 - share)
        if self.snr_weights == "none":
            return torch.ones_like(ratio)
        if self.snr_weights == "authors":
            return (ratio + 1).clamp_max(self.snr_gamma) / (ratio + 1)
        least = ratio.clamp_max(self.snr_gamma)
        if self.prediction == "x0":
            return least
        return least / (ratio + 1 if self.prediction == "v" else ratio)

    def loss(
        self, prediction: Tensor, latents: Tensor, noise: Tensor, timesteps: Tensor
    ) -> Tensor:
        """The weighted mean squared error of a prediction (b, c, f, h, w), a scalar."""
        target = self.target(latents, noise, timesteps)
        errors = (prediction.float() - target).square().flatten(1).mean(dim=1)
        return (errors * self.weights(timesteps).to(errors)).mean()

    def _roots(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Of the shares of signal and of noise at `timesteps` (b,), (b, 1, 1, 1, 1)."""
        share = self.shares[timesteps.cpu()].to(like.device)[:, None, None, None, None]
        return share.sqrt(), (1 - share).sqrt()
