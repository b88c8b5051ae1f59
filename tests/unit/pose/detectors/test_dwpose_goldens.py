"""Boxes, crops and keypoints are those of the published pipeline."""

from pathlib import Path

import numpy as np
import pytest

from animcli.pose.detectors import dwpose
from animcli.pose.layouts import COCO_WHOLE_BODY

POSE = (384, 288)


@pytest.mark.parametrize("index", range(4))
def test_letterbox(goldens: Path, index: int) -> None:
    golden = np.load(goldens / "dwpose" / "yolox_letterbox.npz")
    padded, ratio = dwpose.letterbox(golden[f"img{index}"], (640, 640))
    assert ratio == golden[f"ratio{index}"]
    off = np.abs(padded.astype(int) - golden[f"padded{index}"])
    assert off.max() <= 1  # OpenCV's versions differ by a level


def test_boxes(goldens: Path) -> None:
    golden = np.load(goldens / "dwpose" / "yolox_decode.npz")
    people = dwpose.decode_boxes(
        golden["raw"][0], *dwpose.grid((640, 640)), float(golden["ratio"])
    )
    expected = golden["idea_person"]
    np.testing.assert_allclose(people[:, :4], expected[:, :4], atol=1e-3)  # px, of 1920
    np.testing.assert_allclose(people[:, 4], expected[:, 4], rtol=1e-6)


@pytest.mark.parametrize("index", range(4))
def test_crops(goldens: Path, index: int) -> None:
    golden = np.load(goldens / "dwpose" / "pose_affine.npz")
    crop = dwpose.Crop.around(golden["bboxes"][index], POSE)
    np.testing.assert_allclose((crop.x, crop.y), golden[f"center{index}"], rtol=1e-12)
    np.testing.assert_allclose((crop.width, crop.height), golden[f"scale{index}"])
    np.testing.assert_allclose(crop.matrix(POSE), golden[f"M{index}"], atol=1e-9)
    cut = crop.cut(golden["img"], POSE)
    off = np.abs(cut.astype(int) - golden[f"crop{index}"])
    # Coordinates are rounded to 1/32 px: where the last bit of the matrix decides, a level
    # or two.
    assert (off > 1).mean() < 1e-3
    assert off.max() <= 2


@pytest.mark.parametrize("index", range(4))
def test_normalised_values(goldens: Path, index: int) -> None:
    golden = np.load(goldens / "dwpose" / "pose_affine.npz")
    out = np.empty((3, *POSE), np.float32)
    dwpose.normalise(golden[f"crop{index}"], out)
    mean, spread = golden[f"norm_mean_std{index}"]
    assert (out.mean(), out.std()) == pytest.approx((mean, spread), rel=1e-5)
    patch = out.transpose(1, 2, 0)[100:108, 100:108]
    np.testing.assert_allclose(patch, golden[f"norm_patch{index}"], atol=1e-6)


def test_joints(goldens: Path) -> None:
    golden = np.load(goldens / "dwpose" / "simcc_decode.npz")
    crops = [
        dwpose.Crop(*middle, *scale)
        for middle, scale in zip(golden["center"], golden["scale"], strict=True)
    ]
    points, scores = dwpose.decode_simcc(golden["simcc_x"], golden["simcc_y"], crops, POSE)
    # In double precision the order of the operations shows in the last digits.
    np.testing.assert_allclose(points, golden["kpt_idea"], atol=1e-9)
    np.testing.assert_array_equal(scores, golden["score_idea"])


def test_whole_body_in_openposes_order(goldens: Path) -> None:
    golden = np.load(goldens / "dwpose" / "coco133_to_op134.npz")
    points, scores = COCO_WHOLE_BODY.convert(golden["kpt133"], golden["score133"])
    np.testing.assert_array_equal(points, golden["kpt134_idea"])
    # Their neck has a flag for a score, ours the lower score of the shoulders.
    ours, theirs = (
        np.delete(scores, 1, axis=1),
        np.delete(golden["score134_idea"], 1, axis=1),
    )
    np.testing.assert_array_equal(ours, theirs.astype(np.float32))
