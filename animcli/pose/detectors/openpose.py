"""OpenPose: everybody's body, hands and face, by the networks of controlnet_aux.

Part confidence maps and affinity fields find the bodies in the whole picture; hands and
face are looked for in squares beside wrists and around noses. It remembers nothing from one
frame to the next, and finds no feet. The package reads pickles; here its networks get
tensors that the weights store has checked.

Sources: Cao et al., "OpenPose", arXiv:1812.08008; Simon et al., "Hand Keypoint Detection",
arXiv:1704.07809. Code and weights are licensed for non-commercial use.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import DeviceError, WeightsError
from animcli.pose.keypoints import BODY, FACE, KEYPOINTS, LEFT_HAND, RIGHT_HAND
from animcli.pose.tracking import Detection

BODY_FILE: Final = "body_pose_model.safetensors"
HAND_FILE: Final = "hand_pose_model.safetensors"
FACE_FILE: Final = "facenet.safetensors"
DRAW_THRESHOLD: Final = 0.1
"""Least peak of a confidence map that the package takes for a keypoint of the body."""
FACE_THRESHOLD: Final = 0.05  # the package's, of the face's maps


class OpenPose:
    """Finds people in single pictures.

    models: the folder with the three files. hands, face: whether to look for them, which
    takes most of the time. device: `cpu`, `cuda` or `cuda:1`.
    """

    def __init__(
        self, models: Path, *, hands: bool = True, face: bool = True, device: str = "cpu"
    ) -> None:
        try:
            from controlnet_aux import open_pose
            from controlnet_aux.open_pose import body, hand, model
            from controlnet_aux.open_pose import face as face_module
        except ImportError as error:
            raise DeviceError(
                f"the detector openpose needs the package {error.name or 'controlnet_aux'}",
                "pip install 'animcli[openpose]'",
            ) from error
        # Their constructors read pickles; all that they keep is the network.
        self._detector: Any = open_pose.OpenposeDetector(
            _loaded(body.Body, model.bodypose_model(), models / BODY_FILE),
            _loaded(hand.Hand, model.handpose_model(), models / HAND_FILE),
            _loaded(face_module.Face, face_module.FaceNet(), models / FACE_FILE),
        ).to(device)
        self._face_square = open_pose.util.faceDetect
        self._hands, self._face = hands, face

    @property
    def state(self) -> tuple[float, ...]:
        """Nothing: each frame is looked at by itself."""
        return ()

    def restore(self, state: Sequence[float]) -> None:
        """Go on; there is nothing to restore."""

    def count(self, picture: NDArray[np.uint8]) -> int:
        """Number of people in a still picture."""
        return len(self._bodies(_bgr(picture)))

    def people(self, picture: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """The people in a picture `(h, w, 3)` uint8 RGB, nobody being an empty tuple."""
        bgr = _bgr(picture)
        return tuple(self._person(body, bgr) for body in self._bodies(bgr))

    def _bodies(self, bgr: NDArray[np.uint8]) -> "list[Any]":
        estimate = self._detector.body_estimation
        return list(estimate.format_body_result(*estimate(bgr)))

    def _person(self, body: Any, bgr: NDArray[np.uint8]) -> Detection:
        points = np.zeros((KEYPOINTS, 2), np.float32)
        scores = np.zeros(KEYPOINTS, np.float32)
        for row, keypoint in enumerate(body.keypoints, BODY.start):
            if keypoint is not None:
                points[row] = keypoint.x, keypoint.y
                scores[row] = min(keypoint.score, 1)
        if self._hands:
            size = bgr.shape[1::-1]
            found = self._detector.detect_hands(body, bgr)
            for part, hand in zip((LEFT_HAND, RIGHT_HAND), found, strict=True):
                if hand is not None:
                    points[part] = np.array([[each.x, each.y] for each in hand]) * size
                    scores[part] = [each.x >= 0 and each.y >= 0 for each in hand]
        if self._face and (square := self._face_square(body, bgr)) is not None:
            left, top, side = square
            maps = self._detector.face_estimation(bgr[top : top + side, left : left + side])
            maps = maps[: FACE.stop - FACE.start]  # the rest are pupils and background
            peaks = maps.reshape(len(maps), -1).argmax(axis=1)
            down, across = np.unravel_index(peaks, maps.shape[1:])
            points[FACE] = np.stack([across + left, down + top], axis=1)
            best = maps.max(axis=(1, 2)).clip(0, 1)
            scores[FACE] = np.where(best > FACE_THRESHOLD, best, 0)
        points[scores == 0] = 0
        return Detection(points, scores)


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[..., ::-1])


def _loaded(kind: Any, network: Any, path: Path) -> Any:
    """One of the package's estimators around a network with the weights of a file.

    Names in the files of body and hands lack the block that a layer is in.
    """
    from safetensors.torch import load_file

    tensors = load_file(path)
    names = {
        name: name if name in tensors else name.partition(".")[2]
        for name in network.state_dict()
    }
    if absent := sorted({*names.values()} ^ tensors.keys()):
        raise WeightsError(
            f"{path}: isn't of OpenPose's network: {absent[0]} is missing or foreign",
            "pull or import it again",
        )
    try:
        network.load_state_dict({name: tensors[old] for name, old in names.items()})
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: isn't of OpenPose's network: {str(error).splitlines()[-1].strip()}",
            "pull or import it again",
        ) from error
    estimator = kind.__new__(kind)
    estimator.model = network.eval()
    return estimator
