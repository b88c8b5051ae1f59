"""Loose things lag and swing, and a head turns, the same whenever a frame is asked for."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, Doll, Joints, doll, pose, request
from test_cutout import drawn, prepared

from animcli.pose import keypoints as s
from animcli.presets import Preset
from animcli.rendering.cutout.dynamics import HeadTurn, TrunkTurn
from animcli.rendering.cutout.figure import (
    Figure,
    build_figure,
    find_mattes,
    find_rest,
)
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


def built(shown: Doll, *joints: Joints) -> Figure:
    """The figure of a doll in a motion."""
    asked = request(shown, pose(*joints))
    assert asked.reference_pose is not None
    assert asked.motion is not None
    rest = find_rest(asked.reference_pose, asked.size[1])
    return build_figure(asked, asked.motion, rest, find_mattes(asked, [rest])[0])


def turned_nodes(figure: Figure, turn: HeadTurn | TrunkTurn) -> NDArray[np.float64]:
    """All nodes as they have shifted in the motion's middle."""
    nodes = figure.puppet.skinned.mesh.nodes.copy()
    nodes[turn.nodes] += turn.offsets(len(figure.transforms.size) // 2)
    return nodes


def flipped(figure: Figure, nodes: NDArray[np.float64]) -> int:
    """How many triangles lie the other way round once their nodes are at `nodes`."""
    mesh = figure.puppet.skinned.mesh

    def area(at: NDArray[np.float64]) -> NDArray[np.float64]:
        one, two = (at[mesh.triangles[:, k]] - at[mesh.triangles[:, 0]] for k in (1, 2))
        return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])

    return int((area(nodes) * area(mesh.nodes) <= 0).sum())


@pytest.mark.parametrize("nose", [-14.0, 14.0])
def test_a_head_that_turns_as_far_as_it_can_folds_nowhere(nose: float) -> None:
    shown = replace(doll(), pose=pose(faced(0)))
    figure = built(shown, *[faced(nose)] * 9)
    [turn] = [turn for turn in figure.turns if isinstance(turn, HeadTurn)]
    assert np.degrees(abs(turn.yaw[4])) > 20
    moved = turned_nodes(figure, turn)
    assert np.abs(moved - figure.puppet.skinned.mesh.nodes).max() > 4
    assert flipped(figure, moved) == 0


@pytest.mark.parametrize("nose", [-6.0, 6.0])
def test_the_front_of_a_trunk_goes_the_way_it_turns(nose: float) -> None:
    joints = faced(nose)
    for right, left in ((s.RIGHT_SHOULDER, s.LEFT_SHOULDER), (s.RIGHT_HIP, s.LEFT_HIP)):
        for side in (right, left):
            x, y = STANDING[side]
            joints[side] = (128 + 0.6 * (x - 128), y)
    figure = built(replace(doll(), pose=pose(faced(0))), *[joints] * 9)
    [turn] = [turn for turn in figure.turns if isinstance(turn, TrunkTurn)]
    moved = turned_nodes(figure, turn)
    shift = ((moved - figure.puppet.skinned.mesh.nodes) * np.sign(nose))[turn.nodes]
    place = figure.puppet.skinned.rest.keypoints
    at = figure.puppet.skinned.mesh.nodes[turn.nodes]
    middle = np.linalg.norm(at - place[[s.RIGHT_HIP, s.LEFT_SHOULDER]].mean(0), axis=1)
    assert shift[middle.argmin(), 0] > 4
    assert shift[:, 0].min() > -0.5
    sides = np.abs(at[:, 0] - at[:, 0].mean()) > 0.9 * np.ptp(at[:, 0]) / 2
    assert np.abs(shift[sides]).max() < 2  # its outline stays
    assert flipped(figure, moved) == 0
    ahead = built(replace(doll(), pose=pose(faced(0))), *[faced(0)] * 9)
    [still] = [turn for turn in ahead.turns if isinstance(turn, TrunkTurn)]
    assert np.abs(still.offsets(4)).max() < 0.1
