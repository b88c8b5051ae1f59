"""Stage 2 of the small model: clips. Its motion modules learn, and nothing else.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from animcli.errors import ProjectError
from animcli.keys import key
from animcli.networks.autoencoder import Autoencoder
from animcli.networks.mini import MiniConfig, MiniModel, clean_shares
from animcli.training.loop import Judgement, follower
from animcli.training.shards import ShardFolder
from animcli.training.single_frames import Recipe, denoising_loss
from animcli.training.validation import Cases, Figures, measure, measure_motion, paint

STEPS = (1, 2, 4)  # of validation


@dataclass(frozen=True)
class ClipData:
    """What is prepared of each clip."""

    frames: int = key(
        24,
        "Frames on end of a clip beside its reference.",
        low=2,
        high=MiniConfig.positions,
    )
    validation: int = key(4, "Clips that are kept for validation.", low=1)


def with_motion(frames: Mapping[str, Tensor], config: MiniConfig) -> MiniModel:
    """The model whose spatial part is that of single `frames`; only the rest learns."""
    model = MiniModel(config)
    fresh = {name: x for name, x in model.state_dict().items() if "motion_modules" in name}
    model.load_state_dict({**fresh, **frames})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("motion_modules" in name)
    return model


@dataclass(eq=False)
class Clips:
    """The small model learns from clips.

    network: as `with_motion` gave it.
    cases: frames on end, `frames` for each of a few clips.

    Raises ProjectError where an update wants longer clips than there are.
    """

    network: MiniModel
    autoencoder: Autoencoder
    folder: ShardFolder
    recipe: Recipe
    cases: Cases
    frames: int
    seed: int
    average: MiniModel = field(init=False)
    samples: int = field(init=False)
    _shares: Tensor = field(default_factory=clean_shares, init=False)

    def __post_init__(self) -> None:
        if self.recipe.targets > self.frames:
            raise ProjectError(
                f"targets = {self.recipe.targets} is more than frames = {self.frames}",
                "an update can't see more of a clip than is prepared",
            )
        self.average = follower(self.network)
        self.samples = self.recipe.clips * self.recipe.targets

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        """Of as many frames on end of each of a few clips."""
        shards = self.folder.wait(step)
        chance = np.random.default_rng([self.seed, step])
        clips = chance.choice(len(shards), self.recipe.clips, replace=False)
        last = shards.targets - self.recipe.targets
        starts = chance.integers(0, last + 1, len(clips)).tolist()
        targets = [range(start, start + self.recipe.targets) for start in starts]
        batch = shards.batch(clips.tolist(), targets)
        if step < self.recipe.small_until:
            batch = batch.halved()
        return denoising_loss(self.network, batch, self.recipe, self._shares, random)

    def judge(self) -> Judgement:
        """As single frames, and by what changes from frame to frame."""
        figures: Figures = {}
        rows = [self.cases.references, self.cases.targets]
        for steps in STEPS:
            made = paint(
                self.average,
                self.autoencoder,
                self.cases,
                self._shares,
                steps,
                frames=self.frames,
                shared=self.recipe.shared_noise,
            )
            found = measure(made, self.cases)
            found |= measure_motion(made, self.cases, self.frames)
            figures |= {f"{name}_{steps}": value for name, value in found.items()}
            rows.append(made)
        return Judgement(figures, tuple(rows))
