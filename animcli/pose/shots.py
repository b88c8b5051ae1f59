"""Cuts between shots: found in footage, and where motions are taken apart.

At a cut the whole picture changes at once, and so do everybody's keypoints; before and
after it, the picture changes as little as people move. A flash changes it twice, and a
light that is switched on moves nobody.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.keypoints import BODY
from animcli.pose.sequence import PoseSequence
from animcli.pose.tracking import MIN_SHARED_KEYPOINTS, Detection, size_of

THUMBNAIL: Final = (32, 18)  # px across and down
LEAST: Final = (
    5.0  # levels, the mean change of a thumbnail; people alone make 2, and up to 8
)
SUDDEN: Final = 3.0  # times the strongest change in the frames around
_AROUND: Final = 3  # frames before and after; no shot is shorter than these
_JUMP: Final = (
    0.15  # of a person's size, the median over the keypoints, from frame to frame
)


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture `(h, w, 3)` as small as is enough to see cuts in: `(18, 32, 3)`."""
    small = cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def find_cuts(
    thumbnails: NDArray[np.uint8], people: Sequence[Sequence[Detection]], threshold: float
) -> tuple[int, ...]:
    """The frames that begin another shot, the first aside.

    thumbnails: `(frames, 18, 32, 3)`. people: those of each frame. threshold: the score
    from which a joint counts.
    """
    if len(thumbnails) < 2:
        return ()
    moved = np.abs(np.diff(thumbnails.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    changes = np.concatenate([[0.0], moved])
    cuts = []
    for frame in np.flatnonzero(changes > LEAST).tolist():
        near = changes[max(frame - _AROUND, 1) : frame + _AROUND + 1].copy()
        near[frame - max(frame - _AROUND, 1)] = 0
        sudden = changes[frame] > SUDDEN * near.max(initial=0)
        if sudden and _all_jump(people[frame - 1], people[frame], threshold):
            cuts.append(frame)
    return tuple(cuts)


def _all_jump(
    before: Sequence[Detection], after: Sequence[Detection], threshold: float
) -> bool:
    """Tell if nobody after is where somebody was before."""
    return not any(_stays(one, other, threshold) for one in before for other in after)


def _stays(one: Detection, other: Detection, threshold: float) -> bool:
    visible = (one.scores[BODY] > threshold) & (other.scores[BODY] > threshold)
    if visible.sum() < MIN_SHARED_KEYPOINTS:
        return False
    first, second = one.points[BODY][visible], other.points[BODY][visible]
    size = max(size_of(first, visible[visible]), size_of(second, visible[visible]), 1.0)
    away = np.linalg.norm(first - second, axis=1)
    return bool(np.median(away) < _JUMP * size)


def by_shot(
    motion: PoseSequence, change: Callable[[PoseSequence], PoseSequence]
) -> list[PoseSequence]:
    """Each shot of a motion by itself, changed; a shot that shows nobody as it is."""
    return [
        change(part) if part.visible[:, BODY].any() else part
        for part in map(motion.part, motion.shots)
    ]


def joined(motion: PoseSequence, parts: Sequence[PoseSequence]) -> PoseSequence:
    """The changed shots of a motion as one again, with its own origin."""
    sizes = {part.size for part in parts if part.visible.any()} or {motion.size}
    return replace(
        motion,
        points=np.concatenate([part.points for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        size=sizes.pop(),
    )
