"""Every stage whose file the system won't take says so, and leaves nothing half written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from builders.small_files import files_up_to
from builders.stages import executor, gradient_render, register, spot_motion, spot_pictures

from animcli.errors import StorageError
from animcli.files import PART
from animcli.pipeline.stage import Stage
from animcli.pose.io_pose import write_pose
from animcli.stages.convert import WriteKeypoints, WriteOpenPose
from animcli.stages.encode import EncodeStage
from animcli.stages.inspect import CurvesStage, SheetStage
from animcli.video.images import write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    register()
    write_pose(tmp_path / "dance.pose", spot_motion(50))
    write_picture(tmp_path / "ref.png", next(spot_pictures(1)))
    return tmp_path


def rendered(folder: Path) -> Stage:
    return gradient_render(folder / "ref.png", folder / "dance.pose")


@pytest.mark.parametrize(
    "stage_in",
    [
        rendered,
        lambda folder: rendered(folder).inputs()["pose"],
        lambda folder: rendered(folder).inputs()["reference"],
        lambda folder: SheetStage(rendered(folder)),
        lambda folder: CurvesStage(folder / "dance.pose", "dance"),
        lambda folder: WriteOpenPose(folder / "dance.pose"),
        lambda folder: WriteKeypoints(folder / "dance.pose", "dance"),
        lambda folder: EncodeStage(rendered(folder)),
        lambda folder: EncodeStage(rendered(folder), ".gif"),
        lambda folder: EncodeStage(rendered(folder), ""),
    ],
)
def test_a_refused_write_is_named_and_leaves_no_part(
    folder: Path, stage_in: Callable[[Path], Stage]
) -> None:
    at, stage = executor(folder), stage_in(folder)
    for source in stage.inputs().values():
        if not isinstance(source, Path):
            at.make(source)
    with (
        pytest.raises(StorageError, match="File too large") as refusal,
        files_up_to(200),
    ):
        at.make(stage)
    assert refusal.value.hint == "raise the limit on the size of files (ulimit -f)"
    assert list(folder.rglob(f"{PART}*")) == []
