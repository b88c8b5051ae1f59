"""From clean latents back to noise that a sampler would have started from.

Source: Song et al., "Denoising Diffusion Implicit Models", arXiv:2010.02502, section 4.3.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from animcli.rendering.sampling import Arrays, Schedule, make_scheduler


def noisier(latents: Tensor, noise: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The latents one step of the sampler earlier, given the noise predicted in them.

    before, after: how much of the variance is signal now and then (alphas_cumprod).
    """
    clean = (latents - (1 - before).sqrt() * noise) / before.sqrt()
    return after.sqrt() * clean + (1 - after).sqrt() * noise


class Inversion:
    """DDIM run backwards, at the same places of the loop as a `Solver`.

    Steps go up in noise, and each is predicted at the noise that it leads to, from latents
    that have less; over many small steps that makes no difference.
    """

    start = 1.0

    def __init__(self, schedule: Schedule, steps: int) -> None:
        scheduler = make_scheduler("ddim", schedule)
        scheduler.set_timesteps(steps)
        self.timesteps: Tensor = scheduler.timesteps.flip(0)
        self._signal: Tensor = scheduler.alphas_cumprod
        self._clean: Tensor = scheduler.final_alpha_cumprod
        self._stride = len(self._signal) // steps

    def scale(self, latents: Tensor, step: int) -> Tensor:
        """`latents`, which are as the network wants to see them."""
        return latents

    def step(self, prediction: Tensor, step: int, latents: Tensor) -> Tensor:
        """The latents (frames, c, h, w) after one step, with more noise."""
        after = int(self.timesteps[step])
        before = after - self._stride
        signal = self._signal[before] if before >= 0 else self._clean
        return noisier(latents, prediction, signal, self._signal[after])

    def memory(self) -> dict[str, NDArray[np.generic]]:
        """Nothing is remembered between steps."""
        return {}

    def recall(self, arrays: Arrays, step: int) -> None:
        """Go on at `step`, which needs nothing from before it."""
