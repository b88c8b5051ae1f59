"""A doll drawn in code: known joints, known outline, a colour for each part."""

from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.rendering.renderer import RenderRequest

SIZE = (256, 384)
FINER = 4  # drawn so much larger and averaged, for soft edges

STANDING = {
    s.NOSE: (128, 62),
    s.RIGHT_EYE: (120, 56),
    s.LEFT_EYE: (136, 56),
    s.RIGHT_EAR: (110, 60),
    s.LEFT_EAR: (146, 60),
    s.NECK: (128, 100),
    s.RIGHT_SHOULDER: (100, 102),
    s.RIGHT_ELBOW: (78, 146),
    s.RIGHT_WRIST: (60, 186),
    s.LEFT_SHOULDER: (156, 102),
    s.LEFT_ELBOW: (178, 146),
    s.LEFT_WRIST: (196, 186),
    s.RIGHT_HIP: (112, 196),
    s.RIGHT_KNEE: (108, 262),
    s.RIGHT_ANKLE: (106, 330),
    s.LEFT_HIP: (144, 196),
    s.LEFT_KNEE: (148, 262),
    s.LEFT_ANKLE: (150, 330),
    s.RIGHT_BIG_TOE: (102, 346),
    s.LEFT_BIG_TOE: (154, 346),
}

SKIN, SHIRT, TROUSERS, SHOES = (236, 188, 150), (190, 60, 60), (60, 70, 160), (40, 40, 40)
CAPSULES = (
    (s.RIGHT_HIP, s.RIGHT_KNEE, 15, TROUSERS),
    (s.RIGHT_KNEE, s.RIGHT_ANKLE, 12, TROUSERS),
    (s.LEFT_HIP, s.LEFT_KNEE, 15, TROUSERS),
    (s.LEFT_KNEE, s.LEFT_ANKLE, 12, TROUSERS),
    (s.RIGHT_ANKLE, s.RIGHT_BIG_TOE, 10, SHOES),
    (s.LEFT_ANKLE, s.LEFT_BIG_TOE, 10, SHOES),
    (s.NECK, s.NOSE, 9, SKIN),
)
ARMS = (
    (s.RIGHT_SHOULDER, s.RIGHT_ELBOW, 10, SKIN),
    (s.RIGHT_ELBOW, s.RIGHT_WRIST, 9, SKIN),
    (s.LEFT_SHOULDER, s.LEFT_ELBOW, 10, SKIN),
    (s.LEFT_ELBOW, s.LEFT_WRIST, 9, SKIN),
)

Joints = dict[int, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Doll:
    """The picture `(h, w, 3)`, its alpha `(h, w)`, and its joints."""

    picture: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    pose: PoseSequence


def doll(joints: Joints = STANDING, *, plain: bool = False) -> Doll:
    """A doll before a sky; a `plain` one is white all over."""
    width, height = SIZE
    canvas = np.zeros((height * FINER, width * FINER, 4), np.uint8)

    def at(joint: int) -> tuple[int, int]:
        x, y = joints[joint]
        return round((x + 0.5) * FINER), round((y + 0.5) * FINER)

    def ink(colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
        return (255, 255, 255, 255) if plain else (*colour, 255)

    def limb(near: int, far: int, radius: int, colour: tuple[int, int, int]) -> None:
        cv2.line(canvas, at(near), at(far), ink(colour), 2 * radius * FINER)

    for part in CAPSULES:
        limb(*part)
    trunk = [s.RIGHT_SHOULDER, s.LEFT_SHOULDER, s.LEFT_HIP, s.RIGHT_HIP]
    outline = np.array([at(joint) for joint in trunk], np.int32)
    cv2.fillPoly(canvas, [outline], ink(SHIRT))
    cv2.polylines(canvas, [outline], True, ink(SHIRT), 20 * FINER)
    cv2.circle(canvas, at(s.NOSE), 24 * FINER, ink(SKIN), -1)
    for part in ARMS:
        limb(*part)
    drawn = cv2.resize(canvas, SIZE, interpolation=cv2.INTER_AREA).astype(np.float64)
    share = drawn[..., 3:] / 255
    across = np.linspace(0, 1, height)[:, None, None]
    sky = np.broadcast_to(
        (1 - across) * (120, 180, 230) + across * (220, 225, 230), (height, width, 3)
    )
    mixed = drawn[..., :3] + (1 - share) * sky
    return Doll(
        np.rint(mixed).astype(np.uint8),
        np.rint(drawn[..., 3]).astype(np.uint8),
        pose(joints),
    )


def pose(*frames: Joints) -> PoseSequence:
    """A motion, one frame for each set of joints."""
    points = np.zeros((len(frames), s.KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(frames), s.KEYPOINTS), np.float32)
    for index, joints in enumerate(frames):
        for joint, place in joints.items():
            points[index, joint], scores[index, joint] = place, 1
    ticks, base = even_ticks(len(frames), Fraction(24))
    return PoseSequence(points, scores, ticks, base, SIZE)


def turned(joints: Joints, about: int, moved: tuple[int, ...], degrees: float) -> Joints:
    """`joints` with some `moved` about another, clockwise on the screen."""
    centre = np.array(joints[about])
    c, d = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -d], [d, c]])
    places = {j: tuple(centre + turn @ (np.array(joints[j]) - centre)) for j in moved}
    return {**joints, **places}


def request(shown: Doll, motion: PoseSequence) -> RenderRequest:
    """A request to move the doll, cut out by its own alpha."""
    return RenderRequest(
        reference=shown.picture,
        reference_alpha=shown.alpha,
        reference_pose=shown.pose,
        motion=motion,
        control=None,
        frames=len(motion),
        size=SIZE,
        preset=Preset("test"),
        weights={},
        device="cpu",
    )


def without(joints: Joints, *missing: int) -> Joints:
    return {joint: place for joint, place in joints.items() if joint not in missing}


def unseen(motion: PoseSequence, frame: int, joint: int) -> PoseSequence:
    """`motion` with one joint not found in one frame, its place meaningless."""
    points, scores = motion.points.copy(), motion.scores.copy()
    points[frame, joint], scores[frame, joint] = np.nan, 0
    return replace(motion, points=points, scores=scores)
