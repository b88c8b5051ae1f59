"""A render that is split over slots has the bits of one that isn't."""

import os
from pathlib import Path

import pytest
import torch
from split_stand_ins import CUT, FRAMES, GUIDANCE, STEPS, latents

from animcli.batch.here import Here, Seat
from animcli.batch.pool import Pool
from animcli.cli.main import main
from animcli.rendering.split import predicting

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def pool(folder: Path, slots: int) -> Pool:
    engine = Here("split_stand_ins:work", [Seat()] * slots, folder / "logs")
    return Pool(engine, {"do": "help", "folder": str(folder)}, folder / "exchange")


def split_latents(slots: Pool) -> torch.Tensor:
    try:
        with predicting(slots):
            return latents()
    finally:
        slots.close()


def test_the_stand_in_has_several_windows_and_steps_with_and_without_guidance() -> None:
    assert len(CUT(0)) > 2
    assert {GUIDANCE.works_at(step, STEPS) for step in range(STEPS)} == {True, False}
    assert len(latents()) == FRAMES


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_latents_of_several_slots_are_those_of_one_process(
    slots: int, tmp_path: Path
) -> None:
    assert torch.equal(split_latents(pool(tmp_path, slots)), latents())
    assert not (tmp_path / "exchange").exists()


def test_a_slot_that_dies_costs_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault").touch()
    monkeypatch.setenv("SPLIT_FAULT", str(tmp_path / "fault"))
    slots = pool(tmp_path, 2)
    assert torch.equal(split_latents(slots), latents())
    assert slots.losses == 1


@pytest.mark.slow  # every prediction takes a second, on purpose
def test_more_slots_take_less_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLIT_COST_S", "1")
    seconds = {}
    for count in (1, 2, 4):
        slots = pool(tmp_path / str(count), count)
        (tmp_path / str(count)).mkdir()
        split_latents(slots)
        seconds[count] = slots.seconds
    assert seconds[2] < 0.8 * seconds[1]
    assert seconds[4] < 0.8 * seconds[2]


def test_a_renderer_that_does_not_denoise_can_t_be_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "render ref.png --motion a.pose --preset cutout --slots 2"
    assert main(words.split()) == 2
    assert "a render with cutout can't be split" in capsys.readouterr().err
