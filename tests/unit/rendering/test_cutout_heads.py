"""Heads: how they are turned, how large they are, and what of a face goes with them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import STANDING, Joints, doll, pose, turned

from animcli.pose import keypoints as s
from animcli.rendering.cutout.head_pose import head_pose
from animcli.rendering.cutout.layers import split_layers
from animcli.rendering.cutout.matting import matte_from_alpha
from animcli.rendering.cutout.mesh import build_mesh
from animcli.rendering.cutout.motion import bone_transforms
from animcli.rendering.cutout.rig import Bone, RestPose, rest_pose
from animcli.rendering.cutout.skinning import SkinnedMesh, bind

# a head in millimetres to the right, down and towards us, from the middle of its ears
SOLID = {
    s.NOSE: (0, 20, 95),
    s.RIGHT_EYE: (-30, -12, 80),
    s.LEFT_EYE: (30, -12, 80),
    s.RIGHT_EAR: (-78, 0, 0),
    s.LEFT_EAR: (78, 0, 0),
}
NECK = (0, 145, -15)
AT, SCALE = np.array([128.0, 60]), 0.25


def face(roll: float, pitch: float, yaw: float) -> Joints:
    """A doll whose head is turned by degrees, yaw first."""
    turn = Rotation.from_euler("yxz", [yaw, -pitch, roll], degrees=True)
    points = {joint: turn.apply(place)[:2] * SCALE + AT for joint, place in SOLID.items()}
    return {**STANDING, **{joint: tuple(place) for joint, place in points.items()}}


def rest_of(joints: Joints) -> RestPose:
    shown = pose(joints)
    return rest_pose(shown.points[0], shown.visible[0])


@pytest.mark.parametrize("yaw", [-70, -20, 0, 40, 160])
@pytest.mark.parametrize(("roll", "pitch"), [(0, 0), (25, 10), (-10, 30)])
def test_a_head_is_found_turned_as_it_is(roll: float, pitch: float, yaw: float) -> None:
    joints = face(roll, pitch, yaw)
    neck = Rotation.from_euler("z", roll, degrees=True).apply(NECK)[:2] * SCALE + AT
    shown = pose({**joints, s.NECK: tuple(neck)})
    found = head_pose(shown.points.astype(np.float64), shown.visible[0])
    assert found is not None
    angles = np.degrees([found.roll[0], found.pitch[0], found.yaw[0]])
    away = (angles - (roll, pitch, yaw) + 180) % 360 - 180
    # a head of another build, and a neck that doesn't bend along
    assert np.abs(away).max() < 14
    assert abs(found.scale[0] / (78 * SCALE) - 1) < 0.12


def head_angle(picture: Joints, *motion: Joints) -> NDArray[np.float64]:
    """Degrees that the head turns in each frame of `motion`."""
    return np.degrees(bone_transforms(pose(*motion), rest_of(picture)).angle[:, Bone.HEAD])


@pytest.mark.parametrize("yaw", [180, 80, -60])
def test_a_head_that_the_picture_shows_from_elsewhere_stays_upright(yaw: float) -> None:
    ahead = head_angle(face(0, 0, yaw), face(0, 0, 0), face(0, 0, 30))
    # 11 to 55 where eyes and ears that have changed sides are fitted in the plane
    assert np.abs(ahead).max() < 6
    leaning = head_angle(face(0, 0, 0), face(20, 0, 0))
    assert abs(leaning[0] - 20) < 4


def test_a_head_keeps_its_size_where_arms_get_longer() -> None:
    short = dict(STANDING)
    for shoulder, elbow, wrist in (
        (s.RIGHT_SHOULDER, s.RIGHT_ELBOW, s.RIGHT_WRIST),
        (s.LEFT_SHOULDER, s.LEFT_ELBOW, s.LEFT_WRIST),
        (s.RIGHT_HIP, s.RIGHT_KNEE, s.RIGHT_ANKLE),
        (s.LEFT_HIP, s.LEFT_KNEE, s.LEFT_ANKLE),
    ):  # limbs towards the viewer
        for joint in (elbow, wrist):
            x, y = STANDING[shoulder]
            short[joint] = x + 0.5 * (short[joint][0] - x), y + 0.5 * (short[joint][1] - y)
    whole = bone_transforms(pose(*[STANDING] * 5), rest_of(short))
    assert whole.size[0] > 1.8
    head = whole.shape[0, Bone.HEAD]
    np.testing.assert_allclose(head, np.eye(2), atol=0.02)


def bound(joints: Joints) -> SkinnedMesh:
    shown = doll(joints)
    matte = matte_from_alpha(shown.picture, shown.alpha)
    parts = split_layers(shown.picture, matte, rest_of(joints), 4)
    mesh = build_mesh(parts, 4)
    return bind(mesh, rest_of(joints), [sheet.bones for sheet in parts.layers], 4)


def test_the_chin_of_a_bowed_head_goes_with_it() -> None:
    bowed = face(0, 35, 0)
    for joint in SOLID:  # down onto the chest
        bowed[joint] = (bowed[joint][0], bowed[joint][1] + 16)
    figure = bound(bowed)
    chin = np.array([AT[0], AT[1] + 16 + 1.4 * 78 * SCALE])
    near = np.linalg.norm(figure.mesh.nodes - chin, axis=1) < 5
    near &= figure.weights[:, Bone.CHEST] + figure.weights[:, Bone.HEAD] > 0.9
    assert near.any()
    # .03 by heat alone, as it lies on the throat
    assert figure.weights[near, Bone.HEAD].mean() > 0.9


def test_a_head_that_nods_aside_goes_by_as_much() -> None:
    moved = turned(face(0, 0, 0), s.NECK, tuple(SOLID), 15)
    assert abs(head_angle(face(0, 0, 0), moved)[0] - 15) < 2
