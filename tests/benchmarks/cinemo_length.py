"""Which way of lengthening drifts less, and which has the softer seams.

    python tests/benchmarks/cinemo_length.py

There are no real weights here, so the network is replaced by the best that any network can
do which knows residuals by their covariance in time alone: for Gaussian residuals the noise
to expect follows from it in closed form. It is taken from clips of drawn dancers, at an
eighth of their size in the place of latents. Each way of lengthening then runs in the
package's own loop, sampler, windows and parts.

drift: mean square distance from the first frame, as a share of that of real clips, over
the frames from 17 on. 1 is right, less pulls back, more runs away.
seam: mean square second difference in time where a part or window begins, as a share of
that elsewhere. 1 can't be seen.
jump: the same of the first difference.
"""

from fractions import Fraction

import cv2
import numpy as np
import torch
from torch import Tensor

from animcli.rendering.cinemo import Extend, cut_parts
from animcli.rendering.context import (
    ContextWindow,
    DenoiseFn,
    WindowsFn,
    moving_windows,
    uniform_windows,
)
from animcli.rendering.noise import clip_noise
from animcli.rendering.pipeline import denoise
from animcli.rendering.schedulers import CINEMO_SCHEDULE, Scheduler, make_scheduler
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.dance import Dance
from animcli.synthetic.scene import Scene

FRAMES = 46
WINDOW = 15
RATE = Fraction(8)
SIZE = (256, 160)
PEOPLE = range(6)
STEPS = 50


def real_clips() -> Tensor:
    """Drawn dancers, (clips, frames, 3, h / 8, w / 8), brought to variance 1."""
    clips = []
    for seed in PEOPLE:
        figure, dance = Character.from_seed(seed), Dance.from_seed(seed)
        scene = Scene(figure, dance, CameraShot(backdrop=seed))
        drawings = scene.drawings(FRAMES, SIZE, float(RATE), 0.0)
        small = [
            cv2.resize(
                each.picture, (SIZE[0] // 8, SIZE[1] // 8), interpolation=cv2.INTER_AREA
            )
            for each in drawings
        ]
        clips.append(np.stack(small).astype(np.float64))
    whole = torch.from_numpy(np.stack(clips)).movedim(-1, 2)
    return (whole - whole.mean()) / whole.std()


def covariance(clips: Tensor) -> Tensor:
    """Of the residuals of a window's frames, over all starts, (WINDOW, WINDOW)."""
    starts = range(clips.shape[1] - WINDOW)
    residuals = torch.cat(
        [clips[:, s + 1 : s + 1 + WINDOW] - clips[:, s : s + 1] for s in starts]
    )
    flat = residuals.transpose(0, 1).flatten(1)
    return flat @ flat.T / flat.shape[1]


def lengthened(spread: Tensor, extend: Extend, cut: WindowsFn, seed: int) -> Tensor:
    """A clip (frames, c, h, w) that starts at nothing, by the package's own loop."""
    signal = make_scheduler("ddim", CINEMO_SCHEDULE).alphas_cumprod.double()
    shape = (3, SIZE[1] // 8, SIZE[0] // 8)
    clip = torch.zeros(1, *shape, dtype=torch.float64)

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        share = signal[timestep]
        noisy = share * spread + (1 - share) * torch.eye(WINDOW)
        answer = (1 - share).sqrt() * torch.linalg.inv(noisy)

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            return torch.einsum("ij,jchw->ichw", answer, part)

        return predict

    for part in cut_parts(FRAMES, WINDOW, extend):
        noise = clip_noise("independent", part.stop, shape, seed)[part.start :].double()
        scheduler = Scheduler("ddim", CINEMO_SCHEDULE, STEPS)
        *_, residuals = denoise(noise, scheduler, step_fn, cut)
        clip = torch.cat([clip, clip[-1] + residuals])
    return clip[:FRAMES]


def figures(clip: Tensor, real: Tensor, seams: list[int]) -> tuple[float, float, float]:
    """Drift, seam and jump."""
    distance = (clip - clip[0]).square().mean((1, 2, 3))
    drift = float((distance[17:] / real[17:]).mean())
    first = (clip[1:] - clip[:-1]).square().mean((1, 2, 3))
    second = (clip[2:] - 2 * clip[1:-1] + clip[:-2]).square().mean((1, 2, 3))
    at = torch.zeros(FRAMES, dtype=torch.bool)
    at[seams] = True
    turns, steps = at[1:-1], at[1:]
    seam = float(second[turns].mean() / second[~turns].mean())
    return drift, seam, float(first[steps].mean() / first[~steps].mean())


def main() -> None:
    """Print a table."""
    clips = real_clips()
    spread = covariance(clips)
    real = (clips - clips[:, :1]).square().mean((0, 2, 3, 4))
    last = FRAMES - 1
    ways: list[tuple[str, Extend, WindowsFn, list[int]]] = [
        ("continue", "continue", lambda _: moving_windows(WINDOW, WINDOW, 0), [15, 30])
    ]
    for overlap in (5, 10):
        ways.append(
            (
                f"overlap {overlap}, moving",
                "overlap",
                lambda step, o=overlap: moving_windows(last, WINDOW, o, step=step),
                list(range(WINDOW - overlap + 1, last, WINDOW - overlap)),
            )
        )
    fixed = uniform_windows(last, WINDOW, 5)
    ways.append(("overlap 5, uniform", "overlap", lambda _: fixed, [11, 21, 31, 41]))
    print(f"{'way':<22}{'drift':>8}{'seam':>8}{'jump':>8}{'calls':>8}")
    for name, extend, cut, seams in ways:
        clip = lengthened(spread, extend, cut, 0)
        drift, seam, jump = figures(clip, real, seams)
        parts = len(cut_parts(FRAMES, WINDOW, extend))
        calls = parts * sum(len(cut(step)) for step in range(STEPS))
        print(f"{name:<22}{drift:8.2f}{seam:8.2f}{jump:8.2f}{calls:8}")
    shown = " ".join(f"{float(spread[i, i]):.2f}" for i in (0, 4, 9, 14))
    print(f"variance of real residuals 1, 5, 10, 15 frames on: {shown}")


if __name__ == "__main__":
    main()
