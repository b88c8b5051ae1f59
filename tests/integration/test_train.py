"""A training run that was killed ends with the same weights as one that wasn't."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.project.checkpoint import FileCheckpoint
from animcli.stages.training import show
from animcli.training.procedural import draw_footage
from animcli.training.run import Run
from animcli.training.settings import TrainSettings, read_settings

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
"""


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
    clip = partial(draw_footage, targets=2, size=64)
    return Run(folder, settings, clip, 800_000, checkpoint, lambda *_: None, show)


@pytest.fixture
def tiny(tmp_path: Path) -> TrainSettings:
    (tmp_path / "train.toml").write_text(TINY)
    return read_settings(tmp_path / "train.toml")


def test_a_run_goes_on_after_a_kill_as_if_nothing_had_been(
    tmp_path: Path, tiny: TrainSettings
) -> None:
    whole = run_in(tmp_path / "whole", tiny, FileCheckpoint)
    whole.autoencoder()
    whole.frames()

    broken = run_in(tmp_path / "broken", tiny, Mortal)
    resumed = run_in(tmp_path / "broken", tiny, FileCheckpoint)
    for stage in ("autoencoder", "frames"):
        with pytest.raises(KilledError):
            getattr(broken, stage)()
        getattr(resumed, stage)()

    for name in ("autoencoder.safetensors", "frames.safetensors"):
        there, here = (tmp_path / each / name for each in ("whole", "broken"))
        assert there.read_bytes() == here.read_bytes()
    for stage in ("autoencoder", "1"):
        curves = [rows(tmp_path / each / stage) for each in ("whole", "broken")]
        assert [row["updates"] for row in curves[0]] == [2, 4]
        assert (
            curves[0][-1]["psnr_1" if stage == "1" else "psnr"]
            == (curves[1][-1]["psnr_1" if stage == "1" else "psnr"])
        )
        assert (tmp_path / "whole" / stage / "sheet.png").is_file()
        assert (tmp_path / "whole" / stage / "curve.png").is_file()


def rows(home: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (home / "curve.jsonl").read_text().splitlines()]
