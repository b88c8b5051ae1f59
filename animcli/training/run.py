"""A training run of the small model in a folder of its own.

Everything lands in the folder: shards, checkpoints, weights, and for each stage what can be
seen of it. The same command goes on from there.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from animcli.errors import WeightsError
from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig
from animcli.networks.mini import MiniConfig, MiniModel
from animcli.training.autoencoder import AutoencoderCourse
from animcli.training.clips import Clips, with_motion
from animcli.training.loop import Course, Schedule
from animcli.training.preparing import Preparation, as_worker
from animcli.training.settings import TrainSettings
from animcli.training.shards import Footage, Growth, ShardFolder
from animcli.training.single_frames import SingleFrames
from animcli.training.teaching import School, keep_weights
from animcli.training.validation import Cases, baselines, make_cases

AUTOENCODER = "autoencoder.safetensors"
FRAMES = "frames.safetensors"
MODEL = "model.safetensors"

Clip = Callable[[int], Footage]
"""Number of a clip -> its footage. New processes import it."""


def one_worker() -> Executor:
    """Another process."""
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=as_worker)


@dataclass(frozen=True)
class Run:
    """A folder, and how to train in it.

    single: footage of moments apart. on_end: footage of moments that follow one another.
        The numbers from `validation` on are kept for validation.
    workers: where pictures are made ahead.
    model, coder: another shape than that of the weights shipped is for one's own.
    """

    folder: Path
    settings: TrainSettings
    single: Clip
    on_end: Clip
    validation: int
    school: School
    workers: Callable[[], Executor] = one_worker
    model: MiniConfig = field(default_factory=MiniConfig)
    coder: AutoencoderConfig = field(default_factory=AutoencoderConfig)

    def autoencoder(self) -> None:
        """Stage `autoencoder`: ends with its weights in the folder."""
        stage, home = self.settings.autoencoder, self._home("autoencoder")
        torch.manual_seed(stage.schedule.seed)
        network = Autoencoder(self.coder)
        workers = self.workers()
        try:
            course = AutoencoderCourse(
                network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
                self.single,
                workers,
                stage.recipe,
                self._cases(),
            )
            self._teach(course, stage.schedule, home)
        finally:
            workers.shutdown(cancel_futures=True)
        keep_weights(course.average.state_dict(), self.folder / AUTOENCODER)

    def frames(self) -> None:
        """Stage `1`: ends with the model of single frames in the folder."""
        stage, home = self.settings.frames, self._home("1")
        autoencoder = self._coder()
        with self._shards("shards", self.single, stage.growth, stage.schedule) as shards:
            torch.manual_seed(stage.schedule.seed)
            cases = self._cases()
            model = MiniModel(replace(self.model, positions=0))
            course = SingleFrames(
                model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
                autoencoder,
                shards,
                stage.recipe,
                cases,
                stage.schedule.seed,
            )
            (home / "baselines.json").write_text(
                json.dumps(baselines(cases, autoencoder), indent=1), encoding="utf-8"
            )
            self._teach(course, stage.schedule, home)
        keep_weights(course.average.state_dict(), self.folder / FRAMES)

    def clips(self) -> None:
        """Stage `2`: ends with the whole model in the folder, motion modules and all."""
        stage, home = self.settings.clips, self._home("2")
        autoencoder, frames = self._coder(), self._weights(FRAMES)
        with self._shards("clips", self.on_end, stage.growth, stage.schedule) as shards:
            torch.manual_seed(stage.schedule.seed)
            clips = range(self.validation, self.validation + stage.data.validation)
            footage = [self.on_end(number) for number in clips]
            course = Clips(
                with_motion(frames, self.model).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
                autoencoder,
                shards,
                stage.recipe,
                make_cases(footage, stage.data.frames),
                stage.data.frames,
                stage.schedule.seed,
            )
            before = course.judge().figures  # of the model of single frames
            (home / "baselines.json").write_text(
                json.dumps(before, indent=1), encoding="utf-8"
            )
            self._teach(course, stage.schedule, home)
        keep_weights(course.average.state_dict(), self.folder / MODEL)

    def _teach(self, course: Course, schedule: Schedule, home: Path) -> None:
        torch.set_num_threads(1)  # the other core prepares data
        self.school.teach(course, schedule, home)

    @contextmanager
    def _shards(
        self, name: str, clip: Clip, growth: Growth, schedule: Schedule
    ) -> Iterator[ShardFolder]:
        """Shards in a folder of the run, prepared while they are used."""
        folder, clips = self.folder / name, self.settings.data.shard_clips
        preparation = Preparation(clip, folder, clips, growth.at(schedule.updates))
        process = None if preparation.is_done() else preparation.start()
        try:
            yield ShardFolder(folder, growth)
        finally:
            if process is not None:
                process.terminate()

    def _coder(self) -> Autoencoder:
        """The autoencoder that stage `autoencoder` left."""
        coder = Autoencoder(self.coder)
        coder.load_state_dict(self._weights(AUTOENCODER))
        return coder.requires_grad_(False)

    def _cases(self) -> Cases:
        data = self.settings.data
        clips = range(self.validation, self.validation + data.validation_clips)
        footage = [self.single(number) for number in clips]
        return make_cases(footage, min(data.validation_targets, data.targets))

    def _home(self, stage: str) -> Path:
        home = self.folder / stage
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _weights(self, name: str) -> dict[str, Tensor]:
        path = self.folder / name
        if not path.is_file():
            raise WeightsError(f"{path} isn't there", "train the stage before it first")
        return load_file(path)
