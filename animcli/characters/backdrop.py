"""What is behind the figure: painted once for a clip."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.palette import cloth_colour, from_hsv, shade

Picture = NDArray[np.uint8]


def paint_backdrop(seed: int, size: tuple[int, int], horizon: float) -> Picture:
    """A background `(h, w, 3)`; `horizon` is where wall and floor meet, of the height."""
    chance = np.random.default_rng([seed, 6])
    width, height = size
    painters = (_gradient, _room, _shapes, _sky, _mist, _room)
    picture = painters[chance.integers(len(painters))](chance, width, height, horizon)
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))


def _ramp(height: int, width: int, top: object, bottom: object) -> NDArray[np.float32]:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    band = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    return np.repeat(band, width, axis=1)


def _pastel(chance: np.random.Generator) -> tuple[int, int, int]:
    return from_hsv(chance.random(), chance.uniform(0.03, 0.4), chance.uniform(0.55, 0.97))


def _gradient(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> NDArray[np.float32]:
    colour = _pastel(chance)
    return _ramp(height, width, colour, shade(colour, chance.uniform(0.6, 1.15)))


def _mist(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> NDArray[np.float32]:
    picture = _gradient(chance, width, height, horizon)
    other = np.array(_pastel(chance), np.float32)
    cells = int(chance.integers(2, 9))
    noise = cv2.resize(
        chance.random((cells, cells), np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )[..., None]
    picture = picture * (1 - noise) + other * noise
    picture += chance.normal(0, chance.uniform(0, 6), (height, width, 1))
    return picture


def _shapes(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> NDArray[np.float32]:
    picture = np.ascontiguousarray(_gradient(chance, width, height, horizon))
    unit = min(width, height)
    for _ in range(int(chance.integers(3, 14))):
        colour = tuple(float(c) for c in _pastel(chance))
        x, y = int(chance.uniform(0, width)), int(chance.uniform(0, height))
        r = int(unit * chance.uniform(0.04, 0.28))
        if chance.random() < 0.5:
            cv2.circle(picture, (x, y), r, colour, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints(((x, y), (r, 2 * r), float(chance.uniform(0, 180))))
            cv2.fillConvexPoly(picture, corners.astype(np.int32), colour, cv2.LINE_AA)
    return picture


def _sky(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> NDArray[np.float32]:
    line = int(horizon * height)
    blue = from_hsv(
        chance.uniform(0.5, 0.68), chance.uniform(0.2, 0.6), chance.uniform(0.7, 1)
    )
    picture = _ramp(height, width, blue, shade(blue, 1.25))
    for _ in range(int(chance.integers(2, 7))):
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
            cv2.ellipse(
                picture, at, axes, 0, 0, 360, (246.0, 248.0, 250.0), -1, cv2.LINE_AA
            )
    for depth in range(int(chance.integers(1, 4))):
        hill = from_hsv(chance.uniform(0.2, 0.6), 0.35, 0.45 + 0.12 * depth)
        xs = np.arange(width)
        ys = line - height * (0.16 - 0.05 * depth) * (
            0.6 + 0.4 * np.sin(xs / width * chance.uniform(3, 12) + chance.uniform(0, 6))
        )
        outline = np.stack([xs, ys], 1).astype(np.int32)
        outline = np.vstack([outline, [[width, height], [0, height]]]).astype(np.int32)
        cv2.fillPoly(picture, [outline], tuple(float(c) for c in hill), cv2.LINE_AA)
    ground = from_hsv(chance.choice([0.25, 0.3, 0.1, 0.13]), 0.4, chance.uniform(0.5, 0.75))
    picture[line:] = _ramp(height - line, width, ground, shade(ground, 0.75))
    return picture


def _room(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> NDArray[np.float32]:
    line = int(np.clip(horizon, 0.1, 1.0) * height)
    wall = _pastel(chance)
    picture = _ramp(height, width, shade(wall, 1.05), shade(wall, 0.9))
    unit = min(width, height)
    if chance.random() < 0.3:  # striped paper
        step = max(int(unit * chance.uniform(0.04, 0.12)), 2)
        picture[:, (np.arange(width) // step) % 2 == 0] *= 0.95
    for _ in range(int(chance.integers(0, 4))):  # windows, pictures
        w, h = (int(unit * chance.uniform(0.12, 0.3)) for _ in range(2))
        x, y = int(chance.uniform(-w / 2, width)), int(chance.uniform(0.05, 0.5) * line)
        frame = tuple(float(c) for c in shade(wall, chance.choice([0.6, 1.2])))
        pane = tuple(
            float(c)
            for c in (_pastel(chance) if chance.random() < 0.5 else (190, 220, 240))
        )
        rim = max(unit // 64, 1)
        cv2.rectangle(picture, (x, y), (x + w, y + h), frame, -1)
        cv2.rectangle(picture, (x + rim, y + rim), (x + w - rim, y + h - rim), pane, -1)
        if chance.random() < 0.5:
            cv2.line(picture, (x + w // 2, y), (x + w // 2, y + h), frame, rim)
            cv2.line(picture, (x, y + h // 2), (x + w, y + h // 2), frame, rim)
    floor = shade(cloth_colour(chance) if chance.random() < 0.3 else (168, 128, 92), 0.95)
    picture[line:] = _ramp(height - line, width, shade(floor, 1.0), shade(floor, 1.2))
    if chance.random() < 0.5:  # boards
        vanish = (width / 2, line - height * 0.35)
        board = tuple(float(c) for c in shade(floor, 0.85))
        for x in np.linspace(-width, 2 * width, 22):
            top = vanish[0] + (x - vanish[0]) * 0.35 / max(1.35 - line / height, 0.4)
            cv2.line(picture, (int(top), line), (int(x), height),
                     board, 1, cv2.LINE_AA)  # fmt: skip
    rim = max(height // 64, 1)
    if line < height - rim:
        picture[line - rim : line] = shade(wall, chance.choice([0.7, 1.15]))
    return picture
