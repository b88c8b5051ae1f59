"""Cloth: small pictures that repeat, with patterns and folds woven in."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.figure import Cloth

Picture = NDArray[np.uint8]

TILE = 0.4  # metres; side of the square of cloth that repeats
GRAIN = 192  # pixels along it


def weave(cloth: Cloth, seed: int) -> Picture:
    """`TILE` by `TILE` metres of the cloth, `(GRAIN, GRAIN, 3)`; it repeats seamlessly."""
    chance = np.random.default_rng([seed, 3])
    picture = np.full((GRAIN, GRAIN, 3), cloth.colour, np.uint8)
    # Patterns repeat a whole number of times, or the seams would show.
    count = {0: 3, 1: 4, 2: 6, 3: 8}[min(int((1.6 - cloth.scale) * 4), 3)]
    cell = GRAIN // count
    y, x = np.mgrid[:GRAIN, :GRAIN]
    second = np.array(cloth.second, np.uint8)
    if cloth.pattern == "stripes":
        picture[(y // (cell // 2)) % 2 == 1] = second
    elif cloth.pattern == "pinstripes":
        picture[x % cell < max(cell // 6, 2)] = second
    elif cloth.pattern == "bars":
        picture[(x // (cell // 2)) % 2 == 1] = second
    elif cloth.pattern == "checks":
        bands = ((x // (cell // 2)) % 2).astype(np.float32) + (y // (cell // 2)) % 2
        mix = (bands / 2)[..., None]
        picture = (picture * (1 - mix) + second * mix).astype(np.uint8)
    elif cloth.pattern == "dots":
        picture[
            (x % cell - cell / 2) ** 2 + (y % cell - cell / 2) ** 2 < (cell * 0.28) ** 2
        ] = second
    elif cloth.pattern == "noise":
        speck = _noise(chance, 48)[..., None] * 0.7
        picture = (picture * (1 - speck) + second * speck).astype(np.uint8)
    elif cloth.pattern == "camouflage":
        blobs = _noise(chance, 7)
        picture[blobs > 0.58] = second
        picture[blobs < 0.36] = (second * 0.5 + np.array(cloth.colour) * 0.3).astype(
            np.uint8
        )
    if cloth.folds > 0.25:
        fold = (
            1 - 0.12 * cloth.folds * np.clip(_noise(chance, 4) - 0.55, 0, 1)[..., None] * 2
        )
        picture = (picture * fold).astype(np.uint8)
    return np.ascontiguousarray(picture)


def _noise(chance: np.random.Generator, cells: int) -> NDArray[np.float32]:
    """Smooth noise 0..1 that repeats, `(GRAIN, GRAIN)`."""
    coarse = chance.random((cells, cells), np.float32)
    wrapped = np.pad(coarse, 2, mode="wrap")
    size = GRAIN * (cells + 4) // cells
    fine = cv2.resize(wrapped, (size, size), interpolation=cv2.INTER_CUBIC)
    edge = (size - GRAIN) // 2
    return np.asarray(np.clip(fine[edge : edge + GRAIN, edge : edge + GRAIN], 0, 1))


def fit(picture: Picture, pixels: int) -> Picture:
    """The cloth with `pixels` along its side, without jagged patterns."""
    pixels = max(pixels, 4)
    shrinks = pixels < picture.shape[0]
    return np.asarray(
        cv2.resize(
            picture,
            (pixels, pixels),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        ),
        np.uint8,
    )
