"""Backgrounds, painted once for a clip: within four walls, or under the sky."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.character import Colour, cloth_colour, from_hsv, pastel, ramp, shade

Pixels = NDArray[np.uint8]

WOODS: tuple[Colour, ...] = ((168, 128, 92), (134, 96, 66), (196, 164, 124), (110, 84, 70))


def indoor_room(
    rng: np.random.Generator, width: int, height: int, horizon: float
) -> Pixels:
    """A wall with windows and pictures, and a floor."""
    line, unit = int(horizon * height), min(width, height)
    wall = pastel(rng)
    picture = ramp(width, height, shade(wall, 1.05), shade(wall, 0.9))
    if rng.random() < 0.3:  # striped paper
        step = max(int(unit * rng.uniform(0.04, 0.12)), 2)
        striped = (np.arange(width) // step) % 2 == 0
        picture[:, striped] = (picture[:, striped] * 0.95).astype(np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        _hang(rng, picture, wall, line)
    if rng.random() < 0.3:
        _plant(rng, picture, line)
    _floor(rng, picture, line)
    rim = max(height // 64, 1)
    if line < height - rim:
        picture[line - rim : line] = shade(wall, rng.choice([0.7, 1.15]))
    return picture


def stage(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """A dark stage with beams of coloured light."""
    line = int(horizon * height)
    dark = from_hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.12, 0.35))
    picture = ramp(width, height, dark, shade(dark, 1.5))
    picture[line:] = ramp(width, height - line, shade(dark, 1.9), shade(dark, 1.2))
    for _ in range(int(rng.integers(1, 5))):
        top, foot = rng.uniform(-0.2, 1.2), rng.uniform(0.1, 0.9)
        spread = rng.uniform(0.06, 0.2)
        floor = horizon + 0.06
        corners = np.array(
            [[top, -0.02], [top, 0.0], [foot + spread, floor], [foot - spread, floor]]
        ) * (width, height)
        beam = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(beam, corners.astype(np.int32), 255, cv2.LINE_AA)
        weight = beam[..., None] * np.float32(rng.uniform(0.12, 0.35) / 255)
        light = np.array(from_hsv(rng.random(), 0.45, 1.0), np.float32)
        picture = (picture + (light - picture) * weight).astype(np.uint8)
    return picture


def bricks(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """A wall of bricks, and a pavement."""
    line, unit = int(horizon * height), min(width, height)
    brick = from_hsv(rng.uniform(0.0, 0.1), rng.uniform(0.1, 0.55), rng.uniform(0.5, 0.9))
    picture = ramp(width, height, shade(brick, 0.75), shade(brick, 0.75))
    tall = max(int(unit * rng.uniform(0.03, 0.07)), 3)
    wide, gap = tall * 2 + tall // 2, max(tall // 8, 1)
    for row, y in enumerate(range(0, line, tall)):
        for x in range(-wide // 2 * (row % 2), width, wide):
            colour = shade(brick, rng.uniform(0.9, 1.1))
            cv2.rectangle(
                picture, (x, y), (x + wide - gap - 1, y + tall - gap - 1), colour, -1
            )
    ground = shade((150, 148, 146), rng.uniform(0.6, 1.1))
    picture[line:] = ramp(width, height - line, ground, shade(ground, 1.15))
    return picture


def curtain(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """Cloth that hangs in folds behind a wooden floor."""
    line = int(horizon * height)
    colour = np.array(cloth_colour(rng), np.float32)
    x = np.arange(width) / width * rng.uniform(20, 60)
    fold = 0.75 + 0.2 * np.sin(x + 1.5 * np.sin(x * 0.31 + rng.uniform(0, 6)))
    picture = np.repeat((colour * fold[:, None]).astype(np.uint8)[None], height, axis=0)
    _floor(rng, picture, line)
    return picture


def tiles(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """A plain wall and a floor of two-coloured tiles that runs into the distance."""
    line = int(horizon * height)
    wall, first = pastel(rng), pastel(rng)
    second = shade(first, rng.uniform(0.5, 0.85))
    picture = ramp(width, height, shade(wall, 1.1), shade(wall, 0.85))
    depth = 1 / np.linspace(0.25, 1.0, max(height - line, 1))[:, None]
    across = (np.arange(width)[None] - width / 2) / width * depth
    count = rng.uniform(4, 10)
    odd = (np.floor(across * count) + np.floor(depth * count * 0.7)) % 2 == 1
    floor = np.where(odd[..., None], np.array(first), np.array(second))
    picture[line:] = floor[: height - line].astype(np.uint8)
    return picture


def _floor(rng: np.random.Generator, picture: Pixels, line: int) -> None:
    height, width = picture.shape[:2]
    floor = cloth_colour(rng) if rng.random() < 0.3 else WOODS[rng.integers(4)]
    picture[line:] = ramp(width, height - line, shade(floor, 0.95), shade(floor, 1.15))
    if rng.random() < 0.6:
        board = shade(floor, 0.82)
        for x in np.linspace(-width, 2 * width, 22):
            far = width / 2 + (x - width / 2) * 0.45
            cv2.line(picture, (int(far), line), (int(x), height), board, 1, cv2.LINE_AA)


def _hang(rng: np.random.Generator, picture: Pixels, wall: Colour, line: int) -> None:
    """A window or a picture on the wall."""
    height, width = picture.shape[:2]
    unit = min(width, height)
    wide, tall = (int(unit * rng.uniform(0.12, 0.3)) for _ in range(2))
    x, y = int(rng.uniform(-wide / 2, width)), int(rng.uniform(0.05, 0.5) * line)
    rim = max(unit // 64, 1)
    frame = shade(wall, rng.choice([0.6, 1.2]))
    pane = pastel(rng) if rng.random() < 0.5 else (190, 220, 240)
    cv2.rectangle(picture, (x, y), (x + wide, y + tall), frame, -1)
    cv2.rectangle(picture, (x + rim, y + rim), (x + wide - rim, y + tall - rim), pane, -1)
    if rng.random() < 0.5:
        cv2.line(picture, (x + wide // 2, y), (x + wide // 2, y + tall), frame, rim)
        cv2.line(picture, (x, y + tall // 2), (x + wide, y + tall // 2), frame, rim)


def _plant(rng: np.random.Generator, picture: Pixels, line: int) -> None:
    """A pot with leaves, on the floor by the wall."""
    height, width = picture.shape[:2]
    size = min(width, height) * rng.uniform(0.08, 0.16)
    x = width * float(rng.choice([0.08, 0.92]))
    green = from_hsv(rng.uniform(0.25, 0.42), 0.5, rng.uniform(0.35, 0.7))
    for angle in np.linspace(-1.1, 1.1, 7):
        tip = (int(x + size * np.sin(angle) * 0.8), int(line - size * (1 + np.cos(angle))))
        middle = ((x + tip[0]) / 2, (line - size * 0.7 + tip[1]) / 2)
        turned = float(np.degrees(angle)) + 90
        box = (middle, (size * 1.2, size * 0.3), turned)
        cv2.ellipse(picture, box, shade(green, rng.uniform(0.8, 1.2)), -1, cv2.LINE_AA)
    pot = np.array([[-0.4, -0.7], [0.4, -0.7], [0.28, 0.0], [-0.28, 0.0]]) * size + (
        x,
        line,
    )
    cv2.fillConvexPoly(picture, pot.astype(np.int32), cloth_colour(rng), cv2.LINE_AA)


def meadow(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """Hills under clouds."""
    line = int(horizon * height)
    picture = _sky(rng, width, height, line)
    for depth in range(int(rng.integers(1, 4))):
        hill = from_hsv(rng.uniform(0.2, 0.6), 0.35, 0.45 + 0.12 * depth)
        x = np.arange(width + 1)
        wave = np.sin(x / width * rng.uniform(3, 12) + rng.uniform(0, 6))
        y = line - height * (0.16 - 0.05 * depth) * (0.6 + 0.4 * wave)
        outline = np.concatenate([np.stack([x, y], 1), [[width, height], [0, height]]])
        cv2.fillPoly(picture, [outline.astype(np.int32)], hill, cv2.LINE_AA)
    ground = from_hsv(rng.choice([0.25, 0.3, 0.1, 0.13]), 0.4, rng.uniform(0.5, 0.75))
    picture[line:] = ramp(width, height - line, ground, shade(ground, 0.75))
    return picture


def sea(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """A beach, the sea, and perhaps the sun."""
    line = int(horizon * height)
    picture = _sky(rng, width, height, line)
    if rng.random() < 0.5:
        at = (int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.1, 0.4) * line))
        radius = int(min(width, height) * rng.uniform(0.04, 0.09))
        cv2.circle(picture, at, radius, (255, 236, 170), -1, cv2.LINE_AA)
    water = from_hsv(rng.uniform(0.48, 0.62), 0.6, rng.uniform(0.5, 0.85))
    top = int(line * rng.uniform(0.6, 0.85))
    picture[top:line] = ramp(width, line - top, shade(water, 0.85), shade(water, 1.15))
    for _ in range(12):
        y = int(rng.uniform(top, line))
        x, long = int(rng.uniform(0, width)), int(width * rng.uniform(0.03, 0.15))
        cv2.line(picture, (x, y), (x + long, y), shade(water, 1.3), 1, cv2.LINE_AA)
    sand = from_hsv(0.11, rng.uniform(0.2, 0.4), rng.uniform(0.75, 0.95))
    picture[line:] = ramp(width, height - line, shade(sand, 0.92), sand)
    return picture


def city(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """Houses with windows along a street."""
    line = int(horizon * height)
    picture = _sky(rng, width, height, line)
    x = -int(rng.uniform(0, 0.1) * width)
    while x < width:
        wide = max(int(width * rng.uniform(0.12, 0.28)), 8)
        top = int(line * rng.uniform(0.1, 0.7))
        wall = shade(pastel(rng), 0.85)
        cv2.rectangle(picture, (x, top), (x + wide, line), wall, -1)
        cell = max(wide // int(rng.integers(3, 6)), 4)
        pane = shade(wall, 0.6) if rng.random() < 0.6 else (250, 232, 170)
        for row in range(top + cell // 3, line - cell, cell):
            for column in range(x + cell // 4, x + wide - cell // 2, cell):
                corner = (column + cell // 2, row + int(cell * 0.6))
                cv2.rectangle(picture, (column, row), corner, pane, -1)
        x += wide
    street = shade((138, 138, 142), rng.uniform(0.6, 1.1))
    picture[line:] = ramp(width, height - line, shade(street, 1.1), shade(street, 0.85))
    return picture


def _sky(rng: np.random.Generator, width: int, height: int, line: int) -> Pixels:
    blue = from_hsv(rng.uniform(0.5, 0.68), rng.uniform(0.2, 0.6), rng.uniform(0.7, 1))
    if rng.random() < 0.2:  # evening
        blue = from_hsv(rng.uniform(0.0, 0.1), rng.uniform(0.2, 0.5), 0.95)
    picture = ramp(width, height, blue, shade(blue, 1.25))
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0, width), rng.uniform(0, line * 0.6)
        for _ in range(5):
            at = (
                int(x + rng.normal(0, width * 0.05)),
                int(y + rng.normal(0, height * 0.01)),
            )
            axes = (
                int(width * rng.uniform(0.03, 0.08)),
                int(height * rng.uniform(0.01, 0.035)),
            )
            cv2.ellipse(picture, at, axes, 0, 0, 360, (246, 248, 250), -1, cv2.LINE_AA)
    return picture


Painter = Callable[[np.random.Generator, int, int, float], Pixels]


def paint_backdrop(seed: int, size: tuple[int, int], horizon: float) -> Pixels:
    """A background `(h, w, 3)`; `horizon` is where wall and floor meet, of the height."""
    rng = np.random.default_rng([seed, 6])
    painters, weights = list(PAINTERS), np.array(list(PAINTERS.values()))
    painter = painters[rng.choice(len(painters), p=weights / weights.sum())]
    picture = painter(rng, *size, float(np.clip(horizon, 0.1, 1.0)))
    if rng.random() < 0.25:  # darker towards the corners
        picture = _vignette(picture, float(rng.uniform(0.1, 0.4)))
    return np.ascontiguousarray(picture)


def gradient(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """From one shade to another of the same colour."""
    colour = pastel(rng)
    return ramp(width, height, colour, shade(colour, rng.uniform(0.6, 1.15)))


def mist(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """Two colours that flow into each other, with some grain."""
    picture = gradient(rng, width, height, horizon).astype(np.float32)
    cells = int(rng.integers(2, 9))
    noise = cv2.resize(
        rng.random((cells, cells), np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )[..., None]
    picture = picture * (1 - noise) + np.array(pastel(rng), np.float32) * noise
    picture += rng.normal(0, rng.uniform(0, 6), (height, width, 1))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def shapes(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """Discs and boxes."""
    picture = gradient(rng, width, height, horizon)
    unit = min(width, height)
    for _ in range(int(rng.integers(3, 14))):
        colour = pastel(rng)
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        r = int(unit * rng.uniform(0.04, 0.28))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), r, colour, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints(((x, y), (r, 2 * r), float(rng.uniform(0, 180))))
            cv2.fillConvexPoly(picture, corners.astype(np.int32), colour, cv2.LINE_AA)
    return picture


def lights(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pixels:
    """Lights far out of focus."""
    dark = shade(pastel(rng), rng.uniform(0.25, 0.6))
    picture = ramp(width, height, dark, shade(dark, 0.7)).astype(np.float32)
    unit = min(width, height)
    for _ in range(int(rng.integers(8, 30))):
        layer = np.zeros((height, width), np.uint8)
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(layer, at, int(unit * rng.uniform(0.02, 0.09)), 255, -1, cv2.LINE_AA)
        weight = layer[..., None] * np.float32(rng.uniform(0.1, 0.5) / 255)
        picture += (np.array(pastel(rng), np.float32) - picture) * weight
    blur = max(unit // 64, 1) | 1
    return np.asarray(cv2.GaussianBlur(picture, (blur, blur), 0), np.uint8)


def _vignette(picture: Pixels, strength: float) -> Pixels:
    height, width = picture.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return np.asarray(
        picture * (1 - strength * np.minimum((x * x + y * y) / 2, 1)), np.uint8
    )


PAINTERS: dict[Painter, float] = {
    gradient: 2, mist: 2, shapes: 2, lights: 1, indoor_room: 4, stage: 1.5, bricks: 1,
    curtain: 1, tiles: 1, meadow: 2, sea: 1, city: 1,
}  # fmt: skip
"""Painters of backgrounds, with how often each is taken compared to the others."""
