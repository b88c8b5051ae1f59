"""Lift keypoints to depth: the direction that a body faces, and what is nearer.

A projection hides the depth. How wide shoulders look beside how wide they are tells how far
a body is turned; which way nose, toes, knees and elbows point tells to which side; and a
limb that looks short points towards the viewer or away, as limbs mostly bend. All of it is
judged over some frames around each, so that nothing flickers.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from animcli.pose import keypoints as s
from animcli.pose.bones import PELVIS, with_middles
from animcli.pose.retarget.bone_lengths import (
    PROPORTIONS,
    estimate_lengths,
    observed_lengths,
    scale_of,
)
from animcli.pose.sequence import PoseSequence

Array = NDArray[np.float64]

SIDE_FRAMES: Final = 4.0  # frames, standard deviation: to which side a body looks
TURN_FRAMES: Final = 1.5  # the same of how far, and of depths
EARS: Final = 0.093  # of the height from nose to ankles, between them
NOSE: Final = 0.075  # the same, how far its tip is before the ears
NARROW: Final = 0.85  # of the usual width; shoulders seen narrower all the time are turned
CLEAR: Final = 0.02  # heights; a nose, a toe, a knee that points this far aside is sure
HINGE: Final = 3.0  # how much more a bent elbow says of an arm than how it swings
SURE_LENGTH: Final = 0.93  # of a limb; one that looks a little short needn't be turned
AHEAD: Final = 1.5  # how soon, as a body turns to the viewer, bent limbs come forward


class Side(NamedTuple):
    """The keypoints of one side of a body."""

    shoulder: int
    elbow: int
    wrist: int
    hip: int
    knee: int
    ankle: int
    ear: int
    toe: int
    heel: int


RIGHT: Final = Side(
    s.RIGHT_SHOULDER, s.RIGHT_ELBOW, s.RIGHT_WRIST, s.RIGHT_HIP, s.RIGHT_KNEE,
    s.RIGHT_ANKLE, s.RIGHT_EAR, s.RIGHT_BIG_TOE, s.RIGHT_HEEL,
)  # fmt: skip
LEFT: Final = Side(
    s.LEFT_SHOULDER, s.LEFT_ELBOW, s.LEFT_WRIST, s.LEFT_HIP, s.LEFT_KNEE,
    s.LEFT_ANKLE, s.LEFT_EAR, s.LEFT_BIG_TOE, s.LEFT_HEEL,
)  # fmt: skip
BODY_SIDES: Final = (RIGHT, LEFT)


@dataclass(frozen=True, eq=False)
class Bodies:
    """A body in every frame; `f` frames. Pixels, depth growing towards the viewer.

    places: `(f, 136, 2)`; the last two are pelvis and chest. seen: `(f, 136)`.
    depth: `(f, 136)` of the keypoints of body and limbs, against the pelvis.
    height: `(f,)` from nose to ankles, of somebody standing upright.
    widths: how much broader than usual it is at (hips, shoulders, head).
    across: `(f, 2)` unit vector in the picture, at a right angle to the spine, to where the
        left side of a body is that looks at the viewer.
    turn, head_turn: `(f, 2)` unit: (along `across`, towards the viewer), where chest and
        face look.
    arms: `(f, 2, 2, 2)` unit: right and left, upper arm and forearm: (aside of the arm,
        towards the viewer), where its outside looks. Aside is at a right angle to it in the
        picture, to the left of a body whose arm hangs.
    """

    places: Array
    visible: NDArray[np.bool_]
    depth: Array
    height: Array
    widths: tuple[float, float, float]
    across: Array
    _: KW_ONLY
    turn: Array
    head_turn: Array
    arms: Array


def lift(motion: PoseSequence) -> Bodies:
    """The bodies that a motion shows."""
    points, visible = motion.points.astype(np.float64), motion.visible
    observed = observed_lengths(points, visible)
    scale = scale_of(observed, len(motion))
    build = estimate_lengths(observed, scale)
    tall = build.height or 0.7 * min(motion.size)
    places, visible = with_middles(points, visible)
    for side in BODY_SIDES:
        alone = ~visible[:, s.NECK] & visible[:, side.shoulder]
        places[alone, s.NECK], visible[alone, s.NECK] = places[alone, side.shoulder], True
    height = tall * scale
    lengths = {
        name: max(build.lengths.get(name, 0.0), NARROW * share * tall)
        for name, share in {**PROPORTIONS, "ears": EARS}.items()
    }
    spine = spine_of(places, visible)
    across = np.stack([-spine[:, 1], spine[:, 0]], axis=1)
    broad = {name: lengths[name] * scale for name in ("shoulders", "hips", "ears")}
    turn = smooth_turn(*torso_turn(places, visible, across, broad, height))
    head = head_turn(places, visible, across, broad["ears"], height, turn)
    widths = (
        lengths["hips"] / (PROPORTIONS["hips"] * tall),
        lengths["shoulders"] / (PROPORTIONS["shoulders"] * tall),
        lengths["ears"] / (EARS * tall),
    )
    limbs = {name: length * scale for name, length in lengths.items()}
    depth = depth_of(places, visible, turn, limbs)
    arms = np.stack(
        [outsides(places, depth, side, across, turn) for side in BODY_SIDES], axis=1
    )
    return Bodies(
        places, visible, depth, height, widths, across, turn=turn, head_turn=head, arms=arms
    )


def spine_of(places: Array, visible: NDArray[np.bool_]) -> Array:
    """`(f, 2)` unit: from the pelvis up; straight up the picture where that is unseen."""
    spine = np.where(
        (visible[:, PELVIS] & visible[:, s.NECK])[:, None],
        places[:, s.NECK] - places[:, PELVIS],
        np.array([0.0, -1.0]),
    )
    spine = gaussian_filter1d(unit(spine), TURN_FRAMES, axis=0, mode="nearest")
    return unit(spine, (0.0, -1.0))


def torso_turn(
    places: Array,
    visible: NDArray[np.bool_],
    across: Array,
    broad: dict[str, Array],
    height: Array,
) -> tuple[Array, Array]:
    """Component towards the viewer `(f,)` in -1..1, and certainty of the side `(f,)`."""
    towards, weight = np.zeros(len(places)), np.full(len(places), 1e-6)
    for name, right, left, trust in (
        ("shoulders", RIGHT.shoulder, LEFT.shoulder, 1.0),
        ("hips", RIGHT.hip, LEFT.hip, 0.5),
    ):
        both = visible[:, right] & visible[:, left]
        wide = dot(places[:, left] - places[:, right], across) / broad[name]
        towards += trust * both * np.clip(wide, -1, 1)
        weight += trust * both
    side = np.zeros(len(places))
    for start, end, trust in pointers():
        both = np.asarray(visible[:, start].all(axis=1) & visible[:, end].all(axis=1))
        way = places[:, end].mean(axis=1) - places[:, start].mean(axis=1)
        side += trust * both * np.clip(dot(way, across) / (CLEAR * height), -3, 3)
    one_ear = visible[:, RIGHT.ear].astype(float) - visible[:, LEFT.ear]
    side += 2.0 * one_ear  # the side that is seen has turned to the viewer
    return towards / weight, side


def pointers() -> list[tuple[list[int], list[int], float]]:
    """Keypoints whose middle lies behind the middle of others, and how much that counts."""
    found = [([RIGHT.ear, LEFT.ear], [s.NOSE], 1.0), ([s.NECK], [s.NOSE], 0.5)]
    for side in BODY_SIDES:
        found += [
            ([side.heel], [side.toe], 0.5),
            ([side.ankle], [side.toe], 0.5),
            ([side.hip, side.ankle], [side.knee], 0.5),
            ([side.elbow], [side.shoulder, side.wrist], 0.25),
        ]
    return found


def smooth_turn(towards: Array, side: Array) -> Array:
    """`(f, 2)` unit: aside and towards the viewer."""
    aside = np.tanh(gaussian_filter1d(side, SIDE_FRAMES, mode="nearest"))
    aside = aside * np.sqrt(np.maximum(1 - towards**2, 0))
    turn = np.stack([aside, towards], axis=1)
    turn = gaussian_filter1d(turn, TURN_FRAMES, axis=0, mode="nearest")
    return unit(turn, (0.0, 1.0))


def head_turn(
    places: Array,
    visible: NDArray[np.bool_],
    across: Array,
    ears: Array,
    height: Array,
    turn: Array,
) -> Array:
    """`(f, 2)` unit: where the face looks; as the chest does where it can't be told."""
    right, left = places[:, RIGHT.ear], places[:, LEFT.ear]
    both = visible[:, RIGHT.ear] & visible[:, LEFT.ear]
    nose = visible[:, s.NOSE]
    towards = np.clip(dot(left - right, across) / ears, -1, 1)
    aside = np.clip(
        dot(places[:, s.NOSE] - (left + right) / 2, across) / (NOSE * height), -1, 1
    )
    by_ears = np.stack([aside, towards], axis=1)
    one_ear = np.stack([visible[:, RIGHT.ear] * 2.0 - 1, np.full(len(places), 0.3)], axis=1)
    faceless = np.stack([0.3 * turn[:, 0], np.full(len(places), -1.0)], axis=1)
    one = visible[:, RIGHT.ear] ^ visible[:, LEFT.ear]
    found = np.where((one & nose)[:, None], one_ear, turn)
    found = np.where((both & nose)[:, None], by_ears, found)
    found = np.where((~nose & (turn[:, 1] < 0))[:, None], faceless, found)
    found = gaussian_filter1d(unit(found), TURN_FRAMES, axis=0, mode="nearest")
    return unit(found, (0.0, 1.0))


def depth_of(
    places: Array, visible: NDArray[np.bool_], turn: Array, lengths: dict[str, Array]
) -> Array:
    """`(f, 136)`: how much nearer than the pelvis keypoints of body and limbs are, pixels.

    The depth that a limb must have to look as short as it does lies ahead of the body, but
    for shins, which fold back.
    """
    depth = np.zeros(places.shape[:2])
    ahead = np.clip(AHEAD * turn[:, 1], -1, 1)
    for sign, side in zip((1, -1), BODY_SIDES, strict=True):
        depth[:, side.shoulder] = sign * turn[:, 0] * lengths["shoulders"] / 2
        depth[:, side.hip] = sign * turn[:, 0] * lengths["hips"] / 2
        for start, end, name, way in (
            (side.shoulder, side.elbow, "upper_arm", 1.0),
            (side.elbow, side.wrist, "forearm", 1.0),
            (side.hip, side.knee, "thigh", 1.0),
            (side.knee, side.ankle, "shin", -1.0),
        ):
            limb = places[:, end] - places[:, start]
            whole = (SURE_LENGTH * lengths[name]) ** 2
            lost = np.maximum(whole - (limb**2).sum(axis=1), 0)
            both = visible[:, start] & visible[:, end]
            depth[:, end] = depth[:, start] + both * way * ahead * np.sqrt(lost)
    return np.asarray(gaussian_filter1d(depth, TURN_FRAMES, axis=0, mode="nearest"))


def outsides(places: Array, depth: Array, side: Side, across: Array, turn: Array) -> Array:
    """`(f, 2, 2)`: where the outsides of one side's upper arm and forearm look.

    An arm stretched out aside has its outside up; it goes along as the arm swings from
    there. A bent elbow tells better: it is a hinge whose axis looks outside.
    """
    space = np.concatenate([places, depth[..., None]], axis=2)
    upper = direction(space[:, side.elbow] - space[:, side.shoulder])
    lower = direction(space[:, side.wrist] - space[:, side.elbow])
    sign = -1.0 if side is RIGHT else 1.0
    left = np.concatenate([across * turn[:, 1:], -turn[:, :1]], axis=1)
    up = np.stack([across[:, 1], -across[:, 0], np.zeros(len(across))], axis=1)
    swung = swing(sign * left, upper, up)
    hinge = np.cross(upper, lower)
    bent = np.linalg.norm(hinge, axis=1, keepdims=True)
    outside = swung + HINGE * sign * bent * hinge
    found = []
    for limb in (upper, lower):
        aside = np.stack([limb[:, 1], -limb[:, 0]], axis=1)
        plain = outside - (outside * limb).sum(axis=1, keepdims=True) * limb
        visible = np.stack(
            [dot(plain[:, :2], unit(aside, (1.0, 0.0))), plain[:, 2]], axis=1
        )
        visible = gaussian_filter1d(unit(visible), TURN_FRAMES, axis=0, mode="nearest")
        found.append(unit(visible, (0.0, 1.0)))
    return np.stack(found, axis=1)


def swing(start: Array, end: Array, carried: Array) -> Array:
    """`(f, 3)`: `carried`, turned as the shortest turn from `start` to `end` does."""
    axis = np.cross(start, end)
    cosine = (start * end).sum(axis=1, keepdims=True)
    once = np.cross(axis, carried)
    return np.asarray(carried + once + np.cross(axis, once) / np.maximum(1 + cosine, 0.1))


def direction(vectors: Array) -> Array:
    """`(f, 3)` of length 1, or 0."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(size, 1e-6))


def dot(vectors: Array, others: Array) -> Array:
    """`(f,)` of two times `(f, 2)`."""
    return np.asarray((vectors * others).sum(axis=1))


def unit(vectors: Array, otherwise: tuple[float, float] = (0.0, 0.0)) -> Array:
    """`(f, 2)` of length 1; `otherwise` where there is no length."""
    size = np.hypot(vectors[:, 0], vectors[:, 1])[:, None]
    length = vectors / np.maximum(size, 1e-6)
    return np.asarray(np.where(size > 1e-6, length, np.array(otherwise)))
