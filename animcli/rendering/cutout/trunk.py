"""The turn of a trunk in depth.

A trunk, with the skirt that hangs on it, is taken for an elliptic cylinder, row by row as
wide as the picture shows it. Seen from another side its outline is that of the turned
ellipse. What it wears goes round with it as far as that shows nothing that the picture
hides: its two outlines stay, the side that comes near is drawn out and the other one
pressed together, as a Möbius transformation of the row does smoothly.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.motion import smoothed
from animcli.rendering.cutout.rig import LEG_BONES, Bone, RestPose
from animcli.rendering.cutout.skinning import SkinnedMesh
from animcli.rendering.cutout.yaw import TrunkYaw

_FLAT: Final = 0.68  # depth of a trunk by its width
_SKIRT_FLAT: Final = 0.85  # and of a skirt
_WIDER: Final = (0.5, 1.3)  # times as wide as in the picture that it may be
_BROAD: Final = 1.5  # times the usual half width that a row of it is at most
_PROFILE: Final = (0.3, 0.6)  # cosines of a yaw in the picture: below, nothing turns
_HEM: Final = 0.1  # trunk lengths above its end over which a skirt begins to go with legs
_HANGS: Final = np.cos(np.radians(35))  # of a leg's way down that a skirt follows
_BEGINS: Final = 0.02  # share of a node's weights from which on it is of the trunk
_ROUND: Final = 0.4  # half widths that its middle goes aside at most: there a side is drawn
# out to 2.3 times its width


@dataclass(frozen=True, eq=False)
class TrunkTurn:
    """A trunk as an elliptic cylinder, and how it turns.

    nodes: `(k,)`, those of the trunk. place: `(k,)`, where they are across it, -1..1 within
        its outline. half: `(k, 2)` px, half its width there, as a vector across the spine.
    share: `(k, 2)`, how much of each goes with the chest and with the hips.
    flat: `(k,)`, depth of the ellipse by its width.
    yaw: of chest and hips.
    """

    nodes: NDArray[np.intp]
    place: NDArray[np.float64]
    half: NDArray[np.float64]
    share: NDArray[np.float64]
    flat: NDArray[np.float64]
    yaw: TrunkYaw

    def offsets(self, frame: int) -> NDArray[np.float64]:
        """`(k, 2)` px in the picture by which the nodes have shifted."""
        goes = np.zeros(len(self.nodes))
        within = np.clip(self.place, -1, 1)
        for part in (0, 1):
            now, own = self.yaw.frames[frame, part], self.yaw.rest[part]
            wider = _half_width(now, self.flat) / _half_width(own, self.flat)
            wider = np.clip(wider, *_WIDER)
            round_it = np.sin(_phase(now, self.flat) - _phase(own, self.flat))
            aside = _ROUND * np.tanh(round_it / _ROUND)
            shown = (within + aside) / (1 + aside * within)
            goes += self.share[:, part] * (wider * shown - within)
        return np.asarray(goes[:, None] * self.half)


def _half_width(yaw: float, flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the width of an ellipse, seen from `yaw` radians beside its shorter axis, which
    is `flat` times the other.
    """
    return np.asarray(np.sqrt(np.cos(yaw) ** 2 + (flat * np.sin(yaw)) ** 2))


def _phase(yaw: float, flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radians by which its surface has gone round then, in the outline's own circle."""
    return np.asarray(np.arctan2(flat * np.sin(yaw), np.cos(yaw)))


def turn_trunk(
    skinned: SkinnedMesh, yaw: TrunkYaw, alpha: NDArray[np.uint8]
) -> TrunkTurn | None:
    """The trunk's turn in depth, or None for a figure without a trunk or from the side.

    alpha: `(h, w)`, of the body's texture.
    """
    rest, mesh = skinned.rest, skinned.mesh
    # from the side a picture shows neither front nor back, and a trunk may be bent
    turns = (abs(np.cos(yaw.rest[0])) - _PROFILE[0]) / (_PROFILE[1] - _PROFILE[0])
    if turns <= 0:
        return None
    down = (rest.start[Bone.PELVIS] - rest.start[Bone.CHEST]) / max(rest.trunk, 1e-3)
    axes = np.array([[down[1], -down[0]], down])
    body = np.unique(mesh.triangles[mesh.layer == 0])
    places = mesh.nodes[body] @ axes.T
    columns, rows = np.rint(mesh.nodes[body]).astype(np.intp).T
    height, width = alpha.shape
    solid = alpha[rows.clip(0, height - 1), columns.clip(0, width - 1)] > 127
    spacing = float(np.diff(np.unique(mesh.nodes[:, 0])).min())
    ends = _skirt_ends(rest, axes, places[solid], spacing)
    hips = float(rest.start[Bone.PELVIS] @ down)
    skirt = np.clip((ends - places[:, 1]) / (_HEM * rest.trunk), 0, 1)
    skirt *= places[:, 1] > hips - _HEM * rest.trunk
    weights = skinned.weights[body]
    share = weights[:, [Bone.CHEST, Bone.PELVIS]]
    share[:, 1] += skirt * weights[:, list(LEG_BONES)].sum(axis=1)
    total = share.sum(axis=1)
    within = solid & (total > 0.5)
    if not within.any():
        return None
    front = float(np.cos(yaw.rest[0])) ** 2
    middle, half, flat = _outline(places[within], places[:, 1], spacing, hips, front)
    mine = total > _BEGINS
    return TrunkTurn(
        body[mine],
        ((places[:, 0] - middle) / half)[mine],
        half[mine, None] * axes[0],
        share[mine] * min(turns, 1.0),
        flat[mine],
        yaw,
    )


def _skirt_ends(
    rest: RestPose,
    axes: NDArray[np.float64],
    solid: NDArray[np.float64],
    spacing: float,
) -> float:
    """End of what is one piece of the body, px down the spine: a skirt's hem, or the
    crotch.

    axes: `(2, 2)`, across and down the spine. solid: `(n, 2)` px on them, the nodes that
    the body covers, `spacing` apart.
    """
    middles = [
        axes @ rest.start[[right, left]].mean(axis=0)
        for right, left in (
            (Bone.RIGHT_THIGH, Bone.LEFT_THIGH),
            (Bone.RIGHT_SHIN, Bone.LEFT_SHIN),
            (Bone.RIGHT_FOOT, Bone.LEFT_FOOT),
        )
        if rest.present[right] and rest.present[left]
    ]
    if not middles:
        return float(solid[:, 1].max(initial=0))
    legs = [bone for bone in LEG_BONES if rest.present[bone]]
    hang = rest.end[legs] - rest.start[legs]
    if (hang @ axes[1] < _HANGS * np.linalg.norm(hang, axis=1)).any():
        return float(middles[0][1]) - _HEM * rest.trunk
    line = np.array(sorted(middles, key=lambda place: float(place[1])))
    first, last = line[0, 1], line[-1, 1]
    between = np.interp(solid[:, 1], line[:, 1], line[:, 0])
    there = solid[np.abs(solid[:, 0] - between) < spacing, 1]
    there = np.sort(there[(there > first) & (there < last)])
    gaps = np.flatnonzero(np.diff(np.concatenate([[first], there, [last]])) > 1.5 * spacing)
    return float(np.concatenate([[first], there])[gaps[0]]) if len(gaps) else float(last)


def _outline(
    solid: NDArray[np.float64],
    along: NDArray[np.float64],
    spacing: float,
    hips: float,
    front: float,
) -> tuple[NDArray[np.float64], ...]:
    """Middle of a trunk across the spine and half its width, px, and its depth by its
    width, at places `along` `(k,)` px down the spine.

    solid: `(n, 2)` px across and down it, the trunk's nodes, `spacing` apart. hips: px down
    it, where a skirt begins. front: 1 for a trunk seen from the front, 0 from the side.
    """
    first = float(solid[:, 1].min())
    row = np.rint((solid[:, 1] - first) / spacing).astype(np.intp)
    ends = np.array([[np.inf], [-np.inf]]) * np.ones(int(row.max()) + 1)
    np.minimum.at(ends[0], row, solid[:, 0])
    np.maximum.at(ends[1], row, solid[:, 0])
    known = np.flatnonzero(np.isfinite(ends[0]))
    every = np.arange(ends.shape[1])
    left, right = (smoothed(np.interp(every, known, end[known]), 1.0) for end in ends)
    half = (right - left + spacing) / 2
    below = first + every * spacing > hips
    # shoulders are wide, but no deeper than the chest below them; what sticks out beyond
    # goes along
    usual = float(np.median(half if below.all() else half[~below]))
    half = np.where(below, half, np.minimum(half, _BROAD * usual))
    flat = np.where(below, _SKIRT_FLAT, _FLAT * np.minimum(1, usual / half) ** front)
    at = (along - first) / spacing
    return tuple(
        np.interp(at, every, each)
        for each in ((left + right) / 2, half, smoothed(flat, 2.0))
    )
