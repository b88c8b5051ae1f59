"""BlazePose for everybody in a picture: several people followed, each by their own square.

The person detector looks at the first frame, at every tenth after it, and where somebody
has been lost. In between each body is looked for where it was in the frame before. What a
frame gives therefore depends on the squares (`state`) that the frame before it left behind.
Who is who is told afterwards by `tracking`; here it only matters that nobody is there
twice.

Source: Bazarevsky et al., "BlazePose", arXiv:2006.10204; models of MediaPipe 0.10.21.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.detector import (
    PERSON_DETECTOR,
    PERSON_GRIDS,
    ROI,
    SSDDetector,
    body_roi,
    find_people,
    whole,
)
from animcli.pose.detectors.blazepose.landmarks import (
    LEFT_HAND_FROM,
    RIGHT_HAND_FROM,
    Body,
    BodyNetwork,
    Face,
    FaceNetwork,
    Hand,
    HandNetwork,
    to_keypoints,
)
from animcli.pose.detectors.blazepose.segmentation import outline_logits, person_mask

DRAW_THRESHOLD = 0.5
"""BlazePose guesses hidden keypoints, with low scores; up to this one they aren't drawn."""

BODY_FOUND = 0.5
PERSON_FOUND = (0.5, 0.3)
"""First the published threshold; then one that also finds drawn half figures (0.39)."""

BOX_MARGIN = 1.5
"""Side of the square to look into, by the longer side of the box that somebody fills: of 1,
1.25 and 1.5 the one in which a drawing of odd proportions was read best."""

LEAST_BODY_SCORE = 0.9
"""A square that slides from one person to another, as they touch, shows in a body less sure
than this (0.72 to 0.85 where all others of a clip had 0.98); the detector then decides."""

SEARCH_SCALE = 1.5
"""Size of the region around its last ROI in which a lost person is searched before the
whole picture is."""


@dataclass(frozen=True, eq=False)
class BlazePoseDetection:
    """One person in one picture.

    points: `(134, 2)` float32 pixels, in the order of `keypoints`.
    scores: `(134,)` float32 0..1, 0 for what wasn't found or lies outside the picture.
    body, face, left, right: the landmarks as the networks give them.
    """

    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    body: Body
    face: Face | None
    left: Hand | None
    right: Hand | None


class BlazePose:
    """Follows one person through frames, given one after another.

    models: the folder with the model files.
    hands, face: whether to look for them too; about 20 and 5 ms a frame.
    threads: of each network. The networks are small: more than one rarely pays.
    """

    def __init__(
        self, models: Path, *, hands: bool = True, face: bool = True, threads: int = 1
    ) -> None:
        self._detector = SSDDetector(PERSON_DETECTOR, PERSON_GRIDS, models, threads)
        self._body = BodyNetwork(models, threads)
        self._hands = HandNetwork(models, threads) if hands else None
        self._face = FaceNetwork(models, threads) if face else None
        self._roi: ROI | None = None

    @property
    def state(self) -> tuple[float, ...]:
        """All that the next frame depends on: the square to look into (x, y, side, angle),
        or nothing if there's nobody to follow.
        """
        roi = self._roi
        return () if roi is None else (roi.x, roi.y, roi.width, roi.angle)

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`."""
        if not state:
            self._roi = None
            return
        x, y, side, angle = state
        self._roi = ROI(x, y, side, side, angle)

    def reset(self) -> None:
        """Forget whom to follow; the next frame is searched."""
        self._roi = None

    def seek(
        self, picture: NDArray[np.uint8], box: tuple[float, float, float, float]
    ) -> None:
        """From here on, follow the person in a box (left, top, right, bottom)."""
        left, top, right, bottom = box
        if right <= left or bottom <= top:
            raise ValueError(f"a box wants left < right and top < bottom, got {box}")
        region = ROI((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        region = region.grown(1.25)
        for threshold in PERSON_FOUND:
            people = find_people(self._detector, picture, region, threshold)
            if people:
                self._roi = people[0]
                return
        self._roi = region

    def detect(self, picture: NDArray[np.uint8]) -> BlazePoseDetection | None:
        """The person in a picture `(h, w, 3)` RGB, or None if there's none to be found."""
        body = None if self._roi is None else self.body_near(picture, self._roi)
        if body is None:
            body = self.body_anywhere(picture)
        if body is None:
            self._roi = None
            return None
        self._roi = body_roi(body.hips, body.rim)
        return self.detail(picture, body)

    def detail(self, picture: NDArray[np.uint8], body: Body) -> BlazePoseDetection:
        """A body with its hands and face, where they are wanted."""
        left = right = face = None
        if self._hands is not None:
            left = self._hands.read(picture, body, LEFT_HAND_FROM)
            right = self._hands.read(picture, body, RIGHT_HAND_FROM)
        if self._face is not None:
            face = self._face.read(picture, body)
        height, width = picture.shape[:2]
        points, scores = to_keypoints(body, face, left, right, (width, height))
        return BlazePoseDetection(points, scores, body, face, left, right)

    def rois(self, picture: NDArray[np.uint8]) -> list[ROI]:
        """The square about each person whom a picture shows for sure."""
        return find_people(self._detector, picture, whole(picture), PERSON_FOUND[0])

    def count(self, picture: NDArray[np.uint8]) -> int:
        """Number of people whom a still picture shows for sure; `detect` may find one
        more.
        """
        return len(self.rois(picture))

    def segment(self, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Probability that each pixel `(h, w)` of a still picture belongs to the person in
        it, 0..1, or None if there's nobody. Whom `detect` follows isn't touched.
        """
        body = self.body_anywhere(picture)
        if body is None:
            return None
        return person_mask(self._body, picture, body_roi(body.hips, body.rim))

    def segment_in(
        self, picture: NDArray[np.uint8], roi: ROI
    ) -> tuple[NDArray[np.float32], float]:
        """The outline of whoever is in a square, as logits `(h, w)`, and how sure it is
        that there is a body, 0..1.
        """
        return outline_logits(self._body, picture, roi)

    def body_in(self, picture: NDArray[np.uint8], roi: ROI) -> Body | None:
        """The body in a square, or None if there is none."""
        body = self._body.read(picture, roi)
        return body if body.sure > BODY_FOUND else None

    def body_near(self, picture: NDArray[np.uint8], roi: ROI) -> Body | None:
        """The body where the last one was, or a surer one around there."""
        body = self.body_in(picture, roi)
        if body is not None and body.sure > LEAST_BODY_SCORE:
            return body
        other = self._body_within(picture, replace(roi.grown(SEARCH_SCALE), angle=0.0))
        if body is None or (other is not None and other.sure > body.sure):
            return other
        return body

    def body_anywhere(self, picture: NDArray[np.uint8]) -> Body | None:
        """The surest body of a picture."""
        everywhere = whole(picture)
        body = self._body_within(picture, everywhere)
        return self.body_in(picture, everywhere) if body is None else body

    def _body_within(self, picture: NDArray[np.uint8], region: ROI) -> Body | None:
        """The surest body that the detector finds in a region."""
        for threshold in PERSON_FOUND:
            people = find_people(self._detector, picture, region, threshold)
            if people and (body := self.body_in(picture, people[0])) is not None:
                return body
        return None


BLAZEPOSE_DETECT_EVERY: Final = (
    10  # frames between looks of the person detector; a look is 10 ms
)
MAX_PEOPLE: Final = (
    6  # people; each costs as much as the first, and those left out are smaller
)
SAME_ROI: Final = 0.15  # of its side: a find whose middle is nearer is followed already
SAME_BODY: Final = 0.1  # of its size, mean over landmarks: two nearer to each other are one


@dataclass(frozen=True)
class BlazePoseState:
    """All that the next frame depends on.

    rois: where to look for each body. since: frames since the detector looked; None
    before it ever did.
    """

    rois: tuple[ROI, ...] = ()
    since: int | None = None

    def to_numbers(self) -> tuple[float, ...]:
        """The same, to be kept with the keypoints of a part of a clip."""
        rois = [(roi.x, roi.y, roi.width, roi.angle) for roi in self.rois]
        since = -1 if self.since is None else self.since
        return (float(since), *(number for roi in rois for number in roi))

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "BlazePoseState":
        """Inverse of `to_numbers`."""
        since = int(numbers[0])
        rois = tuple(
            ROI(x, y, side, side, angle)
            for x, y, side, angle in zip(*[iter(numbers[1:])] * 4, strict=True)
        )
        return cls(rois, None if since < 0 else since)


class BlazePeople:
    """Follows up to MOST people through frames, given one after another.

    models: the folder with the model files. hands, face, threads: see `BlazePose`.
    """

    def __init__(
        self, models: Path, *, hands: bool = True, face: bool = True, threads: int = 1
    ) -> None:
        self._look = BlazePose(models, hands=hands, face=face, threads=threads)
        self._state = BlazePoseState()

    @property
    def state(self) -> tuple[float, ...]:
        """All that the next frame depends on.

        Frames since the detector looked, -1 before it ever did; then x, y, side and angle
        of the square to look into for each person.
        """
        return self._state.to_numbers()

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`; `(-1,)` is before any frame."""
        self._state = BlazePoseState.from_numbers(state)

    def count(self, picture: NDArray[np.uint8]) -> int:
        """Number of people whom a still picture shows for sure; `people` may find one
        more.
        """
        return self._look.count(picture)

    def person_in(
        self, picture: NDArray[np.uint8], bbox: tuple[float, float, float, float]
    ) -> BlazePoseDetection | None:
        """The person who fills a box (left, top, right, bottom) of a still picture.

        Nobody is looked for, and whomever `people` follows isn't touched.
        """
        left, top, right, bottom = bbox
        roi = ROI((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        body = self._look.body_in(picture, roi.grown(BOX_MARGIN))
        return None if body is None else self._look.detail(picture, body)

    def people(self, picture: NDArray[np.uint8]) -> tuple[BlazePoseDetection, ...]:
        """The people of the next frame, nobody being an empty tuple.

        picture: `(h, w, 3)` uint8 RGB.
        """
        state = self._state
        followed = [self._look.body_near(picture, roi) for roi in state.rois]
        bodies = [body for body in followed if body is not None]
        due = state.since is None or state.since + 1 >= BLAZEPOSE_DETECT_EVERY
        looked = due or len(bodies) < len(followed) or not bodies
        if looked:
            near = [body_roi(body.hips, body.rim) for body in bodies]
            for roi in self._look.rois(picture):
                if any(is_same_roi(roi, other) for other in near):
                    continue
                body = self._look.body_in(picture, roi)
                if body is not None:
                    bodies.append(body)
        if not bodies and (body := self._look.body_anywhere(picture)) is not None:
            bodies = [body]
        bodies = the_largest(distinct_bodies(bodies), MAX_PEOPLE)
        self._state = BlazePoseState(
            tuple(body_roi(body.hips, body.rim) for body in bodies),
            0 if looked else (state.since or 0) + 1,
        )
        return tuple(self._look.detail(picture, body) for body in bodies)


def is_same_roi(one: ROI, other: ROI) -> bool:
    """Tell if two ROIs are about one body."""
    away = float(np.hypot(one.x - other.x, one.y - other.y))
    return away < SAME_ROI * max(one.width, other.width)


def distinct_bodies(bodies: Sequence[Body]) -> list[Body]:
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
