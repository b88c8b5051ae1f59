"""Face: eyes that blink and a mouth that opens as in the driving video.

Both happen in the picture, before the head is bent: the lid is drawn down over the eye, the
lips part from the line between them, and what shows inside is painted dark with a soft line
of teeth. How far follows from the 68 face keypoints: an eye's height by its width ("eye
aspect ratio", Soukupova and Cech, 2016), and the lips' distance by the nose's length. Seen
from the side these say nothing, and the face stays as it is.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.keypoints import FACE
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.motion import smoothed
from animcli.rendering.cutout.rig import RestPose

_EYES: Final = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))
"""Corner, two of the upper lid, other corner, two of the lower lid, backwards."""
_UPPER_LIP: Final = (60, 61, 62, 63, 64)  # its lower edge, from corner to corner
_LOWER_LIP: Final = (60, 67, 66, 65, 64)
_BRIDGE, _NOSE_TIP, _NOSE_BASE, _CHIN = 27, 30, 33, 8

_AHEAD: Final = 0.24  # share of the eyes' distance that a nose keeps from either
_OPEN: Final = 0.75  # of an eye's usual height, from which on it counts as open
_SHUT: Final = 0.45  # and below which it is shut
_EYE_PX: Final = 5.0  # narrower ones show no lid
_LID: Final = 0.5  # widths of an eye over which the lid above it is stretched
_LASHES: Final = 0.05  # widths of an eye by which its lashes lie above the keypoints
_MOUTH_PX: Final = 8.0
_PARTED: Final = 0.15  # nose lengths between the lips from which on a mouth is open: there
# is something inside already
_AT_REST: Final = 0.06  # nose lengths that lips part without a word
_WIDEST: Final = 0.6  # nose lengths that a mouth opens at most
_DARK: Final = 0.53  # share of what is dark about an eye that lies between its lids; .56 to
# .75 on photographs, .50 and .44 where keypoints miss a drawn eye
_LIPS: Final = 12.0  # levels of CIE Lab by which lips differ from skin; 52 and more, or 3
_JAW: Final = 0.72  # share of it that the lower lip moves
_INSIDE: Final = np.array([52.0, 20.0, 22.0])
_TEETH: Final = np.array([205.0, 196.0, 186.0])
_TEETH_TALL: Final = 0.28  # share of an open mouth's height
_FACE_FRAMES: Final = 0.7  # sigma; a blink takes four frames or so

_Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """A face in a picture, and what its eyes and mouth do.

    points: `(68, 2)` px in the picture.
    closed: `(frames,)` 0..1, how far the eyes are shut.
    opening: `(frames,)` nose lengths that the lips part beyond what the picture shows.
    """

    points: _Points
    closed: NDArray[np.float64]
    opening: NDArray[np.float64]

    def drawn(self, texture: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
        """`texture` `(h, w, 4)`, premultiplied RGBA, with the face as it is in `frame`."""
        closed, opening = float(self.closed[frame]), float(self.opening[frame])
        if closed < 0.02 and opening < 0.01:
            return texture
        changed = texture.copy()
        for eye in _EYES if closed >= 0.02 else ():
            _shut(changed, self.points[list(eye)], closed)
        if opening >= 0.01:
            _part(changed, self.points, opening)
        return changed


def face_motion(
    rest: RestPose, motion: PoseSequence, texture: NDArray[np.uint8]
) -> FaceMotion | None:
    """The eyes and the mouth of `motion` on the face of `rest`, which `texture` `(h, w, 4)`
    shows.

    None where the picture shows no face from the front, or the motion never shows one. Eyes
    and a mouth that aren't where the keypoints say, as in drawings with faces of their own
    build, stay as they are.
    """
    own = rest.keypoints[FACE]
    shown = motion.visible[:, FACE].all(axis=1)
    if not (rest.visible[FACE].all() and shown.any() and _ahead(own[None])[0]):
        return None
    points = motion.points[:, FACE].astype(np.float64)
    known = shown & _ahead(points)
    if not known.any():
        return None
    ratio = _eye_ratio(points)
    usual = max(float(np.percentile(ratio[known], 80)), 1e-6)
    closed = np.clip((_OPEN - ratio / usual) / (_OPEN - _SHUT), 0, 1)
    face_now = np.ascontiguousarray(texture[..., :3])
    lab = np.asarray(cv2.cvtColor(face_now, cv2.COLOR_RGB2LAB), np.uint8)
    if not all(_shows_eye(lab, own[list(eye)]) for eye in _EYES):
        closed[:] = 0
    apart = _lips_apart(points)
    base = float(np.percentile(apart[known], 10))
    opening = np.clip(apart - base - _AT_REST, 0, _WIDEST)
    if _lips_apart(own[None])[0] > _PARTED or not _shows_mouth(lab, own):
        opening[:] = 0
    closed, opening = (
        smoothed(np.where(known, sign, 0.0), _FACE_FRAMES) for sign in (closed, opening)
    )
    return FaceMotion(own, closed, opening)


def _ahead(points: _Points) -> NDArray[np.bool_]:
    """`(frames,)`: faces `(frames, 68, 2)` that look more or less at us."""
    right, left = (points[:, list(eye)].mean(axis=1) for eye in _EYES)
    span = left - right
    share = ((points[:, _NOSE_TIP] - right) * span).sum(axis=1) / np.maximum(
        (span**2).sum(axis=1), 1e-9
    )
    return np.asarray((share > _AHEAD) & (share < 1 - _AHEAD))


def _eye_ratio(points: _Points) -> NDArray[np.float64]:
    """`(frames,)`: height of the eyes by their width, the mean of both."""
    ratios = []
    for a, b, c, d, e, f in _EYES:
        tall = _between(points, b, f) + _between(points, c, e)
        ratios.append(tall / np.maximum(2 * _between(points, a, d), 1e-6))
    return np.asarray(np.mean(ratios, axis=0))


def _lips_apart(points: _Points) -> NDArray[np.float64]:
    """`(frames,)`: distance of the lips in nose lengths."""
    nose = np.maximum(_between(points, _BRIDGE, _NOSE_BASE), 1e-6)
    return _between(points, _UPPER_LIP[2], _LOWER_LIP[2]) / nose


def _between(points: _Points, one: int, other: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points[:, one] - points[:, other], axis=1))


@dataclass(frozen=True, eq=False)
class _Part:
    """The pixels about an eye or a mouth in its own axes.

    window: rows and columns. along, down: `(h, w)` px from the middle of its corners.
    axes: `(2, 2)`, unit vectors along it and down. middle: `(2,)` px.
    """

    window: tuple[slice, slice]
    along: NDArray[np.float64]
    down: NDArray[np.float64]
    axes: NDArray[np.float64]
    middle: _Points

    def local(self, points: _Points) -> _Points:
        return np.asarray((points - self.middle) @ self.axes.T)

    def resampled(
        self, texture: NDArray[np.uint8], down: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        """The pixels of `texture` that lie at `along` and `down` from the middle."""
        place = self.along[..., None] * self.axes[0] + down[..., None] * self.axes[1]
        place = (place + self.middle).astype(np.float32)
        return np.asarray(
            cv2.remap(texture, place[..., 0], place[..., 1], cv2.INTER_LINEAR), np.uint8
        )


def _part_of(shape: tuple[int, ...], corners: _Points, reach: float) -> _Part:
    """The square of `reach` px each way about the middle of two `corners` `(2, 2)`."""
    middle = corners.mean(axis=0)
    along = (corners[1] - corners[0]) / max(np.linalg.norm(corners[1] - corners[0]), 1e-6)
    axes = np.stack([along, np.array([-along[1], along[0]])])
    low = np.floor(middle - reach).astype(int)
    high = np.ceil(middle + reach).astype(int) + 1
    columns, rows = (
        slice(max(int(low[axis]), 0), max(min(int(high[axis]), shape[1 - axis]), 0))
        for axis in (0, 1)
    )
    y, x = np.mgrid[rows, columns]
    away = np.stack([x, y], axis=-1) - middle
    return _Part((rows, columns), away @ axes[0], away @ axes[1], axes, middle)


def _shows_eye(lab: NDArray[np.uint8], eye: _Points) -> bool:
    """True where most of what is dark about an `eye` `(6, 2)` is in it.

    lab: `(h, w, 3)`, the picture in CIE Lab.
    """
    wide = float(np.linalg.norm(eye[3] - eye[0]))
    part = _part_of(lab.shape, eye[[0, 3]], 0.8 * wide)
    near = (np.abs(part.along) < 0.5 * wide) & (np.abs(part.down) < 0.55 * wide)
    if wide < _EYE_PX or not near.any():
        return False
    light = lab[part.window][..., 0].astype(np.float64)
    dark = np.clip(np.percentile(light[near], 75) - light, 0, None) * near
    local = part.local(eye)
    top = np.interp(part.along, local[:4, 0], local[:4, 1]) - 0.1 * wide
    bottom = np.interp(part.along, local[[0, 5, 4, 3], 0], local[[0, 5, 4, 3], 1])
    inside = (part.down > top) & (part.down < bottom + 0.1 * wide)
    return bool(dark[inside].sum() > _DARK * max(float(dark.sum()), 1e-6))


def _shows_mouth(lab: NDArray[np.uint8], face: _Points) -> bool:
    """True where the lips of a `face` `(68, 2)` have another colour than the skin above
    and below.
    """
    corners = face[[_UPPER_LIP[0], _UPPER_LIP[-1]]]
    wide = float(np.linalg.norm(corners[1] - corners[0]))
    part = _part_of(lab.shape, corners, 1.2 * wide)
    if wide < _MOUTH_PX:
        return False
    base, chin = part.local(face[[_NOSE_BASE, _CHIN]])[:, 1]
    colours = []
    for middle, tall in ((0.0, 0.08), (0.5 * base, 0.12), (0.6 * chin, 0.12)):
        near = np.abs(part.along) < 0.25 * wide
        near &= np.abs(part.down - middle) < max(tall * wide, 0.75)
        if not near.any():
            return False
        colours.append(lab[part.window][near].astype(np.float64).mean(axis=0))
    lips, *skin = colours
    return bool(min(np.linalg.norm(lips - each) for each in skin) > _LIPS)


def _shut(texture: NDArray[np.uint8], eye: _Points, closed: float) -> None:
    """Draw the lid of an `eye` `(6, 2)` down over it."""
    wide = float(np.linalg.norm(eye[3] - eye[0]))
    part = _part_of(texture.shape, eye[[0, 3]], 1.2 * wide)
    if part.along.size == 0:
        return
    local = part.local(eye)
    top = np.interp(part.along, local[:4, 0], local[:4, 1], 0, 0) - _LASHES * wide
    lower = local[[0, 5, 4, 3]]
    bottom = np.interp(part.along, lower[:, 0], lower[:, 1], 0, 0)
    shift = closed * np.maximum(bottom - top, 0)
    tall = _LID * wide
    above = part.down - (top - tall)
    source = top - tall + above * tall / (tall + shift)
    lid = part.resampled(texture, np.where(above > 0, source, part.down))
    # its edge a pixel wide, as a lens would draw it
    share = np.clip(tall + shift - above + 0.5, 0, 1)[..., None] * (shift > 0)[..., None]
    eye_now = texture[part.window]
    texture[part.window] = np.rint(eye_now + share * (lid.astype(np.float32) - eye_now))


def _part(texture: NDArray[np.uint8], face: _Points, opening: float) -> None:
    """Part the lips of a `face` `(68, 2)` by `opening` nose lengths."""
    nose = float(np.linalg.norm(face[_NOSE_BASE] - face[_BRIDGE]))
    corners = face[[_UPPER_LIP[0], _UPPER_LIP[-1]]]
    part = _part_of(texture.shape, corners, 1.5 * nose)
    if part.along.size == 0:
        return
    upper, lower = part.local(face[list(_UPPER_LIP)]), part.local(face[list(_LOWER_LIP)])
    line = np.interp(part.along, upper[:, 0], (upper[:, 1] + lower[:, 1]) / 2, 0, 0)
    half = float(np.linalg.norm(corners[1] - corners[0])) / 2
    gap = opening * nose * np.sqrt(np.clip(1 - (part.along / half) ** 2, 0, 1))
    off = part.down - line
    chin = max(float(part.local(face[_CHIN])[1]), 0.5 * nose)
    base = max(-float(part.local(face[_NOSE_BASE])[1]), 0.2 * nose)
    down = np.minimum(_JAW * gap, 0.6 * chin)
    up = np.minimum((1 - _JAW) * gap, 0.6 * base)
    # chin and upper lip are pressed together, each as far as its lip has moved
    below = np.clip((off - down) * chin / (chin - down), 0, None)
    above = np.clip((off + up) * base / (base - up), None, 0)
    source = np.where(
        off >= 0, np.where(off < chin, below, off), np.where(off > -base, above, off)
    )
    moved = part.resampled(texture, line + source).astype(np.float32)
    inside = np.clip(np.minimum(off + up, down - off) + 0.5, 0, 1) * (gap > 0.5)
    tall = _TEETH_TALL * (up + down)
    teeth = np.clip((tall - (off + up)) / np.maximum(0.5 * tall, 0.7), 0, 1)
    teeth *= np.clip(2.5 * (1 - np.abs(part.along) / half), 0, 1)
    light = _light(texture, face)
    colour = light * (_INSIDE + teeth[..., None] * (_TEETH - _INSIDE))
    share = moved[..., 3:] / 255 * inside[..., None]
    moved[..., :3] += share * (colour - moved[..., :3])
    texture[part.window] = np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def _light(texture: NDArray[np.uint8], face: _Points) -> float:
    """Light on a face, as a share of full, by the brightest of its nose."""
    columns, rows = np.rint(face[_BRIDGE : _NOSE_BASE + 1]).astype(int).T
    height, width = texture.shape[:2]
    seen = texture[rows.clip(0, height - 1), columns.clip(0, width - 1), :3]
    return float(np.clip(seen.max() / 235, 0.15, 1))
