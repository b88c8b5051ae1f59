"""How well the cutout renderer keeps a picture, and follows a motion.

    python tests/benchmarks/cutout_quality.py --motion dance.mp4 --sheets out a.png b.png

Each picture is fitted to the size, its joints and those of the video are found, the motion
is retargeted, and all its frames are drawn. The last line is one JSON object, picture ->

    own_pose_db           PSNR over the figure when it takes the pose it has in its picture
    joint_error_percent   distance between the target joints and those found again in the
                          frames, body joints sure in both and inside of the frame, in per
                          cent of the figure's height: mean, and 95th percentile
    detector_percent      the same between two findings in the picture itself, as it is and
                          drawn in its own pose: what the detector's own noise amounts to
    found_percent         frames in which somebody is found again
    prepare_seconds       matte, background, mesh and motion
    frames_per_second     drawing only
    background_percent    of the pixels never change, with all their neighbours
"""

import argparse
import json
import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.detectors.blazepose.tracker import DRAW_THRESHOLD, BlazePose
from animcli.pose.filtering import clean
from animcli.pose.keypoints import BODY
from animcli.pose.retarget.retarget import retarget
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.rendering.cutout.renderer import Cutout
from animcli.rendering.renderer import RenderRequest
from animcli.stages.fitting import Fit, fit_picture
from animcli.video.images import read_picture, write_picture
from animcli.video.reader import open_footage
from animcli.weights.store import WeightsStore, default_root

Pixels = NDArray[np.uint8]


class Nothing:
    """A checkpoint for a run that isn't going to be stopped."""

    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        pass


def find(detector: BlazePose, pictures: list[Pixels], still: bool) -> PoseSequence:
    """The joints in each picture; `still` pictures are each searched anew."""
    points = np.zeros((len(pictures), 134, 2), np.float32)
    scores = np.zeros((len(pictures), 134), np.float32)
    detector.reset()
    for index, picture in enumerate(pictures):
        if still:
            detector.reset()
        found = detector.detect(picture)
        if found is not None:
            points[index], scores[index] = found.points, found.scores
    ticks, base = even_ticks(len(pictures), Fraction(24))
    height, width = pictures[0].shape[:2]
    return PoseSequence(points, scores, ticks, base, (width, height), DRAW_THRESHOLD)


def errors(target: PoseSequence, found: PoseSequence, height: float) -> NDArray[np.float64]:
    """Distances of body joints that are sure in both, in per cent of the height."""
    width, tall = target.size
    x, y = target.points[:, BODY, 0], target.points[:, BODY, 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < tall)
    sure = target.seen[:, BODY] & found.seen[:, BODY] & inside
    away = np.linalg.norm(target.points[:, BODY] - found.points[:, BODY], axis=2)
    return 100 * away[sure].astype(np.float64) / height


def measure(
    picture: Path, motion: PoseSequence, models: Path, size: tuple[int, int], sheets: Path
) -> dict[str, object]:
    """The figures of one picture."""
    read = read_picture(picture)
    opaque = np.full(read.pixels.shape[:2], 255, np.uint8)
    fitted = fit_picture(np.dstack([read.pixels, opaque]), size, Fit.PAD)
    pixels, alpha = np.ascontiguousarray(fitted[..., :3]), fitted[..., 3]
    detector = BlazePose(models)
    pose = find(detector, [pixels], still=True)
    moves = retarget(motion, pose)
    mask = detector.segment(pixels)
    if mask is None:
        raise SystemExit(f"{picture}: nobody found")
    figure = mask > 0.5
    figure[alpha == 0] = False
    rows = np.flatnonzero(figure.any(axis=1))
    height = float(rows[-1] - rows[0])
    request = RenderRequest(
        reference=pixels,
        reference_alpha=alpha,
        reference_pose=pose,
        motion=moves,
        control=None,
        frames=len(moves),
        size=size,
        preset=Preset("benchmark"),
        weights={"blazepose": models},
        device="cpu",
    )
    start = time.perf_counter()
    source = Cutout().prepare(request, Nothing(), lambda *_: None)
    prepared = time.perf_counter()
    frames = list(source(range(len(moves))))
    drawn = time.perf_counter()

    alone = Cutout().prepare(
        replace(request, motion=pose, frames=1), Nothing(), lambda *_: None
    )
    own = next(alone(range(1)))
    error = ((own.astype(np.float64) - pixels) ** 2)[figure].mean()
    again = find(detector, frames, still=False)
    off = errors(moves, again, height)
    changing = np.ptp(np.stack(frames), axis=0).max(axis=-1)
    calm = cv2.erode((changing == 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    sheets.mkdir(parents=True, exist_ok=True)
    shown = [pixels, own, *frames[:: max(1, len(frames) // 10)]][:12]
    grid = np.vstack([np.hstack(shown[start : start + 6]) for start in (0, 6)])
    half = cv2.resize(grid, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    write_picture(sheets / f"{picture.stem}.png", np.asarray(half, np.uint8))
    return {
        "own_pose_db": round(float(10 * np.log10(255**2 / max(error, 1e-9))), 1),
        "joint_error_percent": [
            round(float(off.mean()), 2),
            round(float(np.percentile(off, 95)), 2),
        ],
        "detector_percent": round(
            float(errors(pose, find(detector, [own], still=True), height).mean()), 2
        ),
        "found_percent": round(100 * float((again.scores > 0).any(axis=1).mean()), 1),
        "prepare_seconds": round(prepared - start, 2),
        "frames_per_second": round(len(frames) / (drawn - prepared), 1),
        "background_percent": round(100 * float(calm.mean()), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--motion", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 768))
    parser.add_argument("--sheets", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    models = WeightsStore(default_root(os.environ)).ensure("blazepose")
    with open_footage(options.motion) as reader:
        film = [frame.picture for frame in reader.frames()]
    motion = clean(find(BlazePose(models), film, still=False))
    result = {}
    for picture in options.pictures:
        result[picture.stem] = measure(
            picture, motion, models, tuple(options.size), options.sheets
        )
        print(picture.stem, result[picture.stem])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
