"""Curves over time as inline SVG.

A curve stretches to the width that there is, so its labels are text of the page and not of
the drawing, and lines keep their width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from animcli.metrics.verdict import BadSpan

WIDTH: Final = 600
HEIGHT: Final = 100
HEADROOM: Final = 1.08


@dataclass(frozen=True)
class Series:
    """A line: a value for each frame, None where there is none."""

    name: str
    values: Sequence[float | None]


def curve(
    series: Sequence[Series],
    label: str,
    *,
    floor: float | None = None,
    marks: Sequence[int] = (),
    spans: Sequence[BadSpan] = (),
    seconds: float = 0.0,
) -> tuple[str, float, float]:
    """The drawing, and the values at its bottom and top.

    label: what it shows, for those who don't see it. floor: a level to compare with, drawn
    dashed. marks: frames to mark by a vertical line. spans: seconds to shade.
    """
    known = [v for each in series for v in each.values if v is not None]
    levels = known + ([] if floor is None else [floor])
    low, high = (min(levels), max(levels)) if levels else (0.0, 1.0)
    bottom = 0.0 if low >= 0 and low < 0.6 * high else low - 0.1 * (high - low)
    top = bottom + max(HEADROOM * (high - bottom), 1e-9)
    frames = max((len(each.values) for each in series), default=1)

    def x(frame: float) -> float:
        return round(WIDTH * frame / max(frames - 1, 1), 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (value - bottom) / (top - bottom)), 1)

    parts = []
    for start, stop in spans:
        left = WIDTH * start / seconds if seconds else 0
        width = max(WIDTH * (stop - start) / seconds if seconds else 0, 2)
        parts.append(
            f'<rect class="span" x="{left:.1f}" y="0" width="{width:.1f}" '
            f'height="{HEIGHT}"/>'
        )
    for frame in marks:
        parts.append(f'<path class="mark" d="M{x(frame)} 0V{HEIGHT}"/>')
    if floor is not None:
        parts.append(f'<path class="floor" d="M0 {y(floor)}H{WIDTH}"/>')
    for number, each in enumerate(series):
        path = _path(each.values, x, y)
        parts.append(f'<path class="line s{number}" d="{path}"/>')
    drawing = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
    return drawing, bottom, top


def _path(
    values: Sequence[float | None],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """Lines through neighbouring values; a value alone is a dot."""
    path, joined = [], False
    for frame, value in enumerate(values):
        if value is None or np.isnan(value):
            joined = False
            continue
        path.append(f"{'L' if joined else 'M'}{x(frame)} {y(value)}")
        alone = not joined and (frame + 1 >= len(values) or values[frame + 1] is None)
        if alone:
            path.append("h0.01")
        joined = True
    return "".join(path)
