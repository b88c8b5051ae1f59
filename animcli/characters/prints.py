"""The front of a top: prints, buttons, an open jacket; and its plain back."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.figure import Figure
from animcli.characters.palette import shade

Picture = NDArray[np.uint8]


def paint_chest(figure: Figure, upper: Picture, inner: Picture, scale: float) -> Picture:
    """Front and back side by side, `(h, 2 w, 3)`, from the waist (bottom) to the collar.

    upper, inner: cloth that repeats after `TILE` metres, `scale` pixels to a metre.
    """
    bones, outfit = figure.proportions, figure.outfit
    high = max(int(0.75 * bones.torso * scale), 8)
    wide = max(int(2.1 * bones.chest_radius * scale), 8)
    front, back = _cut(upper, wide, high), _cut(upper, wide, high)
    colour = outfit.print_colour
    unit = wide * 0.22
    middle = (wide // 2, int(high * 0.52))
    if outfit.top in ("jacket", "coat"):
        half = int(wide * (0.07 + 0.14 * outfit.looseness))
        left, right = wide // 2 - half, wide // 2 + half
        front[:, left:right] = _cut(inner, wide, high)[:, left:right]
        for x in (left, right):
            cv2.line(
                front,
                (x, 0),
                (x, high),
                shade(outfit.upper.colour, 0.6),
                max(wide // 50, 1),
            )
    elif outfit.top == "shirt":
        dark = shade(outfit.upper.colour, 0.7)
        cv2.line(front, (wide // 2, 0), (wide // 2, high), dark, max(wide // 60, 1))
        for y in np.linspace(high * 0.2, high * 0.95, 6):
            cv2.circle(
                front,
                (wide // 2 + wide // 40, int(y)),
                max(wide // 50, 1),
                colour,
                -1,
                cv2.LINE_AA,
            )
    elif outfit.top == "hoodie":
        pocket = np.array([[0.28, 1.0], [0.34, 0.76], [0.66, 0.76], [0.72, 1.0]]) * (
            wide,
            high,
        )
        dark, thin = shade(outfit.upper.colour, 0.65), max(wide // 60, 1)
        cv2.polylines(front, [pocket.astype(np.int32)], False, dark, thin, cv2.LINE_AA)
        for string in (0.44, 0.56):
            x = int(string * wide)
            ends = ((x, int(0.12 * high)), (x, int(0.38 * high)))
            cv2.line(front, *ends, (240, 240, 236), thin, cv2.LINE_AA)
    if outfit.top in ("t-shirt", "sweater", "tank", "hoodie"):
        _print(front, outfit.print, middle, unit, colour)
    return np.hstack([front, back])


def _cut(cloth: Picture, wide: int, high: int) -> Picture:
    side = cloth.shape[0]
    rows, columns = -(-high // side), -(-wide // side)
    return np.ascontiguousarray(np.tile(cloth, (rows, columns, 1))[:high, :wide])


def _print(
    front: Picture,
    kind: str,
    middle: tuple[int, int],
    unit: float,
    colour: tuple[int, int, int],
) -> None:
    x, y = middle
    high = front.shape[0]
    if kind == "disc":
        cv2.circle(front, middle, int(unit * 0.9), colour, -1, cv2.LINE_AA)
        cv2.circle(front, middle, int(unit * 0.5), shade(colour, 0.7), -1, cv2.LINE_AA)
    elif kind == "star":
        angle = np.arange(10) * np.pi / 5 - np.pi / 2
        radius = np.where(np.arange(10) % 2, 0.45, 1.1) * unit
        points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
        cv2.fillPoly(front, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == "heart":
        t = np.linspace(0, 2 * np.pi, 40)
        curve = np.stack(
            [
                16 * np.sin(t) ** 3,
                -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t)),
            ],
            1,
        )
        points = curve / 16 * unit + (x, y)
        cv2.fillPoly(front, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == "stripe":
        front[int(high * 0.42) : int(high * 0.6)] = colour
    elif kind == "letter":
        letter = "ABEHKMNRSX358"[(colour[0] + colour[1]) % 13]
        size = unit / 13
        (w, h), _ = cv2.getTextSize(
            letter, cv2.FONT_HERSHEY_DUPLEX, size, max(int(unit / 5), 1)
        )
        cv2.putText(front, letter, (x - w // 2, y + h // 2), cv2.FONT_HERSHEY_DUPLEX, size,
                    colour, max(int(unit / 5), 1), cv2.LINE_AA)  # fmt: skip
