"""How near DensePose pictures drawn over joints come to real ones, part by part.

    python tests/benchmarks/densepose_likeness.py --clips dense.mp4 --characters 900001 \
        --sheets out

--clips are DensePose videos. Their joints are taken from the videos themselves: where two
parts meet is a joint. (Nobody knows the joints that the network's footage had; those taken
from the parts lie better than a detector's would.) --characters are seeds of procedural
figures, whose bare bodies are drawn as DensePose parts from their true shape in space; the
joints that go into the drawing are the true ones in the picture, without their depth. For
both it prints the intersection over union of each part that takes a thousandth of the true
pixels or more, over all frames; `body` is of all parts against the background, `pixels` the
share of the true body's pixels that have the right part, and `parts` what `pixels` would be
if front and back, inside and outside, were one.
"""

import argparse
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.draw_densepose import PART_COLOURS, PARTS, draw_parts, paint, read_parts
from animcli.pose.lifting import BODY_SIDES, lift
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.synthetic.body import Pose, ball, rod
from animcli.synthetic.clothes import arm_knots, leg_knots
from animcli.synthetic.draw import keypoints_of
from animcli.synthetic.head import Head
from animcli.synthetic.raycast import Canvas, SweptSphere, cast, project_spheres
from animcli.synthetic.scene import Scene
from animcli.video.images import write_picture
from animcli.video.reader import open_footage

Parts = NDArray[np.uint8]

MERGED = np.array(
    [0, 1, 1, 3, 4, 5, 6, *[7, 8] * 2, *[11, 12] * 2, *[15, 16] * 2, *[19, 20] * 2, 23, 23]
)
"""Index -> the same for both halves of one limb."""
RIGHT = 18  # levels, of three channels together, that compression shifts a plain colour by


def sequence(points: list[NDArray[np.float64]], size: tuple[int, int]) -> PoseSequence:
    """Of body joints `(18, 3)` each: x, y and whether it is seen."""
    found = np.stack(points)
    places = np.zeros((len(found), s.KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(found), s.KEYPOINTS), np.float32)
    places[:, s.BODY], scores[:, s.BODY] = found[..., :2], found[..., 2]
    return PoseSequence(places, scores, *even_ticks(len(found), Fraction(25)), size)


# Joints of a DensePose clip


def meeting(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Where two parts touch: the middle of the pixels of the first beside the second."""
    near = cv2.dilate(other.view(np.uint8), np.ones((7, 7), np.uint8)) > 0
    rows, columns = np.nonzero(one & near)
    return np.array([columns.mean(), rows.mean()]) if len(rows) >= 5 else None


def largest(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Its largest piece."""
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(part.view(np.uint8))
    if len(facts) == 1:
        return part
    return np.asarray(pieces == 1 + facts[1:, cv2.CC_STAT_AREA].argmax())


def middle(part: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    rows, columns = np.nonzero(part)
    return np.array([columns.mean(), rows.mean()]) if len(rows) >= 40 else None


def joints_in(parts: Parts) -> NDArray[np.float64]:
    """Body joints `(18, 3)` of the body that a part map shows."""
    of = {
        name: np.isin(parts, indices)
        for name, indices in {"torso": (1, 2), "head": (23, 24)}.items()
    }
    keypoints = np.zeros((18, 3))

    def put(joint: int, place: NDArray[np.float64] | None) -> None:
        if place is not None:
            keypoints[joint] = (*place, 1.0)

    limbs = (((18, 16), (22, 20), (3,), (9, 7), (13, 11), (6,)),
             ((17, 15), (21, 19), (4,), (10, 8), (14, 12), (5,)))  # fmt: skip
    for side, indices in zip(BODY_SIDES, limbs, strict=True):
        upper, lower, hand, thigh, shin, foot = (
            largest(np.isin(parts, each)) for each in indices
        )
        shoulder, elbow, wrist, hip, knee, ankle, *_ = side
        put(elbow, meeting(upper, lower))
        put(wrist, meeting(lower, hand))
        if keypoints[elbow, 2] and middle(upper) is not None:
            put(shoulder, far_end(upper, keypoints[elbow, :2]))
        put(hip, meeting(thigh, of["torso"]))
        put(knee, meeting(thigh, shin))
        if keypoints[hip, 2] and not keypoints[knee, 2] and middle(thigh) is not None:
            way = middle(thigh) - keypoints[hip, :2]  # the knee is outside of the picture
            arm = np.hypot(*(keypoints[elbow, :2] - keypoints[shoulder, :2]))
            if np.hypot(*way) < 0.3 * arm:  # a stub, whose shape says nothing
                way = np.array([0.0, 1.0])
            if keypoints[elbow, 2]:
                put(knee, keypoints[hip, :2] + way / np.hypot(*way) * 1.4 * max(arm, 60.0))
        put(ankle, meeting(shin, foot))
    head = middle(of["head"])
    root = meeting(of["head"], of["torso"])
    shoulders = [
        keypoints[side.shoulder] for side in BODY_SIDES if keypoints[side.shoulder, 2]
    ]
    if len(shoulders) == 2:
        put(s.NECK, (shoulders[0] + shoulders[1])[:2] / 2)
    elif root is not None:
        put(s.NECK, root)
    if head is not None and root is not None:
        rows, columns = np.nonzero(of["head"])
        wide = np.percentile(columns, 98) - np.percentile(columns, 2)
        left = float((parts[of["head"]] == 24).mean())
        aside = np.clip(1 - 2 * left, -1, 1)  # all of it the right half: looks to the right
        towards = np.sqrt(1 - aside**2)
        top = np.array([columns.mean(), np.percentile(rows, 2)])
        middle_ears = top + (root - top) * 0.42
        half = np.array([0.46 * wide * towards, 0.0])
        put(s.NOSE, middle_ears + np.array([0.6 * wide * aside, 0.05 * wide]))
        if aside > -0.9:
            put(s.RIGHT_EAR, middle_ears - half)
        if aside < 0.9:
            put(s.LEFT_EAR, middle_ears + half)
    return keypoints


def far_end(part: NDArray[np.bool_], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middle of a limb's other end, an eighth of its length before its edge."""
    rows, columns = np.nonzero(part)
    places = np.stack([columns, rows], axis=1) - start
    way = places.mean(axis=0)
    way = way / max(float(np.hypot(*way)), 1e-6)
    return np.asarray(start + way * np.percentile(places @ way, 98) * 0.88)


def from_clip(path: Path) -> tuple[list[Parts], PoseSequence]:
    with open_footage(path) as reader:
        truth = [sure_parts(frame.picture) for frame in reader.frames()]
    height, width = truth[0].shape
    return truth, sequence([joints_in(parts) for parts in truth], (width, height))


def sure_parts(picture: Parts) -> Parts:
    """The parts of a compressed picture, without the wrong ones along every edge.

    Where two colours mix, they give a third part's; such pixels get that of the nearest
    pixel whose colour is right.
    """
    parts = read_parts(picture)
    off = np.abs(picture.astype(np.int16) - PART_COLOURS[parts]).sum(axis=2)
    sure = cv2.erode((off <= RIGHT).astype(np.uint8), np.ones((3, 3), np.uint8))
    _, nearest = cv2.distanceTransformWithLabels(
        1 - sure, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    part_of = np.zeros(nearest.max() + 1, np.uint8)
    part_of[nearest[sure > 0]] = parts[sure > 0]
    return part_of[nearest]


# Procedural bodies


def bare(scene: Scene, pose: Pose) -> Iterator[tuple[SweptSphere, tuple[int, int]]]:
    """A figure without clothes and hair: its solids, and the parts of their two halves."""
    bones = scene.figure.proportions
    chest, hips, across = pose.chest_frame[2], pose.hip_frame[2], pose.head_frame[0]
    waist, wide = bones.waist_radius, bones.chest_radius
    top = pose.neck - pose.chest_frame[1] * wide * 0.75
    trunk = (waist, wide, wide * 0.9)
    yield rod(pose.waist, top, chest, trunk, 0, 0, flat=0.66), (2, 1)
    seat = (bones.hip_radius, bones.hip_radius, waist)
    yield rod(pose.pelvis, pose.waist, hips, seat, 0, 0, flat=0.7), (2, 1)
    slope = (bones.arm_radius, bones.arm_radius, bones.neck_radius)
    for shoulder in pose.shoulders:
        inner = shoulder * 0.85 + pose.neck * 0.15
        yield rod(inner, pose.neck, chest, slope, 0, 0), (2, 1)
    skull = Head(scene.figure, pose).tubes()[0]
    yield skull._replace(front=across, flat=1.0), (24, 23)
    yield rod(pose.neck, pose.skull, across, (bones.neck_radius,) * 3, 0, 0), (24, 23)
    arms, legs = arm_knots(bones), leg_knots(bones)
    for i, sign in ((0, -1.0), (1, 1.0)):
        shoulder, elbow, wrist = pose.shoulders[i], pose.elbows[i], pose.wrists[i]
        upper, lower = elbow - shoulder, wrist - elbow
        outside = outside_of(pose, upper, lower, sign)
        yield rod(shoulder, elbow, outside, arms[:3], 0, 0), ((18, 16), (17, 15))[i]
        yield rod(elbow, wrist, outside, arms[2:], 0, 0), ((22, 20), (21, 19))[i]
        palm = wrist + lower / np.linalg.norm(lower) * bones.hand * 0.5
        yield ball(palm, pose.chest_frame, bones.hand * 0.42, 0, 0), (3 + i, 3 + i)
        knee, ankle, frame = pose.knees[i], pose.ankles[i], pose.feet[i]
        yield rod(pose.hips[i], knee, hips, legs[:3], 0, 0), ((9, 7), (10, 8))[i]
        yield rod(knee, ankle, frame[2], legs[2:], 0, 0), ((13, 11), (14, 12))[i]
        toe = ankle + frame[2] * bones.foot * 0.6 - frame[1] * bones.ankle * 0.5
        yield rod(ankle, toe, frame[1], (bones.ankle * 0.7,) * 3, 0, 0), (6 - i, 6 - i)


def outside_of(pose: Pose, upper: NDArray, lower: NDArray, sign: float) -> NDArray:  # type: ignore[type-arg]
    """Where the back of the arm looks: the elbow's axis, or up for an arm held aside."""
    arm, forearm = upper / np.linalg.norm(upper), lower / np.linalg.norm(lower)
    hinge = np.cross(arm, forearm)
    rest, up = sign * pose.chest_frame[0], pose.chest_frame[1]
    axis = np.cross(rest, arm)
    once = np.cross(axis, up)
    swung = up + once + np.cross(axis, once) / max(1 + float(rest @ arm), 0.1)
    return np.asarray(swung - 3.0 * np.linalg.norm(hinge) * sign * hinge, np.float32)


def from_character(seed: int, frames: int) -> tuple[list[Parts], PoseSequence]:
    scene, size = Scene.from_seed(seed), (512, 512)
    view = scene.shot.view(scene.figure, size, 1)
    truth, keypoints = [], []
    for pose in scene.dance.poses(scene.figure, np.arange(frames) / 12):
        canvas, parts = Canvas(*size), np.zeros(size[::-1], np.uint8)
        solids = list(bare(scene, pose))
        sights = project_spheres([tube for tube, _ in solids], view, *size)
        for number, ((tube, _), seen) in enumerate(zip(solids, sights, strict=True)):
            if seen is not None:
                cast(tube, seen, canvas, number)
        for number, ((_, (front, back)), seen) in enumerate(
            zip(solids, sights, strict=True)
        ):
            rows, columns = np.nonzero(canvas.owner == number)
            if seen is None or not len(rows):
                continue
            away = np.stack([columns - seen.start[0], rows - seen.start[1],
                             canvas.depth[rows, columns] - seen.start[2]])  # fmt: skip
            parts[rows, columns] = np.where(
                np.array(seen.inverse[2]) @ away > 0, front, back
            )
        truth.append(parts)
        places = view.project(keypoints_of(scene.figure, pose))
        inside = ((places[:, :2] >= 0) & (places[:, :2] < size)).all(axis=1)
        keypoints.append(np.column_stack([places[:, :2], inside]))
    return truth, sequence(keypoints, size)


# Comparison


def compare(
    name: str, truth: list[Parts], motion: PoseSequence, sheet: Path | None
) -> None:
    start = time.perf_counter()
    bodies = lift(motion)
    drawn = [draw_parts(bodies, frame, motion.size) for frame in range(len(motion))]
    seconds = time.perf_counter() - start
    both, either, true = (np.zeros(25) for _ in range(3))
    right = merged = body_both = body_either = 0
    for ours, theirs in zip(drawn, truth, strict=True):
        table = np.bincount(theirs.ravel().astype(int) * 25 + ours.ravel(), minlength=625)
        table = table.reshape(25, 25)
        both += np.diag(table)
        true += table.sum(axis=1)
        either += table.sum(axis=0) + table.sum(axis=1) - np.diag(table)
        right += np.diag(table)[1:].sum()
        merged += (MERGED[ours] == MERGED[theirs])[theirs > 0].sum()
        body_both += ((ours > 0) & (theirs > 0)).sum()
        body_either += ((ours > 0) | (theirs > 0)).sum()
    body = true[1:].sum()
    print(f"\n{name}: {len(truth)} frames of {motion.size[0]}x{motion.size[1]}, "
          f"{len(truth) / seconds:.0f} drawn a second")  # fmt: skip
    print(f"  body {body_both / body_either:.3f}  pixels {right / body:.3f}  "
          f"parts {merged / body:.3f}")  # fmt: skip
    for index in range(1, 25):
        if true[index] >= 1e-3 * true.sum():
            share = true[index] / body
            print(f"  {PARTS[index]:24} {both[index] / either[index]:.3f}  "
                  f"of the body {share:.3f}")  # fmt: skip
    if sheet is not None:
        some = np.linspace(0, len(truth) - 1, 6).astype(int)
        rows = [np.hstack([paint(maps[i]) for i in some]) for maps in (truth, drawn)]
        write_picture(sheet / f"{name}.png", np.vstack(rows)[::2, ::2])


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--clips", type=Path, nargs="*", default=[])
    words.add_argument("--characters", type=int, nargs="*", default=[])
    words.add_argument("--frames", type=int, default=60, help="of each character")
    words.add_argument("--sheets", type=Path)
    said = words.parse_args()
    if said.sheets:
        said.sheets.mkdir(parents=True, exist_ok=True)
    for clip in said.clips:
        compare(clip.stem, *from_clip(clip), said.sheets)
    for seed in said.characters:
        compare(f"character-{seed}", *from_character(seed, said.frames), said.sheets)


if __name__ == "__main__":
    main()
