"""Loose things lag and swing, and a head turns, the same whenever a frame is asked for."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, Doll, Joints, doll, pose, request
from test_cutout import drawn, prepared

from animcli.pose import keypoints as s
from animcli.presets import Preset
from animcli.rendering.renderer import RenderRequest


def jumping(frames: int = 8) -> list[Joints]:
    """To the right and back, faster than cloth follows."""
    away = 30 * np.sin(np.linspace(0, 2 * np.pi, frames))
    return [{j: (x + by, y) for j, (x, y) in STANDING.items()} for by in away]


def in_a_skirt() -> Doll:
    shown = doll()
    picture, alpha = shown.picture.copy(), shown.alpha.copy()
    hips = int(STANDING[s.RIGHT_HIP][1])
    for down in range(60):
        wide = 30 + down
        across = np.s_[hips + down, 128 - wide : 128 + wide]
        picture[across], alpha[across] = (60, 160, 70), 255
    return replace(shown, picture=picture, alpha=alpha)


def wanted(life: float) -> RenderRequest:
    asked = request(in_a_skirt(), pose(*jumping()))
    return replace(asked, preset=Preset("doll", life=life))


def test_a_skirt_lags_behind_hips_that_jump() -> None:
    stiff, loose = drawn(wanted(0.0)), drawn(wanted(1.0))
    np.testing.assert_array_equal(loose[0], stiff[0])  # at rest when it begins
    hips = int(STANDING[s.RIGHT_HIP][1])
    hem = np.s_[hips + 25 : hips + 60]
    changed = (np.abs(loose.astype(int) - stiff).max(axis=-1) > 40).any(axis=0)
    assert changed[hem].sum() > 30
    assert changed[:85].sum() == 0  # the head is no skirt


def test_a_swinging_frame_is_the_same_whichever_range_is_asked_for() -> None:
    frames = prepared(wanted(1.0))
    whole = np.stack(list(frames(range(8))))
    np.testing.assert_array_equal(np.stack(list(frames(range(5, 7)))), whole[5:7])
    again = prepared(wanted(1.0))
    np.testing.assert_array_equal(next(again(range(7, 8))), whole[7])


def faced(nose: float) -> Joints:
    """The doll with a face whose nose lies `nose` px beside the middle of its ears."""
    x, y = STANDING[s.NOSE]
    face = {
        s.RIGHT_EYE: (x - 7, y - 6), s.LEFT_EYE: (x + 7, y - 6),
        s.RIGHT_EAR: (x - 16, y - 3), s.LEFT_EAR: (x + 16, y - 3),
    }  # fmt: skip
    return {**STANDING, **face, s.NOSE: (x + nose, y)}


@pytest.mark.parametrize("nose", [-6.0, 6.0])
def test_a_face_shifts_the_way_the_nose_goes(nose: float) -> None:
    shown = doll()
    picture = shown.picture.copy()
    x, y = (int(v) for v in STANDING[s.NOSE])
    picture[y - 5 : y + 3, x - 2 : x + 3] = (0, 255, 0)
    shown = replace(shown, picture=picture, pose=pose(faced(0)))
    ahead, aside = drawn(request(shown, pose(faced(0), *[faced(nose)] * 7)))[[0, 6]]

    def mark(frame: np.ndarray) -> float:
        green = np.abs(frame.astype(int) - (0, 255, 0)).sum(axis=-1) < 150
        return float(np.nonzero(green)[1].mean())

    assert 2 < (mark(aside) - mark(ahead)) * np.sign(nose) < 8
