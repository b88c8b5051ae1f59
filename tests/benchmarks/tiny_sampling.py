"""Samplers, guidance, windows and noise of a diffusion render, on the preset `tiny`.

    python tests/benchmarks/tiny_sampling.py --first-seed 850000 --characters 4
    python tests/benchmarks/tiny_sampling.py --sections windows --frames 240

Each variant renders the same people in the same dances with true keypoints:

to_30_db: PSNR to the same noise denoised in 30 steps of DDIM: what the variant changes.
psnr_db, change_error, sharpness: against the true frames, as in tiny_quality.py.
seam: mean error of the change from frame to frame at the borders of windows against that
    elsewhere; 1 is a border that nobody sees.
seconds: of CPU time for the clip, beside the variant.

The last line is one JSON object: section -> variant -> figures, means over people.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tiny_quality import (
    RATE,
    REFERENCE_AT,
    SIDE,
    Dancer,
    Forgetful,
    Frames,
    change_error,
    decibels,
    energy,
    grown,
    open_tiny,
    sequence,
)

from animcli.presets import Preset, load_preset
from animcli.rendering.context import context_windows
from animcli.rendering.renderer import FrameFn, RenderRequest
from animcli.synthetic.scene import Scene
from animcli.weights.store import WeightsStore, default_root

SAMPLERS = ("ddim", "dpmpp-2m", "unipc", "euler", "lcm")
STEPS = (2, 4, 8, 12, 20, 30)


def variants(usual: Preset) -> dict[str, dict[str, Preset]]:
    """Section -> name of a variant -> its preset."""
    return {
        "samplers": {
            f"{sampler} {steps}": replace(usual, sampler=sampler, steps=steps)
            for sampler in SAMPLERS
            for steps in STEPS
        }
        | {"ddim 1": replace(usual, sampler="ddim", steps=1)},
        "guidance": {
            f"{scale:g} in {start:g}..{stop:g}": replace(
                usual, guidance=scale, guidance_start=start, guidance_stop=stop
            )
            for scale in (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
            for start, stop in ((0.0, 1.0), (0.0, 0.5), (0.25, 1.0))
            if scale > 1 or (start, stop) == (0.0, 1.0)
        },
        "windows": {
            f"{way} overlap {overlap}": replace(usual, windows=way, overlap=overlap)
            for way in ("uniform", "moving")
            for overlap in (0, 2, 4, 6, 8)
        },
        "noise": {
            "independent": replace(usual, noise="independent"),
            "shared": replace(usual, noise="shared"),
            "tiled": replace(usual, noise="tiled"),
        },
        "keyframes": {
            f"every {spacing} {filling}": replace(
                usual, keyframe_interval=spacing, interpolation=filling
            )
            for spacing in (1, 2, 3, 4)
            for filling in ("linear", "spherical")
            if spacing > 1 or filling == "linear"
        },
    }  # fmt: skip


def dance(seed: int, frames: int) -> Dancer:
    """The person of this seed in `frames` frames from the beginning of its dance."""
    scene = Scene.from_seed(seed)
    drawn = list(scene.drawings(frames, (SIDE, SIDE), rate=float(RATE)))
    still = next(scene.drawings(1, (SIDE, SIDE), start=REFERENCE_AT))
    return Dancer(
        truth=np.stack([each.picture for each in drawn]),
        masks=np.stack([grown(each.mask) for each in drawn]),
        motion=sequence(np.stack([each.keypoints for each in drawn])),
        reference=still.picture,
        reference_pose=sequence(still.keypoints[None]),
    )


def render(
    dancer: Dancer,
    preset: Preset,
    folder: Path,
    checkpoint: Forgetful | None = None,
    start: FrameFn | None = None,
) -> tuple[Frames, float]:
    """Frames, and the seconds of CPU time that they took."""
    request = RenderRequest(
        dancer.reference,
        None,
        dancer.reference_pose,
        dancer.motion,
        None,
        len(dancer.truth),
        size=(SIDE, SIDE),
        preset=preset,
        weights={"tiny": folder},
        device="cpu",
        start=start,
    )
    began = time.process_time()
    source = open_tiny(folder, motion=True).prepare(
        request, checkpoint or Forgetful(), lambda *_: None
    )
    frames = np.stack(list(source(range(len(dancer.truth)))))
    return frames, time.process_time() - began


def seam(made: Frames, truth: Frames, preset: Preset) -> float:
    """Error of the change at the borders of the last step's windows against elsewhere."""
    frames = len(made)
    change = np.diff(made.astype(np.int16), axis=0) - np.diff(
        truth.astype(np.int16), axis=0
    )
    steps = np.abs(change).mean(axis=(1, 2, 3))
    there = set()
    for window in context_windows(preset, frames)(preset.steps - 1):
        listed = set(window.frames)
        there |= {i - 1 for i in range(1, frames) if (i in listed) != (i - 1 in listed)}
    if not there or len(there) == len(steps):
        return float("nan")
    border = np.isin(np.arange(len(steps)), sorted(there))
    return float(steps[border].mean() / steps[~border].mean())


def psnr(made: Frames, other: Frames) -> float:
    """Mean PSNR of frames to others."""
    return decibels(((made.astype(np.float64) - other) ** 2).mean(axis=(1, 2, 3)))


def against_truth(made: Frames, dancer: Dancer) -> dict[str, float]:
    """Figures of frames against the true ones."""
    return {
        "psnr_db": psnr(made, dancer.truth),
        "change_error": change_error(made, dancer.truth),
        "sharpness": energy(made, dancer.masks) / energy(dancer.truth, dancer.masks),
    }


def figures(
    made: Frames, seconds: float, dancer: Dancer, preset: Preset, full: Frames
) -> dict[str, float]:
    """Figures of one variant for one person; full: the frames of 30 steps."""
    return {
        "to_30_db": psnr(made, full),
        **against_truth(made, dancer),
        "seam": seam(made, dancer.truth, preset),
        "seconds": seconds,
    }


def measured(
    names: list[str], dancers: list[Dancer], folder: Path
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Section, variant, and its figures, means over people."""
    usual = load_preset("tiny")
    full = replace(usual, sampler="ddim", steps=30)
    whole = [render(dancer, full, folder)[0] for dancer in dancers]
    for section, presets in variants(usual).items():
        for name, preset in presets.items() if section in names else ():
            rows = [
                figures(*render(dancer, preset, folder), dancer, preset, frames)
                for dancer, frames in zip(dancers, whole, strict=True)
            ]
            yield (
                section,
                name,
                {
                    key: round(float(np.nanmean([row[key] for row in rows])), 3)
                    if any(row[key] == row[key] for row in rows)
                    else float("nan")
                    for key in rows[0]
                },
            )


def main() -> None:
    """Print a line per variant, then all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=850_000)
    parser.add_argument("--characters", type=int, default=4)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--sections", nargs="*", default=list(variants(Preset("tiny"))))
    parser.add_argument("--weights", type=Path, help="a folder; else the weights store")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    folder = args.weights or WeightsStore(default_root(os.environ)).ensure("tiny")
    seeds = range(args.first_seed, args.first_seed + args.characters)
    dancers = [dance(seed, args.frames) for seed in seeds]
    result: dict[str, dict[str, dict[str, float]]] = {}
    for section, name, found in measured(args.sections, dancers, folder):
        result.setdefault(section, {})[name] = found
        print(f"{section:10} {name:22} {found}", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
