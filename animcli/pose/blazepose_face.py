"""The 468 points of a face, looked for where the body's eyes, ears and mouth are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose_body import Body, sigmoid
from animcli.pose.blazepose_crop import Roi, turn
from animcli.pose.blazepose_detector import FACE, FACE_GRIDS, Detector
from animcli.pose.blazepose_network import Looker, Network

MESH = Network("face_landmark.tflite", 192, ((1404,), (1,)))
HEAD = slice(0, 11)
RIGHT_EYE, LEFT_EYE = 5, 2
FOUND = 0.5


@dataclass(frozen=True, eq=False)
class Face:
    """One face: points `(468, 2)` float64 in pixels of the picture, in MediaPipe's order;
    sure: 0..1, that there is a face.
    """

    points: NDArray[np.float64]
    sure: float


class FaceNetwork:
    """A face detector that looks near the head, and the network for the points."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._detector = Detector(FACE, FACE_GRIDS, folder, threads)
        self._look = Looker(MESH, folder, threads)

    def read(self, picture: NDArray[np.uint8], body: Body) -> Face | None:
        """The face of a body; None if it can't be seen, as from behind."""
        head = body.points[HEAD]
        near = face_roi(head, head[RIGHT_EYE], head[LEFT_EYE]).grown(3)
        if near.width < 1:
            return None
        found = self._detector.search(picture, near, FOUND)
        if not found:
            return None
        keypoints = found[0].keypoints
        roi = face_roi(keypoints, keypoints[0], keypoints[1]).raised(0.1).grown(2)
        if roi.width < 1:
            return None
        mesh, logit = self._look(picture, roi)
        points = mesh.reshape(468, 3)[:, :2].astype(np.float64) / MESH.size
        sure = float(sigmoid(logit.astype(np.float64))[0])
        return Face(roi.to_picture(points), sure) if sure > FOUND else None


def face_roi(
    points: NDArray[np.float64],
    right_eye: NDArray[np.float64],
    left_eye: NDArray[np.float64],
) -> Roi:
    """The upright box about some points of a face, turned so that the eyes are level."""
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = (low + high) / 2
    width, height = high - low
    angle = turn(right_eye, left_eye, upright=0)
    return Roi(float(x), float(y), float(width), float(height), angle)
