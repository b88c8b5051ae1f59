"""Stage 1 of the small model: single frames. All its parts learn together.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.3, for the small model.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from animcli.keys import key
from animcli.networks.autoencoder import Autoencoder, fold
from animcli.networks.background import background
from animcli.networks.limbs import heads, limb_code
from animcli.networks.mini import MiniModel, clean_shares, make_clue
from animcli.networks.warp import PARTS, move_parts
from animcli.training.loop import Judgement, follower
from animcli.training.shards import Batch, ShardFolder, showing_new_faces
from animcli.training.validation import LOOKS, Cases, guesses, measure, paint

_NEGLIGIBLE = 2e-3
"""A mean squared error of latents below which there is nothing to be learnt: 33 dB."""


@dataclass(frozen=True)
class Recipe:
    """How noise and conditions are chosen."""

    clips: int = key(6, "References of an update.", low=1)
    targets: int = key(3, "Frames for each of them.", low=1)
    late: float = key(
        0.2,
        "The time step is 1000 u^late: below 1 most are near pure noise, where pose and "
        "appearance are decided.",
        low=0.01,
    )
    no_clue: float = key(
        0.1,
        "Share of clips without the clue, so that reference attention has to find the "
        "appearance.",
        low=0,
        high=1,
    )
    hidden_parts: float = key(
        0.25,
        "Chance of each part to be missing in the clue of every second clip, so that "
        "reference attention has to find its appearance.",
        low=0,
        high=1,
    )
    no_reference: float = key(
        0.05, "Share of clips without a reference, for guidance.", low=0, high=1
    )
    silhouette: float = key(
        2.0,
        "Weight of the silhouette's error: how much of each place is the figure's.",
        low=0,
    )
    jitter: float = key(
        0.004, "How far joints are moved, in pictures: found ones are off.", low=0
    )
    lost: float = key(
        0.0,
        "Chance of each joint of a target to be lost by its finder.",
        low=0,
        high=1,
    )
    new_faces: float = key(
        0.3,
        "Share of clips from those whose reference shows the back of a head and whose "
        "targets show its face: rare, and a face has to be invented.",
        low=0,
        high=1,
    )
    new_face: float = key(5.0, "Added to the loss weight of such targets.", low=0)
    small_until: int = key(
        0, "Updates that see pictures at half the size, in a quarter of the time.", low=0
    )
    head: float = key(
        3.0, "Added to the loss weight of heads, where a few pixels say who it is.", low=0
    )
    shared_noise: float = key(
        0.0, "Share of the noise's variance that the frames of a clip share.", low=0, high=1
    )


def denoising_loss(
    model: MiniModel, batch: Batch, recipe: Recipe, shares: Tensor, random: torch.Generator
) -> Tensor:
    """The error of the clean latents that the model sees in noisy ones.

    Each reference serves all targets of its clip as if they were frames of a sample, and
    a clip has one time step. A model without motion modules sees each by itself.
    """
    targets, reference = fold(batch.targets), fold(batch.reference)
    clips, frames, _, height, width = targets.shape
    chance = torch.rand(3, clips, generator=random)
    timestep = (len(shares) * chance[0] ** recipe.late).long().clamp_max(len(shares) - 1)
    share = shares[timestep][:, None, None, None, None]
    noise = torch.randn(targets.shape, generator=random)
    if recipe.shared_noise:
        common = torch.randn(targets[:, :1].shape, generator=random)
        own = (1 - recipe.shared_noise) ** 0.5
        noise = own * noise + recipe.shared_noise**0.5 * common
    noisy = share.sqrt() * targets + (1 - share).sqrt() * noise

    shaken = batch.joints + recipe.jitter * torch.randn(
        batch.joints.shape, generator=random
    )
    seen = batch.seen.clone()
    seen[:, 1:] &= torch.rand(seen[:, 1:].shape, generator=random) >= recipe.lost
    code = limb_code(shaken.flatten(0, 1), seen.flatten(0, 1), (height, width)).unflatten(
        0, (clips, frames + 1)
    )

    def repeated(rows: Tensor) -> Tensor:
        return rows.repeat_interleave(frames, 0)

    chances = torch.rand(clips, 1 + PARTS, generator=random)
    hidden = (chances[:, 1:] < recipe.hidden_parts) & (chances[:, :1] < 0.5)
    look = model.look(reference, code[:, 0])
    # Its error says how the figure is to be told; what is made of it doesn't.
    figure = look.figure.detach()
    guess = move_parts(
        repeated(batch.reference),
        (repeated(shaken[:, 0]), repeated(seen[:, 0])),
        (shaken[:, 1:].flatten(0, 1), seen[:, 1:].flatten(0, 1)),
        repeated(hidden),
        repeated(figure),
        repeated(background(batch.reference, figure)),
    )
    told = (chance[1] >= recipe.no_clue)[:, None, None, None]
    clue = repeated(told) * make_clue(guess, repeated(reference), repeated(code[:, 0]))
    clue = clue.unflatten(0, (clips, frames))
    known = chance[2] >= recipe.no_reference
    # Clips without a reference come first: features serve the last samples of a batch.
    order = torch.argsort(known.long(), stable=True)
    shown = order[known[order]]
    features = (
        {path: rows[shown] for path, rows in look.features.items()} if len(shown) else {}
    )
    pose = model.guider(code[order, 1:].flatten(0, 1), clue[order].flatten(0, 1))
    frames_second = (0, 2, 1, 3, 4)
    clean, taken = model(
        noisy[order].permute(frames_second),
        timestep[order],
        model.unet.see(None, features),
        pose.unflatten(0, (clips, frames)).permute(frames_second),
        guess.rows((order[:, None] * frames + torch.arange(frames)).flatten()),
        told.flatten()[order],
        sure=False,
    )
    clean = clean.permute(frames_second)
    filled = F.interpolate(batch.weights.flatten(0, 1), (height, width))
    faces = heads(
        batch.joints[:, 1:].flatten(0, 1), batch.seen[:, 1:].flatten(0, 1), (height, width)
    )
    weights = (filled + recipe.head * faces).unflatten(0, (clips, frames))
    shape_error = cross_entropy(
        F.avg_pool2d(taken, 4).unflatten(0, (clips, frames)), batch.weights[order] - 1
    )
    error = (clean.float() - targets[order]).square() * weights[order]
    # Its logarithm is what PSNR measures: a clip that is nearly right, a low noise level or
    # a clue count as much as a striped shirt seen from behind.
    each = (error.mean(dim=(2, 3, 4)) + _NEGLIGIBLE).log()
    invented = showing_new_faces(batch.joints, batch.seen)[order]
    loss = (each * (1 + recipe.new_face * invented)).mean()
    taken_error = (told[order, None] * shape_error).mean()
    return loss + recipe.silhouette * (
        taken_error + cross_entropy(look.figure, batch.figure).mean()
    )


def cross_entropy(shares: Tensor, true: Tensor) -> Tensor:
    """Of shares in 0..1 against true ones, each by itself."""
    sure = shares.float().clamp(1e-3, 1 - 1e-3)
    return -(true * sure.log() + (1 - true) * (1 - sure).log())


@dataclass(eq=False)
class SingleFrames:
    """The small model learns from single frames."""

    network: MiniModel
    autoencoder: Autoencoder
    folder: ShardFolder
    recipe: Recipe
    cases: Cases
    seed: int
    average: MiniModel = field(init=False)
    samples: int = field(init=False)
    _shares: Tensor = field(default_factory=clean_shares, init=False)

    def __post_init__(self) -> None:
        self.average = follower(self.network)
        self.samples = self.recipe.clips * self.recipe.targets

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        """Of a batch of the clips that are there; waits for those that must be."""
        shards = self.folder.wait(step)
        chance = np.random.default_rng([self.seed, step])
        clips = chance.choice(len(shards), self.recipe.clips, replace=False)
        chosen = min(round(self.recipe.new_faces * len(clips)), len(shards.faces_to_invent))
        clips[:chosen] = chance.choice(shards.faces_to_invent, chosen, replace=False)
        targets = [
            sorted(chance.choice(shards.targets, self.recipe.targets, replace=False))
            for _ in clips
        ]
        batch = shards.batch(clips.tolist(), targets)
        if step < self.recipe.small_until:
            batch = batch.halved()
        return denoising_loss(self.network, batch, self.recipe, self._shares, random)

    def judge(self) -> Judgement:
        """With different numbers of steps, and with something wrong or left out."""
        figures: dict[str, float] = {}
        cases = self.cases
        rows = [cases.references, cases.targets, guesses(cases, self.autoencoder)]
        for steps in (1, 2, 4, 8):
            made = paint(self.average, self.autoencoder, cases, self._shares, steps)
            found = measure(made, cases)
            figures |= {f"{name}_{steps}": value for name, value in found.items()}
            if steps in (1, 4):
                rows.append(made)
        for look, shown in LOOKS.items():
            if look:
                made = paint(self.average, self.autoencoder, cases, self._shares, 2, shown)
                found = measure(made, cases)
                figures |= {f"{look}{name}": value for name, value in found.items()}
                if look == "no_clue_":
                    rows.append(made)
        return Judgement(figures, tuple(rows))
