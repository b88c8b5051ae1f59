"""Pose files of other programs, and parts left out, from the command line to the file."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import dancer, figure_models
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.cocowholebody133_header import cocowholebody_components
from pose_format.utils.openpose import OpenPose_Components

from animcli.cli.main import main
from animcli.pose import keypoints as s
from animcli.pose.detectors.dwpose import DETECTOR_FILE, POSE_FILE
from animcli.pose.io_pose import read_pose, write_pose
from animcli.pose.sequence import PoseSequence
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.scene import Scene
from animcli.video.images import write_picture
from animcli.weights.catalog import read_catalog
from animcli.weights.store import WeightsStore

FRAMES = 20
BODY_25 = (*range(8), *range(9, 19))
"""Where OpenPose's BODY_25 has each of our 18 keypoints: the middle of the hips is
extra."""

WHOLE_BODY = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
HOLISTIC = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""The same for COCO-WholeBody and for MediaPipe's landmarks; neither has a neck."""

LANDMARKS = (
    *("NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER"),
    *("RIGHT_EYE", "RIGHT_EYE_OUTER", "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT"),
    *("LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW", "LEFT_WRIST"),
    *("RIGHT_WRIST", "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX"),
    *("LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP", "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE"),
    *("LEFT_ANKLE", "RIGHT_ANKLE", "LEFT_HEEL", "RIGHT_HEEL", "LEFT_FOOT_INDEX"),
    "RIGHT_FOOT_INDEX",
)


def holistic_components() -> list[PoseHeaderComponent]:
    parts = {
        "POSE_LANDMARKS": LANDMARKS,
        "FACE_LANDMARKS": tuple(str(point) for point in range(468)),
        "LEFT_HAND_LANDMARKS": tuple(f"point {point}" for point in range(21)),
        "RIGHT_HAND_LANDMARKS": tuple(f"point {point}" for point in range(21)),
        "POSE_WORLD_LANDMARKS": LANDMARKS,
    }
    return [
        PoseHeaderComponent(name, list(points), [], [], "XYZC")
        for name, points in parts.items()
    ]


LAYOUTS = {
    "body-25": (OpenPose_Components, BODY_25),
    "coco-wholebody": (cocowholebody_components(), WHOLE_BODY),
    "mediapipe-holistic": (holistic_components(), HOLISTIC),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; of what variables say, only where weights are."""
    for name in os.environ.keys() - {"ANIM_WEIGHTS"}:
        if name.startswith("ANIM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dance() -> PoseSequence:
    """A body without feet, hands and face, its neck between the shoulders."""
    motion = dancer.film(
        dancer.perform(dancer.Body(), dancer.dance(3, FRAMES)), dancer.STAGE
    )
    motion = dancer.without(motion, list(range(s.BODY.stop, s.KEYPOINTS)))
    points = motion.points.copy()
    points[:, s.NECK] = points[:, [s.RIGHT_SHOULDER, s.LEFT_SHOULDER]].mean(axis=1)
    return replace(motion, points=points)


def write_foreign(
    path: str,
    motion: PoseSequence,
    components: list[PoseHeaderComponent],
    places: tuple[int | None, ...],
) -> None:
    """The 18 keypoints of a motion where another program has them; all else is unseen."""
    keypoints = sum(len(part.points) for part in components)
    dimensions = len(components[0].format) - 1
    points = np.zeros((len(motion), 1, keypoints, dimensions), np.float32)
    scores = np.zeros((len(motion), 1, keypoints), np.float32)
    for ours, theirs in enumerate(places):
        if theirs is not None:
            points[:, 0, theirs, :2] = motion.points[:, ours]
            scores[:, 0, theirs] = motion.scores[:, ours]
    header = PoseHeader(0.2, PoseHeaderDimensions(*motion.size), components)
    with Path(path).open("wb") as file:
        Pose(header, NumPyPoseBody(float(motion.rate), points, scores)).write(file)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_foreign_motion_is_retargeted_as_the_same_motion_of_ours(
    layout: str, dance: PoseSequence
) -> None:
    write_pose(Path("ours.pose"), dance)
    write_foreign("foreign.pose", dance, *LAYOUTS[layout])
    write_pose(Path("ref.pose"), dancer.portrait(dancer.Body.from_seed(4)))
    for name in ("ours", "foreign"):
        words = ["retarget", f"{name}.pose", "--to", "ref.pose", "-o", f"{name}-fit.pose"]
        assert main([*words, "--quiet"]) == 0
    ours, theirs = (read_pose(Path(f"{name}-fit.pose")) for name in ("ours", "foreign"))
    assert (theirs.size, theirs.rate, len(theirs)) == (ours.size, ours.rate, FRAMES)
    assert np.abs(ours.points[:, s.BODY] - dance.points[:, s.BODY]).max() > 20  # px
    np.testing.assert_array_equal(theirs.scores, ours.scores)
    # Their necks are a mean of float32, rounded elsewhere than ours.
    np.testing.assert_allclose(theirs.points, ours.points, atol=0.01)


@pytest.mark.blazepose
@pytest.mark.usefixtures("blazepose_models")
def test_a_foreign_motion_is_retargeted_to_a_picture(dance: PoseSequence) -> None:
    scene = Scene.from_seed(1)
    [drawn] = Scene(scene.figure, scene.dance, CameraShot(backdrop=3)).drawings(
        1, (384, 512)
    )
    write_picture(Path("ref.png"), drawn.picture)
    write_foreign("foreign.pose", dance, *LAYOUTS["body-25"])
    words = ["retarget", "foreign.pose", "--to", "ref.png", "-o", "fit.pose"]
    assert main([*words, "--quiet"]) == 0
    fitted = read_pose(Path("fit.pose"))
    assert (fitted.size, len(fitted)) == ((384, 512), FRAMES)
    assert fitted.visible[:, s.NECK].all()


STAND_INS = f"""
[dwpose]
about = "stand-ins"
licence = "none"
needed_by = []
source = {{ kind = "hub", repository = "nobody/nothing", revision = "main" }}
files = [{{ name = "{DETECTOR_FILE}" }}, {{ name = "{POSE_FILE}" }}]
"""


@pytest.mark.parametrize("hands", [True, False])
@pytest.mark.parametrize("face", [True, False])
def test_hands_and_face_can_be_left_out_of_what_dwpose_finds(
    hands: bool, face: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIM_WEIGHTS", str(here / "weights"))
    models = here / "models"
    models.mkdir()
    figure_models.write_models(models, rest=0.6)
    store = WeightsStore(here / "weights", read_catalog(STAND_INS))
    store.import_files("dwpose", [models])
    video = here / "frames"
    video.mkdir()
    for t in range(3):
        picture = figure_models.draw([figure_models.figure(640, t)], (1280, 720))
        write_picture(video / f"{t}.png", picture)
    flags = ["--hands" if hands else "--no-hands", "--face" if face else "--no-face"]
    words = ["extract-pose", "frames", "--detector", "dwpose", *flags, "-o", "found.pose"]
    assert main([*words, "--quiet"]) == 0
    scores = read_pose(Path("found.pose")).scores
    assert scores[:, s.BODY].all()
    for part, wanted in ((s.LEFT_HAND, hands), (s.RIGHT_HAND, hands), (s.FACE, face)):
        assert (scores[:, part] > 0).all() == wanted
        assert (scores[:, part] > 0).any() == wanted
