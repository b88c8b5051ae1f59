"""A dance: a seed's worth of moves, as angles over time that any figure can dance to.

Its vocabulary is where arms may go, and what feet do in a bar. A bar is eight half beats. A
step bar says for each half beat where the feet are, how the pelvis moves and how far the
body has turned; it starts and ends with the feet at home. Lengths are in legs; a pair is
(right, left); x is written for the body's own left.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.body import SIDE_SIGNS, Angles, Pose, pose_figure
from animcli.synthetic.character import Character

Array64 = NDArray[np.float64]
HALF_BEATS = 8

ARM_POSES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
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

ARM_PHRASES: tuple[tuple[tuple[str, str], ...], ...] = (
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
class StepBar:
    """Keys at eight half beats. Widths in legs, yaw in radians.

    feet: `(8, 2, 3)` away from home: out to the foot's own side, up, forward.
    pelvis: `(8, 3)` to the left, up, forward. yaw: `(8,)` of the body since the bar began.
    anchors: `(8, 2)` the yaw at which each foot was put down, likewise.
    ends: yaw at the end of the bar. swing: `(8, 3)` of hips: yaw, pitch, roll.
    """

    feet: Array64 = field(default_factory=lambda: np.zeros((HALF_BEATS, 2, 3)))
    pelvis: Array64 = field(default_factory=lambda: np.zeros((HALF_BEATS, 3)))
    yaw: Array64 = field(default_factory=lambda: np.zeros(HALF_BEATS))
    anchors: Array64 = field(default_factory=lambda: np.zeros((HALF_BEATS, 2)))
    swing: Array64 = field(default_factory=lambda: np.zeros((HALF_BEATS, 3)))
    ends: float = 0.0


Move = Callable[[np.random.Generator], StepBar]


def bounce(rng: np.random.Generator) -> StepBar:
    """Both feet stay; the weight goes from one to the other."""
    bar = StepBar()
    side = rng.uniform(0.03, 0.1) * rng.choice([-1, 1])
    bar.pelvis[:, 0] = side * np.array([1, 1, -1, -1, 1, 1, -1, -1])
    bar.pelvis[:, 1] = -rng.uniform(0.03, 0.1) * np.array([1, 0, 1, 0, 1, 0, 1, 0])
    bar.swing[:, 2] = 1.4 * bar.pelvis[:, 0]
    return bar


def step_touch(rng: np.random.Generator) -> StepBar:
    """A step to the side and back, the other foot closing."""
    bar = StepBar()
    wide = rng.uniform(0.2, 0.42) * rng.choice([-1, 1])
    first = int(wide > 0)
    out, other = abs(wide), -abs(wide) * 0.8
    bar.feet[1:6, first, 0] = out
    bar.feet[3:6, 1 - first, 0] = other
    bar.feet[7, 1 - first, 0] = 0.0
    bar.pelvis[:, 0] = wide * np.array([0, 0.5, 0.75, 0.9, 0.9, 0.75, 0.35, 0.1])
    bar.pelvis[:, 1] = -0.05 - 0.03 * np.array([1, 0, 1, 0, 1, 0, 1, 0])
    return bar


def march(rng: np.random.Generator) -> StepBar:
    """Steps on the spot, knees up."""
    bar = StepBar()
    high, forward = rng.uniform(0.12, 0.42), rng.uniform(0.05, 0.3)
    for beat in range(4):
        bar.feet[2 * beat + 1, beat % 2, 1:] = high, forward
        bar.pelvis[2 * beat + 1, 0] = -0.06 if beat % 2 else 0.06
    bar.pelvis[::2, 1] = -0.05
    bar.swing[:, 2] = -0.8 * bar.pelvis[:, 0]
    return bar


def squat(rng: np.random.Generator) -> StepBar:
    """Down and up, twice or once."""
    bar = StepBar()
    deep = rng.uniform(0.15, 0.4)
    shape = [0, 0.5, 1, 0.5] * 2 if rng.random() < 0.5 else [0, 0.4, 0.8, 1, 1, 0.8, 0.4, 0]
    bar.pelvis[:, 1] = -deep * np.array(shape)
    bar.pelvis[:, 2] = -0.35 * deep * np.array(shape)
    bar.swing[:, 1] = 1.1 * deep * np.array(shape)
    bar.feet[1:7, :, 0] = 0.06
    return bar


def kick(rng: np.random.Generator) -> StepBar:
    """A kick to the front or to the side, one leg and then the other."""
    bar = StepBar()
    high, outward = rng.uniform(0.2, 0.6), rng.random() < 0.4
    for half, foot in ((2, 0), (6, 1)):
        place = (0.55, high, 0.05) if outward else (0.0, high, 0.7)
        bar.feet[half, foot] = place
        bar.pelvis[half, 0] = 0.09 if foot == 0 else -0.09
        bar.swing[half] = 0, -0.12, 0
    bar.pelvis[::4, 1] = -0.08
    return bar


def jump(rng: np.random.Generator) -> StepBar:
    """Jumps, feet together or apart."""
    bar = StepBar()
    high, wide = rng.uniform(0.08, 0.2), rng.choice([0.0, 0.25])
    for half in (1, 5):
        bar.feet[half, :, 1] = high
        bar.pelvis[half, 1] = high
        bar.pelvis[half - 1, 1] = bar.pelvis[half + 1, 1] = -0.16
    bar.feet[1, :, 0], bar.feet[2:5, :, 0], bar.feet[5, :, 0] = wide / 2, wide, wide / 2
    return bar


def turn_round(rng: np.random.Generator) -> StepBar:
    """Small steps on the spot that turn the body, by a quarter or more."""
    bar = StepBar()
    whole = rng.choice([0.5, 1.0, 2.0]) * np.pi * rng.choice([-1, 1])
    bar.ends = float(whole)
    bar.yaw[:] = whole * np.arange(HALF_BEATS) / HALF_BEATS
    for half in range(HALF_BEATS):
        for foot in (0, 1):  # each foot is put down again every second half beat
            bar.anchors[half, foot] = whole * min((half + foot) // 2 * 2 / HALF_BEATS, 1)
    bar.pelvis[:, 1] = -0.06
    return bar


def twist(rng: np.random.Generator) -> StepBar:
    """The hips turn over feet that stay."""
    bar = StepBar()
    far = rng.uniform(0.15, 0.5)
    bar.swing[:, 0] = far * np.array([1, 0, -1, 0, 1, 0, -1, 0])
    bar.pelvis[:, 1] = -rng.uniform(0.05, 0.15)
    return bar


def lunge(rng: np.random.Generator) -> StepBar:
    """A wide step to one side, then to the other."""
    bar = StepBar()
    wide = rng.uniform(0.3, 0.55)
    bar.feet[1:3, 0, 0] = wide
    bar.feet[5:7, 1, 0] = wide
    bar.pelvis[:, 0] = wide * np.array([0, -0.4, -0.5, -0.2, 0, 0.4, 0.5, 0.2])
    bar.pelvis[:, 1] = -wide * np.array([0.1, 0.35, 0.45, 0.2, 0.1, 0.35, 0.45, 0.2])
    return bar


def cross_step(rng: np.random.Generator) -> StepBar:
    """One foot crosses before the other."""
    bar = StepBar()
    far, forward = rng.uniform(0.2, 0.36), rng.choice([-0.2, 0.22])
    bar.feet[1:3, 0] = -far, 0, forward
    bar.feet[5:7, 1] = -far, 0, forward
    bar.pelvis[:, 0] = [0, 0.08, 0.08, 0, 0, -0.08, -0.08, 0]
    bar.pelvis[:, 1] = -0.07
    bar.swing[:, 0] = [0, -0.25, -0.25, 0, 0, 0.25, 0.25, 0]
    return bar


def walk_to_and_fro(rng: np.random.Generator) -> StepBar:
    """Two steps forward and two back."""
    bar = StepBar()
    far = rng.uniform(0.2, 0.38) * rng.choice([-1, 1])
    bar.feet[1:6, 0, 2] = far
    bar.feet[3:8, 1, 2] = far
    bar.pelvis[:, 2] = far * np.array([0.05, 0.4, 0.6, 0.9, 0.95, 0.7, 0.5, 0.3])
    bar.pelvis[:, 1] = -0.05
    return bar


def stay(rng: np.random.Generator) -> StepBar:
    """The feet rest while the rest of the body dances."""
    bar = StepBar()
    bar.pelvis[:, 0] = rng.uniform(-0.08, 0.08)
    bar.pelvis[:, 1] = -0.02
    return bar


MOVES: dict[Move, float] = {
    bounce: 3, step_touch: 2, march: 1.5, squat: 1.5, kick: 1.2, jump: 1.2,
    turn_round: 1.5, twist: 1.2, lunge: 1.2, cross_step: 1, walk_to_and_fro: 1, stay: 1.5,
}  # fmt: skip
"""Moves of the feet, with how often each is taken compared to the others."""

Array = NDArray[np.floating]

BARS = 16
KEYS = BARS * HALF_BEATS
STEP_LIFT = 0.07  # legs; how high a foot is carried from one place to another
FREE = 0.1  # legs; a foot this high carries no weight


@dataclass(frozen=True, eq=False)
class Dance:
    """Angles at every half beat, 16 bars long; then it begins again.

    tempo: beats a minute. The other fields are those of `Angles` at the half beats,
    except that `lifts` is derived from the feet.
    """

    tempo: float
    facing: Array
    pelvis: Array
    hips: Array
    spine: Array
    head: Array
    _: KW_ONLY
    upper_arms: Array
    forearms: Array
    feet: Array
    anchors: Array
    turns: Array

    @classmethod
    def from_seed(cls, seed: int) -> "Dance":
        """The dance of this seed; a seed's figure and dance have nothing in common."""
        return compose(np.random.default_rng([seed, 2]))

    @property
    def seconds(self) -> float:
        """Duration until it begins again."""
        return BARS * 4 * 60 / self.tempo

    def angles(self, times: Array) -> Angles:
        """Angles of the body at these times `(f,)`, in seconds."""
        place = np.asarray(times, np.float64) * self.tempo / 30 % KEYS
        key = place.astype(np.int64)
        part = place - key
        after = (key + 1) % KEYS
        eased = part * part * (3 - 2 * part)

        def ease(values: Array) -> Array:
            f = eased.reshape(-1, *[1] * (values.ndim - 1))
            return (values[key] * (1 - f) + values[after] * f).astype(np.float32)

        def ease_turn(values: Array) -> Array:
            f = eased.reshape(-1, *[1] * (values.ndim - 1))
            return (values[key] + f * _nearest(values[after] - values[key])).astype(
                np.float32
            )

        def glide(values: Array) -> Array:
            return _glide(values, key, part)

        feet = ease(self.feet)
        moved = np.abs(np.diff(self.feet, axis=0, append=self.feet[:1])).sum(-1)
        moved += np.abs(_nearest(np.diff(self.anchors, axis=0, append=self.anchors[:1])))
        steps = (moved > 1e-6)[key]  # (f, 2)
        carried = STEP_LIFT * np.sin(np.pi * part)[:, None] ** 2 * steps
        feet[..., 1] += carried
        return Angles(
            facing=ease_turn(self.facing),
            pelvis=glide(self.pelvis),
            hips=glide(self.hips),
            spine=glide(self.spine),
            head=glide(self.head),
            upper_arms=_unit(glide(self.upper_arms)),
            forearms=_unit(glide(self.forearms)),
            feet=feet,
            anchors=ease_turn(self.anchors),
            turns=ease_turn(self.turns),
            lifts=np.minimum(feet[..., 1] / FREE, 1).astype(np.float32),
        )

    def poses(self, figure: Character, times: Array) -> list[Pose]:
        """The figure's body at these times `(f,)`, in seconds."""
        return pose_figure(self.angles(times), figure.proportions)

    def pose(self, figure: Character, t_seconds: float) -> Pose:
        """The figure's body at one time."""
        return self.poses(figure, np.array([t_seconds], np.float32))[0]


def _nearest(angle: Array) -> Array:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def _glide(values: Array, key: NDArray[np.int64], part: Array) -> Array:
    """A Catmull-Rom curve through the keys: for what never stands still."""
    f = part.reshape(-1, *[1] * (values.ndim - 1))
    a, b = values[(key - 1) % KEYS], values[key]
    c, d = values[(key + 1) % KEYS], values[(key + 2) % KEYS]
    curve = b + 0.5 * f * (
        c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a))
    )
    return np.asarray(curve, np.float32)


def _unit(directions: Array) -> Array:
    return np.asarray(
        directions / np.linalg.norm(directions, axis=-1, keepdims=True), np.float32
    )


def compose(rng: np.random.Generator) -> Dance:
    """Choose a tempo, a few moves and phrases, and set them to 16 bars."""
    tempo = float(rng.uniform(84, 138))
    moves, weights = list(MOVES), np.array(list(MOVES.values()))
    few = rng.choice(len(moves), 6, replace=False, p=weights / weights.sum())
    phrases = rng.choice(len(ARM_PHRASES), 5, replace=False)
    stance = rng.uniform(0.02, 0.13)  # legs; how wide the feet stand
    toes = rng.uniform(0.05, 0.4)  # radians outward
    bars = [moves[few[rng.integers(6)]](rng) for _ in range(BARS)]
    start, yaws = 0.0, []
    for bar in bars:
        yaws.append(start)
        start += bar.ends
    bars[-1] = _turn_back(bars[-1], start)
    side = np.array([-1, 1])
    feet = np.concatenate([bar.feet for bar in bars])
    feet[..., 0] = side * (feet[..., 0] + stance)
    anchors = np.concatenate([b.anchors + y for b, y in zip(bars, yaws, strict=True)])
    facing = np.concatenate([b.yaw + y for b, y in zip(bars, yaws, strict=True)])
    pelvis = np.concatenate([bar.pelvis for bar in bars])
    pelvis[:, 1] -= 0.015
    hips = np.concatenate([bar.swing for bar in bars])
    upper, fore = _arms(rng, phrases)
    groove = _groove(rng)
    spine, head = groove
    spine[:, 2] -= 0.7 * hips[:, 2]  # the chest stays over the hips
    spine[:, 0] -= 0.6 * hips[:, 0]
    body = (np.asarray(each, np.float32) for each in (facing, pelvis, hips, spine, head))
    upper_arms, forearms, feet, anchors, turns = (
        np.asarray(each, np.float32)
        for each in (upper, fore, feet, anchors, anchors + side * toes)
    )
    return Dance(
        tempo, *body, upper_arms=upper_arms, forearms=forearms, feet=feet, anchors=anchors,
        turns=turns,
    )  # fmt: skip


def _turn_back(bar: StepBar, end: float) -> StepBar:
    """The last bar, turning so that the dance ends facing as it began."""
    rest = float(_nearest(np.array(-(end - bar.ends))))
    if abs(rest) < 1e-6 and bar.ends == 0:
        return bar
    back = StepBar(ends=rest)
    back.yaw[:] = rest * np.arange(HALF_BEATS) / HALF_BEATS
    for foot in (0, 1):
        steps = (np.arange(HALF_BEATS) + foot) // 2 * 2 / HALF_BEATS
        back.anchors[:, foot] = rest * np.minimum(steps, 1)
    back.pelvis[:, 1] = -0.05
    return back


def _arms(
    rng: np.random.Generator, phrases: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions `(keys, 2, 3)` of upper arms and forearms; a phrase lasts two bars."""
    upper, fore = np.zeros((KEYS, 2, 3)), np.zeros((KEYS, 2, 3))
    taste = rng.normal(0, 0.1, (2, 2, 3))
    flowing = rng.random() < 0.6  # or from pose to pose, and hold
    for bar in range(BARS):
        if bar % 2 == 0:
            phrase = ARM_PHRASES[phrases[rng.integers(len(phrases))]]
            pace = int(rng.choice([2, 2, 4]))  # half beats from pose to pose
        for half in range(HALF_BEATS):
            key = bar * HALF_BEATS + half
            names = phrase[(half // pace) % len(phrase)]
            for i in (0, 1):
                upper[key, i], fore[key, i] = ARM_POSES[names[i]]
    for target, style in zip((upper, fore), taste, strict=True):
        target += style
        target[..., 0] *= SIDE_SIGNS
        target /= np.linalg.norm(target, axis=-1, keepdims=True)
        if flowing:
            target[1::2] = (target[0::2] + np.roll(target[0::2], -1, axis=0)) / 2
        # Arms on their way pass before the body, not through it.
        away = np.linalg.norm(target - np.roll(target, 1, axis=0), axis=-1)
        target[..., 2] += 0.12 * away
        target /= np.linalg.norm(target, axis=-1, keepdims=True)
    return upper, fore


def _groove(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Constant movement of spine and head `(keys, 3)`: a sway that fits the beat."""
    key = np.arange(KEYS)
    spine, head = np.zeros((KEYS, 3)), np.zeros((KEYS, 3))
    for axis, (most, nod) in enumerate(((0.3, 0.35), (0.1, 0.15), (0.16, 0.16))):
        for target, far in ((spine, most), (head, nod)):
            period = int(rng.choice([4, 8, 16]))  # half beats
            size = rng.uniform(0.15, 1.0) * far
            target[:, axis] = size * np.sin(
                2 * np.pi * key / period + rng.uniform(0, 2 * np.pi)
            )
    spine[:, 1] += rng.uniform(-0.02, 0.1)
    head[:, 1] += rng.uniform(-0.08, 0.12)
    return spine, head
