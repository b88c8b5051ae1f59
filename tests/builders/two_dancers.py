"""Two drawn dancers in one wide room, and where their keypoints truly are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.camera import CameraShot
from animcli.synthetic.scene import Scene

SIZE = (960, 512)
RATE = 12.0
SEEDS = (1, 2)
START = 1 / 6
"""Seconds into the dances. The person detector, made for photographs, misses one drawing or
another; counted from here, none of frames 0, 10 and 20, at which it looks.
"""
PLACES = (-0.6, 0.6)
ROOM = 3
NEAR = 20  # px; found keypoints are 4 to 6 px off, the other dancer is 350 away


@dataclass(frozen=True, eq=False)
class Pair:
    """Pictures `(h, w, 3)`, and the keypoints of the left and of the right dancer in each:
    `(frames, 18, 3)`, x and y in pixels, depth.
    """

    pictures: list[NDArray[np.uint8]]
    left: NDArray[np.float32]
    right: NDArray[np.float32]


def dance(frames: int, joins_at: int = 0) -> Pair:
    """The right dancer is there from frame `joins_at` on."""
    scenes = []
    for seed, place in zip(SEEDS, PLACES, strict=True):
        scene = Scene.from_seed(seed)
        shot = CameraShot(azimuth=0.2, x=place, backdrop=ROOM)
        scenes.append(Scene(scene.figure, scene.dance, shot))
    drawn = [scene.drawings(frames, SIZE, RATE, START) for scene in scenes]
    pictures = []
    for index, (one, other) in enumerate(zip(*drawn, strict=True)):
        share = other.mask[..., None] / 255 * (index >= joins_at)
        both = one.picture * (1 - share) + other.picture * share
        pictures.append(both.round().astype(np.uint8))
    left, right = (scene.keypoints(frames, SIZE, RATE, START) for scene in scenes)
    return Pair(pictures, left, right)


def typical_error(points: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Of found keypoints `(134, 2)` of one frame against `(18, 3)`: the median, in
    pixels.
    """
    return float(np.median(np.linalg.norm(points[:18] - truth[:, :2], axis=1)))
