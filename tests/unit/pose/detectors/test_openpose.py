"""OpenPose by controlnet_aux: its networks' answers become our 134 keypoints.

Where the package is installed its own code reads maps that a stand-in for each network
draws; weights of the published layout are random. Without it, the way to it is told.
"""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import animcli.pose.detectors.openpose as ours
from animcli.cli.config import Options
from animcli.cli.detector import check_detector, check_device, detector_device
from animcli.errors import DeviceError, UsageError, WeightsError
from animcli.pose.detectors.registry import DetectorOptions, draw_threshold, open_detector
from animcli.pose.keypoints import BODY, FACE, FEET, LEFT_HAND, RIGHT_HAND
from animcli.weights.catalog import load_catalog
from animcli.weights.convert import NAMINGS, to_safetensors
from animcli.weights.store import WeightsStore

needs_package = pytest.mark.skipif(
    find_spec("controlnet_aux") is None, reason="wants the extra openpose"
)
quietly = pytest.mark.filterwarnings("ignore")  # of the package's own imports

SIZE = 368  # at which the package halves the picture once, and no more
JOINTS = np.array(
    [(184, 60), (184, 100), (150, 100), (135, 150), (130, 195), (218, 100), (233, 150),
     (238, 195), (165, 200), (163, 262), (161, 325), (203, 200), (205, 262), (207, 325),
     (174, 50), (194, 50), (162, 56), (206, 56)], np.float32
)  # fmt: skip
"""A standing figure in OpenPose's order; x, y in a picture of 368 x 368."""
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11),
    (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)  # fmt: skip
PLANES = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
"""The first of the two planes in which the affinity field of each limb is, as published."""


def grids(side: int) -> tuple[Any, Any]:
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return x, y


def body_maps(pixels: Any) -> tuple[Any, Any]:
    """Confidence and affinity of the figure, at an eighth of what the network is given."""
    import torch

    side = pixels.shape[-1] // 8
    scale = side / SIZE
    x, y = grids(side)
    heat = np.zeros((1, 19, side, side), np.float32)
    paf = np.zeros((1, 38, side, side), np.float32)
    joints = JOINTS * scale - 0.5  # a value stands for the middle of its pixels
    for plane, (jx, jy) in zip(heat[0], joints, strict=False):
        plane[:] = np.exp(-((x - jx) ** 2 + (y - jy) ** 2) / 1.0)
    for (a, b), plane in zip(LIMBS, PLANES, strict=True):
        start, end = joints[a], joints[b]
        way = (end - start) / np.linalg.norm(end - start)
        along = (x - start[0]) * way[0] + (y - start[1]) * way[1]
        away = np.abs((x - start[0]) * way[1] - (y - start[1]) * way[0])
        inside = (along > -2) & (along < np.linalg.norm(end - start) + 2) & (away < 2)
        paf[0, plane][inside], paf[0, plane + 1][inside] = way
    return torch.from_numpy(paf), torch.from_numpy(heat)


def part_maps(parts: int, places: int, pixels: Any, absent: int) -> Any:
    """Maps of a hand or face: its points on a diagonal, one of them nowhere."""
    import torch

    side = pixels.shape[-1] // 8
    x, y = grids(side)
    maps = np.zeros((1, parts, side, side), np.float32)
    for place in range(places):
        at = (0.2 + 0.6 * place / places) * side
        maps[0, place] = np.exp(-((x - at) ** 2 + (y - at) ** 2) / 4)
    maps[0, absent] = 0
    return torch.from_numpy(maps)


class StandIn:
    """Answers like a network, and is moved and switched like one."""

    def __init__(self, answer: Any) -> None:
        import torch

        self._answer, self._weights = answer, torch.zeros(1)

    def parameters(self) -> Any:
        return iter([self._weights])

    def to(self, device: str) -> "StandIn":
        return self

    def eval(self) -> "StandIn":
        return self

    def __call__(self, pixels: Any) -> Any:
        return self._answer(pixels)


ANSWERS = {
    ours.BODY_FILE: body_maps,
    ours.HAND_FILE: lambda x: part_maps(22, 21, x, absent=3),
    ours.FACE_FILE: lambda x: [part_maps(71, 70, x, absent=20)],
}


def drawn(kind: type, network: object, path: Path) -> Any:
    estimator = kind.__new__(kind)
    estimator.model = StandIn(ANSWERS[path.name])
    return estimator


@pytest.fixture
def picture() -> Any:
    return np.full((SIZE, SIZE, 3), 90, np.uint8)


@needs_package
@quietly
def test_every_part_is_where_its_maps_say(
    monkeypatch: pytest.MonkeyPatch, picture: Any
) -> None:
    monkeypatch.setattr(ours, "_loaded", drawn)
    detector = open_detector("openpose", Path(), DetectorOptions())
    (person,) = detector.people(picture)
    assert detector.count(picture) == 1
    np.testing.assert_allclose(person.points[BODY], JOINTS, atol=1.5)
    assert (person.scores[BODY] > draw_threshold("openpose")).all()
    assert not person.scores[FEET].any()
    for part, wrist in ((LEFT_HAND, 7), (RIGHT_HAND, 4)):
        seen = person.scores[part] > 0
        assert seen.sum() == 20
        assert not seen[3]
        assert np.linalg.norm(person.points[part][seen] - JOINTS[wrist], axis=1).max() < 100
    face = person.points[FACE][person.scores[FACE] > 0]
    assert len(face) == 67
    assert person.scores[FACE][20] == 0  # and none after it moves up in its place
    assert (np.diff(face[:, 0]) >= 0).all()
    assert np.linalg.norm(face - JOINTS[0], axis=1).max() < 100


@needs_package
@quietly
def test_hands_and_face_are_left_out_where_nobody_asks(
    monkeypatch: pytest.MonkeyPatch, picture: Any
) -> None:
    monkeypatch.setattr(ours, "_loaded", drawn)
    detector = open_detector("openpose", Path(), DetectorOptions(hands=False, face=False))
    (person,) = detector.people(picture)
    assert person.scores[BODY].all()
    assert not person.scores[FACE.start :].any()


@needs_package
@quietly
def test_files_of_the_published_layout_load_as_the_package_loads_them(
    tmp_path: Path, picture: Any
) -> None:
    import torch
    from controlnet_aux.open_pose import body, face, hand, model

    theirs = {
        "body_pose_model": (model.bodypose_model(), body.Body),
        "hand_pose_model": (model.handpose_model(), hand.Hand),
        "facenet": (face.FaceNet(), face.Face),
    }
    for name, (network, _) in theirs.items():
        tensors = {
            key if name == "facenet" else key.partition(".")[2]: tensor
            for key, tensor in network.state_dict().items()
        }
        torch.save(tensors, tmp_path / f"{name}.pth")
    store = WeightsStore(tmp_path / "store")
    folder = store.import_files("openpose", sorted(tmp_path.glob("*.pth")))
    detector = ours.OpenPose(folder)
    parts = detector._detector
    for (name, (_, kind)), mine in zip(
        theirs.items(),
        (parts.body_estimation, parts.hand_estimation, parts.face_estimation),
        strict=True,
    ):
        loaded = kind(tmp_path / f"{name}.pth").model.state_dict()
        assert all(
            torch.equal(loaded[key], x) for key, x in mine.model.state_dict().items()
        )
    assert detector.people(picture) == ()

    right = folder / ours.BODY_FILE
    to_safetensors(tmp_path / "facenet.pth", right, NAMINGS["published"])
    with pytest.raises(WeightsError, match="isn't of OpenPose's network"):
        ours.OpenPose(folder)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)
    with pytest.raises(DeviceError, match="controlnet_aux") as caught:
        open_detector("openpose", Path(), DetectorOptions())
    assert caught.value.hint == "pip install 'animcli[openpose]'"


def test_its_weights_are_got_only_by_who_accepts_their_terms(tmp_path: Path) -> None:
    entry = load_catalog()["openpose"]
    assert entry.terms == "non-commercial"
    with pytest.raises(WeightsError, match="non-commercial") as caught:
        WeightsStore(tmp_path).check_terms("openpose", ())
    assert caught.value.hint is not None
    assert "--accept openpose" in caught.value.hint
    WeightsStore(tmp_path).check_terms("openpose", ("openpose",))


def test_it_hears_the_device_and_nothing_else_of_dwpose() -> None:
    options = Options(detector="openpose")
    assert detector_device(replace(options, device="cuda:1")) == "cuda:1"
    check_device({"device": "cuda"}, options)
    with pytest.raises(DeviceError):
        check_device({"device": "mps"}, options)
    with pytest.raises(UsageError, match="--detect-every"):
        check_detector(Options(detector="openpose", detect_every=5))
