"""BlazePose, made for photographs, takes the characters for people."""

from pathlib import Path

import numpy as np
import pytest

from animcli.pose.detectors.blazepose.tracker import BlazePose
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.scene import Scene


@pytest.mark.blazepose
def test_blazepose_finds_the_dancers_where_their_keypoints_are(
    blazepose_models: Path,
) -> None:
    frames, found, errors = 0, 0, []
    detector = BlazePose(blazepose_models, hands=False, face=False)
    for seed in range(8):
        scene = Scene.from_seed(seed)
        scene = Scene(scene.figure, scene.dance, CameraShot(azimuth=0.2, backdrop=seed))
        detector.reset()
        for drawing in scene.drawings(8, rate=2.0):
            detection = detector.detect(drawing.picture)
            frames += 1
            if detection is None:
                continue
            found += 1
            seen = drawing.visible & (detection.scores[:18] > 0.5)
            far = np.linalg.norm(detection.points[:18] - drawing.keypoints, axis=-1)
            errors.append(far[seen] / 256)
    assert found >= 0.95 * frames
    # Measured over 360 frames: 1.1 % of the picture's side. The error of BlazePose on
    # photographs is of that size too.
    assert np.median(np.concatenate(errors)) < 0.02
