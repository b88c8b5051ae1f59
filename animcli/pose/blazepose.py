"""BlazePose: one person's body, hands and face in pictures, on the processor.

A detector finds the person once; from then on each frame is looked for where the last one
was. What a frame gives therefore depends on the square (`state`) that the frame before it
left behind. `blazepose_people` follows several like that.

Source: Bazarevsky et al., "BlazePose", arXiv:2006.10204; models of MediaPipe 0.10.21.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animcli.pose.blazepose_body import Body, BodyNetwork
from animcli.pose.blazepose_crop import Roi, whole
from animcli.pose.blazepose_detector import (
    PERSON,
    PERSON_GRIDS,
    Detector,
    body_roi,
    find_people,
)
from animcli.pose.blazepose_face import Face, FaceNetwork
from animcli.pose.blazepose_hands import LEFT, RIGHT, Hand, HandNetwork
from animcli.pose.blazepose_outline import outline
from animcli.pose.blazepose_skeleton import to_skeleton

DRAW_THRESHOLD = 0.5
"""BlazePose guesses hidden joints, with low scores; up to this one they aren't drawn."""

BODY_FOUND = 0.5
PERSON_FOUND = (0.5, 0.3)
"""First the published threshold; then one that also finds drawn half figures (0.39)."""

DOUBT = 0.9
"""A square that slides from one person to another, as they touch, shows in a body less sure
than this (0.72 to 0.85 where all others of a clip had 0.98); the detector then decides."""

NEAR = 1.5
"""How far around its last square a lost person is searched before the whole picture is."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One person in one picture.

    points: `(134, 2)` float32 pixels, in the order of `skeleton`.
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
        self._detector = Detector(PERSON, PERSON_GRIDS, models, threads)
        self._body = BodyNetwork(models, threads)
        self._hands = HandNetwork(models, threads) if hands else None
        self._face = FaceNetwork(models, threads) if face else None
        self._roi: Roi | None = None

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
        self._roi = Roi(x, y, side, side, angle)

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
        region = Roi((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        region = region.grown(1.25)
        for threshold in PERSON_FOUND:
            people = find_people(self._detector, picture, region, threshold)
            if people:
                self._roi = people[0]
                return
        self._roi = region

    def detect(self, picture: NDArray[np.uint8]) -> Detection | None:
        """The person in a picture `(h, w, 3)` RGB, or None if there's none to be found."""
        body = None if self._roi is None else self.body_near(picture, self._roi)
        if body is None:
            body = self.body_anywhere(picture)
        if body is None:
            self._roi = None
            return None
        self._roi = body_roi(body.hips, body.rim)
        return self.detail(picture, body)

    def detail(self, picture: NDArray[np.uint8], body: Body) -> Detection:
        """A body with its hands and face, where they are wanted."""
        left = right = face = None
        if self._hands is not None:
            left = self._hands.read(picture, body, LEFT)
            right = self._hands.read(picture, body, RIGHT)
        if self._face is not None:
            face = self._face.read(picture, body)
        height, width = picture.shape[:2]
        points, scores = to_skeleton(body, face, left, right, (width, height))
        return Detection(points, scores, body, face, left, right)

    def squares(self, picture: NDArray[np.uint8]) -> list[Roi]:
        """The square about each person whom a picture shows for sure."""
        return find_people(self._detector, picture, whole(picture), PERSON_FOUND[0])

    def count(self, picture: NDArray[np.uint8]) -> int:
        """How many people a still picture shows for sure; `detect` may find one more."""
        return len(self.squares(picture))

    def segment(self, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """How surely each pixel `(h, w)` of a still picture belongs to the person in it,
        0..1, or None if there's nobody. Whom `detect` follows isn't touched.
        """
        body = self.body_anywhere(picture)
        if body is None:
            return None
        return outline(self._body, picture, body_roi(body.hips, body.rim))

    def body_in(self, picture: NDArray[np.uint8], roi: Roi) -> Body | None:
        """The body in a square, or None if there is none."""
        body = self._body.read(picture, roi)
        return body if body.sure > BODY_FOUND else None

    def body_near(self, picture: NDArray[np.uint8], roi: Roi) -> Body | None:
        """The body where the last one was, or a surer one around there."""
        body = self.body_in(picture, roi)
        if body is not None and body.sure > DOUBT:
            return body
        other = self._body_within(picture, replace(roi.grown(NEAR), angle=0.0))
        if body is None or (other is not None and other.sure > body.sure):
            return other
        return body

    def body_anywhere(self, picture: NDArray[np.uint8]) -> Body | None:
        """The surest body of a picture."""
        everywhere = whole(picture)
        body = self._body_within(picture, everywhere)
        return self.body_in(picture, everywhere) if body is None else body

    def _body_within(self, picture: NDArray[np.uint8], region: Roi) -> Body | None:
        """The surest body that the detector finds in a region."""
        for threshold in PERSON_FOUND:
            people = find_people(self._detector, picture, region, threshold)
            if people and (body := self.body_in(picture, people[0])) is not None:
                return body
        return None
