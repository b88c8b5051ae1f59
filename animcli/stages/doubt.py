"""Doubt about the figure that was found in a picture.

Detectors are trained on people. In a drawing they find someone in a hat, or lying across a
body, and say so with high scores; what they found is then rendered as if it were right.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence

_PLAIN: Final = 0.9  # of the picture's border has one colour: the rest is the figure
NEAR: Final = 24  # levels that a plain ground may vary by
APART: Final = 40  # levels from the ground, from which a pixel is the figure's
SPECK: Final = 0.002  # of the picture: smaller things aren't part of the figure
FRAGMENT: Final = 0.5  # of the figure's diagonal; people's keypoints span 0.8 and more
_HEAD: Final = (s.NOSE, s.RIGHT_EYE, s.LEFT_EYE, s.RIGHT_EAR, s.LEFT_EAR)
HIPS: Final = (s.RIGHT_HIP, s.LEFT_HIP)


LOOKED_AGAIN: Final = (
    "the figure was found by a look at all that stands out of the plain ground; --compare "
    "shows whether it is right"
)


def doubt_of_figure(
    pose: PoseSequence, picture: NDArray[np.uint8], alpha: NDArray[np.uint8] | None
) -> str:
    """A line where the keypoints in `picture` `(h, w, 3)` are hardly its figure's; else
    empty.

    pose: of one frame, in pixels of the picture. alpha: `(h, w)`, where the picture has it.
    """
    points, visible = pose.points[0, s.BODY], pose.visible[0, s.BODY]
    head = [joint for joint in _HEAD if visible[joint]]
    hips = [joint for joint in HIPS if visible[joint]]
    if head and hips and points[head, 1].mean() > points[hips, 1].mean():
        return (
            "the figure was found upside down: is that right? turn the picture, or look at "
            "it with --compare"
        )
    box = figure_box(picture, alpha)
    if box is None or visible.sum() < 2:
        return ""
    span = float(np.linalg.norm(np.ptp(points[visible], axis=0)))
    left, top, right, bottom = box
    share = span / max(float(np.hypot(right - left, bottom - top)), 1.0)
    if share >= FRAGMENT:
        return ""
    return (
        f"the figure that was found spans {share:.0%} of what the picture shows: is that "
        "the character? one with a clear head, two arms and two legs is found better, and "
        "--reference-pose FILE says where its keypoints are"
    )


def figure_box(
    picture: NDArray[np.uint8], alpha: NDArray[np.uint8] | None
) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of what stands out of a plain ground; None without one."""
    if alpha is not None:
        figure = alpha > 127
    else:
        around = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        ground = np.median(around, axis=0)
        if (np.abs(around - ground).max(axis=1) < NEAR).mean() < _PLAIN:
            return None
        figure = np.abs(picture - ground).max(axis=2) > APART
    count, _, stats, _ = cv2.connectedComponentsWithStats(figure.astype(np.uint8))
    things = [each for each in stats[1:count] if each[4] > SPECK * figure.size]
    if not things:
        return None
    boxes = np.array(things, np.int64)
    left, top = map(float, boxes[:, :2].min(axis=0))
    right, bottom = map(float, (boxes[:, :2] + boxes[:, 2:4]).max(axis=0))
    return left, top, right, bottom
