"""A shot: where the camera stands, how much of the figure it takes, the light, the room."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from animcli.synthetic.character import Character
from animcli.synthetic.raycast import ParallelProjection


@dataclass(frozen=True)
class CameraShot:
    """A camera that looks from far away, and what lies behind the figure.

    azimuth: where the camera stands about the figure, radians; 0 before it.
    tilt: how far it looks down, radians.
    fill: share of the picture's height that the standing figure takes.
    x: of the figure's middle, -1..1 of the room there is. floor: of the picture's height,
        where the figure stands; beyond 1 it is cut off below.
    light: direction it comes from: azimuth, elevation, radians.
    backdrop: seed of what is behind.
    """

    azimuth: float = 0.0
    tilt: float = 0.06
    fill: float = 0.72
    x: float = 0.0
    floor: float = 0.9
    light: tuple[float, float] = (-0.6, 0.8)
    _: KW_ONLY
    backdrop: int = 0

    @classmethod
    def from_seed(cls, seed: int) -> "CameraShot":
        """Three in four take the whole figure, half of them from about the front."""
        rng = np.random.default_rng([seed, 5])
        kind = rng.random()
        if kind < 0.6:
            azimuth = rng.normal(0, 0.25)
        elif kind < 0.85:
            azimuth = rng.choice([-1, 1]) * rng.uniform(0.5, 1.4)
        else:
            azimuth = rng.uniform(1.4, 2 * np.pi - 1.4)
        fill, floor = rng.uniform(0.6, 0.82), rng.uniform(0.87, 0.95)
        if rng.random() < 0.22:  # half body
            fill = rng.uniform(1.05, 1.5)
            floor = 0.16 + fill * rng.uniform(0.97, 1.02)
        return cls(
            azimuth=float(azimuth),
            tilt=float(rng.uniform(0.0, 0.16)),
            fill=float(fill),
            x=float(rng.normal(0, 0.3)),
            floor=float(floor),
            light=(float(rng.uniform(-1.1, 1.1)), float(rng.uniform(0.3, 1.2))),
            backdrop=seed,
        )

    def view(
        self, figure: Character, size: tuple[int, int], supersample: float
    ) -> ParallelProjection:
        """The projection of this shot onto a picture `size` (width, height)."""
        width, height = size
        # Arms reach about half a height to either side.
        tall = min(self.fill * height, 1.25 * self.fill * width)
        scale = tall / figure.proportions.height
        spare = max(width - 0.8 * tall, 0.1 * width) / 2
        centre = (width / 2 + float(np.clip(self.x, -1, 1)) * spare, self.floor * height)
        cy, sy = np.cos(self.azimuth), np.sin(self.azimuth)
        ct, st = np.cos(self.tilt), np.sin(self.tilt)
        turn = np.array([[1, 0, 0], [0, -ct, st], [0, st, ct]]) @ np.array(
            [[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]
        )
        return ParallelProjection(
            turn.astype(np.float32),
            scale * supersample,
            np.array(centre, np.float32) * np.float32(supersample),
        )
