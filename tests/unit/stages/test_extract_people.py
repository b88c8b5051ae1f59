"""DWPose on a clip: everybody is found, one is taken, and a stop loses nothing."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.figure_models import draw, figure, write_detector, write_models, write_pose

from animcli.errors import DeviceError, InputError
from animcli.pipeline.executor import Executor
from animcli.pipeline.project import find_project
from animcli.pipeline.stage import CheckCancelled
from animcli.pose.detectors.dwpose import DETECTOR_FILE, POSE_FILE
from animcli.pose.detectors.registry import DETECTORS, DetectorEntry
from animcli.pose.io_pose import read_pose
from animcli.pose.keypoints import NOSE
from animcli.stages.extract import ExtractStage
from animcli.stages.inspect import PeopleStage, tracks_in
from animcli.video.images import read_picture, write_picture
from animcli.weights.catalog import load_catalog, read_catalog
from animcli.weights.store import WeightsStore

FRAMES = 54  # a chunk of 48, and some
SIZE = (1280, 720)
CATALOG = f"""
[dwpose]
about = "stand-ins"
licence = "none"
needed_by = []
source = {{ kind = "hub", repository = "nobody/nothing", revision = "main" }}
files = [{{ name = "{DETECTOR_FILE}" }}, {{ name = "{POSE_FILE}" }}]
"""
OTHERS = """
[rtmw]
about = "stand-ins"
licence = "none"
needed_by = []
source = { kind = "hub", repository = "nobody/nothing", revision = "main" }
files = [{ name = "yolox_m.onnx" }, { name = "rtmw-l_256x192.onnx" }]
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> WeightsStore:
    models = write_models(tmp_path_factory.mktemp("models"))
    store = WeightsStore(tmp_path_factory.mktemp("weights"), read_catalog(CATALOG))
    store.import_files("dwpose", [models])
    return store


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of two who pass each other: the larger from the left, the smaller from there
    on where there is nobody in the first five frames.
    """
    folder = tmp_path_factory.mktemp("frames")
    for t in range(FRAMES):
        people = [large(t), figure(1000 - 12 * t, t, 330, 1)]
        picture = draw(people if t >= 5 else people[:1], SIZE)
        write_picture(folder / f"{t:03d}.png", picture)
    return folder


def large(t: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return figure(260 + 12 * t, t)


def extraction(video: Path, person: str = "largest", device: str = "cpu") -> ExtractStage:
    return ExtractStage(
        video,
        "dwpose",
        clean=False,
        picture_rate=Fraction(25),
        person=person,
        device=device,
        detect_every=5,
    )


def executor(
    folder: Path, weights: WeightsStore, stop: CheckCancelled = lambda: None
) -> Executor:
    folder.mkdir(exist_ok=True)
    return Executor(find_project(folder), weights, check_cancelled=stop)


def test_the_one_who_was_asked_for_is_taken_through_a_crossing(
    tmp_path: Path, weights: WeightsStore, crossing: Path
) -> None:
    at = executor(tmp_path, weights)
    first = read_pose(at.make(extraction(crossing)).path)
    other = read_pose(at.make(extraction(crossing, "2")).path)
    there = first.scores[:, NOSE] > 0
    assert there.mean() > 0.9
    truth = np.array([large(t)[NOSE] for t in range(FRAMES)])
    away = np.linalg.norm(first.points[:, NOSE] - truth, axis=1)[there]
    assert np.median(away) < 1  # px; where they cover each other it may be more
    assert away[-1] < 1
    assert first.origin.person["track"] == 1
    assert first.origin.person["of"] == 2
    assert [track["number"] for track in tracks_in(first.origin)] == [1, 2]
    assert not other.scores[:5].any()
    seen = other.scores[:, NOSE] > 0
    assert other.points[seen][-1, NOSE, 0] < other.points[seen][0, NOSE, 0]  # to the left


def test_a_stopped_extraction_finds_the_same_people(
    tmp_path: Path, weights: WeightsStore, crossing: Path
) -> None:
    def stop() -> None:
        if list(tmp_path.glob("stopped/.anim/work/*/chunk-*")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor(tmp_path / "stopped", weights, stop).make(extraction(crossing))
    assert len(list(tmp_path.glob("stopped/.anim/work/*/chunk-*"))) == 1
    stopped = executor(tmp_path / "stopped", weights).make(extraction(crossing))
    unbroken = executor(tmp_path / "unbroken", weights).make(extraction(crossing))
    assert stopped.digest == unbroken.digest


def test_everybody_is_shown_where_they_were_largest(
    tmp_path: Path, weights: WeightsStore, crossing: Path
) -> None:
    at = executor(tmp_path, weights)
    sheet = read_picture(at.make(PeopleStage(extraction(crossing), crossing)).path).pixels
    gap, tile = 8, 200  # px, of the sheet
    assert sheet.shape[1] == gap + 2 * (tile + gap)
    for number, blue in ((0, 200), (1, 40)):  # each has dots of their own blue
        left = gap + number * (tile + gap)
        crop = sheet[gap:-28, left : left + tile].astype(int)
        grey = (np.abs(crop - 128) < 8).all(axis=2)
        assert np.median(np.abs(crop[~grey][:, 2] - blue)) < 60


def test_other_whole_body_models_want_a_catalog_entry_and_a_line(
    tmp_path: Path, crossing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    write_detector(models / "yolox_m.onnx", side=416)
    write_pose(models / "rtmw-l_256x192.onnx", "n", (256, 192))
    catalog = read_catalog(OTHERS)
    store = WeightsStore(tmp_path / "weights", catalog)
    store.import_files("rtmw", [models])
    monkeypatch.setitem(load_catalog(), "rtmw", catalog["rtmw"])
    entry = DetectorEntry(
        "animcli.pose.detectors.dwpose:DWPose", "rtmw", "onnxruntime", onnx=True
    )
    monkeypatch.setitem(DETECTORS, "rtmw", entry)
    stage = replace(extraction(crossing), detector="rtmw")
    found = read_pose(executor(tmp_path / "project", store).make(stage).path)
    there = found.scores[:, NOSE] > 0
    assert there.mean() > 0.9
    truth = np.array([large(t)[NOSE] for t in range(FRAMES)])
    away = np.linalg.norm(found.points[:, NOSE] - truth, axis=1)[there]
    assert np.median(away) < 1.5  # px; a class is half as wide again as of 384 x 288
    assert found.origin.detector["backend"] == "rtmw"
    models_told = {"rtmw/yolox_m.onnx", "rtmw/rtmw-l_256x192.onnx"}
    assert set(found.origin.detector["models"]) == models_told


def test_somebody_who_isnt_there_cant_be_taken(
    tmp_path: Path, weights: WeightsStore, crossing: Path
) -> None:
    with pytest.raises(InputError, match="there is no person 3: 2 were found"):
        executor(tmp_path, weights).make(extraction(crossing, "3"))


def test_cuda_that_isnt_there_is_an_error(
    tmp_path: Path, weights: WeightsStore, crossing: Path
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is made for CUDA")
    with pytest.raises(DeviceError, match="CUDAExecutionProvider"):
        executor(tmp_path, weights).make(extraction(crossing, device="cuda"))
