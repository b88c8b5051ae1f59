"""What is behind the figure: painted once for a clip."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.interiors import bricks, curtain, room, stage, tiles
from animcli.characters.outdoors import city, meadow, sea
from animcli.characters.palette import pastel, ramp, shade

Picture = NDArray[np.uint8]
Painter = Callable[[np.random.Generator, int, int, float], Picture]


def paint_backdrop(seed: int, size: tuple[int, int], horizon: float) -> Picture:
    """A background `(h, w, 3)`; `horizon` is where wall and floor meet, of the height."""
    chance = np.random.default_rng([seed, 6])
    painters, weights = list(PAINTERS), np.array(list(PAINTERS.values()))
    painter = painters[chance.choice(len(painters), p=weights / weights.sum())]
    picture = painter(chance, *size, float(np.clip(horizon, 0.1, 1.0)))
    if chance.random() < 0.25:  # darker towards the corners
        picture = _vignette(picture, float(chance.uniform(0.1, 0.4)))
    return np.ascontiguousarray(picture)


def gradient(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> Picture:
    """From one shade to another of the same colour."""
    colour = pastel(chance)
    return ramp(width, height, colour, shade(colour, chance.uniform(0.6, 1.15)))


def mist(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """Two colours that flow into each other, with some grain."""
    picture = gradient(chance, width, height, horizon).astype(np.float32)
    cells = int(chance.integers(2, 9))
    noise = cv2.resize(
        chance.random((cells, cells), np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )[..., None]
    picture = picture * (1 - noise) + np.array(pastel(chance), np.float32) * noise
    picture += chance.normal(0, chance.uniform(0, 6), (height, width, 1))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def shapes(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """Discs and boxes."""
    picture = gradient(chance, width, height, horizon)
    unit = min(width, height)
    for _ in range(int(chance.integers(3, 14))):
        colour = pastel(chance)
        x, y = int(chance.uniform(0, width)), int(chance.uniform(0, height))
        r = int(unit * chance.uniform(0.04, 0.28))
        if chance.random() < 0.5:
            cv2.circle(picture, (x, y), r, colour, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints(((x, y), (r, 2 * r), float(chance.uniform(0, 180))))
            cv2.fillConvexPoly(picture, corners.astype(np.int32), colour, cv2.LINE_AA)
    return picture


def lights(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """Lights far out of focus."""
    dark = shade(pastel(chance), chance.uniform(0.25, 0.6))
    picture = ramp(width, height, dark, shade(dark, 0.7)).astype(np.float32)
    unit = min(width, height)
    for _ in range(int(chance.integers(8, 30))):
        layer = np.zeros((height, width), np.uint8)
        at = (int(chance.uniform(0, width)), int(chance.uniform(0, height)))
        cv2.circle(layer, at, int(unit * chance.uniform(0.02, 0.09)), 255, -1, cv2.LINE_AA)
        weight = layer[..., None] * np.float32(chance.uniform(0.1, 0.5) / 255)
        picture += (np.array(pastel(chance), np.float32) - picture) * weight
    blur = max(unit // 64, 1) | 1
    return np.asarray(cv2.GaussianBlur(picture, (blur, blur), 0), np.uint8)


def _vignette(picture: Picture, strength: float) -> Picture:
    height, width = picture.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return np.asarray(
        picture * (1 - strength * np.minimum((x * x + y * y) / 2, 1)), np.uint8
    )


PAINTERS: dict[Painter, float] = {
    gradient: 2, mist: 2, shapes: 2, lights: 1, room: 4, stage: 1.5, bricks: 1, curtain: 1,
    tiles: 1, meadow: 2, sea: 1, city: 1,
}  # fmt: skip
"""What may be behind, and how often compared to the others."""
