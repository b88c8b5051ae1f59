"""Checks on one card, with networks of random weights: `make test-gpu`.

Each runs as well on a CPU, in shapes that take seconds, so that it is known to work
before there is a card: `rehearsal`, which is among the usual tests.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.card import Machine, Row, measure
from builders.tiny_cinemo import TINY_CINEMO
from builders.tiny_networks import TINY, TINY_MAGIC
from builders.tiny_renders import Kept
from builders.tiny_systems import NAMES, draw, system

from animcli.errors import DeviceError
from animcli.networks.unet import UNet
from animcli.presets import Preset
from animcli.rendering.animate_anyone import AnimateAnyone
from animcli.rendering.cinemo import Cinemo
from animcli.rendering.cost import Denoiser
from animcli.rendering.magic_animate import MagicAnimate

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own, while it profiles

REPORT = "ANIM_GPU_REPORT"
"""Where the JSON file goes; without it, `gpu-report.json` in the working folder."""

OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "halves together": {"cfg_batch": "on"},
    "deep features": {"deep_interval": 4},
    "guidance reused": {"guidance_interval": 4},
    "compiled": {"compiled": True},
}

BOUNDS = {"float32": (0.2, 4), "bfloat16": (6.0, 96), "float16": (1.5, 32)}
"""Levels of 255 that frames may differ by from a CPU's in float32, on average and at
most. A card multiplies float32 in TF32, which has the 11 bits of float16."""


@dataclass(frozen=True)
class Case:
    """A renderer, its size and the frames of its window."""

    renderer: Denoiser
    size: tuple[int, int]
    frames: int


PUBLISHED = {
    "animate-anyone": Case(AnimateAnyone(), (512, 784), 24),
    "magic-animate": Case(MagicAnimate(), (512, 512), 16),
    "cinemo": Case(Cinemo(), (512, 320), 15),
}
SMALL = {
    "animate-anyone": Case(TINY, (64, 64), 4),
    "magic-animate": Case(TINY_MAGIC, (64, 64), 4),
    "cinemo": Case(TINY_CINEMO, (64, 64), 4),
}


@dataclass(frozen=True)
class Place:
    """A device by name, its machine, and what is measured there."""

    name: str
    machine: Machine
    cases: dict[str, Case]

    @property
    def is_card(self) -> bool:
        """Whether it is no rehearsal."""
        return self.name != "cpu"


@pytest.fixture(
    scope="module",
    params=[pytest.param("card", marks=pytest.mark.gpu), pytest.param("rehearsal")],
)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "rehearsal":
        return Place("cpu", Machine(torch.device("cpu"), torch.float32, 64), SMALL)
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device, or torch is a build without CUDA")
    device = torch.device("cuda")
    return Place("cuda", Machine(device, torch.float16, 8192), PUBLISHED)


@pytest.fixture(scope="module")
def progress(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Row]]:
    """Rows, which are printed and written when all were measured."""
    rows: list[Row] = []
    yield rows
    name = torch.cuda.get_device_name() if place.is_card else "a CPU, rehearsing"
    print(f"\n{name}, torch {torch.__version__}", *(row.told() for row in rows), sep="\n")  # noqa: T201
    usual = "gpu-report.json" if place.is_card else tmp_path_factory.mktemp("r") / "r.json"
    table = {"device": name, "torch": torch.__version__, "rows": [x.data() for x in rows]}
    path = Path(os.environ.get(REPORT, usual) if place.is_card else usual)
    path.write_text(json.dumps(table, indent=1) + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_small_networks_give_the_frames_of_a_processor(
    name: str, place: Place, tmp_path: Path
) -> None:
    renderer, asked = system(name, tmp_path, 8, dtype="float32", steps=2)
    expected = draw(renderer, asked).astype(int)
    for dtype, (mean, most) in BOUNDS.items():
        if dtype == "float16" and not place.is_card:
            continue  # which a CPU refuses
        there = replace(asked, device=place.name, preset=replace(asked.preset, dtype=dtype))
        apart = np.abs(draw(renderer, there).astype(int) - expected)
        assert apart.mean() <= mean, (dtype, apart.mean())
        assert apart.max() <= most, (dtype, apart.max())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("animate-anyone", marks=pytest.mark.slow),  # ten seconds each,
        pytest.param("magic-animate", marks=pytest.mark.slow),  # of rehearsal on a CPU
        "cinemo",
    ],
)
def test_a_window_takes_the_memory_that_was_foreseen(
    name: str, place: Place, progress: list[Row]
) -> None:
    case, peak = place.cases[name], place.machine.peak()
    width, height = case.size
    plain = Preset(
        "p", renderer=name, width=width, height=height, guidance=3.5, cfg_batch="off",
        prompt="waves" if name == "cinemo" else "",
        dtype=str(place.machine.dtype).removeprefix("torch."),
    )  # fmt: skip
    options = OPTIONS if place.is_card else {k: OPTIONS[k] for k in list(OPTIONS)[:4]}
    found = {}
    for option, changes in options.items():
        preset = replace(plain, **changes)
        found[option] = measure(
            name, option, case.renderer, preset, case.frames, place.machine, peak
        )
        progress.append(found[option])
    assert all(row.seconds > 0 and row.kernels > 0 for row in found.values())
    assert found["deep features"].kernels < found["plain"].kernels
    assert found["guidance reused"].kernels < found["plain"].kernels
    if place.is_card:
        assert 0.9 < found["plain"].memory / found["plain"].foreseen < 1.1
        assert found["deep features"].seconds < found["plain"].seconds
        assert found["plain"].attention != "plain"


@contextmanager
def no_room(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stretch in which the device has no memory for a window."""
    if place.is_card:
        torch.cuda.empty_cache()
        whole = torch.cuda.get_device_properties(place.machine.device).total_memory
        used = torch.cuda.memory_reserved(place.machine.device)
        torch.cuda.set_per_process_memory_fraction((used + (2 << 20)) / whole)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return

    def full(*given: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(UNet, "forward", full)
        yield


def test_the_end_of_memory_is_told_and_survived(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer, asked = system("animate-anyone", tmp_path, 8, dtype="float32", steps=2)
    asked = replace(asked, device=place.name)
    kept = Kept()
    with no_room(place, monkeypatch), pytest.raises(DeviceError, match="out of memory"):
        draw(renderer, asked, kept)
    whole = draw(renderer, asked, kept)
    assert np.array_equal(whole, draw(renderer, asked))


@pytest.mark.parametrize("reused", [False, True], ids=["", "reused"])
def test_a_stopped_render_goes_on_with_the_same_bits(
    place: Place, tmp_path: Path, reused: bool
) -> None:
    changes = {"deep_interval": 2, "deep_branch": 1, "guidance_interval": 2}
    renderer, asked = system(
        "animate-anyone", tmp_path, 8, steps=4, **(changes if reused else {})
    )
    asked = replace(asked, device=place.name)
    with torch.backends.cudnn.flags(deterministic=True) if place.is_card else nullcontext():
        whole, kept = draw(renderer, asked), Kept(saves=3)
        with pytest.raises(KeyboardInterrupt):
            draw(renderer, asked, kept)
        assert np.array_equal(draw(renderer, asked, kept), whole)
