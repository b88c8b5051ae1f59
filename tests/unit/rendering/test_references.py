"""Processes share what was worked out for a reference, and depend on none of it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import write_tiny_weights
from builders.tiny_renders import render, request

from animcli.rendering import animate_anyone, references
from animcli.rendering.renderer import RenderRequest

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CPU that passes for a card."""
    monkeypatch.setattr(references, "shares", lambda device: True)
    monkeypatch.setattr(references, "folder", lambda: tmp_path)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")


@pytest.mark.usefixtures("card")
def test_another_process_finds_what_was_seen_of_a_character(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = request(weights, 3)
    with monkeypatch.context() as patch:
        patch.setattr(references, "shares", lambda device: False)
        expected = render(asked)
    looked: list[int] = []
    look = animate_anyone.reference_features
    monkeypatch.setattr(
        animate_anyone, "reference_features", lambda *x: looked.append(1) or look(*x)
    )

    def frames_are_the_same(looks: int, asked: RenderRequest = asked) -> bool:
        looked.clear()
        found = render(asked)
        assert len(looked) == looks
        return np.array_equal(found, expected)

    assert frames_are_the_same(looks=1)
    assert frames_are_the_same(looks=0)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert frames_are_the_same(looks=1)  # it was damaged, and was made anew
    assert file.read_bytes() == whole
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another")
    assert frames_are_the_same(looks=1)
    stranger = replace(asked, reference=255 - asked.reference)
    assert not frames_are_the_same(looks=1, asked=stranger)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(references, "folder", lambda: file / "no folder")
    assert frames_are_the_same(looks=1)  # a disk that takes nothing ends no render


def test_on_a_cpu_processes_share_nothing(
    weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(references, "folder", lambda: tmp_path)
    render(request(weights, 2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("card")
def test_of_what_processes_share_the_few_stay_that_were_used_last(tmp_path: Path) -> None:
    made: list[int] = []

    def ask(number: int, second: int) -> None:
        def work_out() -> dict[str, torch.Tensor]:
            made.append(number)
            return {"is": torch.full((3,), number, dtype=torch.bfloat16)}

        found = references.shared(str(number), CPU, work_out)
        assert found["is"].tolist() == [number] * 3
        assert found["is"].dtype == torch.bfloat16
        file = f"{references._name(str(number), CPU)}.safetensors"
        os.utime(tmp_path / file, (second, second))  # clocks of disks are slow

    most = references.MOST_FILES
    for second, number in enumerate((*range(most), 0, most, 0, 1)):
        ask(number, second)
    assert made == [*range(most + 1), 1]
    assert len(list(tmp_path.iterdir())) == most
