"""A training run that was killed ends with the same weights as one that wasn't."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.networks.autoencoder import AutoencoderConfig
from animcli.networks.mini import MiniConfig
from animcli.project.checkpoint import FileCheckpoint
from animcli.stages.training import show
from animcli.training.preparing import Preparation
from animcli.training.procedural import draw_clip, draw_footage
from animcli.training.run import Run
from animcli.training.settings import TrainSettings, read_settings
from animcli.training.teaching import School

TINY = """
[data]
size = 64
targets = 2
shard_clips = 2
validation_clips = 2

[autoencoder]
updates = 4
clips = 1
save_every = 1
show_every = 2

[1]
updates = 4
clips = 2
targets = 1
first = 1
every = 2
save_every = 1
show_every = 2

[2]
updates = 4
clips = 1
targets = 3
frames = 4
validation = 1
first = 1
every = 2
save_every = 1
show_every = 2
"""
SMALL = MiniConfig((8, 16), (False, True), groups=4)
SMALL_CODER = AutoencoderConfig((16, 16), (1, 1))
STAGES = {
    "autoencoder": "autoencoder.safetensors",
    "1": "frames.safetensors",
    "2": "model.safetensors",
}


class KilledError(Exception):
    """In the place of a kill."""


@dataclass(frozen=True)
class Mortal(FileCheckpoint):
    """Dies at the second save."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        if int(arrays["step"]) == 2:
            raise KilledError
        super().save(arrays)


def run_in(folder: Path, settings: TrainSettings, checkpoint: type[FileCheckpoint]) -> Run:
    single = partial(draw_footage, targets=2, size=64)
    on_end = partial(draw_clip, frames=4, size=64)
    for name, clip in (("shards", single), ("clips", on_end)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            Preparation(clip, folder / name, 2, 3).make(number)
    school = School(checkpoint, lambda *_: None, show)
    workers = partial(ThreadPoolExecutor, 1)
    return Run(
        folder, settings, single, on_end, 800_000, school, workers, SMALL, SMALL_CODER
    )


@pytest.fixture
def tiny(tmp_path: Path) -> TrainSettings:
    (tmp_path / "train.toml").write_text(TINY)
    return read_settings(tmp_path / "train.toml")


def test_a_run_goes_on_after_a_kill_as_if_nothing_had_been(
    tmp_path: Path, tiny: TrainSettings
) -> None:
    whole = run_in(tmp_path / "whole", tiny, FileCheckpoint)
    broken = run_in(tmp_path / "broken", tiny, Mortal)
    resumed = run_in(tmp_path / "broken", tiny, FileCheckpoint)
    for stage in ("autoencoder", "frames", "clips"):
        getattr(whole, stage)()
        with pytest.raises(KilledError):
            getattr(broken, stage)()
        getattr(resumed, stage)()

    for stage, weights in STAGES.items():
        there, here = (tmp_path / each / weights for each in ("whole", "broken"))
        assert there.read_bytes() == here.read_bytes()
        curves = [rows(tmp_path / each / stage) for each in ("whole", "broken")]
        assert [row["updates"] for row in curves[0]] == [2, 4]
        figures = [
            {name: curve[-1][name] for name in curve[-1] if name.startswith("psnr")}
            for curve in curves
        ]
        assert figures[0] == figures[1] != {}
        assert (tmp_path / "whole" / stage / "sheet.png").is_file()
        assert (tmp_path / "whole" / stage / "curve.png").is_file()


def rows(home: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (home / "curve.jsonl").read_text().splitlines()]
