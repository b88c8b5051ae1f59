"""A training run in a folder of its own: data, stages, and what can be seen of them.

Everything lands in the folder: shards, checkpoints, weights, and for each stage a curve
(JSON lines), and pictures of it and of validation. The same command goes on from there.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from animcli.errors import WeightsError
from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig
from animcli.networks.mini import MiniConfig, MiniModel
from animcli.training.autoencoder import AutoencoderCourse
from animcli.training.loop import Checkpoint, Course, Judgement, Schedule, train
from animcli.training.preparing import Preparation, as_worker
from animcli.training.settings import TrainSettings
from animcli.training.shards import Footage, ShardFolder
from animcli.training.single_frames import SingleFrames
from animcli.training.validation import Cases, baselines, make_cases

AUTOENCODER = "autoencoder.safetensors"
MODEL = "frames.safetensors"

Report = Callable[[str, int, int], None]
Show = Callable[[Path, list[dict[str, float]], Judgement], None]
"""(folder of the stage, its curve so far, what validation found) -> pictures there."""


@dataclass(frozen=True)
class Run:
    """A folder, and how to train in it.

    clip: number of a clip -> its footage; new processes import it. The numbers from
        `validation` on are kept for validation.
    open_checkpoint: file -> where arrays are kept in it.
    show: draws what can be seen.
    """

    folder: Path
    settings: TrainSettings
    clip: Callable[[int], Footage]
    validation: int
    open_checkpoint: Callable[[Path], Checkpoint]
    report: Report
    show: Show

    def autoencoder(self) -> None:
        """Stage `autoencoder`: ends with its weights in the folder."""
        stage, home = self.settings.autoencoder, self._home("autoencoder")
        torch.manual_seed(stage.schedule.seed)
        network = Autoencoder(AutoencoderConfig())
        with _workers() as workers:
            course = AutoencoderCourse(
                network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
                self.clip,
                workers,
                stage.recipe,
                self._cases(),
            )
            self._teach(course, stage.schedule, home)
        self._keep(course.average.state_dict(), AUTOENCODER)

    def frames(self) -> None:
        """Stage `1`: ends with the model of single frames in the folder."""
        stage, home, data = self.settings.frames, self._home("1"), self.settings.data
        autoencoder = Autoencoder(AutoencoderConfig())
        autoencoder.load_state_dict(self._weights(AUTOENCODER))
        shards = self.folder / "shards"
        preparing = Preparation(
            self.clip,
            shards,
            data.shard_clips,
            stage.growth.at(stage.schedule.updates),
        ).start()
        torch.manual_seed(stage.schedule.seed)
        cases = self._cases()
        model = MiniModel(MiniConfig(positions=0))
        course = SingleFrames(
            model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            autoencoder.requires_grad_(False),
            ShardFolder(shards, stage.growth),
            stage.recipe,
            cases,
            stage.schedule.seed,
        )
        (home / "baselines.json").write_text(
            json.dumps(baselines(cases, autoencoder), indent=1), encoding="utf-8"
        )
        self._teach(course, stage.schedule, home)
        self._keep(course.average.state_dict(), MODEL)
        preparing.terminate()

    def _teach(self, course: Course, schedule: Schedule, home: Path) -> None:
        torch.set_num_threads(1)  # the other core prepares data
        checkpoint = self.open_checkpoint(home / "checkpoint.npz")
        curve: list[dict[str, float]] = []
        recent: list[float] = []
        seconds = 0.0
        for progress in train(course, schedule, checkpoint):
            if not curve:
                curve = _curve_before(home / "curve.jsonl", progress.step)
            recent.append(progress.loss)
            seconds += progress.seconds
            self.report(f"training {home.name}", progress.step, schedule.updates)
            last = progress.step == schedule.updates
            if progress.step % schedule.show_every == 0 or last:
                found = course.judge()
                row = {
                    "updates": progress.step,
                    "samples": progress.step * course.samples,
                    "samples_per_second": len(recent) * course.samples / seconds,
                    "loss": sum(recent) / len(recent),
                    **found.figures,
                }
                curve.append(row)
                with (home / "curve.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                self.show(home, curve, found)
                recent, seconds = [], 0.0

    def _cases(self) -> Cases:
        data = self.settings.data
        clips = range(self.validation, self.validation + data.validation_clips)
        footage = [self.clip(number) for number in clips]
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

    def _keep(self, weights: dict[str, Tensor], name: str) -> None:
        part = self.folder / f"{name}.part"
        save_file({key: value.contiguous() for key, value in weights.items()}, part)
        part.replace(self.folder / name)


def _curve_before(path: Path, step: int) -> list[dict[str, float]]:
    """What a stopped run wrote before `step`, the rest of which comes again."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, float]] = [json.loads(line) for line in lines]
    kept = [row for row in rows if row["updates"] < step]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return kept


@contextmanager
def _workers() -> Iterator[ProcessPoolExecutor]:
    """One process that makes footage ahead."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=as_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
