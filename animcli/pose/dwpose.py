"""DWPose: everybody's body, feet, face and hands in the frames of a video.

YOLOX finds people, a whole-body network their joints. YOLOX is eight times as costly, so it
looks at every tenth frame only, and in between at those where somebody's joints become
unsure or nobody is there; in all others the boxes are drawn around the joints of the frame
before.

Source: Yang et al., "Effective Whole-Body Pose Estimation", arXiv:2307.15880.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import WeightsError
from animcli.pose import simcc, yolox
from animcli.pose.ahead import ahead
from animcli.pose.layouts import COCO_WHOLE_BODY
from animcli.pose.onnx_network import OnnxNetwork
from animcli.pose.skeleton import BODY, FACE, LEFT_HAND, RIGHT_HAND
from animcli.pose.track import Person

DETECTOR_FILE: Final = "yolox_l.onnx"
POSE_FILE: Final = "dw-ll_ucoco_384.onnx"
DRAW_THRESHOLD: Final = 0.3

JOINTS: Final = 133
EVERY: Final = 10  # frames between looks of the detector
UNSURE: Final = 0.5  # of its own running mean: a body score below is a reason to look again
FEW: Final = 4  # body joints: somebody of whom less is seen isn't taken for anybody
AROUND: Final = (
    1.15  # of the joints' box: the joints end at eyes and toes, a person doesn't
)
SAME: Final = 0.05  # of the size: two people nearer to each other are one


class Channels(Enum):
    """In which order of colours the networks get their pictures."""

    TRAINED = "trained"  # as in their training: BGR for the detector, RGB for the joints
    PUBLISHED = "published"  # as the published script does: BGR for both


@dataclass(frozen=True, eq=False)
class State:
    """All that the next frame depends on.

    boxes: `(n, 4)`, where to look for joints. sure: `(n,)`, running mean of each person's
    body score. since: frames since the detector looked; None before it ever did.
    """

    boxes: NDArray[np.float32]
    sure: NDArray[np.float32]
    since: int | None

    @classmethod
    def nothing(cls) -> "State":
        """Before the first frame."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None)

    def to_numbers(self) -> tuple[float, ...]:
        """The same, to be kept with the joints of a part of a clip."""
        since = -1 if self.since is None else self.since
        people = np.concatenate([self.boxes, self.sure[:, None]], axis=1)
        return (float(since), *map(float, people.ravel()))

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "State":
        """What `to_numbers` gave."""
        since = int(numbers[0])
        people = np.array(numbers[1:], np.float32).reshape(-1, 5)
        return cls(people[:, :4], people[:, 4], None if since < 0 else since)


class DWPose:
    """Follows everybody through frames, given one after another.

    models: the folder with the two files. hands, face: whether to tell them; the network
    finds them in any case. device: `cpu` or `cuda`. threads: of a run.
    every: frames from one look of the detector to the next.
    files: of the detector and of the joints, where they have other names than DWPose's.
    """

    def __init__(
        self,
        models: Path,
        *,
        hands: bool = True,
        face: bool = True,
        device: str = "cpu",
        threads: int = 1,
        every: int = EVERY,
        channels: Channels = Channels.TRAINED,
        files: tuple[str, str] = (DETECTOR_FILE, POSE_FILE),
    ) -> None:
        if every < 1:
            raise ValueError(f"the detector looks every 1 or more frames, got {every}")
        hidden = () if hands else (LEFT_HAND, RIGHT_HAND)
        self._hidden: tuple[slice, ...] = hidden if face else (*hidden, FACE)
        self._files = files
        self._detector = OnnxNetwork(models / files[0], device, threads)
        self._pose = OnnxNetwork(models / files[1], device, threads)
        self._every = every
        self._channels = channels
        self._cells: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._state = State.nothing()

    @property
    def state(self) -> tuple[float, ...]:
        """All that the next frame depends on.

        Frames since the detector looked, -1 before it ever did; then left, top, right,
        bottom and usual score of each person.
        """
        return self._state.to_numbers()

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`; `(-1,)` is before any frame."""
        self._state = State.from_numbers(state)

    def follow(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[tuple[Person, ...]]:
        """The people of each frame; the next is fetched while networks run.

        pictures: `(h, w, 3)` uint8 RGB.
        """
        return map(self.people, ahead(pictures))

    def people(self, picture: NDArray[np.uint8]) -> tuple[Person, ...]:
        """The people of the next frame, nobody being an empty tuple.

        picture: `(h, w, 3)` uint8 RGB.
        """
        state = self._state
        due = state.since is None or state.since + 1 >= self._every
        looked = due or not len(state.boxes)
        people: list[Person] = []
        sure = np.zeros(0, np.float32)
        if not looked:
            people = self._joints(picture, state.boxes)
            sure = body_scores(people)
            looked = bool((sure < UNSURE * state.sure).any())
        if looked:
            people = self._joints(picture, self._boxes(picture))
            sure = body_scores(people)
        kept = distinct(people, sure)
        people = [people[index] for index in kept]
        before = 0 if looked else (state.since or 0) + 1
        usual = sure[kept] if looked else 0.9 * state.sure[kept] + 0.1 * sure[kept]
        self._state = State(boxes_around(people), usual.astype(np.float32), before)
        return tuple(self._told(one) for one in people if is_somebody(one))

    def count(self, picture: NDArray[np.uint8]) -> int:
        """How many people a still picture shows; whom `people` follows isn't touched."""
        people = self._joints(picture, self._boxes(picture))
        return len(distinct(people, body_scores(people)))

    def _told(self, person: Person) -> Person:
        """A person without the parts that weren't asked for."""
        if not self._hidden:
            return person
        scores = person.scores.copy()
        for part in self._hidden:
            scores[part] = 0
        return Person(person.points, scores)

    def _boxes(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(n, 4)` boxes of the detector."""
        size = self._detector.input_size
        if self._cells is None:
            self._cells = yolox.grid(size)
        padded, ratio = yolox.letterbox(picture, size)
        planes = np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1), np.float32)
        raw = self._detector.run(planes[None])[0]
        if raw.shape[1:] != (len(self._cells[0]), 85):
            raise WeightsError(
                f"{self._files[0]}: gives {raw.shape}, (1, {len(self._cells[0])}, 85) "
                "was expected",
                "is it YOLOX for COCO's 80 classes?",
            )
        return yolox.decode(raw[0], *self._cells, ratio)[:, :4]

    def _joints(
        self, picture: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> list[Person]:
        """Who is in the boxes, in one run of the network."""
        if not len(boxes):
            return []
        size = self._pose.input_size
        crops = [simcc.Crop.around(box, size) for box in boxes]
        batch = np.empty((len(boxes), 3, *size), np.float32)
        for crop, out in zip(crops, batch, strict=True):
            cut = crop.cut(picture, size)
            published = self._channels is Channels.PUBLISHED
            simcc.normalise(cut[..., ::-1] if published else cut, out)
        simcc_x, simcc_y = self._pose.run(batch)[:2]
        classes = (int(size[1] * simcc.SPLIT), int(size[0] * simcc.SPLIT))
        for axis, found in zip(classes, (simcc_x, simcc_y), strict=True):
            if found.shape[1:] != (JOINTS, axis):
                raise WeightsError(
                    f"{self._files[1]}: gives {found.shape}, "
                    f"(n, {JOINTS}, {axis}) was expected",
                    "is it a whole-body model of 133 joints?",
                )
        points, scores = simcc.decode(simcc_x, simcc_y, crops, size)
        points, scores = COCO_WHOLE_BODY.convert(points, scores.clip(0, 1))
        return [
            Person(place.astype(np.float32), score)
            for place, score in zip(points, scores, strict=True)
        ]


def body_scores(people: Sequence[Person]) -> NDArray[np.float32]:
    """`(n,)`: the mean score of each body."""
    return np.array([person.scores[BODY].mean() for person in people], np.float32)


def is_somebody(person: Person) -> bool:
    """Whether enough is seen to speak of a person."""
    return int((person.scores[BODY] > DRAW_THRESHOLD).sum()) >= FEW


def distinct(people: Sequence[Person], sure: NDArray[np.float32]) -> list[int]:
    """Which people stand for themselves: two boxes can come to lie on one person."""
    kept: list[int] = []
    for index in (-sure).argsort(kind="stable").tolist():
        if not is_somebody(people[index]):
            continue
        if all(apart(people[index], people[other]) for other in kept):
            kept.append(index)
    return sorted(kept)


def apart(one: Person, other: Person) -> bool:
    """Whether two people are two."""
    both = (one.scores[BODY] > DRAW_THRESHOLD) & (other.scores[BODY] > DRAW_THRESHOLD)
    if not both.any():
        return True
    ours, theirs = one.points[BODY][both], other.points[BODY][both]
    away = float(np.linalg.norm(ours - theirs, axis=1).mean())
    return away > SAME * float(np.ptp(ours, axis=0).max())


def boxes_around(people: Sequence[Person]) -> NDArray[np.float32]:
    """`(n, 4)`: where to look for each of `people` in the next frame."""
    boxes = np.zeros((len(people), 4), np.float32)
    for row, person in zip(boxes, people, strict=True):
        box = person.box(DRAW_THRESHOLD)
        if box is not None:
            middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * AROUND
            row[:2], row[2:] = middle - half, middle + half
    return boxes
