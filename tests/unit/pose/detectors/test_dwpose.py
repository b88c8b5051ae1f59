"""DWPose finds people to the pixel, follows them, and looks again when it must.

The networks are stand-ins that truly find figures of coloured dots (figure_models.py); they
take and give what the published ones do, so that boxes, crops and decoding are all real.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import figure_models
from builders.figure_models import figure
from numpy.typing import NDArray

from animcli.errors import DeviceError, WeightsError
from animcli.pose import keypoints as s
from animcli.pose.detectors.dwpose import DETECTOR_FILE, POSE_FILE, DWPose
from animcli.pose.tracking import Detection, Tracker

SIZE = (1280, 720)
DOTS = range(24)


def middle_neck(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The truth: a neck is between the shoulders."""
    points = points.copy()
    points[s.NECK] = points[[s.RIGHT_SHOULDER, s.LEFT_SHOULDER]].mean(axis=0)
    return points


def assert_found(person: Detection, points: NDArray[np.float64]) -> None:
    # 1 px: half a class is 0.4 px of this picture, and dots are drawn to 1/16 px.
    away = np.abs(person.points - middle_neck(points))[DOTS]
    assert away.max() < 1
    np.testing.assert_allclose(person.scores[DOTS], figure_models.SEEN_SCORE, atol=1e-6)
    assert not person.scores[24:].any()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return figure_models.write_models(tmp_path_factory.mktemp("models"))


def test_joints_land_within_a_pixel_of_the_truth(models: Path) -> None:
    figures = [figure(400 + 6 * t, t) for t in range(25)]
    frames = [figure_models.draw([points], SIZE) for points in figures]
    found = list(map(DWPose(models).people, frames))
    for people, points in zip(found, figures, strict=True):
        [person] = people
        assert_found(person, points)


@pytest.mark.parametrize("size", [(480, 640), (1920, 1080), (300, 300)])
def test_pictures_of_any_size_will_do(models: Path, size: tuple[int, int]) -> None:
    shrink = size[1] / 720
    points = (figure(640, 0) - (640, 0)) * shrink + (size[0] / 2, 0)
    [person] = DWPose(models).people(figure_models.draw([points], size))
    away = np.abs(person.points - middle_neck(points))[DOTS]
    # Dots are no larger in a small picture, so some overlap there.
    assert np.median(away) < 1


def test_two_who_cross_are_found_and_keep_their_tracks(models: Path) -> None:
    pairs = [(figure(300 + 14 * t, t), figure(980 - 14 * t, t, 380, 1)) for t in range(48)]
    tracker = Tracker(0.3)
    detector = DWPose(models, detect_every=5)
    numbers = []
    for t, pair in enumerate(pairs):
        people = detector.people(figure_models.draw(list(pair), SIZE))
        tracks = tracker.update(t, people)
        for person, track in zip(people, tracks, strict=True):
            away = [
                np.median(np.linalg.norm(person.points - middle_neck(one), axis=1)[DOTS])
                for one in pair
            ]
            if min(away) < 3:  # where they cover each other, nobody could say
                numbers.append((int(np.argmin(away)), track.number))
    assert set(numbers) == {(0, 1), (1, 2)}
    assert len(numbers) > 80


def test_models_of_other_names_do_the_same(models: Path, tmp_path: Path) -> None:
    names = ("finds.onnx", "joints.onnx")
    for name, file in zip(names, (DETECTOR_FILE, POSE_FILE), strict=True):
        shutil.copy(models / file, tmp_path / name)
    points = figure(400, 0)
    frame = figure_models.draw([points], SIZE)
    [person] = DWPose(tmp_path, files=names).people(frame)
    assert_found(person, points)
    assert DWPose(tmp_path, files=names).count(frame) == 1


def test_nobody_is_nobody(models: Path) -> None:
    empty = np.full((720, 1280, 3), 128, np.uint8)
    assert DWPose(models).people(empty) == ()


def test_somebody_who_goes_and_comes_back_leaves_a_gap(models: Path) -> None:
    here = figure_models.draw([figure(640, 0)], SIZE)
    empty = figure_models.draw([], SIZE)
    detector = DWPose(models, detect_every=4)
    counts = [
        len(detector.people(frame)) for frame in [here] * 3 + [empty] * 5 + [here] * 5
    ]
    assert counts == [1] * 3 + [0] * 5 + [1] * 5


def test_a_person_who_leaps_out_of_the_box_is_looked_for(models: Path) -> None:
    detector = DWPose(models, detect_every=100)
    detector.people(figure_models.draw([figure(200, 0)], SIZE))
    far = figure(1000, 0)
    [person] = detector.people(figure_models.draw([far], SIZE))
    assert_found(person, far)
    assert detector.state[0] == 0


def test_the_detector_looks_at_every_nth_frame(models: Path) -> None:
    detector = DWPose(models, detect_every=3)
    frame = figure_models.draw([figure(640, 0)], SIZE)
    looked = []
    for _ in range(7):
        detector.people(frame)
        looked.append(detector.state[0])
    assert looked == [0, 1, 2, 0, 1, 2, 0]


def test_a_clip_can_be_stopped_and_gone_on_with(models: Path) -> None:
    frames = [figure_models.draw([figure(400 + 6 * t, t)], SIZE) for t in range(8)]
    whole = list(map(DWPose(models).people, frames))
    first = DWPose(models)
    start = list(map(first.people, frames[:3]))
    second = DWPose(models)
    second.restore(first.state)
    rest = list(map(second.people, frames[3:]))
    for [one], [other] in zip(start + rest, whole, strict=True):
        np.testing.assert_array_equal(one.points, other.points)


def test_the_published_order_gives_the_joint_network_blue_first(models: Path) -> None:
    frame = figure_models.draw([figure(640, 0)], SIZE)
    # The stand-in knows its dots by their colours, and knows none of them in this order.
    assert DWPose(models, bgr_input=True).people(frame) == ()


def test_a_model_made_for_one_crop_at_a_time_gives_the_same(
    models: Path, tmp_path: Path
) -> None:
    figure_models.write_models(tmp_path, batch=1)
    frame = figure_models.draw([figure(300, 0), figure(900, 0, 380)], SIZE)
    together, apart = DWPose(models).people(frame), DWPose(tmp_path).people(frame)
    assert len(together) == len(apart) == 2
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.points, other.points)


def test_a_pose_network_of_another_size_works(models: Path, tmp_path: Path) -> None:
    figure_models.write_models(tmp_path)
    figure_models.write_pose(tmp_path / POSE_FILE, "n", (256, 192))
    points = figure(640, 0)
    [person] = DWPose(tmp_path).people(figure_models.draw([points], SIZE))
    away = np.abs(person.points - middle_neck(points))[DOTS]
    assert away.max() < 1.5  # a class is half as fine again


# ---- what can be wrong


def test_an_absent_model_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="the model isn't there") as caught:
        DWPose(tmp_path).people(np.zeros((8, 8, 3), np.uint8))
    assert caught.value.hint == "get it with `anim weights pull dwpose`"


@pytest.mark.parametrize("raw", [b"", b"<html>", b"version https://git-lfs"])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / DETECTOR_FILE).write_bytes(raw)
    with pytest.raises(WeightsError, match="isn't a whole ONNX model"):
        DWPose(tmp_path).people(np.zeros((8, 8, 3), np.uint8))


def test_another_model_is_named_by_its_shapes(models: Path, tmp_path: Path) -> None:
    (tmp_path / DETECTOR_FILE).write_bytes((models / POSE_FILE).read_bytes())
    with pytest.raises(WeightsError, match="was expected"):
        DWPose(tmp_path).people(np.zeros((8, 8, 3), np.uint8))


def test_cuda_without_cuda_is_an_error(models: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a CUDA provider here")
    with pytest.raises(DeviceError, match="has no CUDAExecutionProvider"):
        DWPose(models, device="cuda").people(np.zeros((8, 8, 3), np.uint8))


def test_a_device_that_onnx_runtime_lacks_is_an_error(models: Path) -> None:
    with pytest.raises(DeviceError, match="not on mps"):
        DWPose(models, device="mps")
