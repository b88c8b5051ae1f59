"""Quality of the preset `tiny` on people and dances that it hasn't seen.

    python tests/benchmarks/tiny_quality.py --first-seed 850000 --characters 16

Each person dances 24 frames with true keypoints; the reference shows another moment.
Figures, means over people, beside those of copying the reference and of the cutout
renderer:

psnr_db, figure_psnr_db, ssim: against the true frames; the second inside the true figure,
    grown by 4 pixels.
pose_error_percent_height: how far BlazePose finds shoulders, elbows, wrists, hips, knees
    and ankles from where they were asked for, in percent of the picture's height, over the
    joints that it finds there, and that it finds in the true frame too (within 5 %): it
    loses some drawn people, from behind or cut off, whoever draws them.
    pose_error_all_* leaves the second condition out, and truth_pose_error_all_* is the same
    of the true frames. pose_error_median_* is that of the middle one of all people: one
    in whom it takes left for right weighs as much as ten others. pose_found is the share of
    frames in which it finds anybody.
flicker: mean absolute difference of neighbouring frames where neither has the figure, in
    levels of 255, less that of the true frames.
change_error: mean absolute difference of the change from frame to frame from the true
    change, in levels of 255.
sharpness: gradient energy inside the figure as a share of the true frames'.
cutout_made: the share of people in whom cutout finds a figure; its figures are of these.
frames_per_second: rendering, all counted. wrong_reference_*: with the reference, and its
    keypoints, of another person; everything else as rendered.

--without leaves something out, and then tiny's own figures are all there are: `reference`,
a grey picture without keypoints; `pose`, no keypoints in any frame; `motion-modules`.

The last line is one JSON object. Seeds from 900000 on are for final figures only.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.detectors.blazepose.tracker import BlazePose
from animcli.pose.keypoints import BODY, KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset, load_preset
from animcli.rendering.animate_anyone import AnimateAnyone, AnimateAnyoneConfig
from animcli.rendering.cutout.renderer import Cutout
from animcli.rendering.renderer import Renderer, RenderRequest
from animcli.synthetic.scene import Scene
from animcli.video.images import write_picture
from animcli.video.ssim import ssim
from animcli.weights.store import WeightsStore, default_root

Frames = NDArray[np.uint8]
Distances = NDArray[np.floating]

FRAMES, SIDE, RATE = 24, 256, Fraction(24)
REFERENCE_AT = 10.0  # seconds; the dance is shown from its beginning
LIMBS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
GROWN = 4  # pixels
SURE = 5.0  # percent of the height


@dataclass(frozen=True, eq=False)
class Dancer:
    """One person: frames (f, h, w, 3), where the figure is (f, h, w), and a reference."""

    truth: Frames
    masks: NDArray[np.bool_]
    motion: PoseSequence
    reference: NDArray[np.uint8]
    reference_pose: PoseSequence

    @classmethod
    def from_seed(cls, seed: int) -> "Dancer":
        scene = Scene.from_seed(seed)
        drawn = list(scene.drawings(FRAMES, (SIDE, SIDE)))
        still = next(scene.drawings(1, (SIDE, SIDE), start=REFERENCE_AT))
        return cls(
            truth=np.stack([each.picture for each in drawn]),
            masks=np.stack([grown(each.mask) for each in drawn]),
            motion=sequence(np.stack([each.keypoints for each in drawn])),
            reference=still.picture,
            reference_pose=sequence(still.keypoints[None]),
        )


def grown(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the figure is, and `GROWN` pixels around it."""
    reach = np.ones((2 * GROWN + 1, 2 * GROWN + 1), np.uint8)
    return np.asarray(cv2.dilate(mask, reach) > 127)


def sequence(keypoints: NDArray[np.floating]) -> PoseSequence:
    """True joints (f, 18, 2) in pixels; those outside the picture weren't seen."""
    points = np.zeros((len(keypoints), KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(keypoints), KEYPOINTS), np.float32)
    points[:, BODY] = keypoints
    scores[:, BODY] = ((keypoints > 0) & (keypoints < SIDE)).all(axis=-1)
    ticks, base = even_ticks(len(keypoints), RATE)
    return PoseSequence(points, scores, ticks, base, (SIDE, SIDE))


class Forgetful:
    """Keeps nothing: a benchmark isn't stopped half-way."""

    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        return None


def render(renderer: Renderer, preset: Preset, shown: Dancer, asked: Dancer,
           weights: dict[str, Path]) -> Frames:  # fmt: skip
    """The person of `shown` in the motion of `asked`."""
    request = RenderRequest(
        shown.reference, None, shown.reference_pose, asked.motion, None, FRAMES,
        size=(SIDE, SIDE), preset=preset, weights=weights, device="cpu",
    )  # fmt: skip
    frames = renderer.prepare(request, Forgetful(), lambda *_: None)
    return np.stack(list(frames(range(FRAMES))))


def found_away(frames: Frames, motion: PoseSequence, finder: BlazePose) -> Distances:
    """How far from where it was asked for each limb joint is found, (f, 12), in percent of
    the picture's height. NaN where it isn't found or wasn't asked for; a row of infinity
    where nobody is.
    """
    finder.reset()
    away = np.full((len(frames), len(LIMBS)), np.nan)
    for row, frame, points, seen in zip(
        away, frames, motion.points, motion.visible, strict=True
    ):
        detection = finder.detect(frame)
        if detection is None:
            row[:] = np.inf
            continue
        for place, joint in enumerate(LIMBS):
            if seen[joint] and detection.scores[joint] > 0.5:
                distance = np.hypot(*(detection.points[joint] - points[joint]))
                row[place] = 100 * distance / SIDE
    return away


def figures_of(
    made: Frames, dancer: Dancer, finder: BlazePose, true_away: Distances
) -> dict[str, float]:
    """What the frames are worth. true_away: what `found_away` says of the true ones."""
    error = (made.astype(np.float64) - dancer.truth) ** 2
    whole = error.mean(axis=(1, 2, 3))
    inside = [part[mask].mean() for part, mask in zip(error, dancer.masks, strict=True)]
    alike = [ssim(*pair) for pair in zip(made, dancer.truth, strict=True)]
    away = found_away(made, dancer.motion, finder)
    known = np.isfinite(away)
    surely = known & (true_away < SURE)
    return {
        "psnr_db": decibels(whole),
        "figure_psnr_db": decibels(np.array(inside)),
        "ssim": float(np.mean(alike)),
        "pose_error_percent_height": mean_of(away[surely]),
        "pose_error_all_percent_height": mean_of(away[known]),
        "pose_found": 1 - float(np.isinf(away).all(axis=1).mean()),
        "flicker": unrest(made, dancer.masks) - unrest(dancer.truth, dancer.masks),
        "change_error": change_error(made, dancer.truth),
        "sharpness": energy(made, dancer.masks) / energy(dancer.truth, dancer.masks),
    }


def mean_of(values: NDArray[np.floating]) -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def decibels(squared: NDArray[np.floating]) -> float:
    """Mean over frames of the PSNR of squared errors in levels."""
    return float((10 * np.log10(255**2 / np.maximum(squared, 1e-6))).mean())


def unrest(frames: Frames, masks: NDArray[np.bool_]) -> float:
    """Mean absolute difference of neighbouring frames, in levels, off the figure."""
    parts = [
        np.abs(later.astype(np.int16) - now)[~(here | there)].mean()
        for (now, later), (here, there) in zip(
            pairwise(frames), pairwise(masks), strict=True
        )
        if not (here | there).all()
    ]
    return float(np.mean(parts))


def change_error(made: Frames, truth: Frames) -> float:
    """Mean absolute error of the change from frame to frame, in levels."""
    changes = (np.diff(each.astype(np.int16), axis=0) for each in (made, truth))
    return float(np.abs(next(changes) - next(changes)).mean())


def energy(frames: Frames, masks: NDArray[np.bool_]) -> float:
    """Mean squared gradient of the luminance inside the figure."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64) for frame in frames]
    squared = [dx**2 + dy**2 for dy, dx in map(np.gradient, grey)]
    inside = [part[mask].mean() for part, mask in zip(squared, masks, strict=True)]
    return float(np.mean(inside))


def without(what: str | None, dancer: Dancer) -> tuple[Dancer, Dancer]:
    """Who is shown and in whose motion, with something left out."""

    def unseen(pose: PoseSequence) -> PoseSequence:
        return replace(pose, scores=np.zeros_like(pose.scores))

    grey = np.full_like(dancer.reference, 128)
    nobody = replace(dancer, reference=grey, reference_pose=unseen(dancer.reference_pose))
    still = replace(dancer, motion=unseen(dancer.motion))
    return nobody if what == "reference" else dancer, still if what == "pose" else dancer


def open_tiny(folder: Path, *, motion: bool) -> AnimateAnyone:
    """The renderer of the weights in a folder, with or without their motion modules."""
    config = AnimateAnyoneConfig.read(folder)
    if not motion:
        config = replace(config, unet=replace(config.unet, motion=None))
    return AnimateAnyone(config, "tiny")


def main() -> None:
    """Print a line per person, then the means as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--characters", type=int, default=16)
    parser.add_argument("--steps", type=int, help="else those of the preset")
    parser.add_argument("--guidance", type=float, help="else that of the preset")
    parser.add_argument("--weights", type=Path, help="a folder; else the weights store")
    parser.add_argument("--without", choices=("reference", "pose", "motion-modules"))
    parser.add_argument("--sheet", type=Path, help="a PNG to look at")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))

    store = WeightsStore(default_root(os.environ))
    kept = {name: store.ensure(name) for name in load_preset("cutout").weights}
    finder = BlazePose(store.ensure("blazepose"), hands=False, face=False)
    folder = args.weights or store.ensure("tiny")
    tiny = load_preset("tiny")
    tiny = replace(tiny, steps=args.steps or tiny.steps)
    tiny = replace(tiny, guidance=args.guidance or tiny.guidance)
    renderer = open_tiny(folder, motion=args.without != "motion-modules")
    cutout = Preset("cutout", width=SIDE, height=SIDE)
    dancers = [
        Dancer.from_seed(args.first_seed + number) for number in range(args.characters)
    ]
    rows: list[dict[str, float]] = []
    sheet: list[NDArray[np.uint8]] = []
    for number, dancer in enumerate(dancers):
        began = time.perf_counter()
        given, asked = without(args.without, dancer)
        made = render(renderer, tiny, given, asked, {"tiny": folder})
        seconds = time.perf_counter() - began
        true_away = found_away(dancer.truth, dancer.motion, finder)
        row = figures_of(made, dancer, finder, true_away)
        row["truth_pose_error_all_percent_height"] = mean_of(
            true_away[np.isfinite(true_away)]
        )
        row["frames_per_second"] = FRAMES / seconds
        rows.append(row)
        error = row["pose_error_percent_height"]
        told = f"{row['psnr_db']:.2f} dB, joints {error:.1f} % off"
        print(args.first_seed + number, told, flush=True)
        if args.without:
            continue
        other = dancers[(number + 1) % len(dancers)]
        wrong = figures_of(
            render(renderer, tiny, other, dancer, {"tiny": folder}),
            dancer,
            finder,
            true_away,
        )
        try:
            bent = render(Cutout(), cutout, dancer, dancer, kept)
        except InputError:  # it finds no figure in some drawings
            bent = None
        row["cutout_made"] = float(bent is not None)
        still = np.repeat(dancer.reference[None], FRAMES, axis=0)
        for name, frames in (("copy_reference", still), ("cutout", bent)):
            if frames is None:
                row |= dict.fromkeys((f"{name}_{key}" for key in wrong), np.nan)
                continue
            found = figures_of(frames, dancer, finder, true_away)
            row |= {f"{name}_{key}": value for key, value in found.items()}
        for key in ("psnr_db", "figure_psnr_db"):
            row[f"wrong_reference_{key}"] = wrong[key]
        if number < 8:
            moments = (0, 8, 16)
            shown = (dancer.truth, made, still if bent is None else bent)
            strips = [[each[m] for m in moments] for each in shown]
            sheet.append(
                np.concatenate([dancer.reference, *(p for s in strips for p in s)], axis=1)
            )
    if args.sheet and sheet:
        write_picture(args.sheet, np.concatenate(sheet))
    means: dict[str, float | None] = {}
    for key in rows[0]:
        known = [row[key] for row in rows if not np.isnan(row[key])]
        means[key] = round(float(np.mean(known)), 4) if known else None
    errors = [row["pose_error_percent_height"] for row in rows]
    middle = round(float(np.nanmedian(errors)), 4)
    means["pose_error_median_percent_height"] = None if np.isnan(middle) else middle
    asked_for = {"first_seed": args.first_seed, "characters": len(rows)}
    print(json.dumps(asked_for | {"without": args.without} | means))


if __name__ == "__main__":
    main()
