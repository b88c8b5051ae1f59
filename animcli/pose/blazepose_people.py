"""BlazePose for everybody in a picture: several people followed, each by their own square.

The person detector looks at the first frame, at every tenth after it, and where somebody
has been lost. In between each body is looked for where it was in the frame before. Who is
who is told afterwards by `track`; here it only matters that nobody is there twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose import DRAW_THRESHOLD as DRAW_THRESHOLD
from animcli.pose.blazepose import BlazePose, Detection
from animcli.pose.blazepose_body import Body
from animcli.pose.blazepose_crop import Roi
from animcli.pose.blazepose_detector import body_roi

EVERY: Final = 10  # frames between looks of the person detector; a look is 10 ms
MOST: Final = 6  # people; each costs as much as the first, and those left out are smaller
SAME_SQUARE: Final = 0.15  # of its side: a find whose middle is nearer is followed already
SAME_BODY: Final = 0.1  # of its size, mean over landmarks: two nearer to each other are one


@dataclass(frozen=True)
class State:
    """All that the next frame depends on.

    squares: where to look for each body. since: frames since the detector looked; None
    before it ever did.
    """

    squares: tuple[Roi, ...] = ()
    since: int | None = None

    def to_numbers(self) -> tuple[float, ...]:
        """The same, to be kept with the joints of a part of a clip."""
        squares = [(roi.x, roi.y, roi.width, roi.angle) for roi in self.squares]
        since = -1 if self.since is None else self.since
        return (float(since), *(number for square in squares for number in square))

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "State":
        """What `to_numbers` gave."""
        since = int(numbers[0])
        squares = tuple(
            Roi(x, y, side, side, angle)
            for x, y, side, angle in zip(*[iter(numbers[1:])] * 4, strict=True)
        )
        return cls(squares, None if since < 0 else since)


class BlazePeople:
    """Follows up to MOST people through frames, given one after another.

    models: the folder with the model files. hands, face, threads: see `BlazePose`.
    """

    def __init__(
        self, models: Path, *, hands: bool = True, face: bool = True, threads: int = 1
    ) -> None:
        self._look = BlazePose(models, hands=hands, face=face, threads=threads)
        self._state = State()

    @property
    def state(self) -> tuple[float, ...]:
        """All that the next frame depends on.

        Frames since the detector looked, -1 before it ever did; then x, y, side and angle
        of the square to look into for each person.
        """
        return self._state.to_numbers()

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`; `(-1,)` is before any frame."""
        self._state = State.from_numbers(state)

    def count(self, picture: NDArray[np.uint8]) -> int:
        """How many people a still picture shows for sure; `people` may find one more."""
        return self._look.count(picture)

    def people(self, picture: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """The people of the next frame, nobody being an empty tuple.

        picture: `(h, w, 3)` uint8 RGB.
        """
        state = self._state
        followed = [self._look.body_near(picture, roi) for roi in state.squares]
        bodies = [body for body in followed if body is not None]
        due = state.since is None or state.since + 1 >= EVERY
        looked = due or len(bodies) < len(followed) or not bodies
        if looked:
            near = [body_roi(body.hips, body.rim) for body in bodies]
            for roi in self._look.squares(picture):
                if any(is_same_square(roi, other) for other in near):
                    continue
                body = self._look.body_in(picture, roi)
                if body is not None:
                    bodies.append(body)
        if not bodies and (body := self._look.body_anywhere(picture)) is not None:
            bodies = [body]
        bodies = the_largest(distinct(bodies), MOST)
        self._state = State(
            tuple(body_roi(body.hips, body.rim) for body in bodies),
            0 if looked else (state.since or 0) + 1,
        )
        return tuple(self._look.detail(picture, body) for body in bodies)


def is_same_square(one: Roi, other: Roi) -> bool:
    """Whether two squares are about one body."""
    away = float(np.hypot(one.x - other.x, one.y - other.y))
    return away < SAME_SQUARE * max(one.width, other.width)


def distinct(bodies: Sequence[Body]) -> list[Body]:
    """Those who stand for themselves: two squares can come to lie on one body.

    Of two the surer one stays.
    """
    kept: list[int] = []
    for index in np.argsort([-body.sure for body in bodies], kind="stable").tolist():
        points = bodies[index].points
        size = float(np.ptp(points, axis=0).max())
        if all(
            np.linalg.norm(points - bodies[other].points, axis=1).mean() > SAME_BODY * size
            for other in kept
        ):
            kept.append(index)
    return [bodies[index] for index in sorted(kept)]


def the_largest(bodies: Sequence[Body], most: int) -> list[Body]:
    """Up to `most` of the bodies, in the order that they have."""
    sizes = [-float(np.hypot(*(body.rim - body.hips))) for body in bodies]
    kept = np.argsort(sizes, kind="stable")[:most]
    return [bodies[index] for index in sorted(kept.tolist())]
