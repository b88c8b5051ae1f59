"""A dance: a seed's worth of moves, as angles over time that any figure can dance to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animcli.characters.body import SIDES, Angles, Pose, stand
from animcli.characters.figure import Figure
from animcli.characters.moves import ARMS, HALF_BEATS, MOVES, PAIRS, Bar

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
        """How long it takes until it begins again."""
        return BARS * 4 * 60 / self.tempo

    def angles(self, times: Array) -> Angles:
        """What the body does at these times `(f,)`, in seconds."""
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

    def poses(self, figure: Figure, times: Array) -> list[Pose]:
        """The figure's body at these times `(f,)`, in seconds."""
        return stand(self.angles(times), figure.proportions)

    def pose(self, figure: Figure, t_seconds: float) -> Pose:
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


def compose(chance: np.random.Generator) -> Dance:
    """Choose a tempo, a few moves and phrases, and set them to 16 bars."""
    tempo = float(chance.uniform(84, 138))
    moves, weights = list(MOVES), np.array(list(MOVES.values()))
    few = chance.choice(len(moves), 6, replace=False, p=weights / weights.sum())
    phrases = chance.choice(len(PAIRS), 5, replace=False)
    stance = chance.uniform(0.02, 0.13)  # legs; how wide the feet stand
    toes = chance.uniform(0.05, 0.4)  # radians outward
    bars = [moves[few[chance.integers(6)]](chance) for _ in range(BARS)]
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
    upper, fore = _arms(chance, phrases)
    groove = _groove(chance)
    spine, head = groove
    spine[:, 2] -= 0.7 * hips[:, 2]  # the chest stays over the hips
    spine[:, 0] -= 0.6 * hips[:, 0]
    values = (
        facing, pelvis, hips, spine, head, upper, fore, feet, anchors,
        anchors + side * toes,
    )  # fmt: skip
    return Dance(tempo, *(np.asarray(value, np.float32) for value in values))


def _turn_back(bar: Bar, end: float) -> Bar:
    """The last bar, turning so that the dance ends facing as it began."""
    rest = float(_nearest(np.array(-(end - bar.ends))))
    if abs(rest) < 1e-6 and bar.ends == 0:
        return bar
    back = Bar(ends=rest)
    back.yaw[:] = rest * np.arange(HALF_BEATS) / HALF_BEATS
    for foot in (0, 1):
        steps = (np.arange(HALF_BEATS) + foot) // 2 * 2 / HALF_BEATS
        back.anchors[:, foot] = rest * np.minimum(steps, 1)
    back.pelvis[:, 1] = -0.05
    return back


def _arms(
    chance: np.random.Generator, phrases: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions `(keys, 2, 3)` of upper arms and forearms; a phrase lasts two bars."""
    upper, fore = np.zeros((KEYS, 2, 3)), np.zeros((KEYS, 2, 3))
    taste = chance.normal(0, 0.1, (2, 2, 3))
    flowing = chance.random() < 0.6  # or from pose to pose, and hold
    for bar in range(BARS):
        if bar % 2 == 0:
            phrase = PAIRS[phrases[chance.integers(len(phrases))]]
            pace = int(chance.choice([2, 2, 4]))  # half beats from pose to pose
        for half in range(HALF_BEATS):
            key = bar * HALF_BEATS + half
            names = phrase[(half // pace) % len(phrase)]
            for i in (0, 1):
                upper[key, i], fore[key, i] = ARMS[names[i]]
    for target, style in zip((upper, fore), taste, strict=True):
        target += style
        target[..., 0] *= SIDES
        target /= np.linalg.norm(target, axis=-1, keepdims=True)
        if flowing:
            target[1::2] = (target[0::2] + np.roll(target[0::2], -1, axis=0)) / 2
        # Arms on their way pass before the body, not through it.
        away = np.linalg.norm(target - np.roll(target, 1, axis=0), axis=-1)
        target[..., 2] += 0.12 * away
        target /= np.linalg.norm(target, axis=-1, keepdims=True)
    return upper, fore


def _groove(chance: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What spine and head `(keys, 3)` do all the time: a sway that fits the beat."""
    key = np.arange(KEYS)
    spine, head = np.zeros((KEYS, 3)), np.zeros((KEYS, 3))
    for axis, (most, nod) in enumerate(((0.3, 0.35), (0.1, 0.15), (0.16, 0.16))):
        for target, far in ((spine, most), (head, nod)):
            period = int(chance.choice([4, 8, 16]))  # half beats
            size = chance.uniform(0.15, 1.0) * far
            target[:, axis] = size * np.sin(
                2 * np.pi * key / period + chance.uniform(0, 2 * np.pi)
            )
    spine[:, 1] += chance.uniform(-0.02, 0.1)
    head[:, 1] += chance.uniform(-0.08, 0.12)
    return spine, head
