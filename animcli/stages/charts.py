"""Pictures to look at a motion by: a contact sheet, and curves over time."""

from collections.abc import Sequence
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


def pose_curves(sequence: PoseSequence, title: str) -> NDArray[np.uint8]:
    """Curves of confidence, visible keypoints and speed, over time.

    Frames in which nobody was found are shaded. `(720, 1200, 3)` uint8 RGB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ticks = sequence.ticks - sequence.ticks[:1]
    seconds = ticks.astype(np.float64) * float(sequence.time_base)
    visible = sequence.visible[:, BODY]
    hands = np.concatenate(
        [sequence.scores[:, LEFT_HAND], sequence.scores[:, RIGHT_HAND]], 1
    )
    figure = Figure(figsize=(12, 7.2), dpi=100, layout="constrained", facecolor=_of(PAPER))
    canvas = FigureCanvasAgg(figure)
    confidence, seen, speed = figure.subplots(3, sharex=True)
    confidence.set(title="confidence (mean of the keypoints)", ylim=(0, 1))
    for name, colour, scores in (
        ("body", BLUE, sequence.scores[:, BODY]),
        ("hands", ORANGE, hands),
        ("face", GREEN, sequence.scores[:, FACE]),
    ):
        confidence.plot(seconds, scores.mean(axis=1), color=_of(colour), label=name)
    confidence.legend(loc="lower right", ncols=3, frameon=False)
    seen.set(title="keypoints of the body that are seen, of 18", ylim=(0, 18.5))
    seen.plot(seconds, visible.sum(axis=1), color=_of(BLUE))
    speed.set(title="speed (mean of the body's keypoints, figure heights a second)")
    speed.plot(seconds, body_speed(sequence), color=_of(BLUE))
    end = float(seconds[-1]) if len(seconds) and seconds[-1] > 0 else 1.0
    speed.set(xlabel="seconds", xlim=(0, end), ylim=(0, max(0.5, speed.get_ylim()[1])))
    half = seconds[1] / 2 if len(seconds) > 1 else end / 2
    for axes in (confidence, seen, speed):
        axes.grid(color=_of(FAINT))
        axes.set_axisbelow(True)
        for second in seconds[np.logical_not(visible.any(axis=1))]:
            axes.axvspan(second - half, second + half, color=_of(GAP), linewidth=0)
    figure.suptitle(title)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return np.asarray(drawn)[..., :3].copy()


def _of(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


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
