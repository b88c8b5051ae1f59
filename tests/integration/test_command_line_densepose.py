"""DensePose from the command line: found in footage, followed as a motion, kept apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.densepose_models import BandParts, figure, write_torchscript
from builders.stages import spot_pictures

from animcli.cli.main import main
from animcli.pose.detectors.densepose import FILE
from animcli.pose.draw import ControlKind
from animcli.registry import RENDERERS
from animcli.stages.detection import kind_of_clip
from animcli.video.images import write_picture
from animcli.video.reader import open_footage

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

PRESET = "--preset=magic-animate-draft"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with footage, a character, and a network that was put there by hand."""
    (tmp_path / "weights" / "densepose").mkdir(parents=True)
    write_torchscript(tmp_path / "weights" / "densepose" / FILE, BandParts())
    (tmp_path / "dance").mkdir()
    small = np.zeros((224, 336, 3), np.uint8)
    for number in range(6):
        small[:, 40 + number : 264 + number] = figure()
        write_picture(tmp_path / "dance" / f"{number}.png", small)
    write_picture(tmp_path / "ref.png", next(spot_pictures(1)))
    monkeypatch.setenv("ANIM_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows DensePose shows what it follows, and wants no weights."""
    monkeypatch.setitem(
        RENDERERS,
        "magic-animate",
        replace(RENDERERS["magic-animate"], place="builders.stages:Echo", weights=()),
    )


def test_a_densepose_video_is_made_and_then_followed(here: Path, echo: None) -> None:
    assert main(["extract-pose", "dance", "--kind", "densepose", "-o", "parts.mkv"]) == 0
    assert kind_of_clip(here / "parts.mkv") is ControlKind.DENSEPOSE
    assert main(["render", "ref.png", "-m", "parts.mkv", PRESET, "--frames", "4"]) == 0
    with open_footage(here / "ref-parts.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (256, 256)
        assert sum(1 for _ in reader.frames()) == 4


def test_the_parts_go_on_to_a_render_in_the_same_line(here: Path, echo: None) -> None:
    words = "extract-pose dance --kind densepose then render ref.png"
    assert main([*words.split(), PRESET]) == 0
    assert kind_of_clip(here / "dance-densepose.mp4") is ControlKind.DENSEPOSE
    assert kind_of_clip(here / "ref-dance.mp4") is ControlKind.DENSEPOSE


def test_what_was_made_without_keypoints_is_refused_by_what_follows_joints(
    capsys: Capture,
) -> None:
    words = "extract-pose dance --kind densepose then render ref.png --preset cutout"
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert "dance is a drawn video (densepose), which has no keypoints" in said
    assert "--preset magic-animate" in said


def test_a_video_that_looks_drawn_is_followed_and_it_is_said(
    here: Path, echo: None, capsys: Capture
) -> None:
    assert main(["extract-pose", "dance", "--kind", "densepose", "-o", "parts.mkv"]) == 0
    assert main(["render", "ref.png", "-m", "parts.mkv", PRESET, "--frames", "2"]) == 0
    said = capsys.readouterr().err
    assert "parts.mkv: looks like a drawn video, and is followed as it is" in said
    assert "--detector NAME" in said


def test_options_about_keypoints_mean_nothing_to_parts(capsys: Capture) -> None:
    assert main(["extract-pose", "dance", "--kind", "densepose", "--no-hands"]) == 2
    assert "--hands is about keypoints" in capsys.readouterr().err


def test_without_the_network_nothing_is_begun(here: Path, capsys: Capture) -> None:
    (here / "weights" / "densepose" / FILE).unlink()
    assert main(["extract-pose", "dance", "--kind", "densepose"]) == 5
    assert "anim weights pull densepose" in capsys.readouterr().err
    assert not (here / "dance-densepose.mp4").exists()


def test_all_lacking_weights_are_named_at_once(capsys: Capture) -> None:
    assert main(["extract-pose", "dance", "--kind", "densepose", "-o", "parts.mkv"]) == 0
    assert main(["render", "ref.png", "-m", "parts.mkv", PRESET]) == 5
    said = capsys.readouterr().err
    assert "anim weights pull magic-animate sd15 sd-vae-ft-mse" in said
