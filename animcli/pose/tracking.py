"""Track people from frame to frame, by where they are and how they move.

People are told apart by their keypoints alone. Each track foretells its keypoints by its
speed, and the people of a frame are given to tracks so that all together are nearest.
Somebody who is hidden for a while is foretold on, and taken up again where they come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from animcli.errors import InputError, UsageError
from animcli.pose.keypoints import BODY, KEYPOINTS

PATIENCE: Final = 30  # frames without a person before their track ends
MATCH_DISTANCE: Final = (
    0.5  # of the person's size: farther off, mean over keypoints, is somebody else
)
DRIFT: Final = 0.05  # of the size, by which the reach grows with every frame unseen
SPEED_SHARE: Final = 0.4  # how much a frame counts in the running mean of the speed
SPEED_DECAY: Final = 0.9  # the speed of a hidden person falls by that each frame
MIN_SHARED_KEYPOINTS: Final = 3  # keypoints that two poses must share to be compared


@dataclass(frozen=True, eq=False)
class Detection:
    """Somebody in one frame. points: `(134, 2)` pixels. scores: `(134,)`."""

    points: NDArray[np.float32]
    scores: NDArray[np.float32]

    def bbox(self, threshold: float) -> NDArray[np.float32] | None:
        """Left, top, right, bottom around the keypoints above `threshold`, if any."""
        visible = self.points[self.scores > threshold]
        if len(visible) < 2:
            return None
        return np.concatenate([visible.min(axis=0), visible.max(axis=0)])


@dataclass
class Track:
    """One person over time. number: from 1, by first appearance and then from the left."""

    number: int
    frames: list[int] = field(default_factory=list)
    people: list[Detection] = field(default_factory=list)

    def sequence_of(self, frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`(frames, 134, 2)` and `(frames, 134)`, zero where the person isn't found."""
        points = np.zeros((frames, KEYPOINTS, 2), np.float32)
        scores = np.zeros((frames, KEYPOINTS), np.float32)
        for frame, person in zip(self.frames, self.people, strict=True):
            points[frame], scores[frame] = person.points, person.scores
        return points, scores

    def bboxes(self, threshold: float) -> NDArray[np.float32]:
        """`(n, 4)` around the person, in the frames where there is one."""
        bboxes = [person.bbox(threshold) for person in self.people]
        found = [bbox for bbox in bboxes if bbox is not None]
        return np.array(found, np.float32).reshape(-1, 4)


@dataclass
class TrackState:
    """Expectation of a track for the next frame. pose: the keypoints last visible. speed:
    pixels a frame.
    """

    track: Track
    pose: NDArray[np.float64]
    visible: NDArray[np.bool_]
    speed: NDArray[np.float64]
    size: float

    @classmethod
    def begin(cls, track: Track, person: Detection, threshold: float) -> "TrackState":
        """A person seen for the first time."""
        visible = person.scores[BODY] > threshold
        pose = person.points[BODY].astype(np.float64)
        return cls(track, pose, visible, np.zeros(2), size_of(pose, visible))

    def predict(self, frame: int) -> NDArray[np.float64]:
        """`(18, 2)`: where the body's keypoints should be."""
        away = frame - self.track.frames[-1]
        steps = (1 - SPEED_DECAY**away) / (1 - SPEED_DECAY)
        return self.pose + self.speed * steps

    def update(self, person: Detection, frame: int, threshold: float) -> None:
        """Learn from the person that was found."""
        visible = person.scores[BODY] > threshold
        both = visible & self.visible
        pose = person.points[BODY].astype(np.float64)
        if both.any():
            away = frame - self.track.frames[-1]
            speed = np.median(pose[both] - self.pose[both], axis=0) / away
            self.speed += SPEED_SHARE * (speed - self.speed)
        self.pose = np.where(visible[:, None], pose, self.predict(frame))
        self.visible |= visible
        self.size = max(0.9 * self.size, size_of(pose, visible))
        self.track.frames.append(frame)
        self.track.people.append(person)


class Tracker:
    """Takes the people of one frame after the other, and gives each a track."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._tracks: list[Track] = []
        self._active: list[TrackState] = []

    def update(self, frame: int, people: Sequence[Detection]) -> list[Track]:
        """The track of each of `people`; frames come in order, some may be left out."""
        self._active = [
            motion for motion in self._active if frame - motion.track.frames[-1] <= PATIENCE
        ]
        given: dict[int, TrackState] = {}
        if self._active and people:
            cost = np.array(
                [
                    [self._cost(motion, one, frame) for one in people]
                    for motion in self._active
                ]
            )
            # What is out of reach costs more than all that isn't together.
            limit = np.where(np.isfinite(cost), cost, 1e6)
            for row, column in zip(*linear_sum_assignment(limit), strict=True):
                if np.isfinite(cost[row, column]):
                    given[int(column)] = self._active[row]
        order = sorted(range(len(people)), key=lambda index: left_of(people[index]))
        for index in order:
            person = people[index]
            if index in given:
                given[index].update(person, frame, self._threshold)
                continue
            track = Track(len(self._tracks) + 1, [frame], [person])
            self._tracks.append(track)
            given[index] = TrackState.begin(track, person, self._threshold)
            self._active.append(given[index])
        return [given[index].track for index in range(len(people))]

    @property
    def tracks(self) -> tuple[Track, ...]:
        """All tracks so far."""
        return tuple(self._tracks)

    def _cost(self, motion: TrackState, person: Detection, frame: int) -> float:
        """Mean distance of the keypoints in sizes of the person; infinite beyond reach."""
        visible = person.scores[BODY] > self._threshold
        both = visible & motion.visible
        if both.sum() < MIN_SHARED_KEYPOINTS:
            return np.inf
        away = np.linalg.norm(
            motion.predict(frame)[both] - person.points[BODY][both], axis=1
        )
        size = max(motion.size, size_of(person.points[BODY], visible), 1.0)
        cost = float(away.mean()) / size
        unseen = frame - motion.track.frames[-1] - 1
        return cost if cost < MATCH_DISTANCE + DRIFT * unseen else np.inf


def tracks_of(people: Sequence[Sequence[Detection]], threshold: float) -> Sequence[Track]:
    """Tracks of a clip, given the people of every frame.

    Where there are never two at a time it is the same person always.
    """
    if max(map(len, people), default=0) == 1:
        there = [frame for frame, found in enumerate(people) if found]
        return [Track(1, there, [people[frame][0] for frame in there])]
    tracker = Tracker(threshold)
    for frame, found in enumerate(people):
        tracker.update(frame, found)
    return tracker.tracks


def size_of(points: NDArray[np.floating], visible: NDArray[np.bool_]) -> float:
    """The longer side of the box around the keypoints that are seen, pixels."""
    if not visible.any():
        return 0.0
    return float(np.ptp(points[visible], axis=0).max())


def left_of(person: Detection) -> float:
    """Horizontal position of somebody: the mean of their keypoints, by score."""
    weight = float(person.scores.sum())
    return float(person.points[:, 0] @ person.scores) / weight if weight > 0 else 0.0


def choose(
    tracks: Sequence[Track], policy: str, size: tuple[int, int], threshold: float
) -> Track:
    """The track that `policy` means: `largest`, `center`, or a number from 1.

    Largest and most central are judged over the whole clip: somebody who is there for
    longer counts for more. Raises UsageError for a policy that isn't one, InputError if
    there is nobody, or nobody of that number.
    """
    if policy not in ("largest", "center") and not (policy.isdecimal() and int(policy) > 0):
        raise UsageError(
            f"{policy} is no person to choose", "say largest, center, or a number from 1"
        )
    if not tracks:
        raise InputError("nobody was found in any frame", "is there a person to be seen?")
    if policy.isdecimal():
        for track in tracks:
            if track.number == int(policy):
                return track
        found = "1 was" if len(tracks) == 1 else f"{len(tracks)} were"
        raise InputError(
            f"there is no person {policy}: {found} found",
            "`anim inspect` shows them with their numbers",
        )
    return max(tracks, key=lambda track: weight_of(track, policy, size, threshold))


def weight_of(track: Track, policy: str, size: tuple[int, int], threshold: float) -> float:
    """The area of a track's boxes, all frames together, or how central they are."""
    bboxes = track.bboxes(threshold)
    if policy == "largest":
        return float(((bboxes[:, 2] - bboxes[:, 0]) * (bboxes[:, 3] - bboxes[:, 1])).sum())
    middles = (bboxes[:, :2] + bboxes[:, 2:]) / 2
    away = np.abs(middles / np.array(size) - 0.5).max(axis=1)
    return float((1 - 2 * away).clip(0).sum())
