"""The one solid that everything is made of, and how it is seen.

A tube is the space that a sphere sweeps when it runs along an axis while its radius
changes; squashed from front to back it makes torsos, without length it is an ellipsoid.
Rays are parallel, so the sight of a tube has a closed form: pixels map to the tube's own
space by one affine map, and depth is a square root.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SKIN, FACE, HAIR, CHEST, UPPER, LOWER, INNER, SHOE, SOLE, SOCK, HAT, BELT, GLOVE, THROAT = (
    range(14)
)

Array = NDArray[np.floating]

FAR_DEPTH = np.float32(-1e9)
UNCUT = (-9.0, 9.0)
BALL = 1e-3  # metres; an axis that is shorter has no length


class SweptSphere(NamedTuple):
    """A swept sphere.

    start, end: `(3,)` of its axis, metres; where they meet it's a ball.
    front: `(3,)` its front looks this way, as far as its axis lets it.
    radii: across, at the start, the middle and the end of the axis.
    surface: which of the figure's surfaces it wears.
    group: tubes of one group have no line between them.
    flat: radius to the front / radius across.
    keep: `(first, last)`, the part of the axis kept, in lengths (of a ball: radii); hems
        and necklines.
    visor: `(forward, height)` in radii at the start, or None: what lies further forward
        and lower than that is cut away; the face in the hair.
    offset: where on its cloth the axis starts, metres.
    sideways: whether its cloth lies across the axis, not along it.
    """

    start: Array
    end: Array
    front: Array
    radii: tuple[float, float, float]
    surface: int
    group: int
    flat: float = 1.0
    keep: tuple[float, float] = UNCUT
    visor: tuple[float, float] | None = None
    offset: float = 0.0
    sideways: bool = False


class ParallelProjection(NamedTuple):
    """A parallel projection: turn, then scale, then shift.

    turn: `(3, 3)` world to camera; camera x right, y down, z towards the viewer.
    scale: pixels in a metre.
    centre: `(2,)` pixel of the world's origin.
    """

    turn: Array
    scale: float
    centre: Array

    def project(self, points: Array) -> Array:
        """World points `(..., 3)` in metres to `(..., 3)`: x, y and depth in pixels."""
        seen = points @ self.turn.T * np.float32(self.scale)
        seen[..., :2] += self.centre
        return seen.astype(np.float32)


class Canvas:
    """Depth and owner of every pixel."""

    def __init__(self, width: int, height: int) -> None:
        self.depth = np.full((height, width), FAR_DEPTH, np.float32)
        self.owner = np.full((height, width), 255, np.uint8)


class ProjectedSphere(NamedTuple):
    """A tube as a view sees it.

    rows, columns: of the canvas that it can touch.
    start: of its axis, x, y and depth in pixels.
    inverse: `(3, 3)`, from there to its own space: across, along, and front as if it
        were as deep as wide.
    length, radii: in pixels; the radius is `radii[0] + radii[1] * t + radii[2] * t * t`.
    """

    rows: slice
    columns: slice
    start: list[float]
    inverse: list[list[float]]
    length: float
    radii: tuple[float, float, float]


def project_spheres(
    tubes: Sequence[SweptSphere], view: ParallelProjection, width: int, height: int
) -> list[ProjectedSphere | None]:
    """Project the swept spheres; None for those that aren't in the picture."""
    starts = np.array([tube.start for tube in tubes], np.float32)
    ends = np.array([tube.end for tube in tubes], np.float32)
    fronts = np.array([tube.front for tube in tubes], np.float32) @ view.turn.T
    radii = np.array([tube.radii for tube in tubes]) * view.scale
    flats = np.array([tube.flat for tube in tubes], np.float32)
    starts, ends = view.project(starts), view.project(ends)
    along = ends - starts
    lengths = np.sqrt((along * along).sum(1))
    along /= np.maximum(lengths, 1e-6)[:, None]
    fronts -= (fronts * along).sum(1, keepdims=True) * along
    sizes = np.sqrt((fronts * fronts).sum(1, keepdims=True))
    # An axis along the wished front: any direction across will do.
    anyway = np.roll(along, 1, axis=1)
    anyway -= (anyway * along).sum(1, keepdims=True) * along
    fronts = np.where(sizes < 1e-4, anyway, fronts)
    fronts /= np.sqrt((fronts * fronts).sum(1, keepdims=True))
    across = np.cross(fronts, along)  # y points down: a mirrored space
    inverse = np.stack([across, along, fronts / flats[:, None]], axis=1).tolist()
    lengths[lengths < BALL * view.scale] = 0
    span = np.maximum(lengths, 1e-6)
    a, b, c = radii.T
    powers = np.stack([a, (4 * b - 3 * a - c) / span, 2 * (a + c - 2 * b) / span**2], 1)
    reach = (radii.max(1) * np.maximum(flats, 1) + 1)[:, None]
    low = np.maximum(np.minimum(starts, ends)[:, :2] - reach, 0).astype(int).tolist()
    high = np.maximum(starts, ends)[:, :2] + reach + 2
    high = np.minimum(high, (width, height)).astype(int).tolist()
    return [
        ProjectedSphere(
            slice(top, bottom), slice(left, right), start, m, length, (q[0], q[1], q[2])
        )
        if left < right and top < bottom
        else None
        for (left, top), (right, bottom), start, m, length, q in zip(
            low,
            high,
            starts.tolist(),
            inverse,
            lengths.tolist(),
            powers.tolist(),
            strict=True,
        )
    ]


def cast(tube: SweptSphere, seen: ProjectedSphere, canvas: Canvas, number: int) -> None:
    """Put the tube into the canvas wherever it is nearer than what is there."""
    length, (q0, q1, q2) = seen.length, seen.radii
    # Own space seen along the ray: u along the axis, v aside, w towards the viewer.
    m = seen.inverse
    (r0, r1, r2) = (m[0][2], m[1][2], m[2][2])
    stretch = math.sqrt(r0 * r0 + r1 * r1 + r2 * r2)
    r0, r1, r2 = r0 / stretch, r1 / stretch, r2 / stretch
    lean = min(max(r1, -0.998), 0.998)  # of the axis towards the viewer
    slope = math.sqrt(1 - lean * lean)
    real = math.sqrt(max(1 - r1 * r1, 1e-12))
    along = (-r1 * r0 / real, real, -r1 * r2 / real)
    aside = (r1 * along[2] - r2 * along[1], r2 * along[0] - r0 * along[2],
             r0 * along[1] - r1 * along[0])  # fmt: skip
    (ux, uy), (vx, vy), (wx, wy) = (
        [e[0] * m[0][i] + e[1] * m[1][i] + e[2] * m[2][i] for i in (0, 1)]
        for e in (along, aside, (r0, r1, r2))
    )
    columns = np.arange(seen.columns.start, seen.columns.stop, dtype=np.float32)
    rows = np.arange(seen.rows.start, seen.rows.stop, dtype=np.float32)[:, None]
    columns -= seen.start[0]
    rows -= seen.start[1]
    u = uy * rows + ux * columns
    v = vy * rows + vx * columns
    v *= v
    if length > 0:
        # A bulge of less than a quarter of a pixel isn't worth its multiplication.
        bulges = abs(q2) * length * length > 1
        q1 = q1 if bulges else q1 + q2 * length
        t = u * (1 / slope)
        t.clip(0, length, out=t)
        radius = (q2 * t + q1) * t if bulges else q1 * t
        radius += q0
        radius *= radius
        radius -= v
        np.abs(radius, out=radius)  # where it is negative, nothing will be hit
        np.sqrt(radius, out=radius)
        radius *= np.float32(lean)
        radius += u
        radius *= np.float32(1 / slope)
        t = radius.clip(0, length, out=radius)
        radius = (q2 * t + q1) * t if bulges else q1 * t
        radius += q0
        radius *= radius
        u -= t * np.float32(slope)
    else:
        t = np.zeros((1, 1), np.float32)
        radius = np.full((1, 1), q0 * q0, np.float32)
    inside = radius - v
    u *= u
    inside -= u
    hit = inside > 0
    np.abs(inside, out=inside)
    depth = np.sqrt(inside, out=inside)
    depth += t * np.float32(lean)
    depth -= wy * rows + wx * columns
    depth *= np.float32(1 / stretch)
    if tube.visor is not None or tube.keep != UNCUT:
        hit &= _kept(tube, seen, rows, columns, depth)
    depth += seen.start[2]
    window = canvas.depth[seen.rows, seen.columns]
    hit &= depth > window
    np.copyto(window, depth, where=hit)
    np.copyto(canvas.owner[seen.rows, seen.columns], np.uint8(number), where=hit)


def _kept(
    tube: SweptSphere, seen: ProjectedSphere, rows: Array, columns: Array, depth: Array
) -> NDArray[np.bool_]:
    """Mask of the points that a swept sphere's cuts leave standing."""
    a = seen.inverse[1]
    axial = a[1] * rows + a[0] * columns + a[2] * depth
    first, last = tube.keep
    size = seen.length if seen.length > 0 else seen.radii[0]
    kept = (axial >= first * size) & (axial <= last * size)
    if tube.visor is not None:
        f = seen.inverse[2]
        front = f[1] * rows + f[0] * columns + f[2] * depth
        forward, height = tube.visor
        radius = seen.radii[0]
        # The line of the hair falls from the crown to the temples.
        side = seen.inverse[0]
        across = side[1] * rows + side[0] * columns + side[2] * depth
        edge = np.float32(height * radius) - across * across * np.float32(0.55 / radius)
        kept &= ~((front > forward * radius) & (axial < edge))
    return np.asarray(kept)
