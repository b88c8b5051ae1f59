"""Find the frames in which a detector took left for right.

Limbs have mass: of the two ways to name them in each frame, the one with the smaller
accelerations over the whole clip is right. Limbs that cross keep their speed when they keep
their names; names that were exchanged make both jump. Only short exchanges are believed:
legs that pass slowly, or cover each other while somebody turns, look alike under either
names afterwards, and then the detector, which sees the whole body, knows better.
"""

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import skeleton as s
from animcli.pose.bones import complete

Pairs = tuple[tuple[int, int], ...]

PENALTY: Final = 0.03  # of the height and joint, for exchanging names: noise must not do it
LONGEST: Final = 24
"""Frames: no detector was seen to keep wrong names for longer. Without this limit, whole
turns were counted: 116 to 158 and 156 to 204 of a street clip, whose names are right."""


def mirror_pairs() -> tuple[Pairs, ...]:
    """Left and right joints that detectors exchange together, the larger groups first."""
    hands = tuple(zip(range(92, 113), range(113, 134), strict=True))
    feet = tuple(
        zip(
            range(s.LEFT_BIG_TOE, s.RIGHT_BIG_TOE),
            range(s.RIGHT_BIG_TOE, s.FEET.stop),
            strict=True,
        )
    )
    forearms = ((s.LEFT_ELBOW, s.RIGHT_ELBOW), (s.LEFT_WRIST, s.RIGHT_WRIST), *hands)
    shins = ((s.LEFT_KNEE, s.RIGHT_KNEE), (s.LEFT_ANKLE, s.RIGHT_ANKLE), *feet)
    return (
        ((s.LEFT_SHOULDER, s.RIGHT_SHOULDER), *forearms),
        ((s.LEFT_HIP, s.RIGHT_HIP), *shins),
        forearms,
        shins,
    )


def find_swaps(
    points: NDArray[np.float64], seen: NDArray[np.bool_], pairs: Pairs, height: float
) -> NDArray[np.bool_]:
    """`(frames,)`: where the sides of `pairs` are exchanged.

    points: `(frames, 134, 2)`. seen: `(frames, 134)`. height: of the figure, pixels.
    The names of most frames are taken to be right, and so are those that are kept for more
    than LONGEST frames.
    """
    frames = len(points)
    body = [pair for pair in pairs if max(pair) < s.FEET.start]
    body = [pair for pair in body if seen[:, pair].any(axis=0).all()]
    if frames < 4 or not body:
        return np.zeros(frames, bool)
    places, _ = complete(points, seen)
    straight = places[:, np.array(body)]  # (f, pairs, 2 sides, 2)
    named = np.stack([straight, straight[:, :, ::-1]])  # (2 ways, f, pairs, 2, 2)
    cost = np.empty((2, 2, 2, frames - 2))
    for a, b, c in product((0, 1), repeat=3):
        push = named[c, 2:] - 2 * named[b, 1:-1] + named[a, :-2]
        cost[a, b, c] = np.linalg.norm(push, axis=3).sum(axis=(1, 2))
        cost[a, b, c] += (b != c) * PENALTY * height * 2 * len(body)
    ways = cheapest(cost)
    if ways.mean() > 0.5:
        ways = ~ways
    for run in np.split(np.arange(frames), np.flatnonzero(np.diff(ways)) + 1):
        ways[run] &= len(run) <= LONGEST
    return ways


def cheapest(cost: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The way of each frame such that all costs of three frames running are least.

    cost: `(2, 2, 2, frames - 2)`, by the ways of the frames t, t + 1, t + 2. Viterbi's
    algorithm; a state is the ways of two frames.
    """
    best = np.zeros((2, 2))  # by the ways of the last two frames
    came = np.empty((cost.shape[3], 2, 2), np.int8)
    for t in range(cost.shape[3]):
        options = best[:, :, None] + cost[..., t]  # (a, b, c)
        came[t] = options.argmin(axis=0)
        best = options.min(axis=0)
    b, c = np.unravel_index(best.argmin(), best.shape)
    ways = [int(c), int(b)]
    for t in range(cost.shape[3] - 1, -1, -1):
        ways.append(int(came[t, ways[-1], ways[-2]]))
    return np.array(ways[::-1], bool)
