"""Repair what a detector gets wrong, and count every repair.

In this order: left and right exchanged (`swaps`), a joint far away for a frame or two
(`find_jumps`), short gaps, noise (`smooth`). Nothing looks only backwards, so nothing lags,
and nothing is invented where a gap is longer than `longest_gap`.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from animcli.pose import skeleton as s
from animcli.pose.bones import complete
from animcli.pose.sequence import PoseSequence
from animcli.pose.smooth import smooth
from animcli.pose.statistics import build_of_clip, measure
from animcli.pose.swaps import find_swaps, mirror_pairs

LONGEST_GAP: Final = 10  # frames
JUMP: Final = 0.05  # of the height: how far a joint must be from its neighbours in time
JUMP_WINDOW: Final = 5  # frames, of which up to two can be wrong


def clean(
    sequence: PoseSequence, *, longest_gap: int = LONGEST_GAP, smoothing: bool = True
) -> PoseSequence:
    """The sequence repaired; what was done is in the result's `origin.smoothing`.

    longest_gap: up to so many frames without a joint are filled, if it is seen before and
    after; longer gaps stay as they are. A filled joint has the lower score of the two.
    """
    points = sequence.points.astype(np.float64)
    scores = sequence.scores.copy()
    seen = sequence.seen.copy()
    tall = height_of(points, seen)
    swapped = np.zeros(len(points), bool)
    for pairs in mirror_pairs():
        found = find_swaps(points, seen, pairs, tall)
        left, right = np.array(pairs).T
        for rows in (points, scores, seen):
            rows[np.ix_(found, [*left, *right])] = rows[np.ix_(found, [*right, *left])]
        swapped |= found
    jumps = find_jumps(points, seen, tall)
    seen &= ~jumps
    places, _ = complete(points, seen)
    whole = places[:, : s.JOINTS]
    filled, ends = find_short_gaps(seen, scores, longest_gap)
    shown = seen | filled
    scores = np.where(filled, ends, scores)
    scores[jumps & ~filled] = 0
    points = np.where(shown[..., None], whole, points)
    moved = 0.0
    if smoothing:
        steady = smooth(whole, shown)
        moved = (
            float(np.linalg.norm(steady - points, axis=2)[shown].mean())
            if shown.any()
            else 0
        )
        points = np.where(shown[..., None], steady, points)
    nobody = np.asarray(~shown[:, s.BODY].any(axis=1))
    return replace(
        sequence,
        points=points.astype(np.float32),
        scores=scores.astype(np.float32),
        origin=replace(
            sequence.origin,
            smoothing={
                "method": "adaptive Savitzky-Golay" if smoothing else "none",
                "moved_px": round(moved, 3),
                "swapped_frames": int(swapped.sum()),
                "jumps": int(jumps.sum()),
                "longest_gap": longest_gap,
                "filled_joints": int(filled.sum()),
                "filled_frames": int(filled[:, s.BODY].any(axis=1).sum()),
                "empty_frames": int(nobody.sum()),
                "gaps": [[int(a), int(b)] for a, b in runs(nobody)],
            },
        ),
    )


def height_of(points: NDArray[np.float64], seen: NDArray[np.bool_]) -> float:
    """The height of the figure in pixels, at least one."""
    looks = measure(points, seen)
    return max(build_of_clip(looks, np.ones(len(points))).height, 1.0)


def find_jumps(
    points: NDArray[np.float64], seen: NDArray[np.bool_], height: float
) -> NDArray[np.bool_]:
    """`(frames, joints)`: seen, but far from where the frames around it have the joint.

    The yardstick is the median of five frames, which even motion doesn't shift.
    """
    places, _ = complete(points, seen)
    whole = places[:, : s.JOINTS]
    middle = median_filter(whole, size=(JUMP_WINDOW, 1, 1), mode="nearest")
    away = np.linalg.norm(whole - middle, axis=2)
    # The median of a fast turn is off as well: what its neighbours are off by is allowed.
    usual = median_filter(away, size=(JUMP_WINDOW, 1), mode="nearest")
    found = seen & (away - 3 * usual > JUMP * height)
    found[[0, -1]] = False  # nothing on the other side to tell by
    return np.asarray(found)


def find_short_gaps(
    seen: NDArray[np.bool_], scores: NDArray[np.float32], longest: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which `(frames, joints)` lie in gaps to be filled, and the score at their ends."""
    filled = np.zeros_like(seen)
    ends = np.zeros_like(scores)
    for joint in range(seen.shape[1]):
        for start, stop in runs(~seen[:, joint]):
            if start > 0 and stop < len(seen) and stop - start <= longest:
                filled[start:stop, joint] = True
                ends[start:stop, joint] = min(scores[start - 1, joint], scores[stop, joint])
    return filled, ends


def runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`(n, 2)`: where each run of true begins, and the frame after its end."""
    return np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).reshape(
        -1, 2
    )
