"""A lattice of triangles over a figure's sheets, and where its pixels are once it moved."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.layers import Layers

_BRIDGE: Final = 0.02
"""Conductance of an edge of the lattice where it crosses the empty picture."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """The lattices of all sheets, joined at the shoulders.

    nodes: `(n, 2)` float64 px in the picture.
    triangles: `(m, 3)` int, indices of nodes.
    layer: `(m,)` int, the layer that each triangle shows.
    edges: `(e, 2)` int, neighbouring nodes.
    conductance: `(e,)` in 0..1, how much of the figure there is along an edge.
    """

    nodes: NDArray[np.float64]
    triangles: NDArray[np.intp]
    layer: NDArray[np.intp]
    edges: NDArray[np.intp]
    conductance: NDArray[np.float64]


def build_mesh(layers: Layers, spacing: int) -> Mesh:
    """A lattice with `spacing` pixels between nodes over each layer."""
    body, *arms = layers.layers
    cover = _coverage(body.alpha, spacing)
    glued = [
        _coverage(shared.astype(np.float32), spacing) > 0.5 for shared in layers.shared
    ]
    cells = [_active(body.alpha, spacing)]
    for glue in glued:
        cells[0] |= glue
    for arm, glue in zip(arms, glued, strict=True):
        cells.append(_active(arm.alpha, spacing) & ~glue)
    covers = [cover, *(_coverage(arm.alpha, spacing) for arm in arms)]

    nodes, triangles, owners = [], [], []
    edges, conductance = [], []
    count = 0
    body_number: NDArray[np.intp] = np.zeros((0, 0), np.intp)
    for index, active in enumerate(cells):
        corner = _corners(active)
        number = np.full(corner.shape, -1, np.intp)
        if index > 0:
            shared = corner & _corners(glued[index - 1])
            number[shared] = body_number[shared]
        new = corner & (number < 0)
        number[new] = count + np.arange(new.sum())
        count += int(new.sum())
        if index == 0:
            body_number = number
        rows, columns = np.nonzero(new)
        nodes.append(np.stack([columns, rows], axis=1) * float(spacing) - 0.5)
        faces = _split(active, number)
        triangles.append(faces)
        owners.append(np.full(len(faces), index, np.intp))
        pairs, flow = _links(number, active, covers[index])
        edges.append(pairs)
        conductance.append(flow)
    return Mesh(
        np.concatenate(nodes),
        np.concatenate(triangles),
        np.concatenate(owners),
        np.concatenate(edges),
        np.concatenate(conductance),
    )


def _coverage(share: NDArray[np.float32], spacing: int) -> NDArray[np.float32]:
    """The mean of `share` in each cell; the picture is a whole number of cells."""
    height, width = share.shape
    cells = (width // spacing, height // spacing)
    return np.asarray(cv2.resize(share, cells, interpolation=cv2.INTER_AREA))


def _active(alpha: NDArray[np.float32], spacing: int) -> NDArray[np.bool_]:
    """The cells that sampling with bilinear weights could find anything in."""
    touched = cv2.dilate((alpha > 0.004).astype(np.uint8), np.ones((3, 3), np.uint8))
    return _coverage(touched.astype(np.float32), spacing) > 0


def _corners(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The lattice points around the active cells."""
    corner = np.zeros((active.shape[0] + 1, active.shape[1] + 1), bool)
    for down in (0, 1):
        for right in (0, 1):
            corner[down : down + active.shape[0], right : right + active.shape[1]] |= active
    return corner


def _split(active: NDArray[np.bool_], number: NDArray[np.intp]) -> NDArray[np.intp]:
    """Two triangles for each cell, along diagonals that take turns."""
    rows, columns = np.nonzero(active)
    a, b = number[rows, columns], number[rows, columns + 1]
    c, d = number[rows + 1, columns + 1], number[rows + 1, columns]
    even = ((rows + columns) % 2 == 0)[:, None]
    one = np.where(even, np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    two = np.where(even, np.stack([a, c, d], 1), np.stack([b, c, d], 1))
    # cell by cell: where the mesh folds over, whole rows then lie over whole rows
    return np.stack([one, two], axis=1).reshape(-1, 3)


def _links(
    number: NDArray[np.intp], active: NDArray[np.bool_], cover: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The lattice's edges, and how much of the figure lies in the cells beside each."""
    padded = np.pad(np.where(active, cover, 0), 1).astype(np.float64)
    on = np.pad(active, 1)
    pairs, flows = [], []
    for here, there, beside, live in (
        (
            number[:, :-1],
            number[:, 1:],
            padded[:-1, 1:-1] + padded[1:, 1:-1],
            on[:-1, 1:-1] | on[1:, 1:-1],
        ),
        (
            number[:-1],
            number[1:],
            padded[1:-1, :-1] + padded[1:-1, 1:],
            on[1:-1, :-1] | on[1:-1, 1:],
        ),
    ):
        pairs.append(np.stack([here[live], there[live]], axis=1))
        flows.append(np.clip(beside[live] / 2, _BRIDGE, 1))
    return np.concatenate(pairs), np.concatenate(flows)


def sheet_mesh(
    alpha: NDArray[np.float32], spacing: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Nodes `(n, 2)` px and triangles `(m, 3)` of one sheet `(h, w)` by itself."""
    height, width = alpha.shape
    active = _active(
        np.pad(alpha, ((0, -height % spacing), (0, -width % spacing))), spacing
    )
    corner = _corners(active)
    number = np.full(corner.shape, -1, np.intp)
    number[corner] = np.arange(corner.sum())
    rows, columns = np.nonzero(corner)
    nodes = np.stack([columns, rows], axis=1).astype(np.float64) * spacing - 0.5
    return nodes, _split(active, number)


@dataclass(frozen=True, eq=False)
class Patch:
    """The source of each pixel under a moved group of triangles.

    left, top: where in the frame its upper left corner lies, px.
    source: `(h, w, 2)` float32, the place in the texture for each pixel, far outside of it
        where no triangle lies.
    """

    left: int
    top: int
    source: NDArray[np.float32]


def rasterise(
    corners: NDArray[np.float64], origin: NDArray[np.float64], size: tuple[int, int]
) -> Patch | None:
    """Look up, for each pixel under moved triangles, where in the picture it comes from.

    corners: `(m, 3, 2)` px in the frame. origin: `(m, 3, 2)` px in the texture. Later
    triangles lie over earlier ones. A pixel centre on a common edge belongs to exactly one
    of its triangles, so that neighbours neither overlap nor leave a crack. None where no
    pixel of the frame is covered.
    """
    width, height = size
    order = np.argsort(corners[..., 1], axis=1, kind="stable")[..., None]
    points = np.take_along_axis(corners, order, axis=1)
    low, high = points[:, 0, 1], points[:, 2, 1]
    first = np.clip(np.ceil(low), 0, height).astype(np.intp)
    last = np.clip(np.ceil(high), 0, height).astype(np.intp)
    tall = last - first
    face = np.repeat(np.arange(len(points)), tall)
    if len(face) == 0:
        return None
    row = _count_up(first, tall)

    top, middle, bottom = points[face, 0], points[face, 1], points[face, 2]
    upper = (row < middle[:, 1])[:, None]
    one = _cross(top, bottom, row)
    other = _cross(np.where(upper, top, middle), np.where(upper, middle, bottom), row)
    start = np.clip(np.ceil(np.minimum(one, other)), 0, width).astype(np.intp)
    stop = np.clip(np.ceil(np.maximum(one, other)), 0, width).astype(np.intp)
    long = stop - start
    if not long.any():
        return None

    # the texture place is linear over a triangle: place = at_zero + x * by_x + y * by_y
    to_b, to_c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = to_b[:, 0] * to_c[:, 1] - to_b[:, 1] * to_c[:, 0]
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)[:, None]
    by_b, by_c = origin[:, 1] - origin[:, 0], origin[:, 2] - origin[:, 0]
    by_x = (by_b * to_c[:, 1:] - by_c * to_b[:, 1:]) / area
    by_y = (by_c * to_b[:, :1] - by_b * to_c[:, :1]) / area
    at_zero = origin[:, 0] - corners[:, 0, :1] * by_x - corners[:, 0, 1:] * by_y
    at_row = (at_zero[face] + row[:, None] * by_y[face]).astype(np.float32)

    left, right = int(start[long > 0].min()), int(stop[long > 0].max())
    above, below = int(row[long > 0].min()), int(row[long > 0].max()) + 1
    source = np.full((below - above, right - left, 2), -1e4, np.float32)
    x = _count_up(start, long)
    span = np.repeat(np.arange(len(face)), long)
    place = (
        at_row[span] + x[:, None].astype(np.float32) * by_x.astype(np.float32)[face][span]
    )
    source.reshape(-1, 2)[(row[span] - above) * (right - left) + (x - left)] = place
    return Patch(left, above, source)


def _count_up(first: NDArray[np.intp], many: NDArray[np.intp]) -> NDArray[np.intp]:
    """first[0], first[0] + 1, ... (`many[0]` numbers), then first[1], and so on."""
    ends = np.cumsum(many)
    return np.arange(int(ends[-1])) + np.repeat(first - ends + many, many)


def _cross(
    top: NDArray[np.float64], bottom: NDArray[np.float64], row: NDArray[np.intp]
) -> NDArray[np.float64]:
    """x where the edge from `top` to `bottom` crosses `row`."""
    tall = bottom[:, 1] - top[:, 1]
    share = (row - top[:, 1]) / np.where(tall == 0, 1, tall)
    return np.asarray(top[:, 0] + share * (bottom[:, 0] - top[:, 0]))
