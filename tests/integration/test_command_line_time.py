"""A render that takes hours on a CPU is told before it starts, and agreed to."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.stages import spot_pictures
from builders.tiny_cinemo import register_tiny_cinemo, write_tiny_cinemo

from animcli.cli.main import main
from animcli.registry import RENDERERS
from animcli.rendering import cost
from animcli.video.images import write_picture

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

LINE = [
    "render",
    "ref.png",
    "--preset",
    "cinemo",
    "--prompt",
    "walking",
    "--size",
    "72x64",
    "--steps",
    "2",
    "--window",
    "4",
    "--overlap",
    "1",
    "--frames",
    "5",
    "--decoder",
    "frame",
    "--device",
    "cpu",
    "-o",
    "out.mp4",
]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_picture(folder / "ref.png", next(spot_pictures(1)))
    write_tiny_cinemo(folder / "weights")
    return folder


@pytest.fixture
def here(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(shutil.copytree(material, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ANIM_WEIGHTS", str(folder / "weights"))
    monkeypatch.setitem(RENDERERS, "cinemo", RENDERERS["cinemo"])  # put back at the end
    register_tiny_cinemo()
    return folder


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU on which this render takes days."""
    monkeypatch.setattr(cost, "flops_a_second", lambda: 1e4)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("slow")
def test_nothing_of_hours_starts_unasked(here: Path, capsys: Capture) -> None:
    assert main(LINE) == 6
    said = capsys.readouterr().err
    assert "this render takes about" in said
    assert " h " in said
    assert "--yes starts it" in said
    assert "loading networks" not in said
    assert not (here / "out.mp4").exists()


@pytest.mark.usefixtures("slow")
def test_yes_starts_it(here: Path) -> None:
    assert main([*LINE, "--yes"]) == 0
    assert (here / "out.mp4").exists()
    assert main([*LINE, "--force"]) == 0  # it is done already, so there is nothing to ask


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 6), ("", 6)])
def test_a_terminal_is_asked(
    here: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    told = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", told)
    assert main(LINE) == code
    assert "on this CPU. Start it? [y/N]" in told.getvalue()
    assert (here / "out.mp4").exists() == (code == 0)


def test_what_takes_seconds_starts_at_once(here: Path) -> None:
    assert main(LINE) == 0


def test_a_dry_run_tells_the_time_and_asks_nothing(here: Path, capsys: Capture) -> None:
    assert main([*LINE, "--dry-run"]) == 0
    assert " left" in capsys.readouterr().out


def test_the_rate_of_this_cpu_is_a_rate() -> None:
    assert 1e8 < cost.flops_a_second() < 1e14
