"""Stage 1: single frames. Denoising network, reference network and guider learn together.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.3, for the small model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from animcli.networks.limbs import limb_code
from animcli.networks.mini import MiniModel, make_clue
from animcli.training.shards import Batch


@dataclass(frozen=True)
class Recipe:
    """How noise and conditions are chosen.

    late: the exponent of the time step, 1000 u^late: below 1 most steps are near pure
        noise, where pose and appearance are decided.
    no_clue: share of clips that learn without the clue, so that reference attention has to
        find the appearance. no_reference: share that learn without a reference, for
        guidance.
    jitter: how far joints are moved, as a share of the picture, since found joints are off.
    snr_limit: clamp of the loss weight, from 1 to this.
    """

    late: float = 0.5
    no_clue: float = 0.35
    no_reference: float = 0.05
    jitter: float = 0.004
    snr_limit: float = 5.0


def clean_shares(steps: int = 1000) -> Tensor:
    """How much of the clean latent is left at each time step (alphas_cumprod), `(steps,)`.

    Scaled-linear betas, rescaled so that nothing is left at the last step: Lin et al.,
    "Common Diffusion Noise Schedules and Sample Steps Are Flawed", arXiv:2305.08891.
    """
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64) ** 2
    roots = (1 - betas).cumprod(0).sqrt()
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return roots.square().float()


def single_frame_loss(
    model: MiniModel, batch: Batch, recipe: Recipe, shares: Tensor, random: torch.Generator
) -> Tensor:
    """The weighted error of the clean latents that the model sees in noisy ones.

    Each reference serves all targets of its clip as if they were frames of a sample, but
    with a time step of its own per clip.
    """
    clips, frames, _, height, width = batch.targets.shape
    chance = torch.rand(3, clips, generator=random)
    timestep = (len(shares) * chance[0] ** recipe.late).long().clamp_max(len(shares) - 1)
    share = shares[timestep][:, None, None, None, None]
    noise = torch.randn(batch.targets.shape, generator=random)
    noisy = share.sqrt() * batch.targets + (1 - share).sqrt() * noise

    shaken = batch.joints + recipe.jitter * torch.randn(
        batch.joints.shape, generator=random
    )
    code = limb_code(
        shaken.flatten(0, 1), batch.seen.flatten(0, 1), (2 * height, 2 * width)
    ).unflatten(0, (clips, frames + 1))
    told = (chance[1] >= recipe.no_clue)[:, None, None, None]
    moved = batch.moved * told[:, None]
    clue = told.repeat_interleave(frames, 0) * make_clue(
        moved.flatten(0, 1),
        batch.reference.repeat_interleave(frames, 0),
        code[:, 0].repeat_interleave(frames, 0),
    )
    clue = clue.unflatten(0, (clips, frames))
    features = model.look(batch.reference, code[:, 0])
    known = chance[2] >= recipe.no_reference
    # Clips without a reference come first: features serve the last samples of a batch.
    order = torch.argsort(known.long(), stable=True)
    shown = order[known[order]]
    features = {path: rows[shown] for path, rows in features.items()} if len(shown) else {}
    pose = model.guider(code[order, 1:].flatten(0, 1), clue[order].flatten(0, 1))
    frames_second = (0, 2, 1, 3, 4)
    clean = model(
        noisy[order].permute(frames_second),
        timestep[order],
        features,
        pose.unflatten(0, (clips, frames)).permute(frames_second),
        moved[order].permute(frames_second),
    ).permute(frames_second)
    error = (clean.float() - batch.targets[order]).square() * batch.weights[order]
    snr = (shares / (1 - shares))[timestep[order]].clamp(1, recipe.snr_limit)
    return (error.mean(dim=(1, 2, 3, 4)) * snr).mean()
