"""Patch-based inpainting: fill a hole with patches of what lies around it.

From coarse to fine, every patch that touches the hole looks for the known one that is most
like it: those of its neighbours, moved along, and random ones nearer and nearer
("PatchMatch", Barnes et al., 2009). The hole's pixels become the mean of what the patches
found over them have there, and all begins again (Wexler, Shechtman and Irani, 2007). At
full size the found places are only looked up, which keeps the grain of the picture. A patch
may differ by a shade, so that light goes on changing smoothly across the hole. Everything
is drawn from one seed: the same picture gets the same fill.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.inpaint import push_pull

_RADIUS: Final = 2  # px, of a patch
_FINEST: Final = 260  # px of the longer side at which patches are compared
_COARSEST: Final = 65
_ROUNDS: Final = (8, 4, 2)  # from coarse to fine; finer levels take the last
_SHADE: Final = 24.0  # levels by which a patch may be lighter or darker than its place
_COMPONENTS: Final = 12  # of 72 that a patch has beside its mean
_LEARNT: Final = 4000  # patches that these are learnt from
_UPRIGHT: Final = 6.0  # squared levels for each pixel that a patch is moved up or down:
# what is beside a figure belongs there more than what is above it

Pixels = NDArray[np.float32]
Places = NDArray[np.intp]


def patch_fill(picture: Pixels, hole: NDArray[np.bool_], smooth: Pixels) -> Pixels:
    """`picture` `(h, w, 3)` float32 with its `hole` `(h, w)` filled by patches.

    smooth: `(h, w, 3)`, a fill without texture, which gives the shade and is what comes
    back where too little of the picture is known for patches.
    """
    rng = np.random.default_rng(0)
    whole = np.where(hole[..., None], smooth, picture).astype(np.float32)
    offsets: NDArray[np.float64] | None = None
    for level, (height, width) in enumerate(_sizes(hole.shape)):
        small = _resized(whole, (width, height))
        gap = _resized(hole.astype(np.float32), (width, height)) > 0
        search = _Search(gap, rng)
        if len(search.sources) == 0:
            continue
        start = None if offsets is None else _enlarged(offsets, gap.shape)
        nearest = search.first(start)
        pixels, patches = small, _Patches(small)
        if start is not None:
            pixels = search.vote(pixels, patches, nearest)
            patches = _Patches(pixels)
        for _ in range(_ROUNDS[min(level, len(_ROUNDS) - 1)]):
            nearest = search.improved(patches, nearest)
            pixels = search.vote(pixels, patches, nearest)
            patches = _Patches(pixels)
        offsets = search.offsets(nearest)
    if offsets is None:
        return whole
    return _copied(whole, hole, _enlarged(offsets, hole.shape))


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def _sizes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The sizes at which patches are compared, from coarse to fine."""
    long = max(shape)
    sides = [min(long, _FINEST)]
    while sides[-1] > 2 * _COARSEST:
        sides.append(sides[-1] // 2)
    return [
        (max(1, round(shape[0] * side / long)), max(1, round(shape[1] * side / long)))
        for side in reversed(sides)
    ]


class _Search:
    """The patches about a hole at one size, and the known ones that they may take after."""

    def __init__(self, gap: NDArray[np.bool_], rng: np.random.Generator) -> None:
        side = 2 * _RADIUS + 1
        box = np.ones((side, side), np.uint8)
        self.gap, self.rng = gap, rng
        self.height, self.width = gap.shape
        near = cv2.dilate(gap.astype(np.uint8), box) > 0
        self.known = ~near
        border = np.zeros(gap.shape, bool)
        border[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] = True
        self.known &= border
        self.sources = np.argwhere(self.known)
        self.targets = np.argwhere(near)
        self.number = np.full(gap.shape, -1, np.intp)
        self.number[near] = np.arange(len(self.targets))

    def first(self, offsets: NDArray[np.float64] | None) -> Places:
        """A known place for each target: by `offsets`, else beside it, else any."""
        if offsets is not None:
            wanted = self.targets + np.rint(offsets[tuple(self.targets.T)]).astype(np.intp)
            return self._valid(wanted)
        rows, _columns = self.targets.T
        wanted = np.stack([rows, self.rng.integers(0, self.width, len(rows))], axis=1)
        return self._valid(wanted)

    def _valid(self, wanted: Places) -> Places:
        """`wanted` places, and a random known one for each that isn't known."""
        wanted = wanted.clip(0, (self.height - 1, self.width - 1))
        bad = ~self.known[tuple(wanted.T)]
        some = self.sources[self.rng.integers(0, len(self.sources), int(bad.sum()))]
        wanted[bad] = some
        return wanted

    def improved(self, patches: "_Patches", nearest: Places) -> Places:
        """Better places for the targets, by the `patches` as they are now."""
        mine = patches.at(self.targets)
        best = self._cost(patches, mine, nearest, self.targets)
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            for step in (4, 1):
                by = np.array((down * step, right * step))
                beside = (self.targets + by).clip(0, (self.height - 1, self.width - 1))
                other = self.number[tuple(beside.T)]
                moved = nearest[other] - by
                nearest, best = self._better(
                    patches, mine, nearest, best, moved, other >= 0
                )
        reach = max(self.height, self.width) / 2
        while reach >= 1:
            jump = self.rng.uniform(-reach, reach, nearest.shape)
            moved = np.rint(nearest + jump).astype(np.intp)
            every = np.ones(len(moved), bool)
            nearest, best = self._better(patches, mine, nearest, best, moved, every)
            reach /= 3
        return nearest

    def _better(
        self, patches: "_Patches", mine: Pixels, nearest: Places,
        best: NDArray[np.float32], moved: Places, which: NDArray[np.bool_],
    ) -> tuple[Places, NDArray[np.float32]]:  # fmt: skip
        inside = (moved >= 0).all(axis=1) & (moved < (self.height, self.width)).all(axis=1)
        place = moved.clip(0, (self.height - 1, self.width - 1))
        tried = np.flatnonzero(which & inside & self.known[tuple(place.T)])
        if len(tried) == 0:
            return nearest, best
        cost = self._cost(patches, mine[tried], place[tried], self.targets[tried])
        won = cost < best[tried]
        nearest, best = nearest.copy(), best.copy()
        nearest[tried[won]], best[tried[won]] = place[tried[won]], cost[won]
        return nearest, best

    def _cost(
        self, patches: "_Patches", mine: Pixels, place: Places, targets: Places
    ) -> NDArray[np.float32]:
        """Mean squared difference of patches, but for a shade."""
        gap = mine - patches.at(place)
        shade = np.clip(gap[:, :3], -_SHADE, _SHADE)
        gap[:, :3] -= shade
        # a shade is better than another thing, and no shade better still
        cost = np.einsum("nc,nc->n", gap, gap) + 0.3 * np.einsum("nc,nc->n", shade, shade)
        upright = np.abs(place[:, 0] - targets[:, 0]) * (_UPRIGHT * 64 / self.height)
        return np.asarray(cost + upright, np.float32)

    def vote(self, pixels: Pixels, patches: "_Patches", nearest: Places) -> Pixels:
        """`pixels` with the hole as the patches at `nearest` would have it."""
        gap = patches.at(self.targets) - patches.at(nearest)
        shade = np.clip(gap[:, :3], -_SHADE, _SHADE)
        gap[:, :3] -= shade
        cost = np.einsum("nc,nc->n", gap, gap)
        sure = np.exp(-cost / (2 * max(float(np.percentile(cost, 50)), 4.0)))
        # the last one stands for what has no patch, beyond the border
        sure = np.append(np.maximum(sure, 1e-4), 0).astype(np.float32)
        shade = np.concatenate([shade, np.zeros((1, 3), np.float32)])
        place = np.append(nearest[:, 0] * self.width + nearest[:, 1], 0)
        number = np.pad(self.number, _RADIUS, constant_values=-1).ravel()
        rows, columns = np.nonzero(self.gap)
        wide = self.width + 2 * _RADIUS
        here = (rows + _RADIUS) * wide + columns + _RADIUS
        flat = pixels.reshape(-1, 3)
        total = np.zeros((len(rows), 3), np.float32)
        weight = np.zeros((len(rows), 1), np.float32)
        for down in range(-_RADIUS, _RADIUS + 1):
            for right in range(-_RADIUS, _RADIUS + 1):
                target = number[here - (down * wide + right)]
                source = place[target] + np.where(target < 0, 0, down * self.width + right)
                share = sure[target][:, None]
                total += share * (flat.take(source, axis=0) + shade.take(target, axis=0))
                weight += share
        voted = pixels.copy()
        voted[rows, columns] = total / np.maximum(weight, 1e-6)
        return voted

    def offsets(self, nearest: Places) -> NDArray[np.float64]:
        """`(h, w, 2)` px: from each pixel to where it is copied from."""
        field = np.zeros((self.height, self.width, 2))
        field[tuple(self.targets.T)] = nearest - self.targets
        return field


class _Patches:
    """The patches of `pixels` `(h, w, 3)` as short vectors, compared by distance.

    The mean colour, and what is beside it in the directions in which the picture's patches
    differ most (principal components): the rest is grain.
    """

    def __init__(self, pixels: Pixels) -> None:
        patches = _all_patches(pixels)
        count = patches.shape[1] // 3
        means = np.tile(np.eye(3, dtype=np.float32) / count, (count, 1))
        some = patches[:: max(1, len(patches) // _LEARNT)]
        some = some - np.tile(some @ means, count)
        _, axes = np.linalg.eigh(some.T @ some)
        beside = axes[:, -_COMPONENTS:] / np.float32(np.sqrt(count))
        self._vectors = patches @ np.concatenate([means, beside], axis=1)
        self._width = pixels.shape[1]

    def at(self, places: Places) -> Pixels:
        """`(n, 3 + components)`: the patches about `places` `(n, 2)`, mean colour first."""
        return self._vectors.take(places[:, 0] * self._width + places[:, 1], axis=0)


def _all_patches(pixels: Pixels) -> Pixels:
    """`(h * w, n * 3)`: the patch about each pixel; beyond the border, it is repeated."""
    side = 2 * _RADIUS + 1
    wide = np.pad(pixels, ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS), (0, 0)), "edge")
    view = np.lib.stride_tricks.sliding_window_view(wide, (side, side), axis=(0, 1))
    flat = view.transpose(0, 1, 3, 4, 2).reshape(-1, 3 * side * side)
    return np.ascontiguousarray(flat, np.float32)


def _enlarged(offsets: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An offset field at another size: each pixel takes that of the one it lies in."""
    down, right = shape[0] / offsets.shape[0], shape[1] / offsets.shape[1]
    rows = (np.arange(shape[0]) / down).astype(np.intp).clip(0, offsets.shape[0] - 1)
    columns = (np.arange(shape[1]) / right).astype(np.intp).clip(0, offsets.shape[1] - 1)
    return offsets[rows[:, None], columns] * (down, right)


def _copied(whole: Pixels, hole: NDArray[np.bool_], offsets: NDArray[np.float64]) -> Pixels:
    """The hole copied pixel by pixel from `offsets` away, in the shade of its surroundings.

    Around each pixel a few offsets are looked up, and their mean taken, which hides where
    one ends and the next begins. What the pixels around the hole would differ from those
    that lie there is a shade, and is taken off all across it.
    """
    height, width = hole.shape
    reach = max(1, round(max(hole.shape) / _FINEST))
    box = np.ones((4 * reach + 1, 4 * reach + 1), np.uint8)
    wide = cv2.dilate(hole.astype(np.uint8), box) > 0
    rows, columns = np.nonzero(wide)
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.zeros((len(rows), 1), np.float32)
    for down, right in ((0, 0), (0, reach), (0, -reach), (reach, 0), (-reach, 0)):
        y = (rows + down).clip(0, height - 1)
        x = (columns + right).clip(0, width - 1)
        by = np.rint(offsets[y, x]).astype(np.intp)
        from_y = (rows + by[:, 0]).clip(0, height - 1)
        from_x = (columns + by[:, 1]).clip(0, width - 1)
        known = ~hole[from_y, from_x][:, None]
        share = np.where(known, 2.0 if down == right == 0 else 1.0, 1e-6).astype(np.float32)
        total += share * whole[from_y, from_x]
        weight += share
    copied = whole.copy()
    copied[rows, columns] = total / weight
    ring = wide & ~hole
    step = np.clip(whole - copied, -_SHADE, _SHADE)
    even = np.asarray(cv2.blur(step, (2 * reach + 1, 2 * reach + 1)), np.float32)
    shade = push_pull(even, ring)
    return np.where(hole[..., None], copied + shade, whole).astype(np.float32)
