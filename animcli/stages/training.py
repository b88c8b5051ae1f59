"""Checkpoints, reports and pictures of training: a curve, and a sheet of validation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from animcli.pipeline.checkpoint import FileCheckpoint
from animcli.stages.charts import BLUE, FAINT, GREEN, INK, ORANGE, PAPER
from animcli.training.loop import Judgement
from animcli.training.processes import Processes
from animcli.training.teaching import Report, School
from animcli.video.images import write_picture

SHOWN: Final = 8  # cases on a sheet
LINES: Final = (("loss", INK), ("psnr", BLUE), ("figure", ORANGE), ("ssim", GREEN))
WIDTH, HEIGHT, MARGIN = 900, 260, 50  # pixels of a panel


def open_school(report: Report, processes: Processes) -> School:
    """Checkpoints in files, charts, and reports of the first process only."""
    heard = report if processes.index == 0 else lambda what, done, of: None
    return School(FileCheckpoint, heard, show, processes)


def show(home: Path, curve: list[dict[str, float]], found: Judgement) -> None:
    """Write `curve.png`, and the newest pictures of validation as `sheet.png`."""
    rows = [np.concatenate(list(to_bytes(row[:SHOWN])), axis=1) for row in found.rows]
    _write(home / "sheet.png", np.concatenate(rows, axis=0))
    _write(home / "curve.png", draw_curve(curve))


def draw_curve(curve: Sequence[Mapping[str, float]]) -> NDArray[np.uint8]:
    """The loss, and each kind of figure, over samples: one panel below the other."""
    panels = [(name, colour) for name, colour in LINES if _named(curve, name)]
    sheet = Image.new("RGB", (WIDTH, HEIGHT * len(panels)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    samples = [row["samples"] for row in curve]
    right = WIDTH - 2 * MARGIN
    for number, (name, colour) in enumerate(panels):
        top, bottom = number * HEIGHT + MARGIN // 2, (number + 1) * HEIGHT - MARGIN // 2
        lines = {key: [row[key] for row in curve] for key in _named(curve, name)}
        low = min(min(values) for values in lines.values())
        high = max(max(values) for values in lines.values())
        span = (high - low) or 1.0
        pen.rectangle((MARGIN, top, right, bottom), outline=FAINT)
        pen.text((MARGIN - 4, top), f"{high:.3g}", INK, font, anchor="rt")
        pen.text((MARGIN - 4, bottom), f"{low:.3g}", INK, font, anchor="rb")
        last = f"{samples[-1]:.0f} samples"
        pen.text((right, bottom + 3), last, INK, font, anchor="rt")
        for key, values in lines.items():
            points = [
                (
                    MARGIN + (right - MARGIN) * x / samples[-1],
                    bottom - (bottom - top) * (y - low) / span,
                )
                for x, y in zip(samples, values, strict=True)
            ]
            pen.line(points, colour, 2)
            pen.text((points[-1][0] + 4, points[-1][1]), key, colour, font, anchor="lm")
    return np.asarray(sheet)


def to_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (b, 3, h, w) in -1..1 as (b, h, w, 3) uint8."""
    shown = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return shown.permute(0, 2, 3, 1).numpy()


def _named(curve: Sequence[Mapping[str, float]], name: str) -> list[str]:
    """The figures of a kind, such as `psnr_1` and `psnr_8`; not those of ablations."""
    return [key for key in curve[-1] if key == name or key.startswith(f"{name}_")]


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    part = path.with_name(f"part-{path.name}")
    write_picture(part, pixels)
    part.replace(path)
