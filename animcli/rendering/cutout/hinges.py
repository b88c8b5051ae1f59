"""Let an elbow or a knee that is bent in the picture be straightened.

Outside its bend there is more of a limb than a straight one has room for, and its tip is
further from the joint than the limb is thick. Where a mesh is only a few cells wide,
weights by nearness change too fast there: the tip goes with one bone and sticks out as a
step. So they follow the angle about the joint, and what opens is drawn in towards it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.bones import PARENTS, Bone, Rest

_BENT: Final = np.radians(30)  # below, a hinge counts as straight and has no tip
_EASE: Final = 1.0  # radians past the bend, each way, over which the bones take turns
_LEAST: Final = 0.6  # cosine of half a bend: how pointed a hinge's tip may be
_FAR: Final = (Bone.RIGHT_FOREARM, Bone.LEFT_FOREARM, Bone.RIGHT_SHIN, Bone.LEFT_SHIN)


@dataclass(frozen=True, eq=False)
class Hinge:
    """An elbow or a knee that is bent in the picture.

    near, far: the bones that meet there. joint: `(2,)` px.
    bend: radians that the far bone turns on against the near one, clockwise on the screen.
    outward: `(2,)`, unit vector from the joint to the hinge's tip.
    onward: `(2,)`, unit vector across it, from the near bone's side to the far one's.
    """

    near: Bone
    far: Bone
    joint: NDArray[np.float64]
    bend: float
    outward: NDArray[np.float64]
    onward: NDArray[np.float64]

    def share(
        self, nodes: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`weights` `(n, 15)` with what both bones move outside the bend shared by angle.

        nodes: `(n, 2)` px.
        """
        away = nodes - self.joint
        angle = np.arctan2(away @ self.onward, away @ self.outward)
        half = abs(self.bend) / 2
        outside = np.abs(angle) < np.pi / 2 + half
        part = np.clip(0.5 + 0.5 * angle / (half + _EASE), 0, 1)
        both = weights[:, self.near] + weights[:, self.far]
        shared = weights.copy()
        shared[outside, self.far] = (part * both)[outside]
        shared[outside, self.near] = ((1 - part) * both)[outside]
        return shared

    def draw_in(
        self, weights: NDArray[np.float64], angle: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`(n, 2, 2)`: what draws each node in as far as the hinge opens, as a mitre does.

        weights: `(n, 15)`. angle: `(15,)` radians that the bones turn. A bend that closes
        leaves all as it is.
        """
        now = self.bend + float(angle[self.far] - angle[self.near])
        by = min(_tip(now) / _tip(self.bend), 1.0) - 1
        part = 4 * by * weights[:, self.far] * weights[:, self.near]
        return np.asarray(
            np.eye(2) + part[:, None, None] * np.outer(self.outward, self.outward)
        )


def bent_hinges(rest: Rest) -> tuple[Hinge, ...]:
    """The elbows and knees of `rest` that are clearly bent."""
    found = []
    for far in _FAR:
        near = Bone(PARENTS[far])
        if not rest.present[far]:
            continue
        one, other = _unit(rest, near), _unit(rest, far)
        bend = float(np.arctan2(one[0] * other[1] - one[1] * other[0], one @ other))
        if abs(bend) < _BENT:
            continue
        outward = (one - other) / np.linalg.norm(one - other)
        onward = np.array([-outward[1], outward[0]]) * np.sign(bend)
        found.append(Hinge(near, far, rest.start[far], bend, outward, onward))
    return tuple(found)


def _tip(bend: float) -> float:
    """How far a hinge's tip is from the joint, in half thicknesses of the limb."""
    return float(1 / max(np.cos(bend / 2), _LEAST))


def _unit(rest: Rest, bone: Bone) -> NDArray[np.float64]:
    own = rest.end[bone] - rest.start[bone]
    return np.asarray(own / max(float(np.linalg.norm(own)), 1e-6))
