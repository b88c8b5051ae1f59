"""Clips of people that the package draws itself, with their true keypoints."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.draw import Artist
from animcli.synthetic.scene import Scene

TRAINING_SEEDS = range(800_000)
VALIDATION_SEEDS = range(800_000, 900_000)
"""From 900000 on nobody trains or tunes."""


@dataclass(frozen=True, eq=False)
class Footage:
    """Pictures of one person before training: the first is the reference.

    pictures: `(k, h, w, 3)` uint8 RGB. masks: `(k, h, w)` uint8, where the person is.
    joints: `(k, 18, 2)` float32, x and y in 0..1 of the picture.
    seen: `(k, 18)` bool.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    joints: NDArray[np.float32]
    seen: NDArray[np.bool_]


def draw_footage(seed: int, targets: int, size: int = 256) -> Footage:
    """The person of this seed at `1 + targets` moments; the first is the reference."""
    chance = np.random.default_rng([seed, 11])
    return _draw(seed, chance.uniform(0, 12, 1 + targets), size, chance)


def draw_clip(seed: int, frames: int, size: int = 256) -> Footage:
    """The person of this seed at some moment, the reference, then `frames` on end, 12 to 24
    a second.
    """
    chance = np.random.default_rng([seed, 17])
    reference, start = chance.uniform(0, 12, 2)
    moments = start + np.arange(frames) / chance.uniform(12, 24)
    return _draw(seed, np.array([reference, *moments]), size, chance)


def _draw(
    seed: int, moments: NDArray[np.float64], size: int, chance: np.random.Generator
) -> Footage:
    """The person of this seed at `moments` (seconds).

    In one clip of four, each hidden joint counts as unseen one time in three: detectors
    guess most of them.
    """
    scene = Scene.from_seed(seed)
    artist = Artist(scene.figure, scene.shot, (size, size))
    drawn = [artist.draw(pose) for pose in scene.dance.poses(scene.figure, moments)]
    joints = np.stack([drawing.joints for drawing in drawn]) / np.float32(size)
    inside = ((joints > -0.02) & (joints < 1.02)).all(axis=-1)
    guessed = chance.random(inside.shape) < (2 / 3 if chance.random() < 1 / 4 else 1)
    return Footage(
        pictures=np.stack([drawing.picture for drawing in drawn]),
        masks=np.stack([drawing.mask for drawing in drawn]),
        joints=joints.astype(np.float32),
        seen=inside & (np.stack([drawing.visible for drawing in drawn]) | guessed),
    )
