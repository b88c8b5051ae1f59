"""Who is who, from frame to frame, by where they are and how they move.

People are told apart by their joints alone. Each track foretells its joints by its speed,
and the people of a frame are given to tracks so that all together are nearest. Somebody who
is hidden for a while is foretold on, and taken up again where they come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from animcli.errors import InputError, UsageError
from animcli.pose.keypoints import BODY, JOINTS

PATIENCE: Final = 30  # frames without a person before their track ends
REACH: Final = 0.5  # of the person's size: farther off, mean over joints, is somebody else
DRIFT: Final = 0.05  # of the size, by which the reach grows with every frame unseen
SPEED_SHARE: Final = 0.4  # how much a frame counts in the running mean of the speed
FADE: Final = 0.9  # the speed of a hidden person falls by that each frame
FEW: Final = 3  # joints that two poses must share to be compared


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in one frame. points: `(134, 2)` pixels. scores: `(134,)`."""

    points: NDArray[np.float32]
    scores: NDArray[np.float32]

    def box(self, threshold: float) -> NDArray[np.float32] | None:
        """Left, top, right, bottom around the joints above `threshold`, if any."""
        seen = self.points[self.scores > threshold]
        if len(seen) < 2:
            return None
        return np.concatenate([seen.min(axis=0), seen.max(axis=0)])


@dataclass
class Track:
    """One person over time. number: from 1, by first appearance and then from the left."""

    number: int
    frames: list[int] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    def sequence_of(self, frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`(frames, 134, 2)` and `(frames, 134)`, zero where the person isn't found."""
        points = np.zeros((frames, JOINTS, 2), np.float32)
        scores = np.zeros((frames, JOINTS), np.float32)
        for frame, person in zip(self.frames, self.people, strict=True):
            points[frame], scores[frame] = person.points, person.scores
        return points, scores

    def boxes(self, threshold: float) -> NDArray[np.float32]:
        """`(n, 4)` around the person, in the frames where there is one."""
        boxes = [person.box(threshold) for person in self.people]
        found = [box for box in boxes if box is not None]
        return np.array(found, np.float32).reshape(-1, 4)


@dataclass
class Motion:
    """What a track expects next. pose: the joints last seen. speed: pixels a frame."""

    track: Track
    pose: NDArray[np.float64]
    seen: NDArray[np.bool_]
    speed: NDArray[np.float64]
    size: float

    @classmethod
    def begin(cls, track: Track, person: Person, threshold: float) -> "Motion":
        """A person seen for the first time."""
        seen = person.scores[BODY] > threshold
        pose = person.points[BODY].astype(np.float64)
        return cls(track, pose, seen, np.zeros(2), size_of(pose, seen))

    def foretell(self, frame: int) -> NDArray[np.float64]:
        """`(18, 2)`: where the body's joints should be."""
        away = frame - self.track.frames[-1]
        steps = (1 - FADE**away) / (1 - FADE)
        return self.pose + self.speed * steps

    def follow(self, person: Person, frame: int, threshold: float) -> None:
        """Learn from the person that was found."""
        seen = person.scores[BODY] > threshold
        both = seen & self.seen
        pose = person.points[BODY].astype(np.float64)
        if both.any():
            away = frame - self.track.frames[-1]
            speed = np.median(pose[both] - self.pose[both], axis=0) / away
            self.speed += SPEED_SHARE * (speed - self.speed)
        self.pose = np.where(seen[:, None], pose, self.foretell(frame))
        self.seen |= seen
        self.size = max(0.9 * self.size, size_of(pose, seen))
        self.track.frames.append(frame)
        self.track.people.append(person)


class Tracker:
    """Takes the people of one frame after the other, and gives each a track."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._tracks: list[Track] = []
        self._active: list[Motion] = []

    def update(self, frame: int, people: Sequence[Person]) -> list[Track]:
        """The track of each of `people`; frames come in order, some may be left out."""
        self._active = [
            motion for motion in self._active if frame - motion.track.frames[-1] <= PATIENCE
        ]
        given: dict[int, Motion] = {}
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
                given[index].follow(person, frame, self._threshold)
                continue
            track = Track(len(self._tracks) + 1, [frame], [person])
            self._tracks.append(track)
            given[index] = Motion.begin(track, person, self._threshold)
            self._active.append(given[index])
        return [given[index].track for index in range(len(people))]

    @property
    def tracks(self) -> tuple[Track, ...]:
        """All tracks so far."""
        return tuple(self._tracks)

    def _cost(self, motion: Motion, person: Person, frame: int) -> float:
        """Mean distance of the joints in sizes of the person; infinite beyond reach."""
        seen = person.scores[BODY] > self._threshold
        both = seen & motion.seen
        if both.sum() < FEW:
            return np.inf
        away = np.linalg.norm(
            motion.foretell(frame)[both] - person.points[BODY][both], axis=1
        )
        size = max(motion.size, size_of(person.points[BODY], seen), 1.0)
        cost = float(away.mean()) / size
        unseen = frame - motion.track.frames[-1] - 1
        return cost if cost < REACH + DRIFT * unseen else np.inf


def tracks_of(people: Sequence[Sequence[Person]], threshold: float) -> Sequence[Track]:
    """Who is who in a clip, given the people of every frame.

    Where there are never two at a time it is the same person always.
    """
    if max(map(len, people), default=0) == 1:
        there = [frame for frame, found in enumerate(people) if found]
        return [Track(1, there, [people[frame][0] for frame in there])]
    tracker = Tracker(threshold)
    for frame, found in enumerate(people):
        tracker.update(frame, found)
    return tracker.tracks


def size_of(points: NDArray[np.floating], seen: NDArray[np.bool_]) -> float:
    """The longer side of the box around the joints that are seen, pixels."""
    if not seen.any():
        return 0.0
    return float(np.ptp(points[seen], axis=0).max())


def left_of(person: Person) -> float:
    """How far left somebody is: the mean of their joints, by score."""
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
        raise InputError(
            f"there is no person {policy}: {len(tracks)} were found",
            "`anim inspect` shows them with their numbers",
        )
    return max(tracks, key=lambda track: weight_of(track, policy, size, threshold))


def weight_of(track: Track, policy: str, size: tuple[int, int], threshold: float) -> float:
    """The area of a track's boxes, all frames together, or how central they are."""
    boxes = track.boxes(threshold)
    if policy == "largest":
        return float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum())
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = np.abs(middles / np.array(size) - 0.5).max(axis=1)
    return float((1 - 2 * away).clip(0).sum())
