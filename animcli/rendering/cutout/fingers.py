"""Fingers: each on a small mesh of its own, bent at its joints as in the motion.

A finger is thinner than a cell of the figure's mesh, so it leaves the hand as a sheet of
its own: the pixels nearest to its bones, which turn in the plane of the picture and are
shortened where the motion's finger points away from it. The rest of the hand goes with its
bone. A hand that shows its other side in the motion spreads its fingers the other way
round, as it would in a mirror. Fists, hands that hold each other and hands whose keypoints
leave the outline stay whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.draw_order import DrawGroup
from animcli.rendering.cutout.layers import soften
from animcli.rendering.cutout.mesh import sheet_mesh
from animcli.rendering.cutout.motion import rotation, smoothed
from animcli.rendering.cutout.rig import RestPose, distance, wrapped

_FINGERS: Final = (
    (17, 18, 19, 20),
    (13, 14, 15, 16),
    (9, 10, 11, 12),
    (5, 6, 7, 8),
    (2, 3, 4),
)
"""From the little finger to the thumb: its knuckle, its joints, its tip."""
_WRIST, _INDEX, _MIDDLE, _RING, _LITTLE = 0, 5, 9, 13, 17
_PALM: Final = (
    *((_WRIST, knuckle) for knuckle in (1, _INDEX, _MIDDLE, _RING, _LITTLE)),
    *((1, 2), (_INDEX, _MIDDLE), (_MIDDLE, _RING), (_RING, _LITTLE)),
)

_LONG_PX: Final = 18.0  # shorter fingers are a few pixels wide: their seams would show
_THUMB_PX: Final = 10.0
_STRAIGHT: Final = 0.8  # from knuckle to tip by the length along the finger; less is bent
_MOST_OPEN: Final = 3  # of four fingers that must be straight, else it is a fist
_APART: Final = 0.6  # palms that one hand's points keep from the other's
_ROOT: Final = 0.35  # of the first bone that the palm keeps under the finger
_REACH: Final = 2.0  # finger widths: half of the widest finger, seen at a slant
_SOFT: Final = 0.3  # finger widths over which one bone gives way to the next
_SPREAD: Final = np.radians(22)  # a finger turns against the palm, either way
_BEND: Final = np.radians(30)  # and a joint against the bone before it; beyond, a claw
_SHORTENED: Final = (0.6, 1.1)  # a bone, by its length in the picture
_EDGE_ON: Final = 0.3  # palm lengths wide, below which a hand is seen from its edge
_FINGER_FRAMES: Final = 1.5  # sigma
_USUAL: Final = 90  # percentile of a bone's length over a motion that counts as whole

_Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Finger:
    """One finger as a sheet, and what it does.

    nodes: `(n, 2)` px in the picture. triangles: `(m, 3)`.
    texture: `(h, w, 4)` premultiplied RGBA, whose upper left corner is at `corner` px.
    joints: `(k + 1, 2)` px, from its knuckle to its tip.
    weights: `(n, k + 1)`, of the palm and then of each bone.
    turn: `(frames, k)` radians of each bone beyond the picture's, clockwise.
    long: `(frames, k)`, its length by that in the picture.
    """

    nodes: _Points
    triangles: NDArray[np.intp]
    texture: NDArray[np.uint8]
    corner: NDArray[np.intp]
    joints: _Points
    weights: _Points
    _: KW_ONLY
    turn: _Points
    long: _Points

    def posed(self, frame: int) -> _Points:
        """`(n, 2)` px: where its nodes are in a hand that keeps still."""
        at = self.joints[0]
        moved = self.weights[:, :1] * self.nodes
        for bone, (turn, long) in enumerate(
            zip(self.turn[frame], self.long[frame], strict=True)
        ):
            start = self.joints[bone]
            own = self.joints[bone + 1] - start
            along = own / max(float(np.linalg.norm(own)), 1e-6)
            whole = rotation(turn) @ (np.eye(2) + (long - 1) * np.outer(along, along))
            there = at + (self.nodes - start) @ whole.T
            moved = moved + self.weights[:, bone + 1 : bone + 2] * there
            at = at + whole @ own
        return np.asarray(moved)


@dataclass(frozen=True, eq=False)
class HandMotion:
    """A hand whose fingers move.

    palm: `(h, w, 4)`, the texture of its arm without the fingers.
    around: `(n,)`, the nodes of the figure's mesh that carry it.
    fingers: those that move, from the back to the front.
    """

    palm: NDArray[np.uint8]
    around: NDArray[np.intp]
    fingers: tuple[Finger, ...]

    def sheets(
        self, nodes: _Points, places: _Points, frame: int
    ) -> Iterator[tuple[_Points, _Points, NDArray[np.uint8]]]:
        """For each finger, the corners of its triangles `(m, 3, 2)` in `frame` and in its
        texture, px, and the texture.

        nodes, places: `(n, 2)` px, the figure's mesh in the picture and in `frame`.
        """
        own = nodes[self.around]
        even = np.column_stack([own, np.ones(len(own))])
        carry = np.linalg.lstsq(even, places[self.around], rcond=None)[0]
        for finger in self.fingers:
            moved = finger.posed(frame) @ carry[:2] + carry[2]
            origin = finger.nodes - finger.corner
            yield moved[finger.triangles], origin[finger.triangles], finger.texture


def follow_fingers(
    rest: RestPose,
    motion: PoseSequence,
    size: NDArray[np.float64],
    nodes: _Points,
    arms: Mapping[DrawGroup, tuple[NDArray[np.intp], NDArray[np.uint8]]],
) -> dict[DrawGroup, HandMotion]:
    """Hands of `rest` whose fingers can follow those of `motion`.

    size: `(frames,)`, the figure's size in the motion by its size in the picture.
    nodes: `(n, 2)` px, the figure's mesh. arms: for each forearm, which of
        those nodes carry it, and the texture of its arm.
    """
    sides = {
        DrawGroup.RIGHT_FOREARM: (keypoint.RIGHT_HAND, keypoint.LEFT_HAND),
        DrawGroup.LEFT_FOREARM: (keypoint.LEFT_HAND, keypoint.RIGHT_HAND),
    }
    hands = {}
    for group, (side, other) in sides.items():
        known = np.asarray(motion.visible[:, side].all(axis=1))
        if group not in arms or not known.any() or not rest.visible[side].all():
            continue
        own, (carriers, texture) = rest.keypoints[side], arms[group]
        beside = rest.keypoints[other] if rest.visible[other].all() else np.zeros((0, 2))
        moving = _open_fingers(own, beside, texture[..., 3])
        knuckles = own[[_INDEX, _MIDDLE, _RING, _LITTLE]]
        palm = float(np.linalg.norm(own[_MIDDLE] - own[_WRIST]))
        near = distance(nodes[carriers], own[_WRIST], knuckles.mean(axis=0)) < 0.8 * palm
        if not moving or near.sum() < 4:
            continue
        acts = _acts(own, motion.points[:, side].astype(np.float64), known, size)
        hands[group] = _hand(own, texture, carriers[near], moving, acts)
    return hands


def _open_fingers(
    own: _Points, beside: _Points, alpha: NDArray[np.uint8]
) -> tuple[tuple[int, ...], ...]:
    """Those of `_FINGERS` that the hand `own` `(21, 2)` shows stretched out and whole, or
    none if it is a fist or touches the hand `beside`.
    """
    palm = float(np.linalg.norm(own[_MIDDLE] - own[_WRIST]))
    if len(beside):
        gaps = np.linalg.norm(own[:, None] - beside[None], axis=2)
        if gaps.min() < _APART * palm:
            return ()
    wide = _width(own)
    found = []
    for finger in _FINGERS:
        points = own[list(finger)]
        chord = points[-1] - points[0]
        reach = float(np.linalg.norm(chord))
        along = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        least = _LONG_PX if len(finger) == 4 else _THUMB_PX
        if reach < max(least, _STRAIGHT * along):
            continue
        beyond = points[-1] + wide * chord / reach
        if (_sampled(alpha, points) > 127).all() and _sampled(alpha, beyond[None])[0] < 128:
            found.append(finger)
    return tuple(found) if sum(len(f) == 4 for f in found) >= _MOST_OPEN else ()


def _width(own: _Points) -> float:
    """A finger's width in px: the knuckles lie so far apart."""
    row = own[[_INDEX, _MIDDLE, _RING, _LITTLE]]
    return max(float(np.linalg.norm(np.diff(row, axis=0), axis=1).mean()), 3.0)


def _sampled(alpha: NDArray[np.uint8], at: _Points) -> NDArray[np.uint8]:
    columns, rows = np.rint(at).astype(np.intp).T
    height, width = alpha.shape
    return np.asarray(alpha[rows.clip(0, height - 1), columns.clip(0, width - 1)])


@dataclass(frozen=True, eq=False)
class _Acts:
    """Direction of each finger's bones beside the picture's, radians, and their lengths."""

    turn: dict[tuple[int, ...], _Points]
    long: dict[tuple[int, ...], _Points]


def _local(hand: _Points, finger: tuple[int, ...]) -> tuple[_Points, _Points]:
    """Directions against the palm, positive towards the index finger, and lengths, of the
    bones of a `finger` of `hand` `(..., 21, 2)`.
    """
    ahead = hand[..., _MIDDLE, :] - hand[..., _WRIST, :]
    bones = np.diff(hand[..., list(finger), :], axis=-2)
    straight = (bones * ahead[..., None, :]).sum(axis=-1)
    aside = ahead[..., None, 0] * bones[..., 1] - ahead[..., None, 1] * bones[..., 0]
    return np.arctan2(aside, straight), np.linalg.norm(bones, axis=-1)


def _turned_over(hand: _Points) -> _Points:
    """`(...)`: how broad a hand `(..., 21, 2)` is seen, in palm lengths; negative where the
    index finger lies counter-clockwise of the little one.
    """
    ahead = hand[..., _MIDDLE, :] - hand[..., _WRIST, :]
    across = hand[..., _INDEX, :] - hand[..., _LITTLE, :]
    area = ahead[..., 0] * across[..., 1] - ahead[..., 1] * across[..., 0]
    return np.asarray(area / np.maximum((ahead**2).sum(axis=-1), 1e-6))


def _acts(
    own: _Points, hands: _Points, known: NDArray[np.bool_], size: NDArray[np.float64]
) -> _Acts:
    """Turns and lengths of the fingers of `hands` `(frames, 21, 2)`, for those of `own`
    `(21, 2)`.

    Where a hand isn't `known`, or is seen from its edge, they go back to the picture's.
    """
    broad, own_broad = _turned_over(hands), float(_turned_over(own))
    same = np.where(broad * own_broad < 0, -1.0, 1.0)[:, None]
    palm = np.linalg.norm(hands[:, _MIDDLE] - hands[:, _WRIST], axis=1) / size
    whole = max(float(np.percentile(palm[known], _USUAL)), 1e-6)
    sure = known * np.clip(np.abs(broad) / _EDGE_ON - 0.5, 0, 1)
    sure = sure * np.clip(2 * palm / whole - 0.5, 0, 1)
    rest = 1 - sure  # counts for the fingers of the picture
    turns: dict[tuple[int, ...], _Points] = {}
    longs: dict[tuple[int, ...], _Points] = {}
    for finger in _FINGERS:
        angle, length = _local(hands, finger)
        own_angle, _ = _local(own, finger)
        length = length / size[:, None]
        usual = np.percentile(length[known], _USUAL, axis=0)
        long = np.clip(length / np.maximum(usual, 1e-6), *_SHORTENED)
        beyond = wrapped(same * angle - own_angle)
        bends = np.diff(beyond, axis=1, prepend=0)
        bends[:, 0] = np.clip(bends[:, 0], -_SPREAD, _SPREAD)
        bends[:, 1:] = np.clip(wrapped(bends[:, 1:]), -_BEND, _BEND)
        turn = np.cumsum(bends, axis=1)
        turns[finger] = np.stack(
            [smoothed(sure * each, _FINGER_FRAMES) for each in turn.T], axis=1
        )
        longs[finger] = np.stack(
            [smoothed(sure * each + rest, _FINGER_FRAMES) for each in long.T], axis=1
        )
    return _Acts(turns, longs)


def _hand(
    own: _Points,
    texture: NDArray[np.uint8],
    around: NDArray[np.intp],
    moving: tuple[tuple[int, ...], ...],
    acts: _Acts,
) -> HandMotion:
    wide = _width(own)
    margin = round(_REACH * wide) + 2
    low = np.floor(own.min(axis=0)).astype(np.intp) - margin
    high = np.ceil(own.max(axis=0)).astype(np.intp) + margin
    left, top = low.clip(0)
    window = np.s_[top : int(high[1]), left : int(high[0])]
    part = texture[window]
    rows, columns = np.indices(part.shape[:2])
    pixels = np.stack([columns + left, rows + top], axis=-1).reshape(-1, 2).astype(float)
    lines = [(own[a], own[b]) for a, b in _PALM]
    palm = np.min([distance(pixels, *line) for line in lines], axis=0)
    ways = [_ways(pixels, own[list(finger)]) for finger in _FINGERS]
    gaps = np.stack([palm, *(way.min(axis=1) for way in ways)])
    nearest = gaps.argmin(axis=0)
    inside = part[..., 3] > 4
    spacing = max(2, round(wide / 3))
    free = np.zeros(part.shape[:2], bool)
    fingers = []
    for number, (finger, way) in enumerate(zip(_FINGERS, ways, strict=True), 1):
        if finger not in moving:
            continue
        joints = own[list(finger)]
        mine = ((nearest == number) & (gaps[number] < _REACH * wide)).reshape(
            inside.shape
        ) & inside
        ahead = (pixels - joints[0]) @ (joints[1] - joints[0])
        ahead = ahead / max(float(((joints[1] - joints[0]) ** 2).sum()), 1e-6)
        free |= mine & ((ahead > _ROOT) | (way.argmin(axis=1) > 0)).reshape(inside.shape)
        # a little of its neighbours, so that a hand at rest shows no seam
        beside = cv2.dilate(mine.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        sheet = np.rint(part * soften(beside & inside, inside)[..., None]).astype(np.uint8)
        nodes, triangles = sheet_mesh(sheet[..., 3].astype(np.float32) / 255, spacing)
        if len(triangles) == 0:
            continue
        nodes = nodes + np.array([left, top])
        back = joints[0] - (joints[1] - joints[0])
        to_palm = distance(nodes, joints[0], back)
        away = np.column_stack([to_palm, _ways(nodes, joints)]) / (_SOFT * wide)
        weights = np.exp(away.min(axis=1, keepdims=True) - away)
        fingers.append(
            Finger(
                nodes,
                triangles,
                sheet,
                np.array([left, top]),
                joints,
                weights / weights.sum(axis=1, keepdims=True),
                turn=acts.turn[finger],
                long=acts.long[finger],
            )
        )
    bare = texture.copy()
    bare[window] = np.rint(part * (1 - soften(free, inside))[..., None]).astype(np.uint8)
    return HandMotion(bare, around, tuple(fingers))


def _ways(places: _Points, joints: _Points) -> _Points:
    """`(n, k)` px from each of `places` to each bone between `joints` `(k + 1, 2)`."""
    return np.stack([distance(places, *bone) for bone in pairwise(joints)], axis=1)
