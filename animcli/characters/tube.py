"""The one solid that everything is made of, and how it is seen.

A tube is the space that a sphere sweeps when it runs along an axis while its radius
changes; squashed from front to back it makes torsos, without length it is an ellipsoid.
Rays are parallel, so the sight of a tube has a closed form: pixels map to the tube's own
space by one affine map, and depth is a square root.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Pixels = NDArray[np.intp]

FAR = np.float32(-1e9)


@dataclass(frozen=True, eq=False)
class Tube:
    """A swept sphere.

    start: `(3,)` where its axis starts, metres or pixels (see `seen_by`).
    axes: `(3, 3)`, rows: across, along the axis, front; orthonormal.
    length: of the axis.
    radii: across, at the start, the middle and the end of the axis.
    flat: radius to the front / radius across.
    surface: which of the figure's surfaces it wears.
    group: tubes of one group have no line between them.
    keep: `(first, last)`, the part of the axis kept, in lengths; hems and necklines.
    visor: `(forward, height)` in radii at the start, or None: what lies further forward
        and lower than that is cut away; the face in the hair.
    offset: where on its cloth the axis starts, metres.
    """

    start: Array
    axes: Array
    length: float
    radii: tuple[float, float, float]
    flat: float
    surface: int
    group: int
    keep: tuple[float, float] = (-9.0, 9.0)
    visor: tuple[float, float] | None = None
    offset: float = 0.0


class View(NamedTuple):
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
        self.depth = np.full((height, width), FAR, np.float32)
        self.owner = np.full((height, width), 255, np.uint8)


class Sight(NamedTuple):
    """A tube as a view sees it: what takes a pixel to the tube's own space and back.

    box: rows and columns of the canvas that it can touch.
    start: `(3,)` pixels. inverse: `(3, 3)`, pixels to own space (front axis unsquashed).
    length, radii: in pixels; the radius is `radii[0] + radii[1] * t + radii[2] * t * t`.
    """

    rows: slice
    columns: slice
    start: Array
    inverse: Array
    length: float
    radii: tuple[float, float, float]


def sight(tube: Tube, view: View, width: int, height: int) -> Sight | None:
    """How the view sees the tube, or None where it isn't in the picture."""
    start = view.project(tube.start)
    axes = tube.axes @ view.turn.T
    length = tube.length * view.scale
    a, b, c = (radius * view.scale for radius in tube.radii)
    reach = max(a, b, c) * max(1.0, tube.flat) + 1.0
    ends = (start[:2], start[:2] + axes[1, :2] * length)
    x0, x1 = sorted((float(ends[0][0]), float(ends[1][0])))
    y0, y1 = sorted((float(ends[0][1]), float(ends[1][1])))
    left, right = max(int(x0 - reach), 0), min(int(x1 + reach) + 2, width)
    top, bottom = max(int(y0 - reach), 0), min(int(y1 + reach) + 2, height)
    if left >= right or top >= bottom:
        return None
    inverse = axes.astype(np.float32)
    inverse[2] /= tube.flat
    span = max(length, 1e-6)
    radii = (a, (4 * b - 3 * a - c) / span, 2 * (a + c - 2 * b) / span**2)
    return Sight(slice(top, bottom), slice(left, right), start, inverse, length, radii)


def cast(tube: Tube, seen: Sight, canvas: Canvas, number: int) -> None:
    """Put the tube into the canvas wherever it is nearer than what is there."""
    inverse, length, (q0, q1, q2) = seen.inverse, seen.length, seen.radii
    ray = inverse[:, 2]
    stretch = float(np.linalg.norm(ray))
    ray = ray / stretch
    lean = float(np.clip(ray[1], -0.998, 0.998))  # of the axis towards the viewer
    slope = float(np.sqrt(1 - lean * lean))
    along = (np.array([0, 1, 0], np.float32) - lean * ray) / slope
    along /= np.linalg.norm(along)
    aside = np.cross(ray, along)
    plane = np.stack([along, aside, ray]) @ inverse[:, :2]  # (3, 2)
    columns = np.arange(seen.columns.start, seen.columns.stop, dtype=np.float32)
    rows = np.arange(seen.rows.start, seen.rows.stop, dtype=np.float32)
    columns -= seen.start[0]
    rows -= seen.start[1]
    u = np.add.outer(plane[0, 1] * rows, plane[0, 0] * columns)
    v = np.add.outer(plane[1, 1] * rows, plane[1, 0] * columns)
    v *= v
    if length > 0:
        t = np.clip(u * np.float32(1 / slope), 0, length)
        radius = (q2 * t + q1) * t + q0
        radius *= radius
        radius -= v
        np.maximum(radius, 0, out=radius)
        np.sqrt(radius, out=radius)
        radius *= np.float32(lean)
        radius += u
        radius *= np.float32(1 / slope)
        t = np.clip(radius, 0, length, out=radius)
        radius = (q2 * t + q1) * t + q0
        radius *= radius
        u -= t * np.float32(slope)
    else:
        t = np.zeros((1, 1), np.float32)
        radius = np.full((1, 1), q0 * q0, np.float32)
    inside = radius - v
    u *= u
    inside -= u
    hit = inside > 0
    np.maximum(inside, 0, out=inside)
    depth = np.sqrt(inside, out=inside)
    depth += t * np.float32(lean)
    depth -= np.add.outer(plane[2, 1] * rows, plane[2, 0] * columns)
    depth *= np.float32(1 / stretch)
    if tube.visor is not None or tube.keep != (-9.0, 9.0):
        hit &= _kept(tube, seen, rows, columns, depth)
    depth += seen.start[2]
    window = canvas.depth[seen.rows, seen.columns]
    hit &= depth > window
    np.copyto(window, depth, where=hit)
    np.copyto(canvas.owner[seen.rows, seen.columns], np.uint8(number), where=hit)


def _kept(
    tube: Tube, seen: Sight, rows: Array, columns: Array, depth: Array
) -> NDArray[np.bool_]:
    """Which of the tube's points its cuts leave standing."""
    a = seen.inverse[1]
    axial = np.add.outer(a[1] * rows, a[0] * columns) + a[2] * depth
    first, last = tube.keep
    size = seen.length if seen.length > 0 else seen.radii[0]
    kept = (axial >= first * size) & (axial <= last * size)
    if tube.visor is not None:
        f = seen.inverse[2]
        front = np.add.outer(f[1] * rows, f[0] * columns) + f[2] * depth
        forward, height = tube.visor
        radius = seen.radii[0]
        # The line of the hair falls from the crown to the temples.
        side = seen.inverse[0]
        across = np.add.outer(side[1] * rows, side[0] * columns) + side[2] * depth
        edge = np.float32(height * radius) - across * across * np.float32(0.55 / radius)
        kept &= ~((front > forward * radius) & (axial < edge))
    return np.asarray(kept)
