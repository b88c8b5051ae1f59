"""The real detector, stopped between two chunks, finds what it finds without a stop."""

from pathlib import Path

import pytest

from animcli.pipeline.executor import Executor
from animcli.pipeline.project import find_project
from animcli.pipeline.stage import CheckCancelled
from animcli.stages.extract import ExtractStage
from animcli.weights.store import WeightsStore


def extracted(
    folder: Path, video: Path, models: Path, check_cancelled: CheckCancelled
) -> str:
    """The digest of the pose file."""
    folder.mkdir(exist_ok=True)
    weights = WeightsStore(models.parent)
    at = Executor(find_project(folder), weights, check_cancelled=check_cancelled)
    return at.make(ExtractStage(video)).digest


@pytest.mark.slow  # half a minute: the clip is gone through twice with the real models
@pytest.mark.blazepose
def test_a_stopped_extraction_gives_the_same_pose_file(
    media: Path, blazepose_models: Path, tmp_path: Path
) -> None:
    video, models = media / "dance_stage.mp4", blazepose_models
    stops = 0

    def stop() -> None:
        nonlocal stops
        stops += 1
        raise KeyboardInterrupt

    while stops < 2:
        with pytest.raises(KeyboardInterrupt):
            extracted(tmp_path / "stopped", video, models, stop)
    assert len(list(tmp_path.glob("stopped/.anim/work/*/chunk-*"))) == 2
    stopped = extracted(tmp_path / "stopped", video, models, lambda: None)
    assert stopped == extracted(tmp_path / "unbroken", video, models, lambda: None)
