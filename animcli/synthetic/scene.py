"""A clip from one seed: a figure, its dance, a shot; pictures with their true keypoints."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.dance import Dance
from animcli.synthetic.draw import Drawing, FigureRenderer, keypoints_of

POSES_AT_ONCE = 64  # costs little more than one


@dataclass(frozen=True, eq=False)
class Scene:
    """Figure, dance and camera of a clip."""

    figure: Character
    dance: Dance
    shot: CameraShot

    @classmethod
    def from_seed(cls, seed: int) -> "Scene":
        """Seeds 800000-899999 are for validation; from 900000 on nobody trains or tunes."""
        return cls(
            Character.from_seed(seed), Dance.from_seed(seed), CameraShot.from_seed(seed)
        )

    def drawings(
        self, frames: int, size: tuple[int, int] = (256, 256), rate: float = 24.0,
        start: float = 0.0,
    ) -> Iterator[Drawing]:  # fmt: skip
        """`frames` drawings of `size` (width, height), `rate` a second, from `start` on."""
        artist = FigureRenderer(self.figure, self.shot, size)
        for first in range(0, frames, POSES_AT_ONCE):
            steps = np.arange(first, min(first + POSES_AT_ONCE, frames))
            for pose in self.dance.poses(self.figure, start + steps / rate):
                yield artist.draw(pose)

    def keypoints(
        self, frames: int, size: tuple[int, int] = (256, 256), rate: float = 24.0,
        start: float = 0.0,
    ) -> NDArray[np.float32]:  # fmt: skip
        """`(frames, 18, 3)` float32: x, y, depth in pixels, without drawing anything."""
        view = self.shot.view(self.figure, size, 1)
        times = start + np.arange(frames) / rate
        poses = self.dance.poses(self.figure, times)
        return view.project(np.stack([keypoints_of(self.figure, pose) for pose in poses]))


def clip(
    seed: int, frames: int, size: tuple[int, int] = (256, 256), rate: float = 24.0
) -> Iterator[Drawing]:
    """The clip of this seed, frame by frame."""
    return Scene.from_seed(seed).drawings(frames, size, rate)
