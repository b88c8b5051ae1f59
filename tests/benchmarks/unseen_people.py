"""Drawn people whom nothing was trained or tuned on, rendered, and measured by
`anim evaluate`.

    python tests/benchmarks/unseen_people.py FOLDER [PEOPLE] [PRESET] [FRAMES]

Each person dances for 24 frames, or FRAMES, of 256 x 256; the first frame is the
reference, and the true joints are the motion. FOLDER gets `truths`, PRESET (cutout) and
`copying`, which shows the reference all the time, and at last people.md and people.json,
which leave out the first frame: copying has it for nothing. A person whom the detector
doesn't find in the reference can't be rendered, and is counted. The same command goes on
where it was stopped. How long each measuring without a truth took is printed.
"""

import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from builders.videos import tiny_clip
from PIL import Image

from animcli.cli.main import main as anim
from animcli.pipeline.record import hash_file
from animcli.pose.io_pose import write_pose
from animcli.pose.keypoints import BODY, KEYPOINTS
from animcli.pose.sequence import Origin, PoseSequence, even_ticks
from animcli.synthetic.scene import clip

FIRST, SIDE = 900000, 256
LOSSLESS = {"qp": "0"}


def draw(folder: Path, seed: int, frames: int) -> None:
    """The truth of a person as a video, its joints, and its first frame, shown for long."""
    drawings = list(clip(seed, frames, (SIDE, SIDE)))
    pictures = [drawing.picture for drawing in drawings]
    for name, shown in (("truths", pictures), ("copying", pictures[:1] * frames)):
        tiny_clip(
            folder / name / f"{seed}.mp4", frames, width=SIDE, height=SIDE,
            pixel_format="yuv444p", options=LOSSLESS, picture=lambda i, w, h: shown[i],  # noqa: B023
        )  # fmt: skip
    points = np.zeros((frames, KEYPOINTS, 2), np.float32)
    scores = np.zeros((frames, KEYPOINTS), np.float32)
    points[:, BODY] = np.stack([drawing.keypoints[:, :2] for drawing in drawings])
    scores[:, BODY] = 1
    ticks, base = even_ticks(frames, Fraction(24))
    digest = hash_file(folder / "truths" / f"{seed}.mp4")
    origin = Origin(source={"sha256": digest})
    pose = PoseSequence(points, scores, ticks, base, (SIDE, SIDE), 0.5, origin=origin)
    write_pose(folder / "truths" / f"{seed}.pose", pose)
    Image.fromarray(pictures[0]).save(folder / "references" / f"{seed}.png")


def main(folder: Path, people: int = 64, preset: str = "cutout", frames: int = 24) -> None:
    for name in ("truths", "copying", "references", preset):
        (folder / name).mkdir(parents=True, exist_ok=True)
    line = ["-q", "-p", str(folder)]
    lost = 0
    for seed in range(FIRST, FIRST + people):
        if not (folder / "references" / f"{seed}.png").exists():
            draw(folder, seed, frames)
        out = folder / preset / f"{seed}.mp4"
        code = anim([
            *line, "render", f"{folder}/references/{seed}.png", "--motion",
            f"{folder}/truths/{seed}.pose", "--preset", preset, "--no-retarget",
            "--size", f"{SIDE}x{SIDE}", "-o", str(out),
        ])  # fmt: skip
        if code:
            lost += 1
            (folder / "copying" / f"{seed}.mp4").unlink(missing_ok=True)
            continue
        begun, cpu = time.perf_counter(), time.process_time()
        anim([*line, "evaluate", str(out), "-o", f"{folder}/last.json", "--force"])
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        print(f"{seed}: measured in {seconds:.0f} s, {cpu:.0f} s of CPU time", flush=True)
    print(f"{people - lost} of {people} people could be rendered")
    both = [f"{folder}/{preset}", f"{folder}/copying", "--truth", f"{folder}/truths"]
    for form in ("md", "json"):
        out = folder / f"people.{form}"
        anim(
            [
                *line,
                "evaluate",
                *both,
                "-o",
                str(out),
                "--as-published",
                "--skip-first",
                "--force",
            ]
        )


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        *map(int, sys.argv[2:3]),
        *sys.argv[3:4],
        *map(int, sys.argv[4:5]),
    )
