"""Repair what a detector gets wrong, and count every repair.

In this order: left and right exchanged, a joint far away for a frame or two, short gaps,
noise. Nothing looks only backwards, so nothing lags, and nothing is invented where a gap is
longer than `longest_gap`.

Left and right: limbs have mass, so of the two ways to name them in each frame, the one with
the smaller accelerations over the whole clip is right. Limbs that cross keep their speed
when they keep their names; names that were exchanged make both jump. Only short exchanges
are believed: legs that pass slowly, or cover each other while somebody turns, look alike
under either names afterwards, and then the detector, which sees the whole body, knows
better.

Noise: around each frame a parabola is fitted to windows of several lengths (Savitzky and
Golay, 1964); being centred, none of them lags. Wide windows are quiet, and wrong where a
limb turns fast. The widest is taken whose answer the narrower ones still allow, given the
noise: the intersection of confidence intervals (Katkovnik, "A new method for varying
adaptive bandwidth selection", 1999). A motion without noise comes out as it went in.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.signal import savgol_coeffs, savgol_filter

from animcli.pose import keypoints as s
from animcli.pose.bones import complete
from animcli.pose.retarget.bone_lengths import estimate_lengths, observed_lengths
from animcli.pose.sequence import PoseSequence
from animcli.pose.shots import by_shot, joined

Pairs = tuple[tuple[int, int], ...]

PENALTY: Final = 0.03  # of the height and joint, for exchanging names: noise must not do it
LONGEST_SWAP: Final = 24
"""Frames: no detector was seen to keep wrong names for longer. Without this limit, whole
turns were counted: 116 to 158 and 156 to 204 of a street clip, whose names are right."""


def mirror_pairs() -> tuple[Pairs, ...]:
    """Left and right keypoints that detectors exchange together, the larger groups
    first.
    """
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


def left_right_swaps(
    points: NDArray[np.float64], visible: NDArray[np.bool_], pairs: Pairs, height: float
) -> NDArray[np.bool_]:
    """`(frames,)`: where the sides of `pairs` are exchanged.

    points: `(frames, 134, 2)`. seen: `(frames, 134)`. height: of the figure, pixels.
    The names of most frames are taken to be right, and so are those that are kept for more
    than LONGEST frames.
    """
    frames = len(points)
    body = [pair for pair in pairs if max(pair) < s.FEET.start]
    body = [pair for pair in body if visible[:, pair].any(axis=0).all()]
    if frames < 4 or not body:
        return np.zeros(frames, bool)
    places, _ = complete(points, visible)
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
        ways[run] &= len(run) <= LONGEST_SWAP
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


WINDOWS: Final = (5, 7, 9, 13, 17)
DEGREE: Final = 2
JITTER_DEVIATIONS: Final = (
    1.0  # standard deviations to each side; chosen on seeds 0 to 7 of the tests
)


def smooth(places: NDArray[np.float64], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """places: `(frames, keypoints, 2)` without gaps. seen: `(frames, keypoints)`, what
    counts.
    """
    frames = len(places)
    windows = [window for window in WINDOWS if window <= frames]
    if not windows:
        return places
    noise = noise_of(places, visible)
    answers = [places]
    low = places - JITTER_DEVIATIONS * noise
    high = places + JITTER_DEVIATIONS * noise
    allowed = np.ones(places.shape, bool)
    chosen = np.zeros(places.shape, np.int8)
    for step, window in enumerate(windows, start=1):
        answer = savgol_filter(places, window, DEGREE, axis=0, mode="interp")
        spread = (
            JITTER_DEVIATIONS * noise * np.sqrt((savgol_coeffs(window, DEGREE) ** 2).sum())
        )
        low = np.maximum(low, answer - spread)
        high = np.minimum(high, answer + spread)
        allowed &= low <= high
        chosen[allowed] = step
        answers.append(answer)
    chosen = median_filter(chosen, size=(5, 1, 1), mode="nearest")
    result = np.zeros_like(places)
    for step, answer in enumerate(answers):
        # Windows change gradually from frame to frame: no new steps come in.
        share = uniform_filter1d((chosen == step).astype(float), 5, axis=0, mode="nearest")
        result += share * answer
    return result


def noise_of(
    places: NDArray[np.float64], visible: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """`(keypoints, 1)`: standard deviation of the noise in pixels.

    By third differences, which a moving limb has hardly any of, over the frames that were
    seen; by their median, which the few of a fast turn don't move.
    """
    keypoints = places.shape[1]
    noise = np.zeros((keypoints, 1))
    if len(places) < 4:
        return noise
    third = np.abs(np.diff(places, 3, axis=0))
    sure = visible[3:] & visible[2:-1] & visible[1:-2] & visible[:-3]
    for joint in range(keypoints):
        values = third[sure[:, joint], joint]
        if len(values):
            # 0.6745: median of |x| of a standard normal. 20 = 1 + 9 + 9 + 1: the variance
            # of a third difference.
            noise[joint] = np.median(values) / 0.6745 / np.sqrt(20)
    return noise


LONGEST_GAP: Final = 10  # frames
JUMP: Final = 0.05  # of the height: how far a joint must be from its neighbours in time
JUMP_WINDOW: Final = 5  # frames, of which up to two can be wrong


def clean(
    sequence: PoseSequence, *, longest_gap: int = LONGEST_GAP, smoothing: bool = True
) -> PoseSequence:
    """The sequence repaired; what was done is in the result's `origin.smoothing`.

    Nothing is filled, smoothed or compared across a cut between two shots.
    longest_gap: up to so many frames without a joint are filled, if it is seen before and
    after; longer gaps stay as they are. A filled joint has the lower score of the two.
    """
    if sequence.cuts:
        parts = by_shot(
            sequence, lambda shot: clean(shot, longest_gap=longest_gap, smoothing=smoothing)
        )
        told = _told_of_all(sequence, parts)
        whole_clip = joined(sequence, parts)
        return replace(whole_clip, origin=replace(sequence.origin, smoothing=told))
    points = sequence.points.astype(np.float64)
    scores = sequence.scores.copy()
    visible = sequence.visible.copy()
    tall = height_of(points, visible)
    swapped = np.zeros(len(points), bool)
    for pairs in mirror_pairs():
        found = left_right_swaps(points, visible, pairs, tall)
        left, right = np.array(pairs).T
        for rows in (points, scores, visible):
            rows[np.ix_(found, [*left, *right])] = rows[np.ix_(found, [*right, *left])]
        swapped |= found
    jumps = find_jumps(points, visible, tall)
    visible &= ~jumps
    places, _ = complete(points, visible)
    whole = places[:, : s.KEYPOINTS]
    filled, ends = find_short_gaps(visible, scores, longest_gap)
    shown = visible | filled
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


COUNTED: Final = ("swapped_frames", "jumps", "filled_joints", "filled_frames")
"""Notes of a clip's shots that add up."""


def _told_of_all(
    sequence: PoseSequence, parts: Sequence[PoseSequence]
) -> dict[str, object]:
    """Smoothing record of the shots of a clip, as if they were one."""
    each = [part.origin.smoothing for part in parts]
    first: dict[str, object] = next((told for told in each if told), {})
    counts: dict[str, object] = {
        name: sum(int(str(told.get(name, 0))) for told in each)
        for name in COUNTED
        if name in first
    }
    moved = [
        float(str(told.get("moved_px", 0))) * len(part)
        for told, part in zip(each, parts, strict=True)
    ]
    nobody = np.concatenate([~part.visible[:, s.BODY].any(axis=1) for part in parts])
    return {
        **first,
        **counts,
        "moved_px": round(sum(moved) / len(sequence), 3),
        "empty_frames": int(nobody.sum()),
        "gaps": runs(nobody).tolist(),
    }


def height_of(points: NDArray[np.float64], visible: NDArray[np.bool_]) -> float:
    """The height of the figure in pixels, at least one."""
    observed = observed_lengths(points, visible)
    return max(estimate_lengths(observed, np.ones(len(points))).height, 1.0)


def find_jumps(
    points: NDArray[np.float64], visible: NDArray[np.bool_], height: float
) -> NDArray[np.bool_]:
    """`(frames, keypoints)`: seen, but far from where the frames around it have the joint.

    The yardstick is the median of five frames, which even motion doesn't shift.
    """
    places, _ = complete(points, visible)
    whole = places[:, : s.KEYPOINTS]
    middle = median_filter(whole, size=(JUMP_WINDOW, 1, 1), mode="nearest")
    away = np.linalg.norm(whole - middle, axis=2)
    # The median of a fast turn is off as well: what its neighbours are off by is allowed.
    usual = median_filter(away, size=(JUMP_WINDOW, 1), mode="nearest")
    found = visible & (away - 3 * usual > JUMP * height)
    found[[0, -1]] = False  # nothing on the other side to tell by
    return np.asarray(found)


def find_short_gaps(
    visible: NDArray[np.bool_], scores: NDArray[np.float32], longest: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Mask `(frames, keypoints)` of gaps to be filled, and the score at their ends."""
    filled = np.zeros_like(visible)
    ends = np.zeros_like(scores)
    for joint in range(visible.shape[1]):
        for start, stop in runs(~visible[:, joint]):
            if start > 0 and stop < len(visible) and stop - start <= longest:
                filled[start:stop, joint] = True
                ends[start:stop, joint] = min(scores[start - 1, joint], scores[stop, joint])
    return filled, ends


def runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`(n, 2)`: where each run of true begins, and the frame after its end."""
    return np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).reshape(
        -1, 2
    )
