"""What a diffusion render costs as it gets longer: time a frame, peak memory.

    python tests/benchmarks/diffusion_cost.py --frames 24 96 384

renders with tiny random networks through the renderer, each length in a process of its own,
one after another in every round, and prints CPU time of the fastest: once for a video
(loading networks and looking at the reference), and for a frame (denoising and decoding),
also as a share of the shortest clip's. Then how many windows see a frame, the bytes of a
checkpoint, and the process's peak memory.

Only clips in which as many windows see a frame cost the same for each: with windows of 12
that share 4, those of a multiple of 8 frames, 1.5 times each; a clip no longer than a
window, once.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))


class Kept:
    """A checkpoint in memory."""

    def load(self) -> None:
        return None

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.bytes = sum(array.nbytes for array in arrays.values())


def measure(frames: int, windows: str) -> dict[str, float]:
    """Render so many frames here, and say what that took."""
    import torch
    from builders.tiny_networks import TINY, write_tiny_weights

    from animcli.pose.sequence import PoseSequence, even_ticks
    from animcli.presets import Preset
    from animcli.rendering.context import context_windows
    from animcli.rendering.renderer import RenderRequest

    torch.set_num_threads(1)
    size, steps = (128, 128), 4
    preset = Preset(
        "tiny", renderer="animate-anyone", width=size[0], height=size[1], steps=steps,
        window=12, overlap=4, windows=windows, guidance=2.0,
    )  # fmt: skip
    points = np.random.default_rng(0).uniform(10, 100, (134, 2)).astype(np.float32)
    moving = points + np.arange(frames, dtype=np.float32)[:, None, None] % 20
    ticks, base = even_ticks(frames, Fraction(8))
    motion = PoseSequence(moving, np.ones((frames, 134), np.float32), ticks, base, size)
    picture = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        asked = RenderRequest(
            reference=picture, reference_alpha=None, reference_pose=None, motion=motion,
            control=None, frames=frames, size=size, preset=preset,
            weights=write_tiny_weights(Path(folder)), device="cpu",
        )  # fmt: skip
        kept, start = Kept(), time.process_time()
        begun: list[float] = []

        def progress(what: str, done: int, of: int) -> None:
            if what == "denoising" and done == 0:
                begun.append(time.process_time())

        source = TINY.prepare(asked, kept, progress)
        for picture in source(range(frames)):
            del picture
        seconds = time.process_time() - begun[0]
    cut = context_windows(preset, frames)
    seen = sum(len(window.frames) for step in range(steps) for window in cut(step))
    return {
        "once_ms": 1000 * (begun[0] - start),
        "frame_ms": 1000 * seconds / frames,
        "seen": seen / steps / frames,
        "kept_kib": kept.bytes / 1024,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[24, 96, 384])
    parser.add_argument("--windows", default="uniform", choices=["uniform", "moving"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="measure one length, as JSON")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(measure(chosen.frames[0], chosen.windows)))
        return
    best: dict[int, dict[str, float]] = {}
    for _ in range(chosen.rounds):
        for frames in chosen.frames:
            line = [sys.executable, __file__, "--here", "--windows", chosen.windows]
            line += ["--frames", str(frames)]
            run = json.loads(subprocess.check_output(line))
            if frames not in best or run["frame_ms"] < best[frames]["frame_ms"]:
                best[frames] = run
    print("frames   ms once   ms a frame   share   windows a frame   kept KiB   peak MiB")
    for frames, run in best.items():
        share = run["frame_ms"] / best[chosen.frames[0]]["frame_ms"]
        print(
            f"{frames:6} {run['once_ms']:9.0f} {run['frame_ms']:12.1f} {share:7.3f} "
            f"{run['seen']:17.2f} {run['kept_kib']:10.0f} {run['peak_mib']:10.0f}"
        )


if __name__ == "__main__":
    main()
