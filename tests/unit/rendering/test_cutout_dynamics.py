"""Loose things lag and swing, and a head turns, the same whenever a frame is asked for."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, Doll, Joints, doll, pose, request
from builders.turned_doll import built, faced, turned_areas, turned_nodes
from test_cutout import drawn, prepared

from animcli.pose import keypoints as s
from animcli.presets import Preset
from animcli.rendering.cutout.dynamics import HeadTurn
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


@pytest.mark.parametrize("nose", [-6.0, 6.0])
def test_a_face_shifts_the_way_the_nose_goes(nose: float) -> None:
    shown = doll()
    picture = shown.picture.copy()
    x, y = (int(v) for v in STANDING[s.NOSE])
    picture[y - 5 : y + 3, x - 2 : x + 3] = (0, 255, 0)
    shown = replace(shown, picture=picture, pose=pose(faced(0)))
    motion = pose(*[faced(0)] * 8, *[faced(nose)] * 8)  # turns are made smooth in time
    ahead, aside = drawn(request(shown, motion))[[0, 15]]

    def mark(frame: np.ndarray) -> float:
        green = np.abs(frame.astype(int) - (0, 255, 0)).sum(axis=-1) < 150
        return float(np.nonzero(green)[1].mean())

    assert 4 < (mark(aside) - mark(ahead)) * np.sign(nose) < 8


@pytest.mark.parametrize("nose", [-14.0, 14.0])
def test_a_head_that_turns_as_far_as_it_can_folds_nowhere(nose: float) -> None:
    shown = replace(doll(), pose=pose(faced(0)))
    figure = built(shown, *[faced(nose)] * 9)
    [turn] = [turn for turn in figure.turns if isinstance(turn, HeadTurn)]
    assert np.degrees(abs(turn.yaw[4])) > 20
    moved = turned_nodes(figure, turn)
    assert np.abs(moved - figure.puppet.skinned.mesh.nodes).max() > 4
    assert (turned_areas(figure, moved) > 0).all()
