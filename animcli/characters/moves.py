"""The vocabulary of a dance: where arms may go, and what feet do in a bar.

A bar is eight half beats. A step bar says for each half beat where the feet are, how the
pelvis moves and how far the body has turned; it starts and ends with the feet at home.
Lengths are in legs; a pair is (right, left); x is written for the body's own left.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HALF_BEATS = 8

ARMS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "down": ((0.25, -1.0, 0.05), (0.16, -1.0, 0.28)),
    "loose": ((0.45, -0.9, 0.1), (0.1, -0.75, 0.65)),
    "out": ((1.0, 0.0, 0.1), (1.0, 0.08, 0.2)),
    "wing": ((0.9, -0.45, 0.0), (0.85, -0.1, 0.35)),
    "up": ((0.4, 1.0, 0.1), (0.05, 1.0, 0.15)),
    "high": ((0.75, 0.75, 0.15), (0.7, 0.8, 0.25)),
    "goal": ((1.0, 0.1, 0.1), (0.15, 1.0, 0.15)),
    "fall": ((1.0, 0.0, 0.15), (0.1, -1.0, 0.3)),
    "hip": ((0.8, -0.75, -0.3), (-0.8, -0.6, 0.45)),
    "front": ((0.25, -0.05, 1.0), (0.05, 0.15, 1.0)),
    "clap": ((0.4, -0.6, 0.6), (-0.62, 0.2, 0.75)),
    "chest": ((0.75, -0.6, 0.3), (-0.8, 0.3, 0.5)),
    "behind": ((0.8, 0.65, -0.1), (-0.85, 0.3, -0.35)),
    "cross": ((0.2, -0.85, 0.5), (-0.55, -0.4, 0.75)),
    "back_pump": ((0.3, -0.85, -0.5), (0.05, 0.0, 1.0)),
    "front_pump": ((0.25, -0.8, 0.55), (-0.1, 0.7, 0.7)),
    "shrug": ((0.55, -0.8, 0.15), (0.75, 0.3, 0.6)),
    "halo": ((0.8, 0.7, 0.1), (-0.6, 0.8, 0.15)),
    "point": ((0.6, 0.3, 0.7), (0.55, 0.45, 0.75)),
    "wave_in": ((0.85, 0.2, 0.2), (-0.25, 1.0, 0.25)),
    "wave_out": ((0.85, 0.2, 0.2), (0.55, 0.85, 0.25)),
}
"""Directions of the upper arm and the forearm in the chest's frame: outward, up, front."""

PAIRS: tuple[tuple[tuple[str, str], ...], ...] = (
    # Each is a phrase: (right, left) by the beat, repeated.
    (("down", "down"), ("chest", "chest")),
    (("up", "hip"), ("wing", "hip")),
    (("hip", "up"), ("hip", "wing")),
    (("goal", "goal"), ("out", "out")),
    (("goal", "fall"), ("fall", "goal")),
    (("high", "wing"), ("wing", "high")),
    (("clap", "clap"), ("wing", "wing")),
    (("clap", "clap"), ("up", "up")),
    (("front", "front"), ("goal", "goal")),
    (("back_pump", "front_pump"), ("front_pump", "back_pump")),
    (("cross", "cross"), ("high", "high")),
    (("wave_in", "hip"), ("wave_out", "hip")),
    (("hip", "wave_in"), ("hip", "wave_out")),
    (("wave_in", "wave_out"), ("wave_out", "wave_in")),
    (("behind", "behind"), ("out", "out")),
    (("halo", "halo"), ("wing", "wing")),
    (("shrug", "shrug"), ("loose", "loose")),
    (("point", "down"), ("down", "point")),
    (("hip", "hip"), ("hip", "hip")),
    (("loose", "loose"), ("wing", "down"), ("loose", "loose"), ("down", "wing")),
    (("out", "chest"), ("chest", "out")),
    (("down", "high"), ("high", "down")),
)


@dataclass
class Bar:
    """Keys at eight half beats. Widths in legs, yaw in radians.

    feet: `(8, 2, 3)` away from home: out to the foot's own side, up, forward.
    pelvis: `(8, 3)` to the left, up, forward. yaw: `(8,)` of the body since the bar began.
    anchors: `(8, 2)` the yaw at which each foot was put down, likewise.
    ends: yaw at the end of the bar. swing: `(8, 3)` of hips: yaw, pitch, roll.
    """

    feet: Array = field(default_factory=lambda: np.zeros((HALF_BEATS, 2, 3)))
    pelvis: Array = field(default_factory=lambda: np.zeros((HALF_BEATS, 3)))
    yaw: Array = field(default_factory=lambda: np.zeros(HALF_BEATS))
    anchors: Array = field(default_factory=lambda: np.zeros((HALF_BEATS, 2)))
    swing: Array = field(default_factory=lambda: np.zeros((HALF_BEATS, 3)))
    ends: float = 0.0


Move = Callable[[np.random.Generator], Bar]


def bounce(chance: np.random.Generator) -> Bar:
    """Both feet stay; the weight goes from one to the other."""
    bar = Bar()
    side = chance.uniform(0.03, 0.1) * chance.choice([-1, 1])
    bar.pelvis[:, 0] = side * np.array([1, 1, -1, -1, 1, 1, -1, -1])
    bar.pelvis[:, 1] = -chance.uniform(0.03, 0.1) * np.array([1, 0, 1, 0, 1, 0, 1, 0])
    bar.swing[:, 2] = 1.4 * bar.pelvis[:, 0]
    return bar


def step_touch(chance: np.random.Generator) -> Bar:
    """A step to the side and back, the other foot closing."""
    bar = Bar()
    wide = chance.uniform(0.2, 0.42) * chance.choice([-1, 1])
    first = int(wide > 0)
    out, other = abs(wide), -abs(wide) * 0.8
    bar.feet[1:6, first, 0] = out
    bar.feet[3:6, 1 - first, 0] = other
    bar.feet[7, 1 - first, 0] = 0.0
    bar.pelvis[:, 0] = wide * np.array([0, 0.5, 0.75, 0.9, 0.9, 0.75, 0.35, 0.1])
    bar.pelvis[:, 1] = -0.05 - 0.03 * np.array([1, 0, 1, 0, 1, 0, 1, 0])
    return bar


def march(chance: np.random.Generator) -> Bar:
    """Steps on the spot, knees up."""
    bar = Bar()
    high, forward = chance.uniform(0.12, 0.42), chance.uniform(0.05, 0.3)
    for beat in range(4):
        bar.feet[2 * beat + 1, beat % 2, 1:] = high, forward
        bar.pelvis[2 * beat + 1, 0] = -0.06 if beat % 2 else 0.06
    bar.pelvis[::2, 1] = -0.05
    bar.swing[:, 2] = -0.8 * bar.pelvis[:, 0]
    return bar


def squat(chance: np.random.Generator) -> Bar:
    """Down and up, twice or once."""
    bar = Bar()
    deep = chance.uniform(0.15, 0.4)
    shape = (
        [0, 0.5, 1, 0.5] * 2 if chance.random() < 0.5 else [0, 0.4, 0.8, 1, 1, 0.8, 0.4, 0]
    )
    bar.pelvis[:, 1] = -deep * np.array(shape)
    bar.pelvis[:, 2] = -0.35 * deep * np.array(shape)
    bar.swing[:, 1] = 1.1 * deep * np.array(shape)
    bar.feet[1:7, :, 0] = 0.06
    return bar


def kick(chance: np.random.Generator) -> Bar:
    """A kick to the front or to the side, one leg and then the other."""
    bar = Bar()
    high, outward = chance.uniform(0.2, 0.6), chance.random() < 0.4
    for half, foot in ((2, 0), (6, 1)):
        place = (0.55, high, 0.05) if outward else (0.0, high, 0.7)
        bar.feet[half, foot] = place
        bar.pelvis[half, 0] = 0.09 if foot == 0 else -0.09
        bar.swing[half] = 0, -0.12, 0
    bar.pelvis[::4, 1] = -0.08
    return bar


def jump(chance: np.random.Generator) -> Bar:
    """Jumps, feet together or apart."""
    bar = Bar()
    high, wide = chance.uniform(0.08, 0.2), chance.choice([0.0, 0.25])
    for half in (1, 5):
        bar.feet[half, :, 1] = high
        bar.pelvis[half, 1] = high
        bar.pelvis[half - 1, 1] = bar.pelvis[half + 1, 1] = -0.16
    bar.feet[1, :, 0], bar.feet[2:5, :, 0], bar.feet[5, :, 0] = wide / 2, wide, wide / 2
    return bar


def turn_round(chance: np.random.Generator) -> Bar:
    """Small steps on the spot that turn the body, by a quarter or more."""
    bar = Bar()
    whole = chance.choice([0.5, 1.0, 2.0]) * np.pi * chance.choice([-1, 1])
    bar.ends = float(whole)
    bar.yaw[:] = whole * np.arange(HALF_BEATS) / HALF_BEATS
    for half in range(HALF_BEATS):
        for foot in (0, 1):  # each foot is put down again every second half beat
            bar.anchors[half, foot] = whole * min((half + foot) // 2 * 2 / HALF_BEATS, 1)
    bar.pelvis[:, 1] = -0.06
    return bar


def twist(chance: np.random.Generator) -> Bar:
    """The hips turn over feet that stay."""
    bar = Bar()
    far = chance.uniform(0.15, 0.5)
    bar.swing[:, 0] = far * np.array([1, 0, -1, 0, 1, 0, -1, 0])
    bar.pelvis[:, 1] = -chance.uniform(0.05, 0.15)
    return bar


def lunge(chance: np.random.Generator) -> Bar:
    """A wide step to one side, then to the other."""
    bar = Bar()
    wide = chance.uniform(0.3, 0.55)
    bar.feet[1:3, 0, 0] = wide
    bar.feet[5:7, 1, 0] = wide
    bar.pelvis[:, 0] = wide * np.array([0, -0.4, -0.5, -0.2, 0, 0.4, 0.5, 0.2])
    bar.pelvis[:, 1] = -wide * np.array([0.1, 0.35, 0.45, 0.2, 0.1, 0.35, 0.45, 0.2])
    return bar


def cross_step(chance: np.random.Generator) -> Bar:
    """One foot crosses before the other."""
    bar = Bar()
    far, forward = chance.uniform(0.2, 0.36), chance.choice([-0.2, 0.22])
    bar.feet[1:3, 0] = -far, 0, forward
    bar.feet[5:7, 1] = -far, 0, forward
    bar.pelvis[:, 0] = [0, 0.08, 0.08, 0, 0, -0.08, -0.08, 0]
    bar.pelvis[:, 1] = -0.07
    bar.swing[:, 0] = [0, -0.25, -0.25, 0, 0, 0.25, 0.25, 0]
    return bar


def walk(chance: np.random.Generator) -> Bar:
    """Two steps forward and two back."""
    bar = Bar()
    far = chance.uniform(0.2, 0.38) * chance.choice([-1, 1])
    bar.feet[1:6, 0, 2] = far
    bar.feet[3:8, 1, 2] = far
    bar.pelvis[:, 2] = far * np.array([0.05, 0.4, 0.6, 0.9, 0.95, 0.7, 0.5, 0.3])
    bar.pelvis[:, 1] = -0.05
    return bar


def stay(chance: np.random.Generator) -> Bar:
    """The feet rest while the rest of the body dances."""
    bar = Bar()
    bar.pelvis[:, 0] = chance.uniform(-0.08, 0.08)
    bar.pelvis[:, 1] = -0.02
    return bar


MOVES: dict[Move, float] = {
    bounce: 3, step_touch: 2, march: 1.5, squat: 1.5, kick: 1.2, jump: 1.2,
    turn_round: 1.5, twist: 1.2, lunge: 1.2, cross_step: 1, walk: 1, stay: 1.5,
}  # fmt: skip
"""What feet may do, and how often compared to the others."""
