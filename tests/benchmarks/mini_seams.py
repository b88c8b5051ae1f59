"""How much the windows of the embedded model show in a long clip, with the trained network.

    python tests/benchmarks/mini_seams.py --first-seed 850000 --characters 2 --frames 480

Each person dances with true joints, rendered once for each way to cut windows. A step is
how far the change from one frame to the next is from the true one, in levels of 255; the
figure of a way is the mean step at its borders against that elsewhere: 1 is a border that
nobody sees. PSNR against the true frames says what the way costs. --sheet shows the frames
around the most visible border.

The last line is one JSON object.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from mini_quality import RATE, REFERENCE_AT, SIDE, Forgetful, Frames, decibels, sequence

from animcli.characters.clip import Scene
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset, load_preset
from animcli.rendering.mini import Mini
from animcli.rendering.renderer import RenderRequest
from animcli.rendering.windows import windows_of
from animcli.video.picture import write_picture
from animcli.weights.store import WeightsStore, default_root


def dance(seed: int, frames: int) -> tuple[Frames, PoseSequence, Frames, PoseSequence]:
    """True frames, their joints, a reference, its joints."""
    scene = Scene.from_seed(seed)
    pictures, joints = [], []
    for drawn in scene.drawings(frames, (SIDE, SIDE), rate=RATE):
        pictures.append(drawn.picture)
        joints.append(drawn.joints)
    still = next(scene.drawings(1, (SIDE, SIDE), start=REFERENCE_AT))
    reference_pose = sequence(still.joints[None])
    return np.stack(pictures), sequence(np.stack(joints)), still.picture, reference_pose


def borders(preset: Preset, frames: int) -> set[int]:
    """Frames before which some window of the last step begins or ends."""
    found = set()
    for window in windows_of(preset, frames)(preset.steps - 1):
        listed = set(window.frames)
        found |= {i for i in range(1, frames) if (i in listed) != (i - 1 in listed)}
    return found


def main() -> None:
    """Print a line per person and way, then the means as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=850_000)
    parser.add_argument("--characters", type=int, default=2)
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--overlap", type=int, default=4)
    parser.add_argument("--steps", type=int, help="else those of the preset")
    parser.add_argument("--sheet", type=Path, help="a PNG to look at")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    weights = {"mini": WeightsStore(default_root(os.environ)).ensure("mini")}
    usual = load_preset("mini")
    usual = replace(usual, steps=args.steps or usual.steps)
    ways = {
        "apart": replace(usual, windows="uniform", overlap=0),
        "uniform": replace(usual, windows="uniform", overlap=args.overlap),
        "moving": replace(usual, windows="moving", overlap=args.overlap),
    }
    figures: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    strips = []
    for seed in range(args.first_seed, args.first_seed + args.characters):
        truth, motion, reference, pose = dance(seed, args.frames)
        for way, preset in ways.items():
            request = RenderRequest(
                reference, None, pose, motion, None, args.frames, (SIDE, SIDE), preset,
                weights, "cpu",
            )  # fmt: skip
            source = Mini().prepare(request, Forgetful(), lambda *_: None)
            made = np.stack(list(source(range(args.frames))))
            change = np.diff(made.astype(np.int16), axis=0)
            off = np.abs(change - np.diff(truth.astype(np.int16), axis=0))
            steps = off.mean(axis=(1, 2, 3))
            there = np.array(sorted(borders(preset, args.frames))) - 1
            elsewhere = np.delete(steps, there)
            seam = float(steps[there].mean() / elsewhere.mean())
            error = (made.astype(np.float64) - truth) ** 2
            quality = decibels(error.mean(axis=(1, 2, 3)))
            figures[way].append((seam, quality))
            print(f"{seed} {way:8} seam {seam:.3f}  {quality:.2f} dB", flush=True)
            worst = int(there[steps[there].argmax()])
            around = slice(max(worst - 1, 0), worst + 3)
            row = [*made[around], 4 * cv2.absdiff(made[worst + 1], made[worst])]
            strips.append(np.concatenate(row, axis=1))
    if args.sheet:
        write_picture(args.sheet, np.concatenate(strips))
    means = {way: np.mean(rows, axis=0).round(3).tolist() for way, rows in figures.items()}
    print(
        json.dumps(
            {f"{way}_{name}": value for way, pair in means.items()
             for name, value in zip(("seam", "psnr_db"), pair, strict=True)}
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
