"""Colours: of skin, hair and cloth, and what light does to them."""

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

SKINS: tuple[Colour, ...] = (
    (255, 224, 205), (250, 213, 188), (241, 194, 160), (232, 182, 144), (224, 172, 120),
    (205, 148, 100), (184, 126, 84), (160, 105, 66), (133, 84, 52), (106, 66, 42),
    (86, 54, 38),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (28, 24, 26), (44, 34, 30), (66, 44, 32), (94, 62, 40), (128, 86, 52), (164, 116, 70),
    (205, 164, 104), (232, 204, 148), (150, 66, 34), (188, 92, 48), (128, 128, 132),
    (206, 206, 208),
)  # fmt: skip
BRIGHT_HAIRS: tuple[Colour, ...] = (
    (214, 74, 130), (86, 120, 214), (60, 160, 150), (132, 82, 180), (204, 60, 56),
)  # fmt: skip
EYES: tuple[Colour, ...] = (
    (74, 48, 32), (96, 66, 40), (58, 96, 140), (70, 116, 84), (96, 108, 118), (40, 34, 34),
)  # fmt: skip
NEUTRALS: tuple[Colour, ...] = (
    (245, 243, 238), (226, 222, 212), (188, 188, 190), (122, 124, 130), (70, 72, 80),
    (38, 40, 48), (28, 26, 30), (46, 58, 92), (196, 172, 138), (112, 86, 62),
)  # fmt: skip


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def one_of(chance: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours, slightly off."""
    colour = np.array(colours[chance.integers(len(colours))]) + chance.normal(0, 4, 3)
    red, green, blue = (int(c) for c in np.clip(colour, 0, 255))
    return red, green, blue


def cloth_colour(chance: np.random.Generator) -> Colour:
    """A colour that clothes have: two in three bright or muted, one neutral."""
    if chance.random() < 0.35:
        return one_of(chance, NEUTRALS)
    if chance.random() < 0.5:
        return from_hsv(
            chance.random(), chance.uniform(0.5, 0.85), chance.uniform(0.6, 0.97)
        )
    return from_hsv(chance.random(), chance.uniform(0.2, 0.5), chance.uniform(0.35, 0.9))


def apart(chance: np.random.Generator, other: Colour) -> Colour:
    """A cloth colour that is easily told from `other`."""
    best, far = other, -1
    for _ in range(4):
        colour = cloth_colour(chance)
        distance = sum(abs(a - b) for a, b in zip(colour, other, strict=True))
        if distance > far:
            best, far = colour, distance
    return best


def shade(colour: Colour, factor: float) -> Colour:
    """The colour darker (below 1) or lighter (above 1)."""
    red, green, blue = (int(min(max(c * factor, 0), 255)) for c in colour)
    return red, green, blue


def pastel(chance: np.random.Generator) -> Colour:
    """A quiet colour, for what is behind."""
    return from_hsv(chance.random(), chance.uniform(0.03, 0.4), chance.uniform(0.55, 0.97))


def ramp(width: int, height: int, top: Colour, bottom: Colour) -> NDArray[np.uint8]:
    """A picture `(h, w, 3)` that goes from one colour to another."""
    share = np.linspace(0, 1, max(height, 0), dtype=np.float32)[:, None]
    band = np.array(top) * (1 - share) + np.array(bottom) * share  # (h, 3)
    return np.repeat(band[:, None].astype(np.uint8), width, axis=1)
