"""Arms that are told from the body: sleeves whole, clothes and heads where they are."""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from builders.paper_doll import (
    SHIRT,
    SIZE,
    SKIN,
    STANDING,
    TROUSERS,
    Joints,
    doll,
    pose,
)

from animcli.pose import keypoints as s
from animcli.rendering.cutout.arm_regions import half_thickness
from animcli.rendering.cutout.arm_segmentation import label_arms
from animcli.rendering.cutout.layers import Layers, split_layers
from animcli.rendering.cutout.matting import matte_from_alpha
from animcli.rendering.cutout.mesh import build_mesh
from animcli.rendering.cutout.rig import Bone, RestPose, rest_pose
from animcli.rendering.cutout.skinning import bind

ARMS = [
    (Bone.RIGHT_UPPER_ARM, Bone.RIGHT_FOREARM, Bone.RIGHT_HAND),
    (Bone.LEFT_UPPER_ARM, Bone.LEFT_FOREARM, Bone.LEFT_HAND),
]
SLEEVE: tuple[int, int, int] = (240, 240, 235)
LEFT = 2  # the label of the left arm

Part = tuple[list[tuple[float, float]], int, tuple[int, int, int]]


def painted(parts: list[Part]) -> tuple[NDArray, NDArray]:
    """A figure of lines drawn one over the other `(h, w, 3)`, and which of them each pixel
    shows, -1 where there is none.
    """
    picture = np.full((SIZE[1], SIZE[0], 3), (120, 180, 230), np.uint8)
    shown = np.full(picture.shape[:2], -1, np.int16)
    for number, (line, radius, colour) in enumerate(parts):
        way = np.rint(line).astype(np.int32)
        cv2.polylines(picture, [way], False, colour, 2 * radius)
        cv2.polylines(shown, [way], False, number, 2 * radius)
    return picture, shown


def rest_of(joints: Joints) -> RestPose:
    found = pose(joints)
    return rest_pose(found.points[0], found.visible[0])


def labelled(joints: Joints, parts: list[Part]) -> tuple[NDArray, NDArray]:
    """Labels `(h, w)` of a figure of lines, and which part each pixel shows."""
    picture, shown = painted(parts)
    rest, inside = rest_of(joints), shown >= 0
    radius = half_thickness(inside, rest, ARMS)
    return label_arms(picture, inside, rest, ARMS, radius).labels, shown


def layers_of(joints: Joints, parts: list[Part]) -> Layers:
    """The sheets of a figure of lines."""
    picture, shown = painted(parts)
    alpha = np.where(shown >= 0, 255, 0).astype(np.uint8)
    return split_layers(picture, matte_from_alpha(picture, alpha), rest_of(joints), 4)


def body(joints: Joints) -> list[Part]:
    """Legs, a trunk and a head."""
    return [
        ([joints[s.RIGHT_HIP], joints[s.RIGHT_ANKLE]], 14, TROUSERS),
        ([joints[s.LEFT_HIP], joints[s.LEFT_ANKLE]], 14, TROUSERS),
        ([joints[s.NECK], (128, 190)], 32, SHIRT),
        ([joints[s.NOSE]] * 2, 24, SKIN),
    ]


def arm(joints: Joints, side: str, radius: int, colour: tuple[int, int, int]) -> Part:
    shoulder, elbow, wrist = (
        (s.RIGHT_SHOULDER, s.RIGHT_ELBOW, s.RIGHT_WRIST)
        if side == "right"
        else (s.LEFT_SHOULDER, s.LEFT_ELBOW, s.LEFT_WRIST)
    )
    return [joints[shoulder], joints[elbow], joints[wrist]], radius, colour


def test_a_wide_sleeve_that_lies_on_the_body_is_arm_as_a_whole() -> None:
    across = {**STANDING, s.LEFT_ELBOW: (186, 150), s.LEFT_WRIST: (120, 178)}
    sleeve: Part = ([across[s.LEFT_ELBOW], across[s.LEFT_WRIST]], 17, SLEEVE)
    parts = [*body(across), arm(across, "right", 9, SLEEVE), arm(across, "left", 9, SLEEVE)]
    labels, shown = labelled(across, [*parts, sleeve])
    own = shown == len(parts)
    # .89 as it is, .78 where a sleeve is taken to be as thin as the other arm's
    assert (labels[own] == LEFT).mean() > 0.85


BEHIND: Joints = {**STANDING, s.LEFT_ELBOW: (205, 130), s.LEFT_WRIST: (155, 165)}


def test_clothes_before_a_hidden_hand_stay_with_the_body() -> None:
    arms = [arm(BEHIND, side, 13, SKIN) for side in ("right", "left")]
    labels, shown = labelled(BEHIND, [*arms, *body(BEHIND)])
    # 20 pixels as it is, 307 where what lies at its place counts as the hand
    assert (labels[shown >= len(arms)] == LEFT).sum() < 60


def test_a_forearm_that_the_body_hides_goes_on_behind_it() -> None:
    arms = [arm(BEHIND, side, 13, SKIN) for side in ("right", "left")]
    layers = layers_of(BEHIND, [*arms, *body(BEHIND)])
    [left] = [each for each in layers.layers if Bone.LEFT_FOREARM in each.bones]
    x, y = BEHIND[s.LEFT_WRIST]
    assert left.alpha[y, x] > 0.9
    # skin, and neither shirt nor trousers; nothing is there where only what shows is arm
    assert np.abs(left.texture[y, x, :3].astype(int) - SKIN).max() < 12
    # and in the picture's pose the body lies over it
    assert layers.over[Bone.LEFT_FOREARM][y, x, 3] > 250


def test_a_hand_before_the_body_goes_with_its_sleeve() -> None:
    arms = [arm(BEHIND, side, 13, SLEEVE) for side in ("right", "left")]
    wrist = np.array(BEHIND[s.LEFT_WRIST])
    along = 0.4 * (wrist - BEHIND[s.LEFT_ELBOW])
    hand: Part = ([tuple(wrist), tuple(wrist + along)], 8, SKIN)
    labels, shown = labelled(BEHIND, [*body(BEHIND), *arms, hand])
    assert (labels[shown == shown.max()] == LEFT).mean() > 0.9


def test_the_lower_edge_of_a_sleeve_leaves_no_tongue_with_the_body() -> None:
    akimbo = {**STANDING, s.LEFT_ELBOW: (205, 150), s.LEFT_WRIST: (185, 200)}
    along, below = np.array([0.71, 0.70]), np.array([-0.70, 0.71])
    armpit = np.array(akimbo[s.LEFT_SHOULDER]) + 18 * along + 15 * below
    sleeve: Part = ([akimbo[s.LEFT_SHOULDER], akimbo[s.LEFT_ELBOW]], 9, SHIRT)
    edge: Part = ([tuple(armpit), tuple(armpit + 30 * along)], 3, SHIRT)
    arms = [arm(akimbo, side, 9, SKIN) for side in ("right", "left")]
    parts = [*body(akimbo), *arms, sleeve, edge]
    labels, shown = labelled(akimbo, parts)
    # .59 as it is: what is near the armpit may stay. None of it where only specks count
    assert (labels[shown == len(parts) - 1] == LEFT).mean() > 0.4


def test_a_stick_in_a_hand_goes_with_its_arm_though_it_touches_the_body() -> None:
    x, y = STANDING[s.LEFT_WRIST]
    bend, end = (x - 16, y + 50), (x + 20, y + 130)
    stick: Part = ([(x, y), bend, end], 2, SHIRT)
    touching: Part = ([STANDING[s.LEFT_KNEE], bend], 3, TROUSERS)
    arms = [arm(STANDING, side, 9, SKIN) for side in ("right", "left")]
    parts = [*body(STANDING), touching, stick, *arms]
    labels, shown = labelled(STANDING, parts)
    number = parts.index(stick)
    assert (labels[shown == number] == LEFT).mean() > 0.9
    # and what is as thin but begins elsewhere doesn't
    assert (labels[shown == 0] == LEFT).mean() < 0.02


def test_what_fills_the_corner_of_an_armpit_goes_with_the_arm() -> None:
    shown = doll()
    # the gap between the left arm and the trunk begins at row 150 instead of 137
    picture, alpha = shown.picture.copy(), shown.alpha.copy()
    gap = np.zeros(alpha.shape, bool)
    gap[137:150, 158:180] = alpha[137:150, 158:180] < 255
    gap &= np.cumsum(alpha[:, ::-1] > 128, axis=1)[:, ::-1] > 0  # not beside the arm
    picture[gap], alpha[gap] = SHIRT, 255
    rest = rest_pose(shown.pose.points[0], shown.pose.visible[0])
    trunk = split_layers(picture, matte_from_alpha(picture, alpha), rest, 4).layers[0]
    # where the gap is whole the trunk ends at 162
    assert np.flatnonzero(trunk.alpha[152] > 0.5).max() <= 162
    corner = trunk.alpha[140:150, 158:180] > 0.5
    # beyond it 2 pixels to a row as it is, up to 8 where the corner counts as trunk
    assert (corner & gap[140:150, 158:180]).sum(axis=1).max() <= 3


RAISED: Joints = {**STANDING, s.LEFT_ELBOW: (184, 72), s.LEFT_WRIST: (84, 50)}


def test_a_head_before_a_raised_arm_stays_where_it_is() -> None:
    trunk = body(RAISED)
    arms = [arm(RAISED, side, 8, SLEEVE) for side in ("right", "left")]
    labels, shown = labelled(RAISED, [*arms, *trunk])
    assert (labels[shown == shown.max()] == 0).mean() > 0.97
    # .29 of the head where it counts as arm
    assert (labels[shown == 1] == LEFT).mean() > 0.75


def test_a_raised_arm_before_the_head_leaves_it_its_face() -> None:
    arms = [arm(RAISED, side, 8, SLEEVE) for side in ("right", "left")]
    labels, shown = labelled(RAISED, [*body(RAISED), *arms])
    head = len(body(RAISED)) - 1
    assert (labels[shown == head] == 0).mean() > 0.9
    assert (labels[shown == shown.max()] == LEFT).mean() > 0.75


def test_a_head_does_not_go_along_with_an_arm_beside_it() -> None:
    bent = dict(RAISED)  # onto the left shoulder
    for joint in (s.NOSE, s.RIGHT_EYE, s.LEFT_EYE, s.RIGHT_EAR, s.LEFT_EAR):
        bent[joint] = bent[joint][0] + 14, bent[joint][1] + 20
    shown = doll(bent)
    rest = rest_pose(shown.pose.points[0], shown.pose.visible[0])
    matte = matte_from_alpha(shown.picture, shown.alpha)
    parts = split_layers(shown.picture, matte, rest, 4)
    mesh = build_mesh(parts, 4)
    weights = bind(mesh, rest, [sheet.bones for sheet in parts.layers], 4).weights
    trunk, arms = (mesh.triangles[mesh.layer == 0], mesh.triangles[mesh.layer > 0])
    own = np.setdiff1d(trunk, arms)  # a shoulder has its nodes in common with its arm
    head = own[np.linalg.norm(mesh.nodes[own] - bent[s.NOSE], axis=1) < 24]
    assert len(head) > 50
    of_arms = weights[head][:, Bone.RIGHT_UPPER_ARM : Bone.LEFT_HAND + 1].sum(axis=1)
    # .87 by heat alone
    assert of_arms.max() < 0.05


def test_an_arm_along_the_edge_of_a_picture_goes_no_further_than_it_is_thick() -> None:
    low = {**STANDING, s.LEFT_ELBOW: (184, 168), s.LEFT_WRIST: (226, 190)}
    parts = [*body(low), *(arm(low, side, 9, SKIN) for side in ("right", "left"))]
    picture, shown = painted(parts)
    # the lower edge cuts the forearm, and the rows below repeat its last
    beyond = ((0, 204 - 192), (0, 0))
    alpha = np.pad(np.where(shown >= 0, 255, 0).astype(np.uint8)[:192], beyond, "edge")
    picture = np.pad(picture[:192], (*beyond, (0, 0)), "edge")
    whole = (slice(0, 192), slice(0, SIZE[0]))
    matte = matte_from_alpha(picture, alpha)
    sheets = split_layers(picture, matte, rest_of(low), 4, whole).layers
    [left] = [each for each in sheets if Bone.LEFT_FOREARM in each.bones]
    # the arm's middle is at row 183 there, 10 px above its edge; 203 where all is repeated
    assert 190 < np.flatnonzero(left.alpha[:, 212] > 0.5).max() <= 196
    np.testing.assert_array_equal(left.alpha[191, 218:230] > 0.5, shown[191, 218:230] >= 0)
