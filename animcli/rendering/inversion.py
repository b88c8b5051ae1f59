"""From clean latents back to noise that a sampler would have started from.

Source: Song et al., "Denoising Diffusion Implicit Models", arXiv:2010.02502, section 4.3.
"""

from torch import Tensor


def noisier(latents: Tensor, noise: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The latents one step of the sampler earlier, given the noise predicted in them.

    before, after: how much of the variance is signal now and then (alphas_cumprod).
    """
    clean = (latents - (1 - before).sqrt() * noise) / before.sqrt()
    return after.sqrt() * clean + (1 - after).sqrt() * noise
