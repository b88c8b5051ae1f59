"""BlazePose gives what MediaPipe 0.10.21 gives, and agrees with OpenPose on a real dance.

The numbers lie outside of the repository, since they are of pictures whose rights are
unclear: `images.npz` holds the official program's landmarks, `decode_intermediates.npz`
what goes on in between, for one picture.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animcli.pose.detectors.blazepose.detector import (
    PERSON_GRIDS,
    ROI,
    anchors,
    body_roi,
    decode,
    merge_overlapping,
)
from animcli.pose.detectors.blazepose.landmarks import refine_by_heatmap, sigmoid
from animcli.pose.detectors.blazepose.tracker import BlazePose
from animcli.video.reader import open_footage

pytestmark = pytest.mark.blazepose

Numbers = dict[str, np.ndarray]

PICTURES = (
    "photo_kid.jpg",
    "photo_skier.jpg",
    "ref_anyone-2.png",
    "ref_anyone-3.png",
    "ref_anyone-5.png",
)
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""OpenPose's 25 joints in the order of the body's 18."""


@pytest.fixture(scope="module")
def between(goldens: Path) -> Numbers:
    with np.load(goldens / "blazepose" / "decode_intermediates.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def official(goldens: Path) -> Numbers:
    with np.load(goldens / "blazepose" / "images.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def blazepose(blazepose_models: Path) -> BlazePose:
    return BlazePose(blazepose_models)


def test_anchors_are_the_official_ones(between: Numbers) -> None:
    # the published ones are in single precision
    np.testing.assert_allclose(anchors(PERSON_GRIDS), between["anchors_xy"], atol=1e-7)


def test_a_detection_is_decoded_as_officially(between: Numbers) -> None:
    height, width = between["image_hw"]
    square = ROI(width / 2, height / 2, height, height)
    found = merge_overlapping(
        *decode(
            between["det_raw"][0],
            between["det_scores_logit"][0, :, 0],
            anchors(PERSON_GRIDS),
            224,
            0.5,
        )
    )
    box, keypoints, score = found[0]
    # a thousandth of a pixel: the official steps are in single precision
    np.testing.assert_allclose(
        square.to_picture(keypoints), between["det_keypoints_px"], atol=1e-3
    )
    np.testing.assert_allclose(
        square.to_picture(box).ravel(), between["det_box_px"], atol=1e-3
    )
    assert score == pytest.approx(float(between["det_score"]), abs=1e-6)
    roi = body_roi(*square.to_picture(keypoints)[:2])
    np.testing.assert_allclose(
        [roi.x, roi.y, roi.width, roi.height, roi.angle], between["roi"], atol=2e-3
    )


def test_landmarks_are_refined_as_officially(between: Numbers) -> None:
    rows = between["ld_195"].reshape(39, 5).astype(float)
    roi = ROI(*between["roi"])
    heatmap = between["heatmap_f16"][0].astype(np.float32)
    points = roi.to_picture(refine_by_heatmap(rows[:35, :2] / 256, heatmap))
    # the heatmap is kept in half precision: 1e-3 of a logit, 0.05 px at 1100 px a crop
    np.testing.assert_allclose(points[:33], between["landmarks_px"], atol=0.05)
    np.testing.assert_allclose(points[33:], between["aux_px"], atol=0.05)
    np.testing.assert_allclose(sigmoid(rows[:33, 3]), between["vis"], atol=1e-6)
    np.testing.assert_allclose(sigmoid(rows[:33, 4]), between["pres"], atol=1e-6)


@pytest.mark.parametrize("name", PICTURES)
def test_landmarks_of_a_picture_are_the_official_ones(
    name: str, blazepose: BlazePose, official: Numbers, media: Path
) -> None:
    blazepose.reset()
    # read as the official program's were: without applying colour profiles
    with Image.open(media / name) as picture:
        found = blazepose.detect(np.asarray(picture.convert("RGB")))
    body = official[f"{name}|official_pose33_xyzv"]
    # 0.1 px: OpenCV rounds the crop's coordinates to 1/32 px, so that a pixel may differ by
    # a level or two where our matrix differs in its last bit; measured up to 0.01 px
    errors = np.linalg.norm(found.body.points - body[:, :2], axis=1)
    assert errors.mean() < 0.1
    assert errors.max() < 0.3
    np.testing.assert_allclose(found.body.visibility, body[:, 3], atol=2e-3)
    world = official[f"{name}|official_world33"]
    np.testing.assert_allclose(found.body.world, world, atol=1e-3)
    for key, part in (("lh", found.left), ("rh", found.right), ("face", found.face)):
        expected = official.get(f"{name}|official_{key}")
        assert (part is None) == (expected is None)
        if part is not None:
            errors = np.linalg.norm(part.points - expected[:, :2], axis=1)
            assert errors.mean() < 0.15  # three crops one after another; measured 0.08


def test_a_dance_agrees_with_openpose(blazepose_models: Path, media: Path) -> None:
    files = sorted((media / "dance_stage_openpose_body25").glob("*.json"))
    people = [json.loads(file.read_text())["people"][0] for file in files]
    theirs = np.array([person["pose_keypoints_2d"] for person in people]).reshape(-1, 25, 3)
    blazepose = BlazePose(blazepose_models, hands=False, face=False)
    with open_footage(media / "dance_stage.mp4") as reader:
        ours = np.array(
            [blazepose.detect(frame.picture).points for frame in reader.frames()]
        )
    keypoints = theirs[:, BODY_25]
    torso = np.linalg.norm(theirs[:, 1, :2] - theirs[:, 8, :2], axis=1)
    near = np.linalg.norm(ours[:, :18] - keypoints[..., :2], axis=2) < 0.1 * torso[:, None]
    assert (
        near[keypoints[..., 2] > 0.3].mean() >= 0.98
    )  # OpenPose's own threshold for drawing
