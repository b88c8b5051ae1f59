"""A motion: where each joint is in each frame."""

from dataclasses import KW_ONLY, dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from animcli.pose.keypoints import KEYPOINTS


@dataclass(frozen=True)
class Origin:
    """Provenance of a motion, and what was done to it; the META of a pose file.

    source: digest, name, size, rate and frames of the video, and the frames that begin
        another shot (`cuts`).
    detector: backend, digests of its models, what its score is, from which score to draw.
    person, smoothing, retarget: what was chosen, repaired and fitted, and how much of it.
    corrections: edits by hand, if there were any.
    """

    source: dict[str, object] = field(default_factory=dict)
    detector: dict[str, object] = field(default_factory=dict)
    person: dict[str, object] = field(default_factory=dict)
    smoothing: dict[str, object] = field(default_factory=dict)
    retarget: dict[str, object] = field(default_factory=dict)
    corrections: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class PoseSequence:
    """One person's keypoints over time.

    points: `(frames, 134, 2)` float32, x right and y down, in pixels of `size`.
    scores: `(frames, 134)` float32 in 0..1; 0 means the joint wasn't seen, and its
        point is then meaningless.
    ticks: `(frames,)` int64, when each frame is shown, in units of `time_base`.
    time_base: seconds in a tick, exact.
    size: `(width, height)` in pixels of the picture the points lie in.
    draw_threshold: keypoints with a score up to this one are not drawn: 0.3 for DWPose, 0.5
        for BlazePose, which guesses hidden keypoints with a low score.
    """

    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    ticks: NDArray[np.int64]
    time_base: Fraction
    size: tuple[int, int]
    draw_threshold: float = 0.3
    _: KW_ONLY
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        frames = len(self.ticks)
        if self.points.shape != (frames, KEYPOINTS, 2) or self.scores.shape != (
            frames,
            KEYPOINTS,
        ):
            raise ValueError(
                f"{frames} frames want points ({frames}, {KEYPOINTS}, 2) and scores "
                f"({frames}, {KEYPOINTS}), got {self.points.shape} and {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second, exact, or None where the frames are not evenly spaced."""
        steps = np.diff(self.ticks)
        if len(steps) == 0 or (steps != steps[0]).any() or steps[0] <= 0:
            return None
        return 1 / (self.time_base * int(steps[0]))

    @property
    def begins(self) -> Fraction:
        """Seconds of its footage at which the motion begins; 0 where that isn't known."""
        try:
            return Fraction(str(self.origin.source.get("start", 0)))
        except (ValueError, ZeroDivisionError):
            return Fraction(0)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The frames that begin another shot, in order, the first aside."""
        told = self.origin.source.get("cuts")
        cuts = (
            {each for each in told if isinstance(each, int)}
            if isinstance(told, list)
            else ()
        )
        return tuple(sorted(each for each in cuts if 0 < each < len(self)))

    @property
    def shots(self) -> tuple[range, ...]:
        """The frames of each shot; all of them where there is no cut."""
        ends = (0, *self.cuts, len(self))
        return tuple(range(*pair) for pair in pairwise(ends))

    def part(self, span: range) -> "PoseSequence":
        """Some of the frames, as a motion without cuts."""
        frames = slice(span.start, span.stop)
        source = {name: told for name, told in self.origin.source.items() if name != "cuts"}
        return replace(
            self,
            points=self.points[frames],
            scores=self.scores[frames],
            ticks=self.ticks[frames],
            origin=replace(self.origin, source=source),
        )

    @property
    def visible(self) -> NDArray[np.bool_]:
        """`(frames, keypoints)`: the keypoints that are sure enough to be drawn."""
        return self.scores > self.draw_threshold


def even_ticks(frames: int, rate: Fraction) -> tuple[NDArray[np.int64], Fraction]:
    """The ticks and time base of `frames` frames at an even `rate` per second."""
    return np.arange(frames, dtype=np.int64), 1 / rate
