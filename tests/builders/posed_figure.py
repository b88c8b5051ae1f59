"""Drawn figures in poses, as keypoints."""

from fractions import Fraction

import numpy as np

from animcli.pose.keypoints import BODY, KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.synthetic.body import Angles, pose_figure
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.draw import keypoints_of

SIZE = (256, 384)


def many(angles: Angles, frames: int) -> Angles:
    """The same angles in every frame."""
    return Angles(
        **{
            name: np.repeat(getattr(angles, name), frames, axis=0)
            for name in Angles.__dataclass_fields__
        }
    )


def seen(figure: Character, angles: Angles) -> PoseSequence:
    """True keypoints of a figure in front of a camera."""
    view = CameraShot().view(figure, SIZE, 1)
    poses = pose_figure(angles, figure.proportions)
    points = np.zeros((len(poses), KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(poses), KEYPOINTS), np.float32)
    points[:, BODY] = [view.project(keypoints_of(figure, each))[:, :2] for each in poses]
    scores[:, BODY] = 1
    ticks, base = even_ticks(len(poses), Fraction(24))
    return PoseSequence(points, scores, ticks, base, SIZE)
