"""Draw a figure in a pose: tubes into a depth buffer, then light, then lines.

Depth is found at twice the size of the picture, so that edges come out smooth. Light and
cloth give the colour of every point of a tube.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.background import paint_backdrop
from animcli.synthetic.body import Pose
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character, shade
from animcli.synthetic.clothes import CLOTH_TILE, body_tubes, fit, paint_chest, weave
from animcli.synthetic.head import HIGH, Head, paint_face
from animcli.synthetic.raycast import (
    BELT,
    CHEST,
    FACE,
    FAR_DEPTH,
    GLOVE,
    HAIR,
    HAT,
    INNER,
    LOWER,
    SHOE,
    SKIN,
    SOCK,
    SOLE,
    THROAT,
    UPPER,
    Canvas,
    ProjectedSphere,
    SweptSphere,
    cast,
    project_spheres,
)

Pixels = NDArray[np.uint8]
Array = NDArray[np.floating]

SHADES = 256  # steps from the darkest to the brightest light


class Paint:
    """The surfaces of a figure under one light, at one size.

    scale: pixels in a metre. light: `(azimuth, elevation)` where it comes from, seen from
    the camera, radians.
    """

    def __init__(self, figure: Character, scale: float, light: tuple[float, float]) -> None:
        self._scale = scale
        azimuth, height = light
        self._light = (
            float(np.sin(azimuth) * np.cos(height)),
            float(-np.sin(height)),
            float(np.cos(azimuth) * np.cos(height)),
        )
        self._cloths = _cloths(figure, scale)
        self._tones = _tones(figure)  # (SHADES, 3)
        self._plain = [
            np.minimum((cloth[0, :1] * self._tones) >> 7, 255).astype(np.uint8)
            for cloth in self._cloths
        ]

    def colours(
        self,
        tube: SweptSphere,
        seen: ProjectedSphere,
        across: Array,
        along: Array,
        front: Array,
    ) -> Pixels:
        """Colours `(n, 3)` of points of the tube, given in its own space, pixels."""
        past = along - along.clip(0, seen.length)
        x, y, z = (
            row[0] * self._light[0] + row[1] * self._light[1] + row[2] * self._light[2]
            for row in seen.inverse
        )
        lit = across * x + past * y + front * z
        deep = front if tube.flat == 1 else front * (1 / tube.flat)
        lit /= np.sqrt(across * across + past * past + deep * deep) + 1e-6
        lit += 1
        lit *= (SHADES - 1) / 2
        level = lit.astype(np.intp)
        cloth = self._cloths[tube.surface]
        if len(cloth) == 1:
            return np.asarray(self._plain[tube.surface][level])
        if tube.surface in (FACE, CHEST):
            v, u = self._on_panel(tube, cloth, across, along, front)
        else:
            if tube.sideways:
                across, along = along, across
            side = cloth.shape[0]
            step = side / (CLOTH_TILE * self._scale)
            u = (across * step).astype(np.intp) % side
            v = ((along * step).astype(np.intp) + int(tube.offset * 400)) % side
        colour = self._tones[level]
        colour *= cloth[v, u]
        colour >>= 7
        np.minimum(colour, 255, out=colour)
        return np.asarray(colour, np.uint8)

    def _on_panel(
        self, tube: SweptSphere, cloth: Pixels, across: Array, along: Array, front: Array
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns in a picture worn once: its left before, its right behind."""
        bottom, middle, top = (radius * self._scale for radius in tube.radii)
        length = float(np.linalg.norm(tube.end - tube.start)) * self._scale
        first, half = (-bottom, top) if tube.surface == FACE else (0.0, max(middle, top))
        last = length + top
        high, wide = cloth.shape[0], cloth.shape[1] // 2
        u = (across * (0.5 * wide / half) + 0.5 * wide).astype(np.intp)
        u.clip(0, wide - 1, out=u)
        u += (front < 0) * wide
        v = ((last - along) * (high / (last - first))).astype(np.intp)
        v.clip(0, high - 1, out=v)
        return v, u


def _tones(figure: Character) -> NDArray[np.uint16]:
    """Table of light from -1 (away) to 1 (towards) to red, green, blue; 128 is nothing."""
    style = figure.style
    lit = np.linspace(-1, 1, SHADES, dtype=np.float32)
    if style.shading == "flat":
        tone = 0.97 + 0.05 * lit
    elif style.shading == "cel":
        step = 1 / (1 + np.exp(-(lit - 0.12) * 22))
        shine = 1 / (1 + np.exp(-(lit - 0.9) * 30))
        tone = 1 - 0.36 * style.contrast * (1 - step) + 0.07 * shine
    else:
        tone = 1 + style.contrast * (0.33 * np.clip(lit + 0.15, -1, 1) - 0.22)
    # Shadows are a little blue.
    warm = np.stack([tone, tone, tone], 1) ** np.array([1.06, 1.03, 0.92], np.float32)
    return np.asarray(np.clip(warm * 128, 0, 255), np.uint16)


def _cloths(figure: Character, scale: float) -> list[Pixels]:
    """The surfaces by number, at the size at which they are seen."""
    outfit, looks, seed = figure.outfit, figure.looks, figure.seed
    side = round(CLOTH_TILE * scale)
    plain = {
        SKIN: looks.skin, THROAT: shade(looks.skin, 0.88), HAIR: looks.hair,
        SHOE: outfit.shoe, SOLE: outfit.sole,
        SOCK: outfit.sock, HAT: looks.hat_colour, BELT: (58, 42, 32), GLOVE: outfit.sock,
    }  # fmt: skip
    cloths = [np.zeros((1, 1, 3), np.uint8)] * 14
    for surface, colour in plain.items():
        cloths[surface] = np.full((1, 1, 3), colour, np.uint8)
    for surface, cloth in (
        (UPPER, outfit.upper),
        (LOWER, outfit.lower),
        (INNER, outfit.inner),
    ):
        cloths[surface] = fit(weave(cloth, seed), side)
    face = paint_face(looks, seed)
    tall = max(int(figure.proportions.head * scale), 8)
    shrink = min(tall / HIGH, 1.0)
    small = cv2.resize(face, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    cloths[FACE] = np.asarray(small, np.uint8)
    cloths[CHEST] = paint_chest(figure, cloths[UPPER], cloths[INNER], scale)
    return cloths


SUPERSAMPLE = 2


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture and what is true of it.

    picture: `(h, w, 3)` uint8 RGB. mask: `(h, w)` uint8, how much of a pixel is figure.
    keypoints: `(18, 2)` float32 pixels, OpenPose's order. depths: `(18,)` pixels, towards
    the viewer. visible: `(18,)` bool: in the picture, and not behind another part.
    """

    picture: Pixels
    mask: Pixels
    keypoints: Array
    depths: Array
    visible: NDArray[np.bool_]


def keypoints_of(figure: Character, pose: Pose) -> Array:
    """`(18, 3)` metres: the pose's keypoints in OpenPose's order."""
    nose, right_eye, left_eye, right_ear, left_ear = Head(figure, pose).landmarks()
    right, left = 0, 1
    return np.stack(
        [
            nose, pose.shoulders.mean(0),
            pose.shoulders[right], pose.elbows[right], pose.wrists[right],
            pose.shoulders[left], pose.elbows[left], pose.wrists[left],
            pose.hips[right], pose.knees[right], pose.ankles[right],
            pose.hips[left], pose.knees[left], pose.ankles[left],
            right_eye, left_eye, right_ear, left_ear,
        ]
    ).astype(np.float32)  # fmt: skip


class FigureRenderer:
    """Draws one figure in one shot; what doesn't move is prepared once."""

    def __init__(self, figure: Character, shot: CameraShot, size: tuple[int, int]) -> None:
        self.figure, self.shot, self.size = figure, shot, size
        self.view = shot.view(figure, size, SUPERSAMPLE)
        self.backdrop = paint_backdrop(shot.backdrop, size, min(shot.floor - 0.09, 1.0))
        self.paint = Paint(figure, self.view.scale, shot.light)

    def keypoints(self, pose: Pose) -> Array:
        """`(18, 3)`: x, y, depth in pixels of the picture."""
        return self.view.project(keypoints_of(self.figure, pose)) / np.float32(SUPERSAMPLE)

    def draw(self, pose: Pose) -> Drawing:
        """The figure in this pose."""
        width, height = (side * SUPERSAMPLE for side in self.size)
        canvas = Canvas(width, height)
        tubes = body_tubes(self.figure, pose) + Head(self.figure, pose).tubes()
        sights = project_spheres(tubes, self.view, width, height)
        for number, (tube, seen) in enumerate(zip(tubes, sights, strict=True)):
            if seen is not None:
                cast(tube, seen, canvas, number)
        keypoints = self.keypoints(pose)
        visible = self._visible(keypoints, canvas)
        picture, mask = self.backdrop.copy(), np.zeros(self.size[::-1], np.uint8)
        self._shadow(picture, pose)
        boxes = [seen for seen in sights if seen is not None]
        if boxes:
            top = min(box.rows.start for box in boxes) & ~1
            left = min(box.columns.start for box in boxes) & ~1
            bottom = min((max(box.rows.stop for box in boxes) + 1) & ~1, height)
            right = min((max(box.columns.stop for box in boxes) + 1) & ~1, width)
            ink = np.zeros((bottom - top, right - left, 3), np.uint8)
            for number, (tube, seen) in enumerate(zip(tubes, sights, strict=True)):
                if seen is not None:
                    self._colour(tube, seen, canvas, number, ink, top, left)
            window = (slice(top, bottom), slice(left, right))
            self._outline(tubes, canvas.owner[window], canvas.depth[window], ink)
            _lay(ink, canvas.owner[window] != 255, picture, mask, top, left)
        return Drawing(
            picture, mask, keypoints[:, :2].copy(), keypoints[:, 2].copy(), visible
        )

    def _colour(
        self, tube: SweptSphere, seen: ProjectedSphere, canvas: Canvas, number: int,
        ink: Pixels, top: int, left: int,
    ) -> None:  # fmt: skip
        """Colour every pixel in which the tube is seen."""
        owned = canvas.owner[seen.rows, seen.columns] == number
        rows, columns = np.nonzero(owned)
        if len(rows) == 0:
            return
        depth = canvas.depth[seen.rows, seen.columns][owned] - seen.start[2]
        x = columns.astype(np.float32)
        x += seen.columns.start - seen.start[0]
        y = rows.astype(np.float32)
        y += seen.rows.start - seen.start[1]
        own = [m[0] * x + m[1] * y + m[2] * depth for m in seen.inverse]
        ink[rows + (seen.rows.start - top), columns + (seen.columns.start - left)] = (
            self.paint.colours(tube, seen, *own)
        )

    def _outline(
        self, tubes: list[SweptSphere], owner: Pixels, depth: Array, ink: Pixels
    ) -> None:
        """Darken the pixels along which one part ends and another, or nothing, begins."""
        style = self.figure.style
        if not style.outline:
            return
        groups = np.zeros(256, np.uint8)
        groups[: len(tubes)] = [tube.group + 1 for tube in tubes]
        width = max(round(style.outline * min(self.size) * SUPERSAMPLE / 256), 1)
        reach = np.ones((width + 1, width + 1), np.uint8)
        edges = cv2.morphologyEx(cv2.LUT(owner, groups), cv2.MORPH_GRADIENT, reach) > 0
        near = np.maximum(depth, -30000).astype(np.int16)
        step = 0.045 * self.figure.proportions.height * self.view.scale
        edges |= cv2.subtract(cv2.dilate(near, reach), near) > step
        edges &= owner != 255
        kept = np.uint16(256 * (1 - style.outline_darkness))
        ink[edges] = (ink[edges] * kept) >> 8

    def _shadow(self, picture: Pixels, pose: Pose) -> None:
        """A soft spot on the floor under the body."""
        under = pose.pelvis * np.array([1, 0, 1], np.float32)
        spots = np.stack([under, *(pose.ankles * np.array([1, 0, 1], np.float32))])
        seen = self.view.project(spots) / np.float32(SUPERSAMPLE)
        scale = self.view.scale / SUPERSAMPLE * self.figure.proportions.height
        height, width = picture.shape[:2]
        air = max(float(pose.ankles[:, 1].min()) / self.figure.proportions.height - 0.05, 0)
        for (x, y, _), wide, weight in zip(
            seen, (0.24, 0.1, 0.1), (0.28, 0.25, 0.25), strict=True
        ):
            rx, ry = wide * scale, wide * scale * 0.3
            left, right = max(int(x - 2 * rx), 0), min(int(x + 2 * rx) + 1, width)
            top, bottom = max(int(y - 2 * ry), 0), min(int(y + 2 * ry) + 1, height)
            if left >= right or top >= bottom:
                continue
            dx = ((np.arange(left, right, dtype=np.float32) - x) / rx) ** 2
            dy = ((np.arange(top, bottom, dtype=np.float32) - y) / ry) ** 2
            dark = 1 - weight / (1 + 8 * air) * np.exp(-np.add.outer(dy, dx))[..., None]
            patch = picture[top:bottom, left:right]
            patch[:] = patch * dark

    def _visible(self, keypoints: Array, canvas: Canvas) -> NDArray[np.bool_]:
        """Keypoints in the picture over which nothing lies but the limb they are in."""
        width, height = self.size
        x, y = (keypoints[:, 0], keypoints[:, 1])
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        columns = np.clip(x * SUPERSAMPLE, 0, width * SUPERSAMPLE - 1).astype(np.intp)
        rows = np.clip(y * SUPERSAMPLE, 0, height * SUPERSAMPLE - 1).astype(np.intp)
        surface = canvas.depth[rows, columns] / SUPERSAMPLE
        limb = 0.075 * self.figure.proportions.height * self.view.scale / SUPERSAMPLE
        return np.asarray(
            inside
            & (surface > FAR_DEPTH / SUPERSAMPLE / 2)
            & (keypoints[:, 2] > surface - limb)
        )


def _lay(
    ink: Pixels,
    seen: NDArray[np.bool_],
    picture: Pixels,
    mask: Pixels,
    top: int,
    left: int,
) -> None:
    """Shrink the figure onto the picture."""
    height, width = ink.shape[0] // SUPERSAMPLE, ink.shape[1] // SUPERSAMPLE
    small = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    cover = cv2.resize(
        seen.view(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA
    )
    y, x = top // SUPERSAMPLE, left // SUPERSAMPLE
    patch = picture[y : y + height, x : x + width]
    behind = cv2.multiply(patch, cv2.merge([255 - cover] * 3), scale=1 / 255)
    cv2.add(behind, small, dst=behind)
    patch[:] = np.asarray(behind, np.uint8)
    mask[y : y + height, x : x + width] = cover


def draw(figure: Character, pose: Pose, shot: CameraShot, size: tuple[int, int]) -> Drawing:
    """One picture `size` (width, height); for many of one shot, keep an
    `FigureRenderer`.
    """
    return FigureRenderer(figure, shot, size).draw(pose)
