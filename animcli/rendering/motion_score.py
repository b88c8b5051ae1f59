"""Cinemo's motion bucket: how much moves in a clip, in the number that it was taught with.

Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.2.
"""

from typing import Final

RATE: Final = 8
"""Frames a second that are compared: as many as Cinemo's results have."""

SIZE: Final = (512, 320)
"""`(width, height)` at which they are compared: that of its training."""

LEAST, MOST = 1, 20
"""Of the motion strength."""


def motion_number(likeness: float) -> int:
    """The bucket of a likeness: whole hundredths, 0 to 99. Much motion is a small number.

    Source: Ma et al., arXiv:2407.15642, section 3.2, counts buckets without saying where
    they begin; the published weights seem to know this one.
    """
    return max(0, min(99, int(100 * likeness)))


def motion_strength(likeness: float) -> int:
    """The nearest `--motion-strength` to a likeness."""
    return max(LEAST, min(MOST, 100 - motion_number(likeness)))
