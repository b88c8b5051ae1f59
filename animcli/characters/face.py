"""A face, painted flat; the head wears it, so that it turns with the head."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.figure import Looks
from animcli.characters.palette import Colour, shade

Picture = NDArray[np.uint8]
Point = tuple[float, float]

WIDE, HIGH = 256, 320
FINE = 4  # bits below the pixel in cv2's fixed-point coordinates
EYE_ASIDE = 0.37  # of the head's radius


class Brush:
    """Draws in face coordinates: x -1..1 across, y 0 at the chin to 1 at the crown."""

    def __init__(self, skin: Colour) -> None:
        self.picture: Picture = np.full((HIGH, WIDE, 3), skin, np.uint8)

    def at(self, x: float, y: float) -> tuple[int, int]:
        """The fixed-point pixel of a place on the face."""
        return (
            int((x + 1) / 2 * WIDE * (1 << FINE)),
            int((1 - y) * HIGH * (1 << FINE)),
        )

    def oval(self, x: float, y: float, wide: float, high: float, colour: Colour,
             tilt: float = 0.0) -> None:  # fmt: skip
        """A filled oval; radii in the coordinates' units."""
        size = (int(wide * WIDE / 2 * (1 << FINE)), int(high * HIGH * (1 << FINE)))
        cv2.ellipse(
            self.picture, self.at(x, y), size, tilt, 0, 360, colour, -1, cv2.LINE_AA, FINE
        )

    def arc(self, x: float, y: float, wide: float, high: float, span: Point, width: int,
            colour: Colour, tilt: float = 0.0) -> None:  # fmt: skip
        """A stroke along an oval, between two angles, clockwise from the right."""
        size = (int(wide * WIDE / 2 * (1 << FINE)), int(high * HIGH * (1 << FINE)))
        cv2.ellipse(
            self.picture, self.at(x, y), size, tilt, *span, colour, width, cv2.LINE_AA, FINE
        )

    def blend(self, x: float, y: float, wide: float, high: float, colour: Colour,
              weight: float) -> None:  # fmt: skip
        """A soft spot of colour."""
        dx = (np.arange(WIDE, dtype=np.float32) / WIDE * 2 - 1 - x) / wide
        dy = (1 - np.arange(HIGH, dtype=np.float32) / HIGH - y) / high
        columns, rows = (np.flatnonzero(np.abs(d) < 2.5) for d in (dx, dy))
        patch = self.picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share = np.multiply.outer(np.exp(-(dy[rows] ** 2)), np.exp(-(dx[columns] ** 2)))
        share = (share * weight)[..., None]
        patch[:] = patch * (1 - share) + np.array(colour, np.float32) * share


def paint_face(looks: Looks, seed: int) -> Picture:
    """Front of the head, `(HIGH, WIDE, 3)`, and beside it the back: `(HIGH, 2 WIDE, 3)`."""
    brush = Brush(looks.skin)
    eye_y = looks.eye_height
    mouth_y = 0.5 * eye_y - 0.035
    lip = looks.lips if any(looks.lips) else shade(looks.skin, 0.72)
    for side in (-1, 1):
        brush.blend(
            side * 0.45, eye_y - 0.15, 0.2, 0.08, (226, 110, 110), 0.45 * looks.blush
        )
        brush.blend(
            side * EYE_ASIDE, eye_y + 0.01, 0.24, 0.07, shade(looks.skin, 0.72), 0.45
        )
    brush.blend(0, mouth_y - 0.06, 0.2, 0.03, shade(looks.skin, 0.75), 0.4)
    if looks.freckles:
        chance = np.random.default_rng([seed, 4])
        for x, y in chance.uniform((-0.55, -0.09), (0.55, 0.0), (26, 2)):
            brush.oval(x, eye_y - 0.06 + y, 0.012, 0.005, shade(looks.skin, 0.72))
    if looks.beard:
        _paint_beard(brush, looks, mouth_y)
    _paint_mouth(brush, looks, mouth_y, lip)
    for side in (-1, 1):
        _paint_eye(brush, looks, side, eye_y)
    for side in (-1, 1):  # nostrils
        brush.oval(
            side * 0.075 * looks.nose, eye_y - 0.155, 0.03, 0.009, shade(looks.skin, 0.6)
        )
    if looks.glasses:
        _paint_glasses(brush, looks, eye_y)
    back = np.full_like(brush.picture, looks.skin)
    return np.hstack([brush.picture, back])


def _paint_eye(brush: Brush, looks: Looks, side: int, y: float) -> None:
    size = looks.eye_size
    x = side * EYE_ASIDE
    dark = shade(looks.hair, 0.45) if sum(looks.hair) < 420 else (70, 54, 44)
    wide, high = 0.165 * size, 0.05 * size
    brush.oval(x, y, wide, high, (250, 248, 244))
    brush.oval(x, y, high * 2.3, high * 0.98, looks.eye)
    brush.oval(x, y, high * 1.25, high * 0.52, (18, 16, 18))
    brush.oval(x + 0.03, y + 0.018 * size, 0.025 * size, 0.01 * size, (255, 255, 255))
    brush.arc(x, y, wide, high, (180, 360), 6, (36, 28, 28))
    brush.arc(x, y, wide, high, (20, 160), 2, shade(looks.skin, 0.62))
    tilt = side * 9 * looks.brow
    brush.arc(x + side * 0.02, y + 0.055, wide * 1.25, 0.055, (205, 335), 9, dark, tilt)


def _paint_mouth(brush: Brush, looks: Looks, y: float, lip: Colour) -> None:
    wide = 0.23 * looks.mouth
    if looks.smile > 0.65:  # laughing
        brush.oval(0, y, wide, 0.042, lip)
        brush.oval(0, y, wide * 0.86, 0.03, (96, 30, 36))
        brush.oval(0, y + 0.014, wide * 0.74, 0.015, (250, 248, 244))
        return
    brush.oval(0, y, wide * 0.85, 0.024, lip)
    curve = 0.035 * looks.smile
    if abs(curve) < 0.006:
        curve = 0.006
    span = (15.0, 165.0) if curve > 0 else (195.0, 345.0)
    brush.arc(0, y + curve, wide, abs(curve) + 0.004, span, 4, shade(lip, 0.5))


def _paint_beard(brush: Brush, looks: Looks, mouth_y: float) -> None:
    before = brush.picture.copy()
    rows, columns = np.mgrid[:HIGH, :WIDE].astype(np.float32)
    x, y = columns / WIDE * 2 - 1, 1 - rows / HIGH
    edge = mouth_y - 0.03 + 0.4 * np.abs(x) ** 2.2 * (0.6 + 0.4 * looks.beard)
    share = np.clip((edge - y) * 40, 0, 1)
    if looks.moustache:
        lip = ((x / 0.34) ** 2 + ((y - mouth_y - 0.05) / 0.035) ** 2) < 1
        share = np.maximum(share, lip.astype(np.float32))
    share = (cv2.GaussianBlur(share, (5, 5), 0) * (0.55 + 0.45 * looks.beard))[..., None]
    hair = np.array(shade(looks.hair, 0.9), np.float32)
    brush.picture = (before * (1 - share) + hair * share).astype(np.uint8)


def _paint_glasses(brush: Brush, looks: Looks, y: float) -> None:
    dark: Colour = (34, 32, 38)
    wide, high = 0.27 * looks.glasses, 0.085 * looks.glasses
    for side in (-1, 1):
        brush.blend(side * EYE_ASIDE, y, wide * 0.8, high * 0.8, (214, 226, 236), 0.25)
        brush.arc(side * EYE_ASIDE, y, wide, high, (0, 360), 5, dark)
        cv2.line(
            brush.picture,
            brush.at(side * (EYE_ASIDE + wide), y),
            brush.at(side * 1.0, y + 0.02),
            dark, 5, cv2.LINE_AA, FINE,
        )  # fmt: skip
    cv2.line(
        brush.picture,
        brush.at(-(EYE_ASIDE - wide), y), brush.at(EYE_ASIDE - wide, y),
        dark, 5, cv2.LINE_AA, FINE,
    )  # fmt: skip
