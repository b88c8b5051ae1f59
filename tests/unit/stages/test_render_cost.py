"""What a render will cost is told before it starts, and what is left of one that began."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders.stages import executor, spot_motion

from animcli.cli.main import main
from animcli.pipeline.checkpoint import FileCheckpoint
from animcli.pose.io_pose import write_pose
from animcli.presets import load_preset
from animcli.stages.remaining import foreseen, remaining
from animcli.stages.render import RENDER_CHECKPOINT, RenderStage
from animcli.video.images import write_picture

FRAMES = 60
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    write_picture(tmp_path / "ref.png", np.full((96, 64, 3), 90, np.uint8))
    return tmp_path / "ref.png"


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    write_pose(tmp_path / "dance.pose", spot_motion(FRAMES))
    return tmp_path / "dance.pose"


def stage_of(reference: Path, motion: Path, **options: object) -> RenderStage:
    return RenderStage(reference, motion, load_preset("animate-anyone"), **options)  # type: ignore[arg-type]


def test_a_render_of_all_the_motion_has_its_length(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    ahead = remaining(stage_of(reference, motion), executor(tmp_path), None)
    assert ahead is not None
    assert (ahead.cost.frames, ahead.cost.windows) == (FRAMES, 3)
    assert ahead.done == 0
    assert ahead.seconds == foreseen(ahead.cost)
    assert ahead.summary() == ahead.cost.summary()


def test_the_time_left_follows_from_the_steps_that_were_kept(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    here = executor(tmp_path)
    kept = {"done": np.asarray(7), "seconds": np.asarray(70.0)}
    FileCheckpoint(here.store.work_folder("begun") / RENDER_CHECKPOINT).save(kept)
    ahead = remaining(stage_of(reference, motion), here, "begun")
    assert ahead is not None
    assert (ahead.done, ahead.seconds) == (7, 230.0)
    assert ahead.summary().endswith("; 7 of 30 steps are done")


def test_footage_that_was_not_looked_at_yet_leaves_the_length_open(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    later = stage_of(reference, motion).fitted_motion  # any stage that didn't run
    ahead = remaining(RenderStage(reference, later, load_preset("animate-anyone")),
                    executor(tmp_path), None)  # fmt: skip
    assert ahead is not None
    assert not ahead.length_known
    assert "frames" not in ahead.data()
    assert "windows of 24 frames, 30 steps" in ahead.summary()


def test_a_renderer_that_does_not_denoise_has_no_such_cost(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    stage = RenderStage(reference, motion, load_preset("cutout"))
    assert remaining(stage, executor(tmp_path), None) is None


def test_a_dry_run_prints_the_plan_below_the_render(
    tmp_path: Path,
    reference: Path,
    motion: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANIM_WEIGHTS", str(tmp_path / "weights"))
    words = ["render", "ref.png", "-m", "dance.pose", "--preset", "animate-anyone"]
    words += ["--keyframe-interval", "2", "--device", "cpu", "--dry-run"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, text in enumerate(lines) if text.startswith("render "))
    assert lines[place + 1].split("; about")[0].strip() == (
        "60 frames in 2 windows of 24, 30 steps, 120 calls of the network"
    )
    assert main([*words, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    (cost,) = (each["cost"] for each in results if "cost" in each)
    assert (cost["frames"], cost["calls"]) == (60, 120)
    assert cost["seconds_left"] > 3600  # on any CPU
    assert cost["memory"] == max(cost["networks"] + cost["features"], cost["decoding"])
