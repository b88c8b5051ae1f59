"""Pictures of a training stage: its curve, and a sheet of the newest evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from animcli.files import atomic_path
from animcli.training.denoising import to_bytes
from animcli.training.trainer import Curve, Evaluation
from animcli.video.images import write_picture

SHEET_SAMPLES: Final = 8  # samples on a sheet
PANELS: Final = ("loss", "psnr", "ssim")


def write_report(folder: Path, curve: Curve, found: Evaluation) -> None:
    """Write `sheet.png` and `curve.png`."""
    rows = [
        np.concatenate(list(to_bytes(row[:SHEET_SAMPLES])), axis=1) for row in found.rows
    ]
    with atomic_path(folder / "sheet.png") as part:
        write_picture(part, np.concatenate(rows, axis=0))
    with atomic_path(folder / "curve.png") as part:
        plot_curve(curve, part)


def plot_curve(curve: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot the loss and each kind of figure over samples, one panel below the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {name: lines for name in PANELS if (lines := lines_of(curve, name))}
    figure = Figure(figsize=(9, 2.6 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0]
    samples = [row["samples"] for row in curve]
    for axes, (name, lines) in zip(all_axes, panels.items(), strict=True):
        for line in lines:
            axes.plot(samples, [row.get(line, np.nan) for row in curve], label=line)
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    all_axes[-1].set_xlabel("samples")
    figure.savefig(path, format="png", dpi=100)


def lines_of(curve: Sequence[Mapping[str, float]], name: str) -> list[str]:
    """Figures of a kind, such as `psnr_1` and `psnr_8`."""
    return [line for line in curve[-1] if line == name or line.startswith(f"{name}_")]
