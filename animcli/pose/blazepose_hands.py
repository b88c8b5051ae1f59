"""The joints of a hand, looked for where the body's wrist and fingers are.

The square that follows from three body landmarks is coarse, so a small network straightens
it first (without it: 2 to 14 px, and most small hands are lost). Which hand it is follows
from the body; the network's own opinion is unreliable on crops such as these.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose_body import Body
from animcli.pose.blazepose_crop import Roi, turn
from animcli.pose.blazepose_network import Looker, Network

RECROP = Network("hand_recrop.tflite", 256, ((4,),))
HAND = Network("hand_landmark_full.tflite", 224, ((63,), (1,)))

LEFT = (15, 17, 19)
RIGHT = (16, 18, 20)
"""Body landmarks of a hand: wrist, little finger, index finger."""

WRIST_SEEN = 0.1
FOUND = 0.5


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand: points `(21, 2)` float64 in pixels of the picture, wrist, then thumb to
    little finger, root to tip; sure: 0..1, that there is a hand.
    """

    points: NDArray[np.float64]
    sure: float


class HandNetwork:
    """The two networks that find the joints of a hand."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._straighten = Looker(RECROP, folder, threads)
        self._look = Looker(HAND, folder, threads)

    def read(
        self, picture: NDArray[np.uint8], body: Body, side: tuple[int, int, int]
    ) -> Hand | None:
        """The hand at landmarks `side` of a body; None if there's none to be seen."""
        wrist, little, index = side
        if body.visibility[wrist] <= WRIST_SEEN:
            return None
        coarse = hand_roi(body.points[wrist], body.points[little], body.points[index])
        if coarse.width < 1:
            return None
        (ends,) = self._straighten(picture, coarse)
        centre, top = coarse.to_picture(ends.reshape(2, 2).astype(np.float64) / RECROP.size)
        width = 2 * float(np.hypot(*(top - centre)))
        if width < 1:
            return None
        angle = turn(centre, top, upright=-math.pi / 2)
        roi = Roi(float(centre[0]), float(centre[1]), width, width, angle).raised(0.1)
        joints, sure = self._look(picture, roi)
        points = joints.reshape(21, 3)[:, :2].astype(np.float64) / HAND.size
        if sure[0] <= FOUND:
            return None
        return Hand(roi.to_picture(points), float(sure[0]))


def hand_roi(
    wrist: NDArray[np.float64], little: NDArray[np.float64], index: NDArray[np.float64]
) -> Roi:
    """The coarse square about a hand; the middle finger's root is its centre."""
    middle = (2 * index + little) / 3
    width = 2 * float(np.hypot(*(middle - wrist)))
    angle = turn(wrist, middle, upright=math.pi / 2)
    return (
        Roi(float(middle[0]), float(middle[1]), width, width, angle).raised(0.1).grown(2.7)
    )
