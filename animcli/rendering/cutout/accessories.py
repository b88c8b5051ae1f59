"""Accessories: thin things that touch a figure and that its matte leaves out or cuts short.

The networks that find people end at a glove: a ski pole, a wisp of hair or a ski would stay
where the figure was. Where the surroundings are plain, something slender that stands out
sharply from them and touches the figure is its own. By rule, things in a hand go along, as
do short ones elsewhere; things under the feet leave the picture, being longer than a mesh
carries without bending; others stay, as does all that the picture's edge cuts off.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.inpaint import push_pull
from animcli.rendering.cutout.matting import Matte
from animcli.rendering.cutout.rig import Bone, RestPose, distance

Mask = NDArray[np.bool_]

_COARSE: Final = 4  # px of the picture in one of a smooth fill that only has to be near
_THERE: Final = 0.02  # of a pixel: from there on it belongs to the figure
_THIN: Final = 0.06  # trunk lengths, half of the widest thing that is looked for
_CLEAR: Final = 45.0  # levels (RGB, Euclidean) by which a thing stands out
_FAINT: Final = 14.0  # and its fainter parts
_GRAINS: Final = 1.5  # times the surroundings' grain that these have at least
_SPECK: Final = 0.03  # trunk lengths, the side of the smallest that is looked for
_GAP: Final = 0.01  # trunk lengths, half of a gap across which a thing goes on
_STRAY: Final = 0.12  # trunk lengths across which what leaves the picture takes more along
_STUMP: Final = 0.05  # trunk lengths: half as wide are the parts that a matte has of things
_SOLE: Final = 0.09  # the same of what is cut from a matte that the rest leaves with

_SHORT: Final = 0.5  # trunk lengths that go along with any part
_LONG: Final = 3.0  # and that go along with a hand, or away with a foot
_GRIP: Final = 0.4  # trunk lengths from a bone to what hangs on it
_HELD: Final = 0.3  # the same of hands

_SHARP: Final = 0.3  # share of a thing with an edge within reach: a shadow has none
_ALIKE: Final = 0.72  # how far its pixels differ from what is behind in the same way
_SLENDER: Final = 2.0  # times its thickness that it is long at least
_WINDING: Final = 1.4  # times the way from end to end that it is long at most
_ABOUT: Final = 0.3  # trunk lengths around it that have to be plain
_ENCLOSED: Final = 0.6  # share of its rim that is figure: what is between limbs is behind
_CLUTTER: Final = 0.1  # share of these that may stand out half as much
_TWO: Final = (0.1, 0.35)  # share of its rim that may be unlike the rest, of short and of
# long things: where two things meet behind the figure, something else lies on either side

_HANDS: Final = (Bone.RIGHT_HAND, Bone.LEFT_HAND)
_BELOW_KNEES: Final = (Bone.RIGHT_FOOT, Bone.LEFT_FOOT, Bone.RIGHT_SHIN, Bone.LEFT_SHIN)


@dataclass(frozen=True, eq=False)
class Accessories:
    """Things that touch a figure, each `(h, w)` bool.

    worn: what goes along with it.
    left: what leaves the picture with it.
    cut: what the matte has of that.
    """

    worn: Mask
    left: Mask
    cut: Mask


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A picture `(h, w, 3)` about a figure.

    near: `(h, w)`, the figure and its blurred edge, of `edge` px.
    behind: `(h, w, 3)`, what would be seen without the figure and without thin things.
    change: `(h, w)` levels by which the picture differs from that.
    ridge: `(h, w)`, the same of thin things alone, beside the figure.
    trunk: px.
    """

    pixels: NDArray[np.float32]
    near: Mask
    behind: NDArray[np.float32]
    _: KW_ONLY
    change: NDArray[np.float32]
    ridge: NDArray[np.float32]
    trunk: float
    edge: int

    @classmethod
    def about(
        cls, picture: NDArray[np.uint8], alpha: NDArray[np.float32], trunk: float
    ) -> "Surroundings":
        """Surroundings of a figure of `alpha` `(h, w)`."""
        edge = max(2, round(max(alpha.shape) / 256))
        near = _grown(alpha > _THERE, edge)
        pixels = picture.astype(np.float32)
        empty = np.where(near[..., None], _coarsely(pixels, ~near), pixels)
        half = max(2, round(_THIN * trunk))
        whole = np.clip(np.rint(empty), 0, 255).astype(np.uint8)
        even = [cv2.medianBlur(whole[..., c].copy(), 4 * half + 1) for c in range(3)]
        behind = np.dstack(even).astype(np.float32)
        change = np.linalg.norm(pixels - behind, axis=-1).astype(np.float32)
        # unlike the median, these don't differ where two things meet
        box = _box(half)
        thin = np.maximum(
            *(
                np.linalg.norm(
                    cv2.morphologyEx(whole, hat, box).astype(np.float32), axis=-1
                )
                for hat in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
            )
        )
        ridge = np.where(near, 0, np.minimum(change, thin)).astype(np.float32)
        return cls(pixels, near, behind, change=change, ridge=ridge, trunk=trunk, edge=edge)

    @property
    def clear(self) -> Mask:
        """`(h, w)`: what stands out from the grain of the figure's surroundings."""
        around = ~self.near & _grown(self.near, round(_SHORT * self.trunk))
        around &= self.ridge < _CLEAR
        grain = float(np.percentile(self.ridge[around], 90)) if around.any() else 0.0
        clear = self.ridge > max(_FAINT, _GRAINS * grain)
        return _without_specks(clear, (_SPECK * self.trunk) ** 2)

    def stands_out(self, thing: Mask, long: bool) -> bool:
        """True of a `thing` `(h, w)` that is slender, sharp and of one colour, amid plain
        surroundings.
        """
        beside = thing & ~self.near
        differs = (self.pixels - self.behind)[beside & (self.ridge > _CLEAR)]
        alike = (
            np.linalg.norm(differs.mean(axis=0)) / np.linalg.norm(differs, axis=1).mean()
        )
        if alike < _ALIKE or not _slender(thing):
            return False
        sharp = cv2.morphologyEx(self.ridge, cv2.MORPH_GRADIENT, _box(self.edge)) > _CLEAR
        own = _grown(thing, self.edge)
        about = _grown(thing, round(_ABOUT * self.trunk)) & ~own & ~self.near
        rim = _grown(own, 2 * self.edge) & ~own
        if sharp[beside].mean() < _SHARP or self.near[rim].mean() > _ENCLOSED:
            return False
        rim &= ~self.near
        if (self.change[about] > _CLEAR / 2).mean() > _CLUTTER:
            return False
        unlike = np.linalg.norm(
            self.behind[rim] - np.median(self.behind[rim], axis=0), axis=1
        )
        return bool((unlike > _CLEAR / 2).mean() < _TWO[long])


def find_accessories(
    around: Surroundings, alpha: NDArray[np.float32], rest: RestPose
) -> Accessories:
    """Look for what touches the figure of `alpha` `(h, w)` in `around`."""
    near, trunk, edge = around.near, around.trunk, around.edge
    clear = around.clear
    # a matte has the beginnings of some; they are what is thin of it
    inside = alpha > _THERE
    body = _solid(inside, round(_STUMP * trunk))
    stumps = _without_specks(near & ~_grown(body, 2 * edge), (_SPECK * trunk) ** 2)
    things = clear | stumps
    close = _grown(things, round(_GAP * trunk))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(close.astype(np.uint8))
    touching = things & _grown(body, 3 * edge)
    away = cv2.distanceTransform((~near).astype(np.uint8), cv2.DIST_L2, 3) / trunk
    worn, left, doubtful = (np.zeros_like(near) for _ in range(3))
    for piece in np.intersect1d(pieces[touching], pieces[clear & (around.ridge > _CLEAR)]):
        mine = things & (pieces == piece)
        reach = float(away[mine].max())
        if _at_border(stats[piece], near.shape):
            continue
        part = _part_at(np.argwhere(mine & touching)[:, ::-1].astype(float), rest)
        if not around.stands_out(mine, reach > _SHORT / 2):
            if part in _BELOW_KNEES:
                doubtful |= mine & clear
            continue
        if part in _BELOW_KNEES and reach < _LONG:
            left |= mine
        elif reach < (_LONG if part in _HANDS else _SHORT) and _single(mine & ~near):
            worn |= mine & clear
    # on to the figure itself
    worn |= _grown(worn, 3 * edge) & near & (around.change > _CLEAR)
    if not left.any():
        return Accessories(worn, left, left)
    left |= doubtful  # as the other end of a ski
    left |= _nearby(clear & ~worn, left, round(_STRAY * trunk))
    thin = inside & ~_solid(inside, round(_SOLE * trunk))
    _, pieces = cv2.connectedComponents(thin.astype(np.uint8))
    cut = thin & np.isin(pieces, pieces[thin & _grown(left, 3 * edge)])
    return Accessories(worn, left, cut)


def with_accessories(
    picture: NDArray[np.uint8], matte: Matte, rest: RestPose, own: Mask | None = None
) -> Matte:
    """`matte` of the figure in `picture` with what it wears, and without what leaves it.

    own: `(h, w)`, where things may be this figure's, beside others.
    """
    around = Surroundings.about(picture, matte.alpha, max(rest.trunk, 1.0))
    found = find_accessories(around, matte.alpha, rest)
    worn, left = found.worn, found.left
    if own is not None:
        worn, left = worn & own, left & own
    # a thing's own colour is that of its clearest pixels nearby
    clearest = np.maximum(cv2.dilate(around.change, _box(around.edge)), _CLEAR)
    share = np.where(worn, around.change / clearest, 0).astype(np.float32)
    unmixed = around.behind + (picture - around.behind) / np.maximum(share, 0.1)[..., None]
    added = (share > matte.alpha)[..., None]
    colours = np.where(added, np.clip(unmixed, 0, 255), matte.colours)
    alpha = np.where(found.cut, 0, np.maximum(matte.alpha, share))
    return Matte(alpha.astype(np.float32), colours.astype(np.float32), left)


def _coarsely(pixels: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """`pixels` `(h, w, 3)` filled smoothly from what is `known`, without fine detail."""
    size = (known.shape[1], known.shape[0])
    small = (-(-size[0] // _COARSE), -(-size[1] // _COARSE))
    share = cv2.resize(known.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(pixels * known[..., None], small, interpolation=cv2.INTER_AREA)
    mean = mean / np.maximum(share, 1e-6)[..., None]
    filled = push_pull(mean.astype(np.float32), share > 0)
    return np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _at_border(stats: NDArray[np.int32], shape: tuple[int, ...]) -> bool:
    left, top, width, height = stats[:4]
    return bool(
        left <= 1
        or top <= 1
        or left + width >= shape[1] - 1
        or top + height >= shape[0] - 1
    )


def _part_at(places: NDArray[np.float64], rest: RestPose) -> Bone | None:
    """The bone that something at `places` `(n, 2)` px hangs on; None where all are far.

    A hand that is anywhere near holds it.
    """
    bones = [bone for bone in Bone if rest.present[bone]]
    gaps = np.stack([distance(places, rest.start[b], rest.end[b]) for b in bones])
    for hand in _HANDS:
        if hand in bones and gaps[bones.index(hand)].min() < _HELD * rest.trunk:
            return hand
    nearest = gaps.argmin(axis=0)
    number = int(np.bincount(nearest).argmax())
    if gaps[number][nearest == number].min() > _GRIP * rest.trunk:
        return None
    return bones[number]


def _slender(mask: Mask) -> bool:
    rows, columns = np.nonzero(mask)
    long = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)
    padded = np.pad(mask.astype(np.uint8), 1)
    thick = 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())
    return bool(long > _SLENDER * thick)


def _single(mask: Mask) -> bool:
    """True of one pole or strap, false of the bars of a window."""
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return False
    padded = np.pad(mask.astype(np.uint8), 1)
    # the mean distance from its edges is a quarter of a bar's width
    wide = 4 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[padded > 0].mean())
    return bool(
        len(rows) / wide < _WINDING * np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)
    )


def _nearby(mask: Mask, place: Mask, reach: int) -> Mask:
    """Pieces of `mask` within `reach` px of `place`, and of one another."""
    _, pieces = cv2.connectedComponents(_grown(mask | place, reach // 2).astype(np.uint8))
    return mask & np.isin(pieces, pieces[place])


def _without_specks(mask: Mask, least: float) -> Mask:
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return mask & (stats[:, cv2.CC_STAT_AREA] >= least)[pieces]


def _solid(mask: Mask, half: int) -> Mask:
    """`mask` without what is thinner than `half` px to each side."""
    reach = max(1, half)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk) > 0)


def _grown(mask: Mask, reach: int) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _box(reach)) > 0)


def _box(reach: int) -> NDArray[np.uint8]:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
