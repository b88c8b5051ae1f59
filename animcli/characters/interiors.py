"""Backgrounds within four walls."""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.characters.palette import Colour, cloth_colour, from_hsv, pastel, ramp, shade

Picture = NDArray[np.uint8]

WOODS: tuple[Colour, ...] = ((168, 128, 92), (134, 96, 66), (196, 164, 124), (110, 84, 70))


def room(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """A wall with windows and pictures, and a floor."""
    line, unit = int(horizon * height), min(width, height)
    wall = pastel(chance)
    picture = ramp(width, height, shade(wall, 1.05), shade(wall, 0.9))
    if chance.random() < 0.3:  # striped paper
        step = max(int(unit * chance.uniform(0.04, 0.12)), 2)
        striped = (np.arange(width) // step) % 2 == 0
        picture[:, striped] = (picture[:, striped] * 0.95).astype(np.uint8)
    for _ in range(int(chance.integers(0, 4))):
        _hang(chance, picture, wall, line)
    if chance.random() < 0.3:
        _plant(chance, picture, line)
    _floor(chance, picture, line)
    rim = max(height // 64, 1)
    if line < height - rim:
        picture[line - rim : line] = shade(wall, chance.choice([0.7, 1.15]))
    return picture


def stage(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """A dark stage with beams of coloured light."""
    line = int(horizon * height)
    dark = from_hsv(chance.random(), chance.uniform(0.2, 0.7), chance.uniform(0.12, 0.35))
    picture = ramp(width, height, dark, shade(dark, 1.5))
    picture[line:] = ramp(width, height - line, shade(dark, 1.9), shade(dark, 1.2))
    for _ in range(int(chance.integers(1, 5))):
        top, foot = chance.uniform(-0.2, 1.2), chance.uniform(0.1, 0.9)
        spread = chance.uniform(0.06, 0.2)
        floor = horizon + 0.06
        corners = np.array(
            [[top, -0.02], [top, 0.0], [foot + spread, floor], [foot - spread, floor]]
        ) * (width, height)
        beam = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(beam, corners.astype(np.int32), 255, cv2.LINE_AA)
        weight = beam[..., None] * np.float32(chance.uniform(0.12, 0.35) / 255)
        light = np.array(from_hsv(chance.random(), 0.45, 1.0), np.float32)
        picture = (picture + (light - picture) * weight).astype(np.uint8)
    return picture


def bricks(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """A wall of bricks, and a pavement."""
    line, unit = int(horizon * height), min(width, height)
    brick = from_hsv(
        chance.uniform(0.0, 0.1), chance.uniform(0.1, 0.55), chance.uniform(0.5, 0.9)
    )
    picture = ramp(width, height, shade(brick, 0.75), shade(brick, 0.75))
    tall = max(int(unit * chance.uniform(0.03, 0.07)), 3)
    wide, gap = tall * 2 + tall // 2, max(tall // 8, 1)
    for row, y in enumerate(range(0, line, tall)):
        for x in range(-wide // 2 * (row % 2), width, wide):
            colour = shade(brick, chance.uniform(0.9, 1.1))
            cv2.rectangle(
                picture, (x, y), (x + wide - gap - 1, y + tall - gap - 1), colour, -1
            )
    ground = shade((150, 148, 146), chance.uniform(0.6, 1.1))
    picture[line:] = ramp(width, height - line, ground, shade(ground, 1.15))
    return picture


def curtain(
    chance: np.random.Generator, width: int, height: int, horizon: float
) -> Picture:
    """Cloth that hangs in folds behind a wooden floor."""
    line = int(horizon * height)
    colour = np.array(cloth_colour(chance), np.float32)
    x = np.arange(width) / width * chance.uniform(20, 60)
    fold = 0.75 + 0.2 * np.sin(x + 1.5 * np.sin(x * 0.31 + chance.uniform(0, 6)))
    picture = np.repeat((colour * fold[:, None]).astype(np.uint8)[None], height, axis=0)
    _floor(chance, picture, line)
    return picture


def tiles(chance: np.random.Generator, width: int, height: int, horizon: float) -> Picture:
    """A plain wall and a floor of two-coloured tiles that runs into the distance."""
    line = int(horizon * height)
    wall, first = pastel(chance), pastel(chance)
    second = shade(first, chance.uniform(0.5, 0.85))
    picture = ramp(width, height, shade(wall, 1.1), shade(wall, 0.85))
    depth = 1 / np.linspace(0.25, 1.0, max(height - line, 1))[:, None]
    across = (np.arange(width)[None] - width / 2) / width * depth
    count = chance.uniform(4, 10)
    odd = (np.floor(across * count) + np.floor(depth * count * 0.7)) % 2 == 1
    floor = np.where(odd[..., None], np.array(first), np.array(second))
    picture[line:] = floor[: height - line].astype(np.uint8)
    return picture


def _floor(chance: np.random.Generator, picture: Picture, line: int) -> None:
    height, width = picture.shape[:2]
    floor = cloth_colour(chance) if chance.random() < 0.3 else WOODS[chance.integers(4)]
    picture[line:] = ramp(width, height - line, shade(floor, 0.95), shade(floor, 1.15))
    if chance.random() < 0.6:
        board = shade(floor, 0.82)
        for x in np.linspace(-width, 2 * width, 22):
            far = width / 2 + (x - width / 2) * 0.45
            cv2.line(picture, (int(far), line), (int(x), height), board, 1, cv2.LINE_AA)


def _hang(chance: np.random.Generator, picture: Picture, wall: Colour, line: int) -> None:
    """A window or a picture on the wall."""
    height, width = picture.shape[:2]
    unit = min(width, height)
    wide, tall = (int(unit * chance.uniform(0.12, 0.3)) for _ in range(2))
    x, y = int(chance.uniform(-wide / 2, width)), int(chance.uniform(0.05, 0.5) * line)
    rim = max(unit // 64, 1)
    frame = shade(wall, chance.choice([0.6, 1.2]))
    pane = pastel(chance) if chance.random() < 0.5 else (190, 220, 240)
    cv2.rectangle(picture, (x, y), (x + wide, y + tall), frame, -1)
    cv2.rectangle(picture, (x + rim, y + rim), (x + wide - rim, y + tall - rim), pane, -1)
    if chance.random() < 0.5:
        cv2.line(picture, (x + wide // 2, y), (x + wide // 2, y + tall), frame, rim)
        cv2.line(picture, (x, y + tall // 2), (x + wide, y + tall // 2), frame, rim)


def _plant(chance: np.random.Generator, picture: Picture, line: int) -> None:
    """A pot with leaves, on the floor by the wall."""
    height, width = picture.shape[:2]
    size = min(width, height) * chance.uniform(0.08, 0.16)
    x = width * float(chance.choice([0.08, 0.92]))
    green = from_hsv(chance.uniform(0.25, 0.42), 0.5, chance.uniform(0.35, 0.7))
    for angle in np.linspace(-1.1, 1.1, 7):
        tip = (int(x + size * np.sin(angle) * 0.8), int(line - size * (1 + np.cos(angle))))
        middle = ((x + tip[0]) / 2, (line - size * 0.7 + tip[1]) / 2)
        turned = float(np.degrees(angle)) + 90
        box = (middle, (size * 1.2, size * 0.3), turned)
        cv2.ellipse(picture, box, shade(green, chance.uniform(0.8, 1.2)), -1, cv2.LINE_AA)
    pot = np.array([[-0.4, -0.7], [0.4, -0.7], [0.28, 0.0], [-0.28, 0.0]]) * size + (
        x,
        line,
    )
    cv2.fillConvexPoly(picture, pot.astype(np.int32), cloth_colour(chance), cv2.LINE_AA)
