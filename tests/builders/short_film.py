"""A short film of a walking figure, whose frames say which they are."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from animcli.pose.draw_densepose import PART_COLOURS
from animcli.pose.io_pose import write_pose
from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.training.samples import TrainingSource
from animcli.video.images import write_picture

FRAMES, WIDTH, HEIGHT = 12, 48, 64


def write_film(folder: Path) -> TrainingSource:
    """Keypoints that walk; blue numbers frames, red columns, DensePose parts both."""
    rng = np.random.default_rng(0)
    points = rng.uniform(8, 40, (KEYPOINTS, 2)).astype(np.float32)
    moving = points + np.arange(FRAMES, dtype=np.float32)[:, None, None] / 3
    for name in ("film", "film-densepose"):
        (folder / name).mkdir()
    for n in range(FRAMES):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[..., 2] = 20 * n
        picture[:, :, 0] = np.arange(WIDTH) * 5
        write_picture(folder / "film" / f"{n:02}.png", picture)
        parts = PART_COLOURS[(np.arange(WIDTH) // 4 + n) % 24].astype(np.uint8)
        drawn = np.broadcast_to(parts, (HEIGHT, WIDTH, 3))
        write_picture(folder / "film-densepose" / f"{n:02}.png", np.array(drawn))
    ticks, base = even_ticks(FRAMES, Fraction(24))
    scores = np.ones((FRAMES, KEYPOINTS), np.float32)
    pose = PoseSequence(moving, scores, ticks, base, (WIDTH, HEIGHT))
    write_pose(folder / "film.pose", pose)
    drawn = folder / "film-densepose"
    return TrainingSource(folder / "film", folder / "film.pose", drawn, text="walks")
