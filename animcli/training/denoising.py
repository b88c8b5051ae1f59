"""Training task of every diffusion system: predict what makes noisy latents clean.

Shapes: b samples, f frames, c channels, h by w latent positions.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from animcli.errors import ProjectError
from animcli.rendering.schedulers import Scheduler
from animcli.settings import setting
from animcli.training.objective import Objective
from animcli.training.samples import (
    SampleDataset,
    SampleSchedule,
    SampleStore,
    Shares,
    Tensors,
)
from animcli.training.systems import SystemAdapter
from animcli.training.trainer import Evaluation
from animcli.video.ssim import ssim

PROBES: Final = (100, 300, 500, 700, 900)
"""Timesteps at which evaluation measures the loss."""


@dataclass(frozen=True)
class DenoisingRecipe:
    """Batches of a stage, and its evaluation."""

    batch: int = setting(1, "Samples of an update.", low=1)
    frames: int = setting(
        24, "Frames of a sample, consecutive; 1 in stage 1.", low=1, high=32
    )
    dropped: float = setting(
        0.1,
        "Share of samples without what guidance strengthens: reference, or Cinemo's text.",
        low=0,
        high=1,
    )
    checkpointing: bool = setting(
        False, "Recompute layers in the backward pass instead of keeping them."
    )
    evaluated: int = setting(3, "Samples of an evaluation.", low=1)
    steps: int = setting(10, "DDIM steps of an evaluation.", low=1, high=1000)


@dataclass(eq=False)
class DenoisingTask:
    """One stage of one system.

    decode: latents of pictures (n, c, h, w) -> pictures (n, 3, 8 h, 8 w) in -1..1.
    clips, pictures, validation: samples of videos, of single pictures, and kept apart.
    """

    model: nn.Module
    system: SystemAdapter
    clips: SampleStore
    pictures: SampleStore
    validation: SampleStore
    recipe: DenoisingRecipe
    _: KW_ONLY
    shares: Shares
    sample_schedule: SampleSchedule
    objective: Objective
    decode: Callable[[Tensor], Tensor]
    seed: int

    def __post_init__(self) -> None:
        """Raises ProjectError for a share of pictures where there is none."""
        share = self.shares.single_pictures
        if share and not self.pictures.count:
            raise ProjectError(
                f"single_pictures = {share}, and the data holds no picture",
                "put pictures beside the videos, or set single_pictures = 0",
            )

    @property
    def samples(self) -> int:
        """Pictures of an update."""
        return self.recipe.batch * self.recipe.frames

    @property
    def dataset(self) -> Dataset[Tensors]:
        """Batches of samples by their number."""
        return SampleDataset(
            self.clips,
            self.pictures,
            self.shares,
            self.sample_schedule,
            self.recipe.batch,
            self.recipe.frames,
            seed=self.seed,
        )

    def loss(self, batch: Tensors, rng: torch.Generator) -> Tensor:
        """Weighted error of the prediction for noisy latents, a scalar."""
        rows = self._to_device(batch)
        known = torch.rand(len(rows["latents"]), generator=rng) >= self.recipe.dropped
        # What is dropped comes first: a reference belongs to the last samples of a batch.
        order = torch.argsort(known.long(), stable=True)
        rows = {name: each[order.to(each.device)] for name, each in rows.items()}
        made = self.system.batch(self.model, rows, int(known.sum()), self.objective, rng)
        return denoising_loss(
            self.system,
            self.model,
            made,
            self.objective,
            checkpointing=self.recipe.checkpointing,
        )

    def evaluate(self) -> Evaluation:
        """Loss on samples that are kept apart, and pictures sampled for them.

        With a reference also what the one of another sample costs.
        """
        rows = self._to_device(
            self.validation.first(self.recipe.evaluated, self.recipe.frames)
        )
        count, rng = len(rows["latents"]), torch.Generator().manual_seed(1)
        self.model.eval()
        batch = self.system.batch(self.model, rows, count, self.objective, rng)
        losses = [
            float(denoising_loss(self.system, self.model, at(batch, step), self.objective))
            for step in PROBES
        ]
        right = self._middle(batch, batch.latents)
        reference = self.decode(rows["reference"].chunk(2, dim=1)[0]).float().cpu()
        figures = {"loss_validation": sum(losses) / len(losses)}
        made = []
        for steps in sorted({self.recipe.steps, *self._few}):
            made.append(self._middle(batch, self._sample(batch, steps)))
            figures |= picture_metrics(made[-1], right, f"_{steps}")
        if count > 1 and (other := self.system.wrong_reference(batch)) is not None:
            steps = min((self.recipe.steps, *self._few))
            wrong = self._middle(other, self._sample(other, steps))
            figures |= picture_metrics(wrong, right, "_wrong_reference")
        self.model.train()
        return Evaluation(figures, (reference, right, *made))

    @property
    def _few(self) -> tuple[int, ...]:
        """One step says the mean, where the network can begin with nothing but noise."""
        return (1,) if self.objective.zero_snr else ()

    def _sample(self, batch: Any, steps: int) -> Tensor:
        """Latents (b, c, f, h, w) from pure noise, by DDIM."""
        scheduler = Scheduler("ddim", self.objective.schedule, steps)
        noisy = batch.noise.cpu().float()
        for step, timestep in enumerate(scheduler.timesteps):
            predicted = self.system.predict(
                self.model,
                at(batch, int(timestep)),
                scheduler.scale_model_input(noisy, step).to(batch.noise.device),
                checkpointing=False,
            )
            noisy = scheduler.step(predicted.float().cpu(), step, noisy)
        return noisy.to(batch.noise.device)

    def _middle(self, batch: Any, latents: Tensor) -> Tensor:
        """Pictures (b, 3, 8 h, 8 w) in -1..1 of the middle frames."""
        clip = self.system.clip(batch, latents)
        return self.decode(clip[:, :, clip.shape[2] // 2]).float().cpu().clamp(-1, 1)

    def _to_device(self, rows: Tensors) -> Tensors:
        device = next(self.model.parameters()).device
        return {name: each.to(device) for name, each in rows.items()}


def denoising_loss(
    system: SystemAdapter,
    model: nn.Module,
    batch: Any,
    objective: Objective,
    *,
    checkpointing: bool = False,
) -> Tensor:
    """Weighted error of what the model predicts for a batch, a scalar."""
    noisy = objective.add_noise(batch.latents, batch.noise, batch.timesteps)
    recompute = checkpointing and torch.is_grad_enabled()
    predicted = system.predict(model, batch, noisy, checkpointing=recompute)
    return objective.loss(
        predicted,
        batch.latents,
        batch.noise,
        batch.timesteps,
        getattr(batch, "emphasis", None),
    )


def at(batch: Any, timestep: int) -> Any:
    """The batch with another timestep, the same for all."""
    return replace(batch, timesteps=torch.full_like(batch.timesteps, timestep))


def picture_metrics(made: Tensor, right: Tensor, name: str) -> dict[str, float]:
    """PSNR and SSIM of pictures (b, 3, h, w) in -1..1."""
    error = (made - right).square().mean(dim=(1, 2, 3)).clamp_min(1e-10)
    pairs = zip(to_bytes(made), to_bytes(right), strict=True)
    return {
        f"psnr{name}": float((10 * torch.log10(4 / error)).mean()),
        f"ssim{name}": float(np.mean([ssim(*pair) for pair in pairs])),
    }


def to_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (b, 3, h, w) in -1..1 as (b, h, w, 3) uint8."""
    levels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()
