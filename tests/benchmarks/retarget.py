"""How near retargeting comes to what the other figure would have shown.

    python tests/benchmarks/retarget.py --first-seed 1000 --seeds 30

A dancer of the usual build and one of another build are given the same joint angles and
filmed. The first film and a portrait of the second dancer go in; the second film is the
truth. Conditions: `base`; `turning` to either side by 1.3 rad; `side_on_start`, the first
frames near a side view; `zoom`, by a third in and out; `noise`, 4 px on every joint,
cleaned before all methods alike. H is the second dancer's height in pixels. Measured:

    limb_error_percent           arms and legs: 95th percentile of length beside the truth's
    joint_error_percent_height   mean distance of body joints, both pelvises at the origin
    foot_slide_percent_height    step per frame of the foot that the weight is on
    angle_change_degrees         arms and legs, beside the noise-free source
    ground_percent_height        how high the resting foot is beside the source's, which is
                                 scaled by the true lengths of the legs: standard deviation
    depth_percent_height         the same beside the truth, which also holds how much
                                 farther one dancer goes in depth than the other
    contact_percent_height       that about the mean of each contact: feet that sink or
                                 rise while they should rest

The last line is one JSON object: condition -> these figures of ours, and of the others
under their names. The algorithm was tuned on seeds 0 to 11.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from builders import dancer
from other_methods import musepose, wan

from animcli.pose import keypoints as s
from animcli.pose.filtering import clean
from animcli.pose.retarget.retarget import retarget
from animcli.pose.sequence import PoseSequence

CONDITIONS = ("base", "turning", "side_on_start", "zoom", "noise")
METHODS = {"ours": retarget, "musepose": musepose, "wan": wan}
LIMBS = ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13))
ANKLES = (s.RIGHT_ANKLE, s.LEFT_ANKLE)
NOISE_PX = 4.0


def angles_of(condition: str, seed: int) -> dancer.Angles:
    """The dance of a seed under a condition."""
    angles = dancer.dance(seed, turning=1.3 if condition == "turning" else 0.4)
    if condition == "side_on_start":
        t = np.arange(len(angles.yaw)) / float(dancer.RATE)
        away = 1.25 * np.clip(1.5 - t, 0, 1)  # for half a second, then round in one more
        angles = replace(angles, yaw=angles.yaw + away)
    return angles


def zoom_of(seed: int, frames: int) -> NDArray[np.float64]:
    """The factor of the focal length in each frame."""
    random = np.random.default_rng([seed, 3])
    turns, phase = random.uniform(0.8, 1.6), random.uniform(0, 2 * np.pi)
    return 1 + 0.35 * np.sin(np.arange(frames) / frames * turns * 2 * np.pi + phase)


def measure(condition: str, seed: int) -> dict[str, dict[str, float]]:
    """Method -> figure -> value."""
    angles = angles_of(condition, seed)
    body = dancer.Body.from_seed(seed)
    source_take, true_take = (
        dancer.perform(dancer.Body(), angles),
        dancer.perform(body, angles),
    )
    zoom = zoom_of(seed, len(angles.yaw)) if condition == "zoom" else None
    source = dancer.film(source_take, dancer.STAGE)
    motion = dancer.film(source_take, dancer.STAGE, zoom=zoom)
    if condition == "noise":
        noisy = dancer.film(source_take, dancer.STAGE, noise_px=NOISE_PX, seed=seed)
        motion = clean(noisy)
    truth = dancer.film(true_take, dancer.PORTRAIT).points[:, :18].astype(float)
    tall = dancer.PORTRAIT.height_px(body)
    legs = leg_px(dancer.PORTRAIT, body) / leg_px(dancer.STAGE, dancer.Body())
    reference = dancer.portrait(body)
    return {
        name: figures(
            method(motion, reference), truth, source, true_take.stance, tall, legs
        )
        for name, method in METHODS.items()
    }


def leg_px(camera: dancer.Film, body: dancer.Body) -> float:
    """How long a straight leg is in the picture, in the middle of the stage."""
    return (body.thigh + body.shin) * camera.focal / camera.distance


def figures(
    result: PoseSequence,
    truth: NDArray[np.float64],
    source: PoseSequence,
    stance: NDArray[np.int64],
    tall: float,
    legs: float,
) -> dict[str, float]:
    """The figures of one result.

    source: without zoom and noise. legs: how long they truly are beside the source's.
    """
    ours = result.points[:, :18].astype(float)
    long, true_long = (
        np.percentile(lengths(points), 95, axis=0) for points in (ours, truth)
    )
    distance = np.linalg.norm(from_pelvis(ours) - from_pelvis(truth), axis=2)
    now = np.arange(1, len(ours))
    rests = (stance[1:] == stance[:-1]) & (stance[1:] >= 0)
    steps = np.linalg.norm(np.diff(ours[:, ANKLES], axis=0), axis=2)

    def resting(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points[:, ANKLES, 1][now, stance[1:]][rests]

    asked = resting(ours) - legs * resting(source.points[:, :18].astype(float))
    heights = resting(ours - truth)
    contact = np.cumsum(np.diff(stance, prepend=stance[0]) != 0)[1:][rests]
    turned = directions(ours) - directions(source.points[:, :18].astype(float))
    turned = np.abs((turned + np.pi) % (2 * np.pi) - np.pi)
    return {
        "limb_error_percent": 100 * float(np.abs(long / true_long - 1).mean()),
        "joint_error_percent_height": 100 * float(distance.mean()) / tall,
        "foot_slide_percent_height": 100
        * float(steps[now - 1, stance[1:]][rests].mean())
        / tall,
        "angle_change_degrees": float(np.degrees(turned).mean()),
        "ground_percent_height": 100 * float(asked.std()) / tall,
        "depth_percent_height": 100 * float(heights.std()) / tall,
        "contact_percent_height": 100 * float(about_means(heights, contact).std()) / tall,
    }


def about_means(
    values: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What each value is above the mean of its group."""
    _, group = np.unique(groups, return_inverse=True)
    return values - (np.bincount(group, values) / np.bincount(group))[group]


def from_pelvis(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(frames, 18, 2)` with the middle of the hips at the origin."""
    return points - points[:, [s.RIGHT_HIP, s.LEFT_HIP]].mean(axis=1, keepdims=True)


def limbs(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(frames, 8, 2)`: arms and legs as vectors."""
    ends = np.array(LIMBS).T
    return points[:, ends[1]] - points[:, ends[0]]


def lengths(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(frames, 8)`, pixels."""
    return np.linalg.norm(limbs(points), axis=2)


def directions(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(frames, 8)`, radians."""
    vectors = limbs(points)
    return np.arctan2(vectors[..., 1], vectors[..., 0])


def main() -> None:
    """Measure, print a table, and the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=30)
    words = parser.parse_args()
    if words.first_seed < 0 or words.seeds < 1:
        parser.error("seeds count from 0, and one at least is needed")
    told: dict[str, dict[str, object]] = {}
    for condition in CONDITIONS:
        runs = [
            measure(condition, seed)
            for seed in range(words.first_seed, words.first_seed + words.seeds)
        ]
        mean = {
            method: {
                key: round(float(np.mean([run[method][key] for run in runs])), 4)
                for key in runs[0][method]
            }
            for method in METHODS
        }
        for method, values in mean.items():
            row = "  ".join(f"{key} {value:8.3f}" for key, value in values.items())
            print(f"{condition:14}{method:10}{row}")
        told[condition] = {**mean.pop("ours"), **mean}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
