"""Background: the picture without its figure and its cast shadow, and new shadows on it."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from animcli.rendering.cutout.inpaint import push_pull
from animcli.rendering.cutout.patch_fill import patch_fill

_GRAIN_PX: Final = 4.0  # sigma: what is finer than this is grain, grass or snow or weave
_GRAIN_LEVELS: Final = 40.0  # what is stronger is an edge of something, and stays alone
_PLAIN: Final = (2.0, 4.0)  # levels of detail around a hole: below, there is no texture to
# go on with, and a smooth fill is better; above, patches alone
_ZONE: Final = (0.75, 0.3)  # trunk lengths about each foot in which its shadow may lie
_WALL: Final = 0.8  # trunk lengths from the figure to which its shadow on a wall may reach
_END: Final = 0.15  # share of light taken off a wall where that region ends
_BEYOND: Final = 0.01  # share of a shadow that may lie there
_PENUMBRA: Final = 0.06  # trunk lengths around it that are too little darker to be told
_SMOOTH: Final = 5.0  # levels of detail below which a wall has no edges, only light
_DARKER: Final = (0.4, 0.985)  # light that a shadow leaves
_DARKEST: Final = 0.25  # light that is left of it on a wall behind the figure
_TINT: Final = 0.07  # by how much the channels of that may differ: it keeps the colour
_DEEP: Final = 0.2  # how much more where it is dark: what light is left there is the sky's
_SPOT: Final = (0.42, 0.13)  # trunk lengths: sigma of a new shadow, across and down
_AIR: Final = 0.35  # trunk lengths off the ground at which a foot has lost its shadow


@dataclass(frozen=True, eq=False)
class Shadow:
    """A shadow cast on the floor, or on a wall.

    light: `(h, w, 3)` float32 in 0..1, what it leaves of each pixel's light.
    depth: 0..1, how much it takes where it is darkest; 0 where there is none.
    wall: `(h, w)` bool, where it lies on a plain wall, of which nothing is lost by filling
        it anew; its light alone leaves a ghost.
    """

    light: NDArray[np.float32]
    depth: float
    wall: NDArray[np.bool_]


def inpaint_background(
    picture: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    shown: tuple[slice, slice] = (slice(None), slice(None)),
) -> NDArray[np.uint8]:
    """`picture` `(h, w, 3)` with what the figure covers filled from around it.

    shown: the rows and columns that are picture; beyond them it is filled as well.
    """
    beside = np.ones(alpha.shape, bool)
    beside[shown] = False
    hole = covered(alpha) | beside
    if hole.all():
        return np.zeros_like(picture)
    pixels = picture.astype(np.float32)
    smooth = push_pull(pixels, ~hole)
    filled = smooth.copy()
    filled[hole] += _mirrored_grain(pixels, smooth, hole)
    texture = _texture(pixels, hole)[..., None]
    if texture[hole].max(initial=0) > 0:
        filled += texture * (patch_fill(pixels, hole, smooth) - filled)
    filled = np.where(hole[..., None], filled, pixels)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def covered(alpha: NDArray[np.float32]) -> NDArray[np.bool_]:
    """`(h, w)`: the pixels that a figure of `alpha` leaves a trace in."""
    # a little more than the figure: what is left of its outline would show as a ghost
    reach = max(3, round(max(alpha.shape) / 110))
    side = 2 * reach + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    wide = cv2.dilate((alpha > 0.01).astype(np.uint8), disk)
    # slivers between its parts are tinged by it on both sides
    return np.asarray(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disk) > 0)


def _texture(pixels: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`(h, w)` in 0..1: how far there is texture around, that a fill should go on with."""
    detail = np.abs(pixels - cv2.GaussianBlur(pixels, (0, 0), 3)).max(axis=-1)
    near = cv2.dilate(hole.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    # an edge that a hole cuts is texture some way along the hole's rim
    detail[near] = 0
    wide = 2 * (max(hole.shape) // 50) + 1
    detail = np.asarray(cv2.dilate(detail, np.ones((wide, wide), np.uint8)), np.float32)
    spread = push_pull(detail[..., None], ~near)[..., 0]
    even = cv2.GaussianBlur(spread, (0, 0), max(2.0, max(hole.shape) / 60))
    low, high = _PLAIN
    return np.asarray(np.clip((even - low) / (high - low), 0, 1), np.float32)


def find_shadow(
    picture: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    feet: NDArray[np.float64],
    trunk: float,
) -> Shadow:
    """The shadow that the figure casts about its feet.

    It is darker than the floor beside it, in the same colour, and adjoins the figure; where
    all beside the figure is plain, it may lie on the wall as well.
    feet: `(n, 2)` px, where it stands. trunk: its trunk's length, px.
    """
    light = np.ones(picture.shape, np.float32)
    none = Shadow(light, 0.0, np.zeros(alpha.shape, bool))
    zone = np.zeros(alpha.shape, np.uint8)
    for x, y in feet:
        axes = (round(_ZONE[0] * trunk), round(_ZONE[1] * trunk))
        cv2.ellipse(zone, (round(x), round(y)), axes, 0, 0, 360, 1, -1)
    hole = covered(alpha)
    near_feet = zone > 0
    wall = _beside_plain_wall(picture, hole, trunk)
    zone[wall > 0] = 1
    free = ~hole & (zone == 0)
    if not zone.any() or not free.any():
        return none
    rows, columns = (np.flatnonzero(zone.any(axis=axis)) for axis in (1, 0))
    margin = round(0.3 * trunk)
    top, bottom = rows[0], rows[-1] + 1
    left, right = max(columns[0] - margin, 0), columns[-1] + 1 + margin
    window = np.s_[top:bottom, left:right]
    plain = picture[window].astype(np.float32) + 1
    pixels = np.asarray(cv2.GaussianBlur(plain, (0, 0), 1.5), np.float32)
    floor, known = _beside(pixels, (~hole & ~near_feet)[window])
    standing = near_feet[window]
    if wall.any():
        # light on a wall changes up and down as well
        even = push_pull(pixels, free[window])
        floor, known = np.where(standing[..., None], floor, even), known | ~standing
    share = pixels / np.maximum(floor, 1)
    known &= (zone[window] > 0) & ~hole[window]
    most = share.max(axis=-1)
    least = np.where(standing, _DARKER[0], _DARKEST)
    darker = (most < _DARKER[1]) & (share.min(axis=-1) > least)
    shaded = known & darker & (np.ptp(share, axis=-1) < _TINT + _DEEP * (1 - most))
    opened = cv2.morphologyEx(shaded.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    touching = cv2.dilate(hole[window].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    _, pieces = cv2.connectedComponents((opened > 0).astype(np.uint8) | touching)
    adjoining = np.unique(pieces[touching & (pieces > 0)])
    shaded = (opened > 0) & np.isin(pieces, adjoining)
    shaded &= standing | ~_goes_on(shaded & ~standing, wall[window])
    if shaded.sum() < 0.01 * trunk**2:
        return none
    level = np.where(shaded[..., None], share, 1).astype(np.float32)
    # what goes on beyond the zone ends softly at its border
    fading = np.where(standing, 1, wall[window])[..., None]
    level = (1 - fading * (1 - level)).astype(np.float32)
    # under the figure it goes on from where it is seen
    level = push_pull(level, ~hole[window])
    light[window] = cv2.GaussianBlur(level, (0, 0), 2)
    about_feet = level[shaded & standing].mean(axis=-1)
    depth = 1 - np.percentile(about_feet, 5) if len(about_feet) else 0.0
    shade = (light.min(axis=-1) < _DARKER[1]) & (wall > 0) & ~near_feet
    wide = 2 * max(4, round(_PENUMBRA * trunk)) + 1
    on_wall = cv2.dilate(shade.astype(np.uint8), np.ones((wide, wide), np.uint8)) > 0
    return Shadow(light, float(depth), on_wall & ~near_feet)


def _goes_on(shaded: NDArray[np.bool_], wall: NDArray[np.float32]) -> NDArray[np.bool_]:
    """`(h, w)`: the pieces of `shaded` that are no shadow, as they go on beyond where one
    may lie on a `wall` `(h, w)`, or from side to side: folds of a curtain, or a wall that
    is darker below.
    """
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(shaded.astype(np.uint8))
    ends = np.bincount(pieces[shaded & (wall < _END)], minlength=count)
    goes = ends > _BEYOND * stats[:, cv2.CC_STAT_AREA]
    goes |= stats[:, cv2.CC_STAT_WIDTH] == shaded.shape[1]
    goes[0] = False
    return np.asarray(goes[pieces])


def _beside_plain_wall(
    picture: NDArray[np.uint8], hole: NDArray[np.bool_], trunk: float
) -> NDArray[np.float32]:
    """`(h, w)` in 0..1: how far a shadow on a wall may lie in each pixel about the `hole`.

    Nowhere where anything but soft light is seen there: a darker door would go as well.
    """
    reach = max(3, round(_WALL * trunk))
    away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 3)
    beside = ~hole & (away < reach)
    sharp = cv2.absdiff(picture, cv2.GaussianBlur(picture, (0, 0), 3)).max(axis=-1)
    clear = beside & (away > 8)  # of what blurs over from the figure
    if not clear.any() or np.percentile(sharp[clear], 99) > _SMOOTH:
        return np.zeros(hole.shape, np.float32)
    return np.where(beside, np.clip(3 * (1 - away / reach), 0, 1), 0).astype(np.float32)


def _beside(
    pixels: NDArray[np.float32], free: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The floor in each row from the nearest `free` pixels on both sides, and where a row
    has any.
    """
    many = free.sum(axis=1)
    columns = np.arange(free.shape[1])
    floor = pixels.copy()
    for row in np.flatnonzero(many >= 4):
        at = np.flatnonzero(free[row])
        for channel in range(3):
            even = cv2.blur(pixels[row, at, channel].reshape(1, -1), (9, 1))[0]
            floor[row, :, channel] = np.interp(columns, at, even)
    return floor, np.broadcast_to((many >= 4)[:, None], free.shape).copy()


def lit(picture: NDArray[np.uint8], shadow: Shadow) -> NDArray[np.uint8]:
    """`picture` `(h, w, 3)` as it would be without `shadow`."""
    bright = picture / np.clip(shadow.light, _DARKEST, 1)
    return np.clip(np.rint(bright), 0, 255).astype(np.uint8)


def cast_shadow(
    canvas: NDArray[np.uint8], feet: NDArray[np.float64], air: NDArray[np.float64],
    trunk: float, depth: float,
) -> None:  # fmt: skip
    """Darken `canvas` softly under `feet` `(n, 2)` px.

    canvas: `(h, w, 3)` RGB, or `(h, w, 4)` RGBA multiplied by its alpha, in which a shadow
        is black that lets some of the light through.
    air: `(n,)` px that each is off the ground. trunk: px. depth: 0..1, of a foot on it.
    """
    height, width = canvas.shape[:2]
    for (x, y), up in zip(feet, air, strict=True):
        share = depth * np.exp(-up / (_AIR * trunk))
        wide = _SPOT[0] * trunk * (1 + up / trunk)
        tall = _SPOT[1] * trunk * (1 + up / trunk)
        ground = y + up
        left, right = max(int(x - 3 * wide), 0), min(int(x + 3 * wide) + 1, width)
        top, bottom = (
            max(int(ground - 3 * tall), 0),
            min(int(ground + 3 * tall) + 1, height),
        )
        if left >= right or top >= bottom or share < 0.004:
            continue
        across = np.exp(-0.5 * ((np.arange(left, right) - x) / wide) ** 2)
        down = np.exp(-0.5 * ((np.arange(top, bottom) - ground) / tall) ** 2)
        light = (256 * (1 - share * np.outer(down, across))).astype(np.uint16)[..., None]
        patch = canvas[top:bottom, left:right]
        patch[..., :3] = (patch[..., :3] * light + 128) >> 8
        if canvas.shape[2] == 4:
            patch[..., 3:] = 255 - (((255 - patch[..., 3:]) * light + 128) >> 8)


def _mirrored_grain(
    pixels: NDArray[np.float32], filled: NDArray[np.float32], hole: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """`(n, 3)`: fine detail for the pixels in the hole, mirrored at the hole's edge."""
    grain = pixels - cv2.GaussianBlur(filled, (0, 0), _GRAIN_PX)
    grain[np.abs(grain).max(axis=-1) > _GRAIN_LEVELS] = 0
    grain[hole] = 0
    rows, columns = np.nonzero(hole)
    nearest = distance_transform_edt(hole, return_distances=False, return_indices=True)
    edge = np.asarray(nearest)[:, rows, columns]
    height, width = hole.shape
    # reflected once more where that lies beyond the picture
    row = _folded(2 * edge[0] - rows, height)
    column = _folded(2 * edge[1] - columns, width)
    return np.asarray(grain[row, column])


def _folded(place: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """`place` back into `0 .. size - 1`, as between two mirrors."""
    around = np.abs(place) % (2 * size - 2) if size > 1 else 0 * place
    return np.asarray(np.where(around < size, around, 2 * size - 2 - around))
