"""Training a large system: takes are prepared, then each stage is taught.

The autoencoder and whatever reads pictures and words are needed before training; of these
only the autoencoder stays, for the sheets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.errors import ProjectError
from animcli.rendering.loading import (
    enough_memory,
    free_memory,
    load_autoencoder,
    open_device,
)
from animcli.rendering.vae import SCALE, to_signed
from animcli.stages.train_systems import StageName, System
from animcli.training.large import LargeCourse
from animcli.training.large_settings import LargeSettings, LargeStage
from animcli.training.takes import Reel, Rows, Take, TakeFolder, Takes, write_take
from animcli.training.teaching import School, keep_weights

REMEDY = "a smaller size or batch, fewer frames, or checkpointing = true need less"


@dataclass(frozen=True)
class LargeRun:
    """A folder, and how to train in it.

    reels: videos; the last is kept for validation, where there are others. pictures: single
    ones, each its own reference.
    entries: name of a weights entry -> its folder.
    """

    folder: Path
    settings: LargeSettings
    system: System
    reels: tuple[Reel, ...]
    pictures: tuple[Reel, ...]
    entries: Callable[[str], Path]
    school: School

    def stage(self, name: StageName) -> None:
        """Stage `1` or `2`: ends with its weights in the folder, as renderers load them."""
        stage = self.settings.first if name == "1" else self.settings.second
        if stage is None:
            raise ProjectError(
                f"{self.settings.model.name} has no stage {name}", "--stage 1 is all"
            )
        processes = self.school.processes
        kind = self.settings.model.device
        device = open_device(f"cuda:{processes.place}" if kind == "cuda" else kind)
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        if processes.index == 0:
            self._prepare(name, device)
        processes.wait()
        with enough_memory("training", REMEDY):
            course = self._course(stage, name, device)
            self.school.teach(course, stage.schedule, home)
        if processes.index == 0:
            for file, tensors in self.system.files(course.average, name).items():
                (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
                keep_weights(tensors, self.folder / file)
        processes.wait()

    def _course(
        self, stage: LargeStage, name: StageName, device: torch.device
    ) -> LargeCourse[Any, Any]:
        torch.manual_seed(stage.schedule.seed)  # for what begins anew
        network = self.system.open(
            self.entries, self.folder, self.settings.model.start, name
        ).to(device)
        coder = load_autoencoder(self.system.vae(self.entries), device, torch.float32)

        def decode(latents: Tensor) -> Tensor:
            decoded = [coder.decode(each[None] / SCALE).sample for each in latents]  # type: ignore[operator]
            return torch.cat(decoded)

        takes, pictures, validation = self._folders(name)
        return LargeCourse(
            network,
            self.system.lesson(self.entries, device),
            takes,
            pictures,
            validation,
            stage.recipe,
            stage.diffusion,
            decode,
            stage.schedule.seed,
            averaged=stage.schedule.ema > 0,
        )

    def _folders(self, name: StageName) -> tuple[TakeFolder, TakeFolder, TakeFolder]:
        """Of videos, of pictures, for validation."""
        data = self.settings.data
        return (
            TakeFolder(self.folder / f"takes-{name}", data.takes),
            TakeFolder(self.folder / "pictures", len(self.pictures)),
            TakeFolder(self.folder / f"validation-{name}", data.validation),
        )

    def _prepare(self, name: StageName, device: torch.device) -> None:
        """Encode all takes that aren't there yet."""
        data, (videos, pictures, apart) = self.settings.data, self._folders(name)
        size, alone = (data.width, data.height), self.settings.second is None
        every = (data.every, max(data.every, data.every_most))
        if name == "1" and not alone:
            frames, pace = data.targets, None
        else:
            frames, pace = data.frames, every
        known = self.reels[:-1] or self.reels
        work: list[tuple[Path, Takes, int]] = []
        for folder, reels in ((videos, known), (apart, self.reels[-1:])):
            source = Takes(reels, size, frames, pace)
            work += [(folder.path(n), source, n) for n in range(folder.count)]
        for number, each in enumerate(self.pictures):
            work.append((pictures.path(number), Takes((each,), size, 1, None), number))
        lacking = [each for each in work if not each[0].is_file()]
        if not lacking:
            return
        with enough_memory("preparing", "a smaller size needs less"):
            encode = self._encoder(device)
            for done, (path, source, number) in enumerate(lacking):
                self.school.report("preparing takes", done, len(lacking))
                path.parent.mkdir(parents=True, exist_ok=True)
                write_take(encode(source(number)), path)
        self.school.report("preparing takes", len(lacking), len(lacking))
        del encode
        free_memory(device)

    def _encoder(self, device: torch.device) -> Callable[[Take], Rows]:
        """What is kept of a take."""
        coder = load_autoencoder(self.system.vae(self.entries), device, torch.float32)
        words = self.system.words(self.entries, device)

        @torch.inference_mode()
        def look(picture: NDArray[np.uint8]) -> Tensor:
            seen = coder.encode(to_signed(picture).to(device)).latent_dist  # type: ignore[operator]
            both = torch.cat([seen.mean, seen.std], dim=1) * SCALE
            return both[0].half().cpu()

        def encode(take: Take) -> Rows:
            rows = {
                "latents": torch.stack([look(frame) for frame in take.frames]),
                "reference": look(take.reference),
                **words(take),
            }
            if take.conditions is not None:
                rows["conditions"] = torch.from_numpy(take.conditions).permute(0, 3, 1, 2)
            return rows

        return encode
