"""Pictures to look at a motion by: a contact sheet, and curves over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from animcli.pose.keypoints import BODY, FACE, LEFT_HAND, RIGHT_HAND
from animcli.pose.sequence import PoseSequence

PAPER: Final = (250, 250, 248)
INK: Final = (40, 44, 52)
FAINT: Final = (214, 216, 220)
GAP: Final = (250, 205, 200)
BLUE, ORANGE, GREEN = (38, 105, 196), (222, 125, 20), (36, 145, 96)

SUPERSAMPLING: Final = 2
"""Curves are drawn this much larger and scaled down, which smooths their edges."""


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]], labels: Sequence[str], columns: int, tile: int
) -> NDArray[np.uint8]:
    """Pictures in rows, each with its label underneath, `(h, w, 3)` uint8 RGB.

    pictures: each `(h, w, 3)` uint8 RGB; all are scaled to the width `tile`, in pixels.
    """
    gap, line = 8, 20  # px
    small = [_to_width(picture, tile) for picture in pictures]
    height = max(picture.height for picture in small)
    columns = min(columns, len(small))
    rows = -(-len(small) // columns)
    sheet = Image.new(
        "RGB", (gap + columns * (tile + gap), gap + rows * (height + line + gap)), PAPER
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, (picture, label) in enumerate(zip(small, labels, strict=True)):
        row, column = divmod(place, columns)
        x, y = gap + column * (tile + gap), gap + row * (height + line + gap)
        sheet.paste(picture, (x, y))
        pen.text((x + tile / 2, y + height + line / 2), label, INK, font, anchor="mm")
    return np.asarray(sheet)


def _to_width(picture: NDArray[np.uint8], width: int) -> Image.Image:
    image = Image.fromarray(picture)
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)


@dataclass(frozen=True, eq=False)
class PlottedCurve:
    """A line of a panel. values: `(frames,)`, NaN where there is nothing to draw."""

    name: str
    colour: tuple[int, int, int]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """A diagram over time. top: the value at its upper edge; the lower one is 0."""

    title: str
    top: float
    curves: tuple[PlottedCurve, ...]


def pose_curves(sequence: PoseSequence, title: str) -> NDArray[np.uint8]:
    """Curves of confidence, visible keypoints and speed, over time.

    Frames in which nobody was found are shaded. `(720, 1200, 3)` uint8 RGB.
    """
    ticks = sequence.ticks - sequence.ticks[:1]
    seconds = ticks.astype(np.float64) * float(sequence.time_base)
    visible = sequence.visible[:, BODY]
    nobody = np.logical_not(visible.any(axis=1))
    hands = np.concatenate(
        [sequence.scores[:, LEFT_HAND], sequence.scores[:, RIGHT_HAND]], 1
    )
    fast = body_speed(sequence)
    known = fast[np.isfinite(fast)]
    panels = (
        Panel(
            "confidence (mean of the keypoints)",
            1.0,
            (
                PlottedCurve("face", GREEN, _mean(sequence.scores[:, FACE])),
                PlottedCurve("hands", ORANGE, _mean(hands)),
                PlottedCurve("body", BLUE, _mean(sequence.scores[:, BODY])),
            ),
        ),
        Panel(
            "keypoints of the body that are seen, of 18",
            18.0,
            (PlottedCurve("", BLUE, visible.sum(axis=1).astype(np.float64)),),
        ),
        Panel(
            "speed (mean of the body's keypoints, figure heights a second)",
            max(0.5, float(known.max(initial=0)) * 1.05),
            (PlottedCurve("", BLUE, fast),),
        ),
    )
    return _drawn(panels, seconds, nobody, title)


def body_speed(sequence: PoseSequence) -> NDArray[np.float64]:
    """Mean speed of the body's keypoints, `(frames,)`, in figure heights a second.

    The figure's height is that of the box around its seen keypoints, median over the
    frames. NaN in the first frame and where no joint is seen in two frames running.
    """
    points = np.where(sequence.visible[:, BODY, None], sequence.points[:, BODY], np.nan)
    points = points.astype(np.float64)
    heights = [
        np.ptp(y) for frame in points if len(y := frame[np.isfinite(frame[:, 1]), 1])
    ]
    height = float(np.median(heights)) if heights else 1.0
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2) / max(height, 1.0)
    time = np.diff(sequence.ticks) * float(sequence.time_base)
    speed = np.full(len(sequence), np.nan)
    both = np.isfinite(steps)
    count = both.sum(axis=1)
    moved = np.where(both, steps, 0).sum(axis=1)
    usable = (count > 0) & (time > 0)
    speed[1:][usable] = moved[usable] / count[usable] / time[usable]
    return speed


def _mean(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = scores.astype(np.float64).mean(axis=1)
    return mean


def _drawn(
    panels: Sequence[Panel],
    seconds: NDArray[np.float64],
    nobody: NDArray[np.bool_],
    title: str,
) -> NDArray[np.uint8]:
    width, height, left, right, head = 1200, 720, 60, 24, 44
    image = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((left * SUPERSAMPLING, 22 * SUPERSAMPLING), title, INK, _font(17), anchor="lm")
    step = (height - head) / len(panels)
    for number, panel in enumerate(panels):
        top = head + number * step + 26
        box = (left, top, width - right, head + (number + 1) * step - 26)
        _draw_panel(pen, panel, seconds, nobody, box)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(small)


def _draw_panel(
    pen: ImageDraw.ImageDraw,
    panel: Panel,
    seconds: NDArray[np.float64],
    nobody: NDArray[np.bool_],
    box: tuple[float, float, float, float],
) -> None:
    left, top, right, bottom = (side * SUPERSAMPLING for side in box)
    end = float(seconds[-1]) if len(seconds) and seconds[-1] > 0 else 1.0
    x = left + seconds / end * (right - left)
    half = (x[1] - x[0]) / 2 if len(x) > 1 else (right - left) / 2
    for place in x[nobody]:
        edges = max(left, place - half), min(right, place + half)
        pen.rectangle((edges[0], top, edges[1], bottom), fill=GAP)
    for value, spelled in (
        (0.0, "0"),
        (panel.top / 2, ""),
        (panel.top, f"{panel.top:.3g}"),
    ):
        y = bottom - value / panel.top * (bottom - top)
        pen.line((left, y, right, y), FAINT, SUPERSAMPLING)
        pen.text((left - 8 * SUPERSAMPLING, y), spelled, INK, _font(12), anchor="rm")
    tick = _round_step(end / 8)
    for second in np.arange(0, end + tick / 100, tick):
        place = left + second / end * (right - left)
        pen.line((place, bottom, place, bottom + 4 * SUPERSAMPLING), INK, SUPERSAMPLING)
        pen.text(
            (place, bottom + 13 * SUPERSAMPLING),
            f"{second:g} s",
            INK,
            _font(11),
            anchor="mm",
        )
    pen.text((left, top - 12 * SUPERSAMPLING), panel.title, INK, _font(13), anchor="lm")
    label = right
    for curve in panel.curves:
        pen.text(
            (label, top - 12 * SUPERSAMPLING),
            curve.name,
            curve.colour,
            _font(13),
            anchor="rm",
        )
        label -= 60 * SUPERSAMPLING
        heights = bottom - np.clip(curve.values / panel.top, 0, 1) * (bottom - top)
        _draw_line(pen, x, heights, curve.colour)


def _draw_line(
    pen: ImageDraw.ImageDraw,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    colour: tuple[int, int, int],
) -> None:
    """A line through the points, broken where there is none."""
    known = np.isfinite(y)
    breaks = np.flatnonzero(~known)
    for run in np.split(np.arange(len(x)), breaks):
        run = run[known[run]]
        if len(run) > 1:
            places = list(zip(x[run].tolist(), y[run].tolist(), strict=True))
            pen.line(places, colour, 2 * SUPERSAMPLING, joint="curve")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SUPERSAMPLING)


def _round_step(step: float) -> float:
    """The next of 1, 2, 5, 10, ... (and their tenths) that is at least `step`."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(
        next(each * power for each in (1, 2, 5, 10) if each * power >= step * 0.999)
    )
