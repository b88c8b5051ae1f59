"""Slots are given the CUDA devices that the machine's own tools name."""

import subprocess
from types import SimpleNamespace

import pytest

from animcli.batch import engine
from animcli.batch.engine import Seat, seats, visible_gpus

CARDS = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaaaaaa-d33d-2b2c-524d-9e3d8d2b8a77)
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with two cards, the first of which is cut in two."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    said = SimpleNamespace(stdout=CARDS)
    monkeypatch.setattr(subprocess, "run", lambda *given, **named: said)


@pytest.mark.usefixtures("machine")
def test_each_part_of_a_card_that_is_cut_is_a_slot() -> None:
    first = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"
    second = "MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/2/0"
    assert visible_gpus() == [first, second, "1"]
    assert seats(None) == [Seat(first), Seat(second), Seat("1")]
    assert Seat(second).environment()["CUDA_VISIBLE_DEVICES"] == second


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("said", "devices"),
    [
        ("3, 5", ["3", "5"]),
        ("GPU-5d5b,MIG-c6d4", ["GPU-5d5b", "MIG-c6d4"]),
        ("0,-1,1", ["0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_a_variable_is_read_as_cuda_reads_it(
    said: str, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == devices
