"""Head pose: how a head is turned in space, from nose, eyes, ears and neck.

A generic head is fitted to them under weak perspective (DeMenthon and Davis, "Model-based
object pose in 25 lines of code", 1995) by Gauss-Newton steps. That tells a head that is
seen smaller from one that is turned, and a bowed one from one that leans aside.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as keypoint
from animcli.rendering.cutout.rig import HEAD_KEYPOINTS, wrapped

# half distances of the ears to the screen's right, down and towards us, from their middle;
# means of 60 drawn heads, of whom none differs by more than a fifth of one
_HEAD: Final = {
    keypoint.NOSE: (0.0, 0.23, 1.21),
    keypoint.RIGHT_EYE: (-0.37, -0.16, 1.06),
    keypoint.LEFT_EYE: (0.37, -0.16, 1.06),
    keypoint.RIGHT_EAR: (-1.0, 0.0, 0.0),
    keypoint.LEFT_EAR: (1.0, 0.0, 0.0),
    keypoint.NECK: (0.0, 1.81, -0.19),
}
_NECK: Final = 0.15  # weight of the neck, which bends
_LEAST: Final = 2  # keypoints of a head that tell with the neck how it leans
MOST_YAW: Final = np.radians(22)  # beyond the picture's; then a cheek without an ear would
# have to be invented
_LEVEL: Final = 0.15**2  # weight with which pitch stays small
_STEPS: Final = 8
_DAMPED: Final = 0.02

_Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeadPose:
    """The pose of a head in each frame, turned by roll after pitch after yaw.

    roll, pitch, yaw: `(frames,)` radians, clockwise, down and to the screen's right.
    scale: `(frames,)` px of half the distance between its ears, unforeshortened.
    middle: `(frames, 2)` px, between the ears.
    """

    roll: _Array
    pitch: _Array
    yaw: _Array
    scale: _Array
    middle: _Array

    def seen_from(self, own: "HeadPose") -> "HeadPose":
        """This head, nodding and leaning as it does, with the heading of a picture's head
        `own`, of one frame, or no further from it than MOST_YAW.
        """
        heading, nod, lean = _by_heading(_turned(self.roll, self.pitch, self.yaw))
        [first], _, _ = _by_heading(_turned(own.roll, own.pitch, own.yaw))
        away = wrapped(heading - first)
        kept = first + np.clip(away, -MOST_YAW, MOST_YAW)
        whole = _about_y(kept) @ _about_x(nod) @ _about_z(lean)
        roll = np.arctan2(-whole[:, 0, 1], whole[:, 1, 1])
        pitch = np.arcsin(np.clip(-whole[:, 2, 1], -1, 1))
        yaw = np.arctan2(-whole[:, 2, 0], whole[:, 2, 2])
        return HeadPose(roll, pitch, yaw, self.scale, self.middle)


def head_pose(points: _Array, visible: NDArray[np.bool_]) -> HeadPose | None:
    """The head's pose in each frame of `points` `(frames, 134, 2)`.

    visible: `(134,)`, the keypoints that count. None where they are too few.
    """
    face = [number for number in HEAD_KEYPOINTS if visible[number]]
    if len(face) < _LEAST:
        return None
    used = [*face, keypoint.NECK]
    model = np.array([_HEAD[number] for number in used])
    weight = np.array([1.0] * len(face) + [_NECK])
    places = points[:, used].astype(np.float64)
    # all are looked at in units of how far they lie apart
    centre = places[:, :-1].mean(axis=1)
    spread = np.linalg.norm(places - centre[:, None], axis=2).mean(axis=1)
    unit = np.maximum(spread, 1e-6)
    places = (places - centre[:, None]) / unit[:, None, None]
    found = _fit(places, model, weight)
    return HeadPose(
        found[:, 0], found[:, 1], found[:, 2], np.exp(found[:, 3]) * unit,
        centre + found[:, 4:] * unit[:, None],
    )  # fmt: skip


def _fit(places: _Array, model: _Array, weight: _Array) -> _Array:
    """Roll, pitch, yaw, logarithm of the scale, and middle `(frames, 6)`, that put `model`
    `(n, 3)` onto `places` `(frames, n, 2)`.
    """
    frames, count = places.shape[:2]
    now = np.zeros((frames, 6))
    up = places[:, :-1].mean(axis=1) - places[:, -1]
    now[:, 0] = np.arctan2(up[:, 0], -up[:, 1])
    # of a head that leans like that and doesn't nod, x follows from x and z of the model
    across = places[:, :-1] @ np.stack([np.cos(now[:, 0]), np.sin(now[:, 0])], 1)[..., None]
    even = np.column_stack([model[:-1, [0, 2]], np.ones(count - 1)])
    by = (np.linalg.pinv(even) @ across)[..., 0]
    now[:, 2] = np.arctan2(by[:, 1], by[:, 0])
    now[:, 3] = np.log(np.maximum(np.hypot(by[:, 0], by[:, 1]), 0.1))
    root = np.sqrt(weight)[None, :, None]
    level = np.diag([_DAMPED, _DAMPED + _LEVEL, *[_DAMPED] * 4])
    for _ in range(_STEPS):
        roll, pitch, side = now[:, 0], now[:, 1], now[:, 2]
        about = _about_z(roll), _about_x(pitch), _about_y(side)
        scale = np.exp(now[:, 3])[:, None, None]
        seen = (
            scale * (model @ (about[0] @ about[1] @ about[2]).transpose(0, 2, 1))[..., :2]
        )
        left = root * (places - seen - now[:, None, 4:])
        quarter = np.pi / 2
        slopes = [
            _about_z(roll + quarter) @ _flat(2) @ about[1] @ about[2],
            about[0] @ (_about_x(pitch + quarter) @ _flat(0)) @ about[2],
            about[0] @ about[1] @ (_about_y(side + quarter) @ _flat(1)),
        ]
        columns = [scale * (model @ s.transpose(0, 2, 1))[..., :2] for s in slopes]
        columns.append(seen)
        columns += [np.broadcast_to(axis, seen.shape) for axis in np.eye(2)]
        slope = np.stack([root * column for column in columns], axis=-1)
        slope = slope.reshape(frames, 2 * count, 6)
        normal = slope.transpose(0, 2, 1) @ slope + level
        pull = (slope.transpose(0, 2, 1) @ left.reshape(frames, 2 * count, 1))[..., 0]
        pull[:, 1] -= _LEVEL * pitch
        change = np.linalg.solve(normal, pull[..., None])[..., 0]
        now = now + np.clip(change, -0.5, 0.5)
    return now


def _flat(axis: int) -> _Array:
    """Map that leaves out `axis`, about which a turn changes nothing."""
    keep = np.ones(3)
    keep[axis] = 0
    return np.diag(keep)


def _turned(roll: _Array, pitch: _Array, yaw: _Array) -> _Array:
    return _about_z(roll) @ _about_x(pitch) @ _about_y(yaw)


def _by_heading(whole: _Array) -> tuple[_Array, _Array, _Array]:
    """Yaw after pitch after roll, of rotations `(frames, 3, 3)`."""
    heading = np.arctan2(whole[:, 0, 2], whole[:, 2, 2])
    nod = np.arcsin(np.clip(whole[:, 1, 2], -1, 1))
    lean = np.arctan2(whole[:, 1, 0], whole[:, 1, 1])
    return heading, nod, lean


def _about_z(angle: _Array) -> _Array:
    """`(frames, 3, 3)`: what turns x towards y."""
    c, s, o, i = np.cos(angle), np.sin(angle), 0 * angle, 0 * angle + 1
    return np.stack([c, -s, o, s, c, o, o, o, i], axis=-1).reshape(-1, 3, 3)


def _about_x(angle: _Array) -> _Array:
    """`(frames, 3, 3)`: what turns z towards y."""
    c, s, o, i = np.cos(angle), np.sin(angle), 0 * angle, 0 * angle + 1
    return np.stack([i, o, o, o, c, s, o, -s, c], axis=-1).reshape(-1, 3, 3)


def _about_y(angle: _Array) -> _Array:
    """`(frames, 3, 3)`: what turns z towards x."""
    c, s, o, i = np.cos(angle), np.sin(angle), 0 * angle, 0 * angle + 1
    return np.stack([c, o, s, o, i, o, -s, o, c], axis=-1).reshape(-1, 3, 3)
