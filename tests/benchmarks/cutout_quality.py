"""How well the cutout renderer follows drawn people that dance, whose frames are known.

    python tests/benchmarks/cutout_quality.py --first-seed 850000 --characters 8

Each person dances 24 frames with true keypoints; the reference shows another moment. The
last line is one JSON object, means over people:

psnr_db, figure_psnr_db, ssim: against the true frames; the second inside the true figure,
    grown by 4 pixels.
pose_error_percent_height: how far BlazePose finds shoulders, elbows, wrists, hips, knees
    and ankles from where they were asked for, in percent of the picture's height, over the
    keypoints that it finds within 5 % in the true frame too.
pose_error_either_side: the same by the better of both ways to name sides in each frame. A
    figure from behind that follows somebody from the front has each limb where it was asked
    for, but by the other side's name.
flicker: mean absolute difference of neighbouring frames where neither has the figure, in
    levels of 255, less that of the true frames.
iou_mean, iou_worst: of the matte with the true mask of the reference.
own_pose_db: PSNR over the figure when it takes the pose that it has in its picture.
background_psnr_db, background_ssim: of the filled background, inside the true mask.
frames_per_second: drawing only. prepare_seconds: matte, background, mesh and motion.
arap_*: the same of AnimatedDrawings' method on the same matte and keypoints: one mesh of
    the silhouette, deformed as rigidly as possible (Igarashi et al., 2005; Smith et al.,
    2023) with its keypoints as handles.

Tune on seeds 800000 to 899999; seeds from 900000 on are for final figures only.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

from animcli.errors import InputError
from animcli.pose.detectors.blazepose.tracker import BlazePose
from animcli.pose.keypoints import BODY, KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import load_preset
from animcli.rendering.cutout.background import inpaint_background
from animcli.rendering.cutout.matting import Matte, estimate_matte
from animcli.rendering.cutout.mesh import rasterise
from animcli.rendering.cutout.renderer import Cutout
from animcli.rendering.cutout.rig import rest_pose
from animcli.rendering.cutout.segmentation import segment
from animcli.rendering.renderer import RenderRequest
from animcli.synthetic.draw import FigureRenderer
from animcli.synthetic.scene import Scene
from animcli.video.images import write_picture
from animcli.weights.store import WeightsStore, default_root

Frames = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FRAMES, RATE = 24, Fraction(24)
SIZE = (512, 768)
REFERENCE_AT = 10.0  # seconds; the dance is shown from its beginning
LIMBS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
GROWN = 4  # pixels
SURE = 5.0  # percent of the height


@dataclass(frozen=True, eq=False)
class Dancer:
    """One person: frames, where the figure is, a reference, its mask and background."""

    truth: Frames
    masks: Mask
    motion: PoseSequence
    reference: NDArray[np.uint8]
    mask: Mask
    pose: PoseSequence
    backdrop: NDArray[np.uint8]

    @classmethod
    def from_seed(cls, seed: int) -> "Dancer":
        scene = Scene.from_seed(seed)
        drawn = list(scene.drawings(FRAMES, SIZE))
        still = next(scene.drawings(1, SIZE, start=REFERENCE_AT))
        reach = np.ones((2 * GROWN + 1, 2 * GROWN + 1), np.uint8)
        return cls(
            truth=np.stack([each.picture for each in drawn]),
            masks=np.stack([cv2.dilate(each.mask, reach) > 127 for each in drawn]),
            motion=sequence(np.stack([each.keypoints for each in drawn])),
            reference=still.picture,
            mask=still.mask > 127,
            pose=sequence(still.keypoints[None]),
            backdrop=FigureRenderer(scene.figure, scene.shot, SIZE).backdrop,
        )


def sequence(keypoints: NDArray[np.floating]) -> PoseSequence:
    """True keypoints (f, 18, 2) in pixels; those outside the picture aren't visible."""
    points = np.zeros((len(keypoints), KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(keypoints), KEYPOINTS), np.float32)
    points[:, BODY] = keypoints
    scores[:, BODY] = ((keypoints > 0) & (keypoints < SIZE)).all(axis=-1)
    ticks, base = even_ticks(len(keypoints), RATE)
    return PoseSequence(points, scores, ticks, base, SIZE)


class Forgetful:
    """Keeps nothing: a benchmark isn't stopped half-way."""

    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        return None


def request_of(dancer: Dancer, motion: PoseSequence, models: Path) -> RenderRequest:
    return RenderRequest(
        dancer.reference, None, dancer.pose, motion, None, len(motion), size=SIZE,
        preset=load_preset("cutout"), weights={"blazepose": models}, device="cpu",
    )  # fmt: skip


def decibels(error: NDArray[np.floating]) -> float:
    return float(10 * np.log10(255**2 / max(float(error.mean()), 1e-6)))


def ssim(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`(h, w)`: structural similarity of grey levels in windows of 7 x 7."""
    a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).astype(np.float64) for x in (one, other))
    mean_a, mean_b = cv2.blur(a, (7, 7)), cv2.blur(b, (7, 7))
    var_a = cv2.blur(a * a, (7, 7)) - mean_a**2
    var_b = cv2.blur(b * b, (7, 7)) - mean_b**2
    both = cv2.blur(a * b, (7, 7)) - mean_a * mean_b
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_a * mean_b + low) / (mean_a**2 + mean_b**2 + low)
    return np.asarray(light * (2 * both + high) / (var_a + var_b + high))


def found_limbs(frames: Frames, finder: BlazePose) -> NDArray:
    """Where each limb keypoint is found, (f, 12, 2) pixels; NaN where it isn't."""
    finder.reset()
    places = np.full((len(frames), len(LIMBS), 2), np.nan)
    for row, frame in zip(places, frames, strict=True):
        detection = finder.detect(frame)
        for place, joint in enumerate(LIMBS if detection is not None else ()):
            if detection.scores[joint] > 0.5:
                row[place] = detection.points[joint]
    return places


def away(places: NDArray, motion: PoseSequence) -> NDArray:
    """How far from where it was asked for each limb keypoint is found, (f, 12), in percent
    of the picture's height; NaN where it isn't found or wasn't asked for.
    """
    limbs = list(LIMBS)
    gap = np.linalg.norm(places - motion.points[:, limbs], axis=2)
    return np.where(motion.visible[:, limbs], 100 * gap / SIZE[1], np.nan)


def exchanged(motion: PoseSequence) -> PoseSequence:
    """`motion` with the limbs of its left and right by each other's names."""
    points, scores = motion.points.copy(), motion.scores.copy()
    right, left = [2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]
    for values, own in ((points, motion.points), (scores, motion.scores)):
        values[:, right + left] = own[:, left + right]
    return replace(motion, points=points, scores=scores)


def unrest(frames: Frames, masks: Mask) -> float:
    """Mean absolute difference of neighbouring frames, in levels, off the figure."""
    parts = [
        np.abs(later.astype(np.int16) - now)[~(here | there)].mean()
        for (now, later), (here, there) in zip(
            pairwise(frames), pairwise(masks), strict=True
        )
        if not (here | there).all()
    ]
    return float(np.mean(parts))


def figures_of(
    made: Frames, dancer: Dancer, finder: BlazePose, true_away: NDArray
) -> dict[str, float]:
    """What the frames are worth. true_away: what `away` says of the true ones."""
    error = (made.astype(np.float64) - dancer.truth) ** 2
    pairs = list(zip(error, dancer.masks, strict=True))
    places = found_limbs(made, finder)
    gaps = away(places, dancer.motion)
    surely = np.isfinite(gaps) & (true_away < SURE)
    either = gaps, away(places, exchanged(dancer.motion))
    frames = [
        np.nanmin([each[row, there].mean() for each in either])
        for row, there in enumerate(surely)
        if there.any()
    ]
    return {
        "psnr_db": float(np.mean([decibels(each) for each in error])),
        "figure_psnr_db": float(np.mean([decibels(e[m]) for e, m in pairs if m.any()])),
        "ssim": float(
            np.mean([ssim(a, b).mean() for a, b in zip(made, dancer.truth, strict=True)])
        ),
        "pose_error_percent_height": float(gaps[surely].mean()) if surely.any() else np.nan,
        "pose_error_either_side": float(np.mean(frames)) if frames else np.nan,
        "flicker": unrest(made, dancer.masks) - unrest(dancer.truth, dancer.masks),
    }


class AsRigidAsPossible:
    """A silhouette in triangles that follows its keypoints as rigidly as possible.

    Edges keep their length and turn together (Sorkine and Alexa, 2007); the keypoints are
    handles, held softly. One layer: what lies behind an arm moves with it.
    """

    def __init__(self, matte: Matte, handles: NDArray[np.float64], spacing: int) -> None:
        height, width = matte.alpha.shape
        rgba = np.concatenate(
            [matte.colours * matte.alpha[..., None], 255 * matte.alpha[..., None]], axis=-1
        )
        self.texture = np.clip(np.rint(rgba), 0, 255).astype(np.uint8)
        cells = (width // spacing, height // spacing)
        touched = (matte.alpha > 0.004).astype(np.float32)
        active = cv2.resize(touched, cells, interpolation=cv2.INTER_AREA) > 0
        rows, columns = np.nonzero(active)
        number = np.full((cells[1] + 1, cells[0] + 1), -1)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            number[rows + down, columns + right] = 0
        at = np.argwhere(number == 0)
        number[tuple(at.T)] = np.arange(len(at))
        self.nodes = at[:, ::-1] * float(spacing) - 0.5
        a, b = number[rows, columns], number[rows, columns + 1]
        c, d = number[rows + 1, columns + 1], number[rows + 1, columns]
        self.triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        sides = np.concatenate([self.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
        self.edges = np.unique(np.sort(sides, axis=1), axis=0)
        # each handle holds the node nearest to it
        gaps = np.linalg.norm(self.nodes[None] - handles[:, None], axis=2)
        self.held = gaps.argmin(axis=1)
        self.offset = handles - self.nodes[self.held]
        count = len(self.nodes)
        one, other = self.edges.T
        ones = np.ones(len(one))
        flow = coo_array((ones, (one, other)), (count, count)).tocsr()
        flow = flow + flow.T
        strong = np.zeros(count)
        np.add.at(strong, self.held, 100.0)
        weight = np.asarray(flow.sum(axis=1)).ravel() + strong + 1e-6
        self.solve = splu(csc_array(coo_array((weight, (range(count),) * 2)) - flow)).solve

    def bend(self, handles: NDArray[np.float64], rounds: int = 12) -> NDArray[np.float64]:
        """Where the nodes go when the handles do."""
        count = len(self.nodes)
        one, other = self.edges.T
        rest = self.nodes[other] - self.nodes[one]
        held = np.zeros((count, 2))
        np.add.at(held, self.held, 100.0 * (handles - self.offset))
        now = self.solve(held + 1e-6 * self.nodes)
        for _ in range(rounds):
            moved = now[other] - now[one]
            spin = np.zeros((count, 2))
            turn = np.stack(
                [
                    (rest * moved).sum(1),
                    rest[:, 0] * moved[:, 1] - rest[:, 1] * moved[:, 0],
                ],
                axis=1,
            )
            np.add.at(spin, one, turn)
            np.add.at(spin, other, turn)
            spin /= np.maximum(np.linalg.norm(spin, axis=1, keepdims=True), 1e-9)
            mean = (spin[one] + spin[other]) / 2
            turned = np.stack(
                [
                    mean[:, 0] * rest[:, 0] - mean[:, 1] * rest[:, 1],
                    mean[:, 1] * rest[:, 0] + mean[:, 0] * rest[:, 1],
                ],
                axis=1,
            )
            right = held + 1e-6 * self.nodes
            np.add.at(right, other, turned)
            np.add.at(right, one, -turned)
            now = self.solve(right)
        return np.asarray(now)

    def draw(self, canvas: NDArray[np.uint8], nodes: NDArray[np.float64]) -> None:
        patch = rasterise(nodes[self.triangles], self.nodes[self.triangles], SIZE)
        if patch is None:
            return
        layer = cv2.remap(
            self.texture, patch.source[..., 0], patch.source[..., 1], cv2.INTER_LINEAR
        )
        height, width = layer.shape[:2]
        under = canvas[patch.top : patch.top + height, patch.left : patch.left + width]
        share = 255 - layer[..., 3:].astype(np.uint16)
        under[:] = layer[..., :3] + ((under * share + 127) // 255).astype(np.uint8)


def arap_frames(dancer: Dancer, matte: Matte, background: NDArray[np.uint8]) -> Frames:
    """The dance by one as-rigid-as-possible mesh."""
    both = dancer.pose.visible[0, :14] & dancer.motion.visible[:, :14].all(axis=0)
    handles = dancer.pose.points[0, :14][both].astype(np.float64)
    figure = AsRigidAsPossible(matte, handles, 8)
    frames = []
    for points in dancer.motion.points[:, :14]:
        canvas = background.copy()
        figure.draw(canvas, figure.bend(points[both].astype(np.float64)))
        frames.append(canvas)
    return np.stack(frames)


def measure(
    dancer: Dancer, models: Path, finder: BlazePose, keep: Callable[..., None]
) -> dict[str, float]:
    """All figures of one person."""
    keypoints = rest_pose(dancer.pose.points[0], dancer.pose.visible[0])
    found = segment(dancer.reference, keypoints, models)
    matte = estimate_matte(
        dancer.reference, found.probability, found.front, found.back, found.open
    )
    inside = matte.alpha > 0.5
    row = {"iou": float((inside & dancer.mask).sum() / (inside | dancer.mask).sum())}
    true_away = away(found_limbs(dancer.truth, finder), dancer.motion)
    began = time.perf_counter()
    request = request_of(dancer, dancer.motion, models)
    source = Cutout().prepare(request, Forgetful(), lambda *_: None)
    prepared = time.perf_counter()
    made = np.stack(list(source(range(FRAMES))))
    drawn = time.perf_counter()
    row["prepare_seconds"] = prepared - began
    row["frames_per_second"] = FRAMES / (drawn - prepared)
    row |= figures_of(made, dancer, finder, true_away)
    alone = replace(request, motion=dancer.pose, frames=1)
    [own] = Cutout().prepare(alone, Forgetful(), lambda *_: None)(range(1))
    row["own_pose_db"] = decibels(((own.astype(float) - dancer.reference) ** 2)[inside])
    background = inpaint_background(dancer.reference, matte.alpha)
    gap = ((background.astype(float) - dancer.backdrop) ** 2)[dancer.mask]
    row["background_psnr_db"] = decibels(gap)
    row["background_ssim"] = float(ssim(background, dancer.backdrop)[dancer.mask].mean())
    rigid = arap_frames(dancer, matte, background)
    row |= {
        f"arap_{key}": value
        for key, value in figures_of(rigid, dancer, finder, true_away).items()
    }
    keep(dancer.reference, own, dancer.truth, made, rigid)
    return row


def main() -> None:
    """Print a line per person, then the means as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--characters", type=int, default=16)
    parser.add_argument("--sheet", type=Path, help="a PNG to look at")
    parser.add_argument("--size", default="512x768", help="of the frames")
    args = parser.parse_args()
    global SIZE
    SIZE = tuple(int(side) for side in args.size.split("x"))
    cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    models = WeightsStore(default_root(os.environ)).ensure("blazepose")
    finder = BlazePose(models, hands=False, face=False)
    rows: list[dict[str, float]] = []
    sheet: list[NDArray[np.uint8]] = []

    def keep(reference: NDArray, own: NDArray, *clips: NDArray) -> None:
        strip = [reference, own, *(clip[at] for at in (6, 18) for clip in clips)]
        sheet.append(cv2.resize(np.hstack(strip), None, fx=0.3, fy=0.3))

    for seed in range(args.first_seed, args.first_seed + args.characters):
        try:
            row = measure(Dancer.from_seed(seed), models, finder, keep)
        except InputError as error:
            print(seed, error, flush=True)
            rows.append({"iou": 0.0})
            continue
        rows.append(row)
        told = ("psnr_db", "figure_psnr_db", "ssim", "iou", "arap_psnr_db")
        print(seed, " ".join(f"{key} {row[key]:.3f}" for key in told), flush=True)
    if args.sheet and sheet:
        write_picture(args.sheet, np.vstack(sheet[:16]))
    keys = dict.fromkeys(key for row in rows for key in row)
    means = {
        key: round(float(np.nanmean([row[key] for row in rows if key in row])), 4)
        for key in keys
    }
    means["iou_mean"] = means.pop("iou")
    means["iou_worst"] = round(min(row["iou"] for row in rows), 4)
    made = sum("psnr_db" in row for row in rows)
    print(json.dumps({"first_seed": args.first_seed, "made": made} | means))


if __name__ == "__main__":
    main()
