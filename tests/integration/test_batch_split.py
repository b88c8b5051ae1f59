"""A render that is split over slots has the bits of one that isn't, as have its frames."""

import os
import queue
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from split_stand_ins import CUT, FRAMES, GUIDANCE, STEPS, decode, latents

from animcli.batch.engine import Here, Seat, seats_on
from animcli.batch.pool import FRAMES_A_UNIT, Pool
from animcli.cli.main import main, parse_line
from animcli.errors import DeviceError
from animcli.rendering.split import predicting

TESTS = Path(__file__).resolve().parents[1]

slots_of_one_or_three = pytest.mark.parametrize(
    "slots",
    [pytest.param(1, marks=pytest.mark.slow), 3],  # seconds for one, of the same
)


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


def split_frames(slots: Pool, of: torch.Tensor) -> list[bytes]:
    try:
        return [picture.tobytes() for picture in slots.decode(of)]
    finally:
        slots.close()


@slots_of_one_or_three
def test_latents_and_frames_of_several_slots_are_those_of_one_process(
    slots: int, tmp_path: Path
) -> None:
    with closing(pool(tmp_path, slots)) as shared:
        with predicting(shared):
            found = latents()
        frames = [picture.tobytes() for picture in shared.decode(found)]
    assert torch.equal(found, latents())
    assert frames == [picture.tobytes() for picture in decode(latents())]
    assert not (tmp_path / "exchange").exists()


def test_frames_come_before_the_last_of_them_is_decoded(tmp_path: Path) -> None:
    slots = pool(tmp_path, 1)
    try:
        frames = slots.decode(latents())
        next(frames)
        # One that it was taken from, one that is being decoded, one that waits in the slot.
        assert 3 * FRAMES_A_UNIT < FRAMES
        assert 1 <= len(list((tmp_path / "exchange").glob("said-*"))) <= 3
        rest = len(list(frames))
    finally:
        slots.close()
    assert rest == FRAMES - 1


class Turns:
    """Two slots that end a unit only when there is nothing else to tell.

    most: units that a slot had at once.
    """

    def __init__(self) -> None:
        self.told: deque[tuple[str, dict[str, Any]]] = deque()
        self.has: dict[str, list[Mapping[str, Any]]] = {"slot-0": [], "slot-1": []}
        self.most = dict.fromkeys(self.has, 0)

    @property
    def events(self) -> "Turns":
        return self

    def get(self, block: bool, timeout: float | None) -> tuple[str, dict[str, Any]]:
        if self.told:
            return self.told.popleft()
        busy = [slot for slot in self.has if self.has[slot]]
        if not block or not busy:
            raise queue.Empty
        slot = max(busy, key=lambda each: len(self.has[each]))
        request = self.has[slot].pop(0)
        np.save(request["said"], np.zeros((FRAMES_A_UNIT, 8, 8, 3), np.uint8))
        return slot, {"event": "end", "id": request["id"], "exit_code": 0}

    def start(self) -> None:
        self.told += [(slot, {"event": "ready"}) for slot in self.has]

    def give(self, slot: str, request: Mapping[str, Any]) -> None:
        if request["do"] == "help":
            end = {"event": "end", "id": request["id"], "exit_code": 0}
            self.told.append((slot, end))
            return
        self.has[slot].append(request)
        self.most[slot] = max(self.most[slot], len(self.has[slot]))

    def close(self) -> None:
        """Nothing runs."""


@pytest.mark.parametrize(("units", "most"), [(2, 1), (12, 2)])
def test_a_slot_has_its_next_unit_while_it_does_one_but_for_the_last(
    units: int, most: int, tmp_path: Path
) -> None:
    engine = Turns()
    slots = Pool(engine, {"do": "help", "folder": str(tmp_path)}, tmp_path / "exchange")  # type: ignore[arg-type]
    frames = units * FRAMES_A_UNIT
    try:
        assert len(list(slots.decode(torch.zeros(frames, 4, 8, 8)))) == frames
    finally:
        slots.close()
    assert engine.most == {"slot-0": most, "slot-1": most}


def test_a_slot_that_dies_costs_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault").write_text("predict")
    monkeypatch.setenv("SPLIT_FAULT", str(tmp_path / "fault"))
    slots = pool(tmp_path, 2)
    assert torch.equal(split_latents(slots), latents())
    assert slots.losses == 1


def test_a_slot_that_dies_while_it_decodes_costs_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault").write_text("decode")
    monkeypatch.setenv("SPLIT_FAULT", str(tmp_path / "fault"))
    slots, clean = pool(tmp_path, 2), latents()
    assert split_frames(slots, clean) == [x.tobytes() for x in decode(clean)]
    assert slots.losses == 1


def test_what_a_slot_can_t_do_is_said_at_once_and_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault").write_text("decode fails")
    monkeypatch.setenv("SPLIT_FAULT", str(tmp_path / "fault"))
    slots = pool(tmp_path, 1)
    with pytest.raises(DeviceError, match="slot-0: out of memory"):
        split_frames(slots, latents())
    assert slots.losses == 0


class Absent(Here):
    """An engine that ends before it has a slot."""

    def start(self) -> None:
        self.events.put(("ray", {"event": "gone", "said": "Ray ended: no room"}))


def test_an_engine_that_ends_ends_the_render(tmp_path: Path) -> None:
    engine = Absent("split_stand_ins:work", [], tmp_path / "logs")
    slots = Pool(engine, {"do": "help", "folder": str(tmp_path)}, tmp_path / "exchange")
    with pytest.raises(
        DeviceError, match="no slot is left; the last was lost by: Ray ended"
    ):
        split_latents(slots)


def test_latents_of_several_named_devices_are_those_of_one(
    tmp_path: Path,
) -> None:
    seats = seats_on(["cpu", "cpu"])
    assert len(seats) == 2
    engine = Here("split_stand_ins:work", seats, tmp_path / "logs")
    slots = Pool(engine, {"do": "help", "folder": str(tmp_path)}, tmp_path / "exchange")
    assert torch.equal(split_latents(slots), latents())


def test_cards_are_counted_among_those_that_the_process_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [seat.gpu for seat in seats_on(["cuda:1", "cuda:0"])] == ["5", "3"]
    with pytest.raises(DeviceError, match="no device cuda:2: there are 2"):
        seats_on(["cuda:0", "cuda:2"])


def test_several_devices_on_the_line_are_slots_and_each_sees_its_own() -> None:
    words = ["render", "ref.png", "--motion", "a.pose", "--device", "cuda:1,cuda:0"]
    (request,) = parse_line(words).commands
    assert request.split.devices == ("cuda:1", "cuda:0")
    assert request.overrides["device"] == "cuda"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("render ref.png -m a.pose --device cpu,cpu --slots 2", "says already where"),
        ("render ref.png -m a.pose --device cpu,cuda:0", "device is one of"),
        ("extract-pose a.mp4 --device cuda:0,cuda:1", "several devices are for one long"),
        (
            "render ref.png -m a.pose --preset tiny --deep-interval 2 --slots 2",
            "--slots: steps that reuse something of those before can't be split",
        ),
    ],
)
def test_devices_that_can_t_be_shared_are_refused(
    words: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err


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
