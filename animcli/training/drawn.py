"""Samples of people that the package draws itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.draw import FigureRenderer
from animcli.synthetic.scene import Scene
from animcli.training.samples import Sample

TRAINING_SEEDS: Final = range(800_000)
VALIDATION_SEEDS: Final = range(800_000, 900_000)
"""From 900000 on nobody trains or tunes."""

DANCE_SECONDS: Final = 12.0  # of a dance
DRAWN_RATES: Final = (12.0, 24.0)  # frames a second of clips
GUESSED: Final = 2 / 3
"""Share of the hidden keypoints that a detector guesses, in one clip of four; in the others
it guesses all of them."""


@dataclass(frozen=True)
class DrawnPeople:
    """Number of a sample -> the person of that one of `seeds`, with true keypoints.

    After the last of the seeds comes the first again.

    size: `(width, height)`. frames: of a sample.
    consecutive: frames follow one another, 12 to 24 a second, instead of moments apart.
    """

    seeds: range
    size: tuple[int, int]
    frames: int
    consecutive: bool = False

    def __call__(self, number: int) -> Sample:
        """The same sample for the same number."""
        seed = self.seeds[number % len(self.seeds)]
        rng = np.random.default_rng([seed, 17 if self.consecutive else 11])
        if self.consecutive:
            reference, start = rng.uniform(0, DANCE_SECONDS, 2)
            moments = start + np.arange(self.frames) / rng.uniform(*DRAWN_RATES)
        else:
            reference, *moments = rng.uniform(0, DANCE_SECONDS, 1 + self.frames)
        return draw_sample(seed, np.array([reference, *moments]), self.size, rng)


def draw_sample(
    seed: int, moments: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> Sample:
    """The person of this seed at `moments` (seconds), the reference's first."""
    scene = Scene.from_seed(seed)
    artist = FigureRenderer(scene.figure, scene.shot, size)
    drawn = [artist.draw(pose) for pose in scene.dance.poses(scene.figure, moments)]
    points = np.stack([drawing.keypoints for drawing in drawn]) / np.array(size)
    inside = ((points > -0.02) & (points < 1.02)).all(axis=-1)
    guessed = rng.random(inside.shape) < (GUESSED if rng.random() < 1 / 4 else 1)
    visible = inside & (np.stack([drawing.visible for drawing in drawn]) | guessed)
    pictures = np.stack([drawing.picture for drawing in drawn])
    return Sample(
        reference=pictures[0],
        whole=pictures[0],
        frames=pictures[1:],
        keypoints=np.dstack([points, visible]).astype(np.float32),
        masks=np.stack([drawing.mask for drawing in drawn[1:]]),
    )
