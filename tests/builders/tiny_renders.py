"""Renders with the tiny Animate Anyone, outside of any stage."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.rendering.renderer import RenderRequest
from builders.tiny_networks import TINY

SIZE = (72, 88)  # multiples of 8, and of no more
PRESET = Preset(
    "tiny", renderer="animate-anyone", width=SIZE[0], height=SIZE[1], steps=3, window=8,
    overlap=2, guidance=2.0,
)  # fmt: skip


class Kept:
    """A checkpoint in memory, which ends the run after some saves."""

    def __init__(self, saves: int = -1) -> None:
        self.saves = saves
        self.arrays: dict[str, NDArray[np.generic]] | None = None
        self.others: dict[str, Kept] = {}

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        return self.arrays

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.arrays = {name: array.copy() for name, array in arrays.items()}
        self.saves -= 1
        if self.saves == 0:
            raise KeyboardInterrupt

    def beside(self, name: str) -> "Kept":
        return self.others.setdefault(name, Kept())


def request(
    weights: Mapping[str, Path], frames: int, preset: Preset = PRESET
) -> RenderRequest:
    """A figure that raises its arm by a pixel a frame."""
    points = np.random.default_rng(0).uniform(10, 70, (134, 2)).astype(np.float32)
    moving = points + np.arange(frames, dtype=np.float32)[:, None, None]
    ticks, base = even_ticks(frames, Fraction(8))
    scores = np.ones((frames, 134), np.float32)
    picture = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    return RenderRequest(
        reference=picture,
        reference_alpha=None,
        reference_pose=None,
        motion=PoseSequence(moving, scores, ticks, base, SIZE),
        control=None,
        frames=frames,
        size=SIZE,
        preset=preset,
        weights=weights,
        device="cpu",
    )


def render(asked: RenderRequest, kept: Kept | None = None) -> NDArray[np.uint8]:
    source = TINY.prepare(asked, kept or Kept(), lambda what, done, total: None)
    return np.stack(list(source(range(asked.frames))))
