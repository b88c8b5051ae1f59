"""The newest systems from the command line, with tiny random networks."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders.tiny_ip_adapter import write_tiny_ip_adapter
from builders.tiny_wan import write_tiny_wan, write_tiny_wan_2

from animcli.cli.main import main
from animcli.video.reader import open_footage
from animcli.weights.catalog import load_catalog
from animcli.weights.stamp import EntryStamp, stamped, write_stamp

Capture = pytest.CaptureFixture[str]
pytestmark = [
    pytest.mark.blazepose,
    pytest.mark.filterwarnings(
        "ignore:__array__ implement:DeprecationWarning",
        "ignore:_compile flag:DeprecationWarning",
        "ignore:.*torch.jit.script:DeprecationWarning",
        "ignore:flex_attention called without:UserWarning",
    ),
]

FRAMES = 6
SMALL = f"--size 64x96 --steps 2 --frames {FRAMES} --dtype float32 --device cpu --quiet"
WINDOWS = "--window 4 --overlap 1"
SEGMENTS = "--segment 5"
PLAN = ("--dry-run", "--json", "-o", "plan.mkv")


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, blazepose_models: Path
) -> Iterator[Path]:
    """A drawn dancer, a drawn character, and weights."""
    folder = tmp_path_factory.mktemp("newest")
    weights = folder / "weights"
    weights.mkdir()
    (weights / blazepose_models.name).symlink_to(blazepose_models)
    for name, held in write_tiny_ip_adapter(weights).items():
        files = [file.name for file in load_catalog()[name].files]
        for absent in (file for file in files if not (held / file).is_file()):
            (held / absent).write_text("{}")
        stamps = {file: stamped(held / file) for file in files}
        write_stamp(held, EntryStamp("made here", None, stamps))
    write_tiny_wan(weights)
    write_tiny_wan_2(weights)
    (folder / "anim.toml").write_text("width = 192\nheight = 288\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ANIM_")]:
            patch.delenv(name)
        patch.setenv("ANIM_WEIGHTS", str(weights))
        patch.chdir(folder)
        demo = "demo -o . --frames 10 --preset cutout --quiet"
        assert main(demo.split()) == 0
        yield folder


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("ANIM_WEIGHTS", str(made / "weights"))
    return made


def rendered(words: str, out: str) -> np.ndarray:
    assert main([*f"render ref.png {SMALL} {words}".split(), "-o", out]) == 0
    with open_footage(Path(out)) as reader:
        return np.stack([frame.picture for frame in reader.frames()])


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("ipa-controlnet", "--motion dance.mp4"),
        ("ipa-controlnet-video", f"--motion dance.mp4 {WINDOWS}"),
        ("animatediff", f"--prompt waving {WINDOWS}"),
        ("wan-animate", f"--motion dance.mp4 {SEGMENTS}"),
        ("wan-animate-replace", f"--motion dance.mp4 {SEGMENTS}"),
        ("wan-animate-2", f"--motion dance.mp4 {SEGMENTS}"),
    ],
)
def test_every_preset_ends_in_a_video(preset: str, words: str) -> None:
    frames = rendered(f"--preset {preset} {words}", f"{preset}.mkv")
    assert frames.shape == (FRAMES, 96, 64, 3)
    assert len({frame.tobytes() for frame in frames}) > 1


def test_a_pose_takes_its_face_from_the_video_that_is_named(capsys: Capture) -> None:
    faced = rendered(
        f"--preset wan-animate --motion dance.pose --face-from dance.mp4 {SEGMENTS}",
        "faced.mkv",
    )
    assert np.array_equal(
        faced, rendered(f"--preset wan-animate --motion dance.mp4 {SEGMENTS}", "video.mkv")
    )
    Path("alone").mkdir()
    Path("alone/moves.pose").write_bytes(Path("dance.pose").read_bytes())
    line = (
        f"render ref.png {SMALL} --preset wan-animate --motion alone/moves.pose {SEGMENTS}"
    )
    capsys.readouterr()
    assert main([*line.replace("--quiet", "").split(), "-o", "faceless.mkv"]) == 0
    assert "the face keeps its own expression" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--preset wan-animate-2 --motion dance.pose", "follows the video itself"),
        ("--preset wan-animate --motion dance.mp4 --segment 8", "a multiple of 4 and one"),
        ("--preset animatediff --motion-from dance.mp4", "takes no motion from a clip"),
        ("--preset ipa-controlnet --motion dance.mp4 --offload blocks", "Wan's networks"),
        (
            "--preset cutout --motion dance.mp4 --face-from dance.mp4",
            "--face-from has no effect",
        ),
        (
            "--preset ipa-controlnet --motion dance.mp4 --segment 9",
            "--segment has no effect",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, said: str, capsys: Capture) -> None:
    line = f"render ref.png {words} --size 64x96"
    assert main([*line.split(), "-o", "never.mkv"]) == 2
    assert said in capsys.readouterr().err


def test_a_cpu_is_refused_before_any_work(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIM_WEIGHTS", str(here / "nothing"))
    line = (
        "render ref.png --motion dance.mp4 --preset wan-animate --device cpu -o never.mkv"
    )
    assert main(line.split()) == 6
    assert "days for a segment of 77 frames" in capsys.readouterr().err


def test_the_plan_tells_memory_work_and_time(capsys: Capture) -> None:
    line = f"render ref.png {SMALL} --preset wan-animate --motion dance.mp4 {SEGMENTS}"
    capsys.readouterr()
    assert main([*line.replace("--steps 2", "--steps 3").split(), *PLAN]) == 0
    stages = json.loads(capsys.readouterr().out)["results"]
    (cost,) = (each["cost"] for each in stages if "cost" in each)
    assert cost["piece"] == "segment"
    assert (cost["windows"], cost["calls"]) == (2, 6)
    assert cost["work"] > 0
    assert cost["memory"] > 0
