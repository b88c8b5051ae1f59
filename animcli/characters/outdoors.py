"""Backgrounds under the sky."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.palette import from_hsv, pastel, ramp, shade

Picture = NDArray[np.uint8]


def meadow(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """Hills under clouds."""
    line = int(horizon * height)
    picture = _sky(chance, width, height, line)
    for depth in range(int(chance.integers(1, 4))):
        hill = from_hsv(chance.uniform(0.2, 0.6), 0.35, 0.45 + 0.12 * depth)
        x = np.arange(width + 1)
        wave = np.sin(x / width * chance.uniform(3, 12) + chance.uniform(0, 6))
        y = line - height * (0.16 - 0.05 * depth) * (0.6 + 0.4 * wave)
        outline = np.concatenate([np.stack([x, y], 1), [[width, height], [0, height]]])
        cv2.fillPoly(picture, [outline.astype(np.int32)], hill, cv2.LINE_AA)
    ground = from_hsv(chance.choice([0.25, 0.3, 0.1, 0.13]), 0.4, chance.uniform(0.5, 0.75))
    picture[line:] = ramp(width, height - line, ground, shade(ground, 0.75))
    return picture


def sea(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """A beach, the sea, and perhaps the sun."""
    line = int(horizon * height)
    picture = _sky(chance, width, height, line)
    if chance.random() < 0.5:
        at = (int(chance.uniform(0.1, 0.9) * width), int(chance.uniform(0.1, 0.4) * line))
        radius = int(min(width, height) * chance.uniform(0.04, 0.09))
        cv2.circle(picture, at, radius, (255, 236, 170), -1, cv2.LINE_AA)
    water = from_hsv(chance.uniform(0.48, 0.62), 0.6, chance.uniform(0.5, 0.85))
    top = int(line * chance.uniform(0.6, 0.85))
    picture[top:line] = ramp(width, line - top, shade(water, 0.85), shade(water, 1.15))
    for _ in range(12):
        y = int(chance.uniform(top, line))
        x, long = int(chance.uniform(0, width)), int(width * chance.uniform(0.03, 0.15))
        cv2.line(picture, (x, y), (x + long, y), shade(water, 1.3), 1, cv2.LINE_AA)
    sand = from_hsv(0.11, chance.uniform(0.2, 0.4), chance.uniform(0.75, 0.95))
    picture[line:] = ramp(width, height - line, shade(sand, 0.92), sand)
    return picture


def city(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """Houses with windows along a street."""
    line = int(horizon * height)
    picture = _sky(chance, width, height, line)
    x = -int(chance.uniform(0, 0.1) * width)
    while x < width:
        wide = max(int(width * chance.uniform(0.12, 0.28)), 8)
        top = int(line * chance.uniform(0.1, 0.7))
        wall = shade(pastel(chance), 0.85)
        cv2.rectangle(picture, (x, top), (x + wide, line), wall, -1)
        cell = max(wide // int(chance.integers(3, 6)), 4)
        pane = shade(wall, 0.6) if chance.random() < 0.6 else (250, 232, 170)
        for row in range(top + cell // 3, line - cell, cell):
            for column in range(x + cell // 4, x + wide - cell // 2, cell):
                corner = (column + cell // 2, row + int(cell * 0.6))
                cv2.rectangle(picture, (column, row), corner, pane, -1)
        x += wide
    street = shade((138, 138, 142), chance.uniform(0.6, 1.1))
    picture[line:] = ramp(width, height - line, shade(street, 1.1), shade(street, 0.85))
    return picture


def _sky(chance: np.random.Generator, width: int, height: int, line: int) -> Picture:
    blue = from_hsv(
        chance.uniform(0.5, 0.68), chance.uniform(0.2, 0.6), chance.uniform(0.7, 1)
    )
    if chance.random() < 0.2:  # evening
        blue = from_hsv(chance.uniform(0.0, 0.1), chance.uniform(0.2, 0.5), 0.95)
    picture = ramp(width, height, blue, shade(blue, 1.25))
    for _ in range(int(chance.integers(0, 6))):
        x, y = chance.uniform(0, width), chance.uniform(0, line * 0.6)
        for _ in range(5):
            at = (
                int(x + chance.normal(0, width * 0.05)),
                int(y + chance.normal(0, height * 0.01)),
            )
            axes = (
                int(width * chance.uniform(0.03, 0.08)),
                int(height * chance.uniform(0.01, 0.035)),
            )
            cv2.ellipse(picture, at, axes, 0, 0, 360, (246, 248, 250), -1, cv2.LINE_AA)
    return picture
