"""Eyes blink and a mouth opens as in the motion, and nothing else changes."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, Doll, doll, pose, request
from test_cutout import drawn, prepared

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset
from animcli.rendering.renderer import RenderRequest

X, Y = 128, 62  # the middle of the doll's head
EYES = (np.s_[54:60, 115:126], np.s_[54:60, 132:143])
MOUTH = np.s_[71:82, 120:137]


def points(tall: float = 4.0, apart: float = 0.0) -> NDArray[np.float64]:
    """The 68 keypoints of a face whose eyes are `tall` px high and lips `apart` px."""
    at = np.zeros((68, 2))
    at[:17, 0] = np.linspace(X - 22, X + 22, 17)
    at[:17, 1] = Y + 22 * np.sin(np.linspace(0, np.pi, 17))
    at[17:27] = [(X + side, Y - 14) for side in (-16, -13, -10, -7, -4, 4, 7, 10, 13, 16)]
    at[27:31] = [(X, Y - 4 + 2 * step) for step in range(4)]
    at[31:36] = [(X + side, Y + 4) for side in (-3, -1.5, 0, 1.5, 3)]
    half = tall / 2
    around = [(-5, 0), (-2, -half), (2, -half), (5, 0), (2, half), (-2, half)]
    for first, middle in ((36, X - 8.5), (42, X + 8.5)):
        at[first : first + 6] = [(middle + x, Y - 5.5 + y) for x, y in around]
    lips = [(-7, 0), (-4, -1), (-2, -2), (0, -2), (2, -2), (4, -1), (7, 0)]
    lips += [(4, 1), (2, 2), (0, 2), (-2, 2), (-4, 1)]
    at[48:60] = [(X + x, Y + 11 + y + (apart if y > 0 else 0)) for x, y in lips]
    at[60:65] = [(X + x, Y + 11) for x in (-6, -3, 0, 3, 6)]
    at[65:68] = [(X + x, Y + 11 + apart) for x in (3, 0, -3)]
    return at


def faced(motion: PoseSequence, *faces: NDArray[np.float64]) -> PoseSequence:
    at, scores = motion.points.copy(), motion.scores.copy()
    at[:, s.FACE], scores[:, s.FACE] = np.stack(faces), 1
    return replace(motion, points=at, scores=scores)


def with_a_face(down: int = 0) -> Doll:
    """The doll with eyes and lips, painted `down` px below its keypoints."""
    shown = doll()
    picture = shown.picture.copy()
    for middle in (X - 8.5, X + 8.5):
        for radius, colour in ((4.0, (250, 250, 250)), (2.0, (30, 40, 60))):
            centre = (round(16 * middle), round(16 * (Y - 5.5 + down)))
            size = (round(16 * radius), 32)
            cv2.ellipse(picture, centre, size, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)
    picture[Y + 10 + down : Y + 13 + down, X - 7 : X + 8] = (170, 50, 60)
    return replace(shown, picture=picture, pose=faced(shown.pose, points()))


def wanted(
    shown: Doll, *faces: NDArray[np.float64], expression: bool = True
) -> RenderRequest:
    motion = faced(pose(*[STANDING] * len(faces)), *faces)
    return replace(request(shown, motion), preset=Preset("doll", expression=expression))


def dark(frame: NDArray[np.uint8], where: tuple[slice, slice]) -> int:
    return int((frame[where].max(axis=-1) < 110).sum())


def test_eyes_shut_where_the_dancer_blinks_and_open_again() -> None:
    shut, wide = points(tall=0.4), points()
    blinking = [wide] * 6 + [shut] * 5 + [wide] * 6
    frames = drawn(wanted(with_a_face(), *blinking))
    still = drawn(wanted(with_a_face(), *blinking, expression=False))
    for eye in EYES:
        assert dark(still[8], eye) >= 6
        assert dark(frames[8], eye) <= dark(still[8], eye) / 2
    np.testing.assert_array_equal(frames[[0, 16]], still[[0, 16]])
    changed = (frames[8] != still[8]).any(axis=-1)
    assert changed[Y + 4 :].sum() == 0  # an eye has no mouth
    assert changed[:, :106].sum() == changed[:, 150:].sum() == 0


def test_a_mouth_opens_dark_below_a_line_of_teeth_and_closes_again() -> None:
    said = [points()] * 6 + [points(apart=4.0)] * 5 + [points()] * 6
    frames = drawn(wanted(with_a_face(), *said))
    still = drawn(wanted(with_a_face(), *said, expression=False))
    assert dark(still[8], MOUTH) == 0
    assert dark(frames[8], MOUTH) >= 8
    np.testing.assert_array_equal(frames[[0, 16]], still[[0, 16]])
    changed = (frames[8] != still[8]).any(axis=-1)
    assert changed[: Y + 2].sum() == 0
    assert changed[90:].sum() == 0


@pytest.mark.parametrize("down", [-7, 7])
def test_a_face_painted_elsewhere_than_its_keypoints_stays_as_it_is(down: int) -> None:
    changing = [points()] * 4 + [points(tall=0.4, apart=4.0)] * 4
    frames = drawn(wanted(with_a_face(down), *changing))
    still = drawn(wanted(with_a_face(down), *changing, expression=False))
    np.testing.assert_array_equal(frames, still)


def test_a_face_from_the_side_says_nothing() -> None:
    aside = points(tall=0.4, apart=4.0)
    aside[27:36, 0] += 9  # the nose beside an eye
    changing = [points()] * 4 + [aside] * 4
    frames = drawn(wanted(with_a_face(), *changing))
    np.testing.assert_array_equal(
        frames, drawn(wanted(with_a_face(), *changing, expression=False))
    )


def test_a_blink_is_the_same_whichever_range_is_asked_for() -> None:
    frames = prepared(wanted(with_a_face(), *[points()] * 4, *[points(tall=0.4)] * 4))
    whole = np.stack(list(frames(range(8))))
    np.testing.assert_array_equal(np.stack(list(frames(range(5, 7)))), whole[5:7])
    assert (whole[6] != whole[0]).any()
