"""Size of a figure in each frame, as a share of its size in its picture."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.head_pose import head_pose
from animcli.rendering.cutout.rig import HEAD_KEYPOINTS, LEG_BONES, LIMBS, RestPose

# How much each length says: a trunk is seldom pictured pointing at the viewer, an arm
# often.
_TRUNK: Final = 2.5
_LEG: Final = 1.0
_ARM: Final = 0.5
_HEAD: Final = 2.0
_OTHERS: Final = {
    (keypoint.RIGHT_SHOULDER, keypoint.LEFT_SHOULDER): 0.7,
    (keypoint.RIGHT_HIP, keypoint.LEFT_HIP): 0.7,
}
"""Distances that change as a figure turns, and what they say of its size."""

_LONG: Final = 90  # percentile of a length over the frames that shows it whole
_AGREE: Final = 0.05  # natural logarithm: lengths as near as this say the same
_RANGE: Final = np.exp(np.arange(-4, 4, 0.005))  # sizes that are looked at
_FRAMES: Final = 12  # each way; a figure comes nearer no faster than in a second


def figure_size(
    keypoints: NDArray[np.float64], found: NDArray[np.bool_], rest: RestPose
) -> NDArray[np.float64]:
    """`(frames,)`: size of the figure, as a share of its size in the picture.

    Projection only shortens, in the picture too: so the size is what most lengths agree on
    (the mode of their ratios), each at its longest. In any frame the bones that are longest
    against their own long ones show how much nearer it is; something is always stretched
    out across the view. keypoints: `(frames, 134, 2)` px. found: `(frames, 134)`.
    """
    bones = {LIMBS[bone]: bone for bone in LIMBS if rest.present[bone]}
    lengths = [_ratio(keypoints, found, rest, *pair) for pair in bones]
    counts = [_LEG if bone in LEG_BONES else _ARM for bone in bones.values()]
    right, left = keypoint.RIGHT_HIP, keypoint.LEFT_HIP
    if rest.visible[right] and rest.visible[left]:
        middle = (keypoints[:, right] + keypoints[:, left]) / 2
        length = np.linalg.norm(keypoints[:, keypoint.NECK] - middle, axis=1)
        length /= max(rest.trunk, 1e-3)
        lengths.append(np.where(found[:, right] & found[:, left], length, np.nan))
        counts.append(_TRUNK)
    stretched = len(lengths)
    for pair, count in _OTHERS.items():
        if rest.visible[list(pair)].all():
            lengths.append(_ratio(keypoints, found, rest, *pair))
            counts.append(count)
    lengths.append(np.full(len(keypoints), _head_ratio(keypoints, found, rest)))
    counts.append(_HEAD)
    seen = np.array([not np.isnan(length).all() for length in lengths])
    if not seen[:stretched].any():
        return np.ones(len(keypoints))
    whole = np.array([np.nanpercentile(each, _LONG) for each in np.array(lengths)[seen]])
    usual = _mode(whole, np.array(counts)[seen])
    bones_seen = int(seen[:stretched].sum())
    longest = np.maximum(whole[:bones_seen, None], 1e-3)
    shares = np.stack(lengths)[:stretched][seen[:stretched]] / longest
    relative = np.sort(np.nan_to_num(shares, nan=-1.0), axis=0)[-3:]
    counted = relative >= 0
    held = np.flatnonzero(counted.any(axis=0))
    each = (relative * counted).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    each = np.interp(np.arange(len(keypoints)), held, each[held])
    window = np.ones(2 * _FRAMES + 1)
    even = np.convolve(each, window) / np.convolve(np.ones(len(each)), window)
    return np.maximum(usual * even[_FRAMES : _FRAMES + len(each)], _RANGE[0])


def _ratio(
    keypoints: NDArray[np.float64],
    found: NDArray[np.bool_],
    rest: RestPose,
    near: int,
    far: int,
) -> NDArray[np.float64]:
    """`(frames,)`: a distance as a share of that in the picture; NaN where it isn't
    seen.
    """
    length = np.linalg.norm(keypoints[:, far] - keypoints[:, near], axis=1)
    own = max(float(np.linalg.norm(rest.keypoints[far] - rest.keypoints[near])), 1e-3)
    return np.where(found[:, near] & found[:, far], length / own, np.nan)


def _head_ratio(
    keypoints: NDArray[np.float64], found: NDArray[np.bool_], rest: RestPose
) -> float:
    """Size of the head, unforeshortened, as a share of that in the picture; NaN where one
    of them isn't seen.
    """
    face = list(HEAD_KEYPOINTS)
    seen = found[:, face].all(axis=1)
    if not (rest.visible[face].all() and seen.any()):
        return float("nan")
    own = head_pose(rest.keypoints[None], rest.visible)
    now = head_pose(keypoints[seen], rest.visible)
    if own is None or now is None:
        return float("nan")
    return float(np.median(now.scale / own.scale))


def _mode(values: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Value that most of `values` `(n,)` agree on, each with its count."""
    logs = np.log(np.clip(values, _RANGE[0], _RANGE[-1]))
    away = (logs - np.log(_RANGE)[:, None]) / _AGREE
    near = counts * np.exp(-0.5 * away**2)
    agreed = near[near.sum(axis=1).argmax()]
    return float(np.exp((agreed * logs).sum() / agreed.sum()))
