"""Light and cloth: the colour of every point of a tube."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.cloth import TILE, fit, weave
from animcli.characters.face import HIGH, paint_face
from animcli.characters.figure import Figure
from animcli.characters.palette import shade
from animcli.characters.prints import paint_chest
from animcli.characters.surfaces import (
    BELT,
    CHEST,
    FACE,
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
)
from animcli.characters.tube import Sight, Tube

Picture = NDArray[np.uint8]
Array = NDArray[np.floating]

SHADES = 256  # steps from the darkest to the brightest light


class Paint:
    """The surfaces of a figure under one light, at one size.

    scale: pixels in a metre. light: `(azimuth, elevation)` where it comes from, seen from
    the camera, radians.
    """

    def __init__(self, figure: Figure, scale: float, light: tuple[float, float]) -> None:
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
        self, tube: Tube, seen: Sight, across: Array, along: Array, front: Array
    ) -> Picture:
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
            step = side / (TILE * self._scale)
            u = (across * step).astype(np.intp) % side
            v = ((along * step).astype(np.intp) + int(tube.offset * 400)) % side
        colour = self._tones[level]
        colour *= cloth[v, u]
        colour >>= 7
        np.minimum(colour, 255, out=colour)
        return np.asarray(colour, np.uint8)

    def _on_panel(
        self, tube: Tube, cloth: Picture, across: Array, along: Array, front: Array
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


def _tones(figure: Figure) -> NDArray[np.uint16]:
    """What light from -1 (away) to 1 (towards) does to red, green, blue; 128 is nothing."""
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


def _cloths(figure: Figure, scale: float) -> list[Picture]:
    """The surfaces by number, at the size at which they are seen."""
    outfit, looks, seed = figure.outfit, figure.looks, figure.seed
    side = round(TILE * scale)
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
