"""Cinemo from the command line, with tiny networks in the place of the published ones."""

import json
import shutil
import signal
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from builders.resume import CINEMO_RUNNER, decoded, runner
from builders.stages import spot_pictures
from builders.tiny_cinemo import register_tiny_cinemo, write_tiny_cinemo
from builders.videos import tiny_clip
from numpy.typing import NDArray

from animcli.cli.main import main
from animcli.registry import RENDERERS
from animcli.video.images import write_picture
from animcli.video.reader import open_footage

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

CLIP_FRAMES = 5
SMALL = "--size 72x64 --steps 2 --window 4 --overlap 1 --decoder frame --quiet"
LINE = f"render ref.png --preset cinemo --prompt walking {SMALL}"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, a clip, and weights."""
    folder = tmp_path_factory.mktemp("material")
    write_picture(folder / "ref.png", next(spot_pictures(1)))
    tiny_clip(folder / "clip.mkv", CLIP_FRAMES)
    write_tiny_cinemo(folder / "weights")
    return folder


@pytest.fixture
def here(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder: a project that has all of it."""
    folder = Path(shutil.copytree(material, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ANIM_WEIGHTS", str(folder / "weights"))
    monkeypatch.setitem(RENDERERS, "cinemo", RENDERERS["cinemo"])  # put back at the end
    register_tiny_cinemo()
    return folder


def rendered(out: str, words: str = "") -> NDArray[np.uint8]:
    """The frames that the line makes with some more words."""
    assert main([*LINE.split(), *words.split(), "-o", out]) == 0
    with open_footage(Path(out)) as reader:
        return np.stack([frame.picture for frame in reader.frames()])


def test_words_make_a_clip(here: Path) -> None:
    frames = rendered("out.mp4", "--decoder temporal --window 15")
    assert frames.shape == (16, 64, 72, 3)
    assert len({frame.tobytes() for frame in frames}) == 16
    with open_footage(here / "out.mp4") as reader:
        assert reader.info.rate == 8


def test_as_much_motion_as_in_a_clip(here: Path, capsys: Capture) -> None:
    assert main(["inspect", "clip.mkv", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["results"][0]
    bucket = int(100 * facts["neighbour_ssim"])
    like = rendered("like.mkv", "--frames 3 --motion-like clip.mkv")
    assert np.array_equal(like, rendered("id.mkv", f"--frames 3 --motion-bucket {bucket}"))
    other = rendered("other.mkv", f"--frames 3 --motion-bucket {bucket - 40}")
    assert not np.array_equal(like, other)


def test_the_motion_of_a_clip(here: Path) -> None:
    words = "--preset cinemo-transfer --guidance 2"
    moved = rendered("moved.mkv", f"{words} --motion-from clip.mkv")
    with open_footage(here / "moved.mkv") as reader:
        assert reader.info.rate == 24  # the clip's
    alone = rendered("alone.mkv", f"{words} --frames {CLIP_FRAMES}")
    assert moved.shape == alone.shape
    assert not np.array_equal(moved, alone)


def test_more_frames_than_the_other_clip_has_are_refused_or_looped(
    here: Path, capsys: Capture
) -> None:
    longer = f"--motion-from clip.mkv --frames {CLIP_FRAMES + 2}"
    assert main([*LINE.split(), *longer.split(), "-o", "long.mkv"]) == 2
    assert f"{CLIP_FRAMES} frames" in capsys.readouterr().err
    assert len(rendered("long.mkv", f"{longer} --loop")) == CLIP_FRAMES + 2


@pytest.mark.slow  # a dozen processes; test_resume_kills has the same with stand-ins
def test_killed_renders_go_on_to_the_same_frames(material: Path, tmp_path: Path) -> None:
    unbroken, killed = (
        Path(shutil.copytree(material, tmp_path / name)) for name in ("unbroken", "killed")
    )
    with runner(CINEMO_RUNNER) as runs:
        assert runs.run(unbroken) == 0
        kills = 0
        for fault in repeat("any:25:kill", 40):
            status = runs.run(killed, fault)
            if status == 0:
                break
            assert status == signal.SIGKILL
            kills += 1
    assert kills > 2
    assert decoded(killed / "out.mp4") == decoded(unbroken / "out.mp4")
