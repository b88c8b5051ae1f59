"""Take a figure apart into body and arms, so that an arm can leave what it lies on.

Three sheets, as in paper cut-outs: the body with its legs, and each arm. An arm's sheet and
the body's are one around the shoulder, so that skin and cloth bend there instead of
opening; below, they part. What the body has behind an arm is filled in from the body.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.arms import label_arms
from animcli.rendering.cutout.bones import Bone, Rest
from animcli.rendering.cutout.fill import carried_across, spread
from animcli.rendering.cutout.hidden import hidden_body
from animcli.rendering.cutout.matte import Matte
from animcli.rendering.cutout.tubes import Arm, half_thickness

_THERE: Final = 0.02  # of a pixel: from there on it belongs to the figure
_SHOULDER: Final = 1.35  # half thicknesses around the joint in which arm and body are one
_ACROSS: Final = 0.4  # trunk lengths that an arm and its sleeve may cover of the body

_ARMS: Final[tuple[Arm, ...]] = (
    (Bone.RIGHT_UPPER_ARM, Bone.RIGHT_FOREARM, Bone.RIGHT_HAND),
    (Bone.LEFT_UPPER_ARM, Bone.LEFT_FOREARM, Bone.LEFT_HAND),
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """One piece of the figure.

    alpha: `(h, w)` float32 in 0..1, its share of each pixel.
    texture: `(h, w, 4)` uint8 RGBA, colours multiplied by alpha. It goes on a little under
        the sheets beside it, so that sampling at a common edge meets no gap.
    bones: the bones that move it.
    """

    alpha: NDArray[np.float32]
    texture: NDArray[np.uint8]
    bones: tuple[Bone, ...]


@dataclass(frozen=True, eq=False)
class Parts:
    """A figure as sheets.

    sheets: the body, then the arms that could be told from it.
    over: for each arm, the texture `(h, w, 4)` of what the body has over its upper part.
    joined: for each arm, `(h, w)` bool, the mesh cells where it and the body are one. The
        body has the pixels there.
    """

    sheets: tuple[Sheet, ...]
    over: tuple[NDArray[np.uint8], ...]
    joined: tuple[NDArray[np.bool_], ...]


def take_apart(picture: NDArray[np.uint8], matte: Matte, rest: Rest, spacing: int) -> Parts:
    """The sheets of the figure in `picture` `(h, w, 3)`, for a mesh with nodes every
    `spacing` pixels.
    """
    inside = matte.alpha > _THERE
    arms = [arm for arm in _ARMS if rest.present[arm[0]]]
    radius = half_thickness(inside, rest, arms)
    labelled = label_arms(picture, inside, rest, arms, radius)
    labels = labelled.labels
    joined = tuple(
        _cells_around(rest.start[arm[0]], _SHOULDER * radius, spacing, inside.shape)
        for arm in arms
    )
    shoulders = np.logical_or.reduce((np.zeros_like(inside), *joined))
    own = inside & ((labels == 0) | shoulders)
    behind = hidden_body(own, inside & ~own, shoulders, rest)
    reach = round(_ACROSS * rest.trunk)
    body_sheet = _body_sheet(matte, own, behind, shoulders, _body_bones(rest, arms), reach)
    sheets, over = [body_sheet], []
    for index, arm in enumerate(arms):
        covered = own & labelled.tubes[index] & (labels == 0) & ~shoulders
        over.append(_over(body_sheet, covered, own))
        cut = ((labels == index + 1) & ~shoulders) | covered
        bones = tuple(bone for bone in arm if rest.present[bone])
        body = inside & (labels != index + 1) & ~joined[index]
        sheets.append(_arm_sheet(matte, cut, covered, joined[index], body, bones))
    return Parts(tuple(sheets), tuple(over), joined)


def _cells_around(
    place: NDArray[np.float64], radius: float, spacing: int, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """`(h, w)`: the whole mesh cells whose middle is within `radius` of `place`."""
    rows, columns = np.indices((shape[0] // spacing, shape[1] // spacing))
    middle = (np.stack([columns, rows], axis=-1) + 0.5) * spacing - 0.5
    near = np.linalg.norm(middle - place, axis=-1) < radius
    return near.repeat(spacing, axis=0).repeat(spacing, axis=1)


def _body_bones(rest: Rest, arms: list[Arm]) -> tuple[Bone, ...]:
    taken = {bone for arm in arms for bone in arm}
    return tuple(bone for bone in Bone if rest.present[bone] and bone not in taken)


def _body_sheet(
    matte: Matte,
    own: NDArray[np.bool_],
    behind: NDArray[np.bool_],
    shoulders: NDArray[np.bool_],
    bones: tuple[Bone, ...],
    reach: int,
) -> Sheet:
    margin, shade = np.ones((5, 5), np.uint8), np.ones((9, 9), np.uint8)
    around = cv2.dilate(shoulders.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    share = _soft(own | behind, matte.alpha > _THERE)
    share[own | around] = 1
    alpha = (matte.alpha * share).astype(np.float32)
    # the pixels beside an arm have some of its colour: they are filled in as well
    beside = cv2.dilate((behind & ~shoulders).astype(np.uint8), margin) > 0
    kept = (own & ~beside) | around
    # and the shadow beside it isn't what to fill in from
    shaded = cv2.dilate((behind & ~shoulders).astype(np.uint8), shade) > 0
    known = _solid(kept & own & ~shaded & (matte.alpha > 0.5))
    colours = spread(matte.colours, known)
    colours = np.where(kept[..., None], matte.colours, colours)
    colours = carried_across(colours, known, (own | behind) & ~kept, reach)
    return Sheet(alpha, _premultiplied(colours, alpha), bones)


def _over(
    body: Sheet, covered: NDArray[np.bool_], own: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The texture of what the body has where it lies over an arm, and just beside."""
    around = cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    share = _soft(around & own, own)[..., None]
    return np.rint(body.texture * share * own[..., None]).astype(np.uint8)


def _arm_sheet(
    matte: Matte,
    cut: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    joined: NDArray[np.bool_],
    body: NDArray[np.bool_],
    bones: tuple[Bone, ...],
) -> Sheet:
    # the pixels on its border have some of the body's colour, and beside what lies over it
    # a shadow: the arm's is carried on from further in
    beside = cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beside |= cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    kept = (cut & ~beside) | (joined & ~covered)
    colours = spread(matte.colours, _solid(cut & ~beside & (matte.alpha > 0.5)))
    colours = np.where((kept | ~(cut | body))[..., None], matte.colours, colours)
    alpha = (matte.alpha * _soft(cut | joined, matte.alpha > _THERE)).astype(np.float32)
    return Sheet(alpha, _premultiplied(colours, alpha), bones)


def _solid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`mask` without what is thin: outlines and slivers show no colour to go on with."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk) > 0)


def _soft(mask: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`mask` with an edge as a lens would draw it, a pixel and a half wide, where it ends
    within the figure; the figure's own outline is soft already.
    """
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    whole = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8)
    share = soft / np.maximum(whole, 1e-3)
    return np.where(share < 0.02, 0, np.minimum(share, 1)).astype(np.float32)


def _premultiplied(
    colours: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    share = alpha[..., None]
    mixed = np.concatenate([colours * share, 255 * share], axis=-1)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
