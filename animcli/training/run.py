"""A training run in a folder of its own: samples are prepared, then each stage is trained.

Everything lands in the folder: samples, checkpoints, weights, and for each stage what can
be seen of it. The same command goes on from there. The autoencoder and the encoders of
pictures and words are needed before training; of these only the autoencoder stays, for the
sheets.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from animcli.errors import ProjectError, WeightsError
from animcli.files import atomic_path, write_file
from animcli.rendering.loading import (
    enough_memory,
    free_memory,
    load_autoencoder,
    open_device,
)
from animcli.rendering.vae import VAE_SCALE, scaling_factor, to_signed
from animcli.training.animate_anyone import TINY, AnimateAnyoneAdapter
from animcli.training.autoencoder import CROPS, AutoencoderTask, open_vae, vae_files
from animcli.training.cinemo import CinemoAdapter
from animcli.training.denoising import DenoisingTask
from animcli.training.drawn import TRAINING_SEEDS, VALIDATION_SEEDS, DrawnPeople
from animcli.training.magic_animate import MagicAnimateAdapter
from animcli.training.processes import ALONE, Processes
from animcli.training.samples import (
    Sample,
    SampleCutter,
    SampleStore,
    Tensors,
    TrainingSource,
)
from animcli.training.settings import RunSettings, StageSettings
from animcli.training.systems import StageName, SystemAdapter
from animcli.training.trainer import Curve, Evaluation, Progress, Trainer, TrainingTask

TRAINING_REMEDY: Final = (
    "a smaller size or batch, fewer frames, or checkpointing = true need less"
)

SYSTEMS: Final[Mapping[str, SystemAdapter]] = {
    "tiny": AnimateAnyoneAdapter(TINY),
    "animate-anyone": AnimateAnyoneAdapter(),
    "magic-animate": MagicAnimateAdapter(),
    "cinemo": CinemoAdapter(),
}

Draw = DrawnPeople | SampleCutter
"""Number of a sample -> the sample."""


@dataclass(frozen=True)
class TrainingRun:
    """A folder, and how to train in it.

    sources: videos; the last is kept for validation, where there are others. Without any,
    people are drawn. pictures: single ones, each its own reference.
    entries: name of a weights entry -> its folder.
    show: draws the curve and the rows of an evaluation into a stage's folder.
    """

    folder: Path
    settings: RunSettings
    system: SystemAdapter
    sources: tuple[TrainingSource, ...]
    pictures: tuple[TrainingSource, ...]
    entries: Callable[[str], Path]
    _: KW_ONLY
    progress: Progress
    show: Callable[[Path, Curve, Evaluation], None]
    processes: Processes = ALONE

    def stage(self, name: StageName) -> bool:
        """Train one stage; ends with its weights in the folder, as renderers load them.

        Returns whether it is done; a session may have ended before.

        Raises ProjectError for a stage that the system doesn't have.
        """
        settings = getattr(self.settings, self.settings.tables().get(name, ""), None)
        if settings is None:
            raise ProjectError(
                f"{self.settings.model.name} has no stage {name}",
                f"--stage {' or '.join(self.settings.updates())}",
            )
        kind, processes = self.settings.model.device, self.processes
        device = open_device(f"cuda:{processes.place}" if kind == "cuda" else kind)
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.trainer.seed)  # for what begins anew
        if name == "autoencoder":
            return self._autoencoder(home, device)
        if processes.index == 0:
            self._prepare(name, device)
        processes.wait()
        with enough_memory("training", TRAINING_REMEDY):
            task = self._task(settings, name, device)
            trainer = self._trainer(task, settings, home)
            done = trainer.fit()
        with trainer.averaged() as model:
            self._write(self.system.files(model, name))
        return done

    def _autoencoder(self, home: Path, device: torch.device) -> bool:
        stage = self.settings.autoencoder
        assert stage is not None
        draw, kept = (
            replace(self._samples("1", kept=each), frames=CROPS) for each in (False, True)
        )
        validation = [kept(n).frames[0] for n in range(stage.recipe.evaluated)]
        model = open_vae()
        if stage.recipe.decoder_only:
            model = self._vae(device)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_("decoder" in name or "post_quant" in name)
        task = AutoencoderTask(
            model.to(device),
            draw,
            torch.cat([to_signed(picture) for picture in validation]),
            stage.recipe,
            stage.trainer.seed,
        )
        trainer = self._trainer(task, stage, home)
        done = trainer.fit()
        with trainer.averaged() as model, torch.no_grad():
            deviation = task.evaluate().figures["latent_deviation"]
            self._write(vae_files(model, 1 / deviation))
        return done

    def _trainer(self, task: TrainingTask, stage: Any, home: Path) -> Trainer:
        return Trainer(task, stage.trainer, home, self.progress, self.show, self.processes)

    def _task(
        self, stage: StageSettings, name: StageName, device: torch.device
    ) -> DenoisingTask:
        model = self.system.networks(
            self.entries, self.folder, self.settings.model.start, name
        ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        vae = self._vae(device)
        scale = scaling_factor(vae)

        @torch.no_grad()
        def decode(latents: Tensor) -> Tensor:
            decoded = [vae.decode(each[None] / scale).sample for each in latents]  # type: ignore[operator]
            return torch.cat(decoded)

        clips, pictures, validation = self._stores(name, device, vae)
        return DenoisingTask(
            model,
            self.system,
            clips,
            pictures,
            validation,
            stage.recipe,
            shares=stage.shares,
            sample_schedule=stage.sample_schedule,
            objective=stage.objective,
            decode=decode,
            seed=stage.trainer.seed,
        )

    def _stores(
        self, name: StageName, device: torch.device, vae: nn.Module | None = None
    ) -> tuple[SampleStore, SampleStore, SampleStore]:
        """Samples of videos, of pictures, and for validation.

        vae: for systems whose samples are prepared along the way.
        """
        data = self.settings.data
        make = validation = None
        if vae is not None and self._along_the_way:
            encode = self._encoder(device, vae)
            draw, kept = self._samples(name), self._samples(name, kept=True)
            make = Made(encode, draw)
            validation = Made(encode, kept)
        return (
            SampleStore(self.folder / f"samples-{name}", data.samples, make),
            SampleStore(self.folder / "pictures", len(self.pictures)),
            SampleStore(self.folder / f"validation-{name}", data.validation, validation),
        )

    @property
    def _along_the_way(self) -> bool:
        """Tell if samples are prepared while it trains: where no encoders are needed."""
        return not self.system.entries(self.settings.model.start)

    def _samples(self, name: StageName, *, kept: bool = False) -> Draw:
        """Number of a sample of a stage -> the sample. kept: those for validation."""
        data = self.settings.data
        size = (data.width, data.height)
        apart = name != "2" and self.settings.second is not None
        frames = data.targets if apart else data.frames
        if not self.sources:
            seeds = VALIDATION_SEEDS if kept else TRAINING_SEEDS
            return DrawnPeople(seeds, size, frames, consecutive=not apart)
        every = None if apart else (data.every, max(data.every, data.every_most))
        known = self.sources[:-1] or self.sources
        return SampleCutter(self.sources[-1:] if kept else known, size, frames, every)

    def _prepare(self, name: StageName, device: torch.device) -> None:
        """Encode all samples that aren't there yet and aren't prepared along the way."""
        clips, pictures, validation = self._stores(name, device)
        sample_schedule = getattr(
            self.settings, self.settings.tables()[name]
        ).sample_schedule
        if sample_schedule.first_samples and self._along_the_way:
            clips = SampleStore(
                clips.folder, min(clips.count, sample_schedule.first_samples)
            )
        data = self.settings.data
        work: list[tuple[Path, Draw, int]] = []
        for store, kept in ((clips, False), (validation, True)):
            draw = self._samples(name, kept=kept)
            work += [(store.path(n), draw, n) for n in range(store.count)]
        for number, each in enumerate(self.pictures):
            single = SampleCutter((each,), (data.width, data.height), 1, None)
            work.append((pictures.path(number), single, number))
        lacking = [each for each in work if not each[0].is_file()]
        if not lacking:
            return
        with enough_memory("preparing", "a smaller size needs less"):
            encode = self._encoder(device, self._vae(device))
            for done, (path, draw, number) in enumerate(lacking):
                self.progress("preparing samples", done, len(lacking))
                folder = path.parent
                SampleStore(folder, number + 1, Made(encode, draw)).prepare(number)
        self.progress("preparing samples", len(lacking), len(lacking))
        del encode
        free_memory(device)

    def _vae(self, device: torch.device) -> nn.Module:
        folder = self.system.vae(self.entries, self.folder)
        if not folder.is_dir():
            raise WeightsError(f"{folder} isn't there", "train the stage before it first")
        return load_autoencoder(folder, device, torch.float32)

    def _encoder(self, device: torch.device, vae: nn.Module) -> "SampleEncoder":
        return SampleEncoder(vae, self.system.embeddings(self.entries, device))

    def _write(self, files: Mapping[str, Any]) -> None:
        """Write weights and configurations, each whole or not at all; the first process."""
        if self.processes.index == 0:
            for name, content in files.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == ".json":
                    write_file(path, json.dumps(content, indent=1).encode())
                    continue
                tensors = {n: t.detach().cpu().contiguous() for n, t in content.items()}
                with atomic_path(path) as part:
                    save_file(tensors, part)
        self.processes.wait()


@dataclass(frozen=True, eq=False)
class SampleEncoder:
    """Sample -> its content in a store.

    embed: content besides pictures.
    """

    vae: nn.Module
    embed: Callable[[Sample], Tensors]

    def __call__(self, sample: Sample) -> Tensors:
        """Latents, keypoints, masks and conditions of the frames, and the reference's."""
        rows = {
            "latents": torch.stack([self._look(frame) for frame in sample.frames]),
            "reference": self._look(sample.reference),
            **self.embed(sample),
        }
        if sample.conditions is not None:
            rows["conditions"] = torch.from_numpy(sample.conditions).permute(0, 3, 1, 2)
        if sample.keypoints is not None:
            rows["reference_keypoints"] = torch.from_numpy(sample.keypoints[0])
            rows["keypoints"] = torch.from_numpy(sample.keypoints[1:])
        if sample.masks is not None:
            share = torch.from_numpy(sample.masks)[:, None].float()
            share = nn.functional.avg_pool2d(share, VAE_SCALE)
            rows["masks"] = share.round().to(torch.uint8)
        return rows

    @torch.inference_mode()
    def _look(self, picture: NDArray[np.uint8]) -> Tensor:
        """Means and deviations of a picture's latents, (2 c, h, w)."""
        signed = to_signed(picture).to(next(self.vae.parameters()).device)
        posterior = self.vae.encode(signed).latent_dist  # type: ignore[operator]
        moments = torch.cat([posterior.mean, posterior.std], dim=1)
        return (moments * scaling_factor(self.vae))[0].half().cpu()


@dataclass(frozen=True)
class Made:
    """Number of a sample -> its content, drawn or cut and then encoded."""

    encode: Callable[[Sample], Tensors]
    draw: Draw

    def __call__(self, number: int) -> Tensors:
        """Raises InputError for footage that can't be cut."""
        return self.encode(self.draw(number))
