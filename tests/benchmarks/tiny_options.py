"""What each choice for speed costs a picture, and gains, on the preset `tiny`.

    python tests/benchmarks/tiny_options.py --first-seed 850000 --characters 2

Each variant renders the same people in the same dances of 16 frames (one window) with true
keypoints:

to_own_db: PSNR to the same preset without the choice: what the choice changes.
psnr_db, change_error, sharpness: against the true frames, as in tiny_quality.py.
seconds: of CPU time for the clip. share: of that of the preset without the choice.

A preview is judged by its PSNR to the finished frames at its own size, step by step.
Prints each variant of each person, then two tables, means over people.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tiny_quality import Dancer, Forgetful, Frames, decibels
from tiny_sampling import against_truth, dance, psnr, render

from animcli.presets import Preset, load_preset
from animcli.rendering.cutout.renderer import Cutout
from animcli.rendering.preview import kept_pictures
from animcli.rendering.renderer import FrameFn, RenderRequest, spread
from animcli.rendering.vae import VAE_SCALE
from animcli.weights.store import WeightsStore, default_root

FRAMES = 16
GUIDED = {"guidance": 2.0}
DEEP = {"deep_interval": 2, "deep_branch": 1}  # all layers at the full size every time
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "as it is (lcm, 8 steps)": ({}, {}, ""),
    "deep features anew every 2nd step": (DEEP, {}, ""),
    "deep features anew every 4th step": (
        DEEP | {"deep_interval": 4}, {}, "",
    ),
    "guidance 2": (GUIDED, GUIDED, ""),
    "guidance 2, unconditional half every 2nd step": (
        GUIDED | {"guidance_interval": 2}, GUIDED, "",
    ),
    "guidance 2, both every 2nd step": (
        GUIDED | DEEP | {"guidance_interval": 2}, GUIDED, "",
    ),
    "lcm, 4 steps": ({"steps": 4}, {}, ""),
    "lcm, 6 steps": ({"steps": 6}, {}, ""),
    "ddim, 8 steps": ({"sampler": "ddim"}, {}, ""),
    "from cutout, strength 0.25": ({"strength": 0.25}, {}, "cutout"),
    "from cutout, strength 0.5": ({"strength": 0.5}, {}, "cutout"),
    "from cutout, strength 0.75": ({"strength": 0.75}, {}, "cutout"),
    "from its own frames, strength 0.5": ({"strength": 0.5}, {}, "own"),
}  # fmt: skip
"""Name -> the choice, what it is compared with, and the frames that it starts from."""


class Watching(Forgetful):
    """Keeps the preview of each step."""

    def __init__(self) -> None:
        self.seen: list[list[NDArray[np.uint8]]] = []

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.seen.append(kept_pictures(arrays))


def of(frames: Frames) -> FrameFn:
    return lambda span: iter(frames[span.start : span.stop])


def cut_out(dancer: Dancer, size: tuple[int, int], kept: dict[str, Path]) -> Frames:
    """The frames of the cutout renderer; InputError where it finds no figure."""
    request = RenderRequest(
        dancer.reference, None, dancer.reference_pose, dancer.motion, None,
        len(dancer.truth), size=size, weights=kept, device="cpu",
        preset=Preset("cutout", width=size[0], height=size[1]),
    )  # fmt: skip
    source = Cutout().prepare(request, Forgetful(), lambda *_: None)
    return np.stack(list(source(range(len(dancer.truth)))))


def figures(
    made: Frames, own: Frames, dancer: Dancer, seconds: float, whole: float
) -> dict[str, float]:
    """Figures of a variant for one person; own: without the choice, in `whole` seconds."""
    return {
        "to_own_db": psnr(made, own) if (made != own).any() else float("nan"),
        **against_truth(made, dancer),
        "seconds": seconds,
        "share": seconds / whole,
    }


def preview_db(seen: list[list[NDArray[np.uint8]]], made: Frames) -> list[float]:
    """PSNR of each step's preview to the finished frames, at the size of the preview."""
    chosen = made[spread(len(made))].astype(np.float64)
    count, height, width, _ = chosen.shape
    rows, columns = height // VAE_SCALE, width // VAE_SCALE
    small = chosen.reshape(count, rows, VAE_SCALE, columns, VAE_SCALE, 3).mean(axis=(2, 4))
    return [
        decibels(((np.stack(shown).astype(np.float64) - small) ** 2).mean(axis=(1, 2, 3)))
        for shown in seen
    ]


def measured(
    dancer: Dancer, usual: Preset, folder: Path, kept: dict[str, Path]
) -> tuple[dict[str, dict[str, float]], list[float]]:
    """Figures of each variant for one person, and those of the preview."""
    watching = Watching()
    starts: dict[str, FrameFn | None] = {
        "": None,
        "own": of(render(dancer, usual, folder, watching)[0]),
    }
    starts["cutout"] = of(cut_out(dancer, (usual.width, usual.height), kept))
    plain: dict[str, tuple[Frames, float]] = {}
    found = {}
    for name, (changes, base, start) in VARIANTS.items():
        key = str(base)
        if key not in plain:
            plain[key] = render(dancer, replace(usual, **base), folder)
        own, whole = plain[key]
        if changes == base and not start:
            made, seconds = own, whole
        else:
            preset = replace(usual, **changes)
            made, seconds = render(dancer, preset, folder, start=starts[start])
        found[name] = figures(made, own, dancer, seconds, whole)
        print(name, found[name], flush=True)
    own = plain[str({})][0]
    return found, preview_db(watching.seen, own)


def main() -> None:
    """Print a table of the variants and one of the preview."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=850_000)
    parser.add_argument("--characters", type=int, default=2)
    parser.add_argument("--weights", type=Path, help="a folder; else the weights store")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    store = WeightsStore(default_root(os.environ))
    kept = {name: store.ensure(name) for name in load_preset("cutout").weights}
    folder, usual = args.weights or store.ensure("tiny"), load_preset("tiny")
    rows: list[dict[str, dict[str, float]]] = []
    previews: list[list[float]] = []
    for number in range(args.characters):
        dancer = dance(args.first_seed + number, FRAMES)
        found, preview = measured(dancer, usual, folder, kept)
        rows.append(found)
        previews.append(preview)
        print(args.first_seed + number, preview, flush=True)
    keys = list(rows[0]["as it is (lcm, 8 steps)"])
    print(f"| | {' | '.join(keys)} |\n|---|{'---|' * len(keys)}")
    for name in VARIANTS:
        means = [float(np.mean([row[name][key] for row in rows])) for key in keys]
        cells = ["" if np.isnan(mean) else f"{mean:.3g}" for mean in means]
        print(f"| {name} | {' | '.join(cells)} |")
    steps = np.mean(previews, axis=0)
    print("| step |" + "".join(f" {step + 1} |" for step in range(len(steps))))
    print("| preview, dB |" + "".join(f" {mean:.1f} |" for mean in steps))


if __name__ == "__main__":
    main()
