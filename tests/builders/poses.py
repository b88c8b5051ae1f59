"""Motions made in code, for the tests that need one."""

from fractions import Fraction

import numpy as np

from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.sequence import Origin, PoseSequence, even_ticks


def random_pose(
    frames: int = 12,
    rate: Fraction = Fraction(30000, 1001),
    size: tuple[int, int] = (512, 768),
    seed: int = 0,
    origin: Origin | None = None,
) -> PoseSequence:
    """Joints anywhere in the picture, a fifth of them unseen."""
    random = np.random.default_rng(seed)
    points = (random.random((frames, KEYPOINTS, 2)) * size).astype(np.float32)
    scores = random.random((frames, KEYPOINTS)).astype(np.float32)
    unseen = random.random((frames, KEYPOINTS)) < 0.2
    scores[unseen] = 0
    points[unseen] = 0
    ticks, base = even_ticks(frames, rate)
    return PoseSequence(points, scores, ticks, base, size, origin=origin or Origin())
