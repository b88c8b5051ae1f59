"""Lossless frames in our container and in Matroska: speed, size, and flipped bits.

    python tests/benchmarks/lossless_formats.py

40 drawn frames of 512x768 with sensor noise, one thread, CPU seconds of this process.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from animcli.errors import AnimError
from animcli.video.lossless import read_lossless, write_lossless

FRAMES, FLIPS, RATE = 40, 60, 25
WIDTH, HEIGHT = 512, 768


def clip() -> list[np.ndarray]:
    """A smooth picture that moves, with noise."""
    rng = np.random.default_rng(0)
    base = cv2.GaussianBlur(rng.uniform(0, 255, (900, 700, 3)), (0, 0), 7)
    base = (base - base.min()) / np.ptp(base) * 255
    noise = rng.normal(0, 2, (FRAMES, HEIGHT, WIDTH, 3))
    shifted = [base[n : n + HEIGHT, n : n + WIDTH] + noise[n] for n in range(FRAMES)]
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in shifted]


def write_ffv1(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        stream.options = {"level": "3", "slicecrc": "1", "slices": "4"}
        stream.codec_context.thread_count = 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="bgr0")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read_ffv1(path: Path) -> list[np.ndarray]:
    strict = {"err_detect": "crccheck+explode"}
    with av.open(str(path), options=strict) as container:
        context = container.streams.video[0].codec_context
        context.thread_count, context.options = 1, strict
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return FRAMES / (time.process_time() - begun)


def main() -> None:
    frames = clip()
    ways = {
        "ours (HuffYUV)": (
            lambda path: write_lossless(path, frames, Fraction(RATE)),
            lambda path: list(read_lossless(path)),
        ),
        "Matroska (FFV1)": (lambda path: write_ffv1(path, frames), read_ffv1),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (write, read) in ways.items():
            path = Path(folder, "clip")
            speeds = timed(lambda: write(path)), timed(lambda: read(path))  # noqa: B023
            data, silent = path.read_bytes(), 0
            for seed in range(FLIPS):
                chance, damaged = random.Random(seed), bytearray(data)
                damaged[chance.randrange(2000, len(data) - 2000)] ^= 1 << chance.randrange(
                    8
                )
                path.write_bytes(damaged)
                try:
                    found = read(path)
                except (AnimError, OSError, ValueError):
                    continue
                same = [np.array_equal(a, b) for a, b in zip(found, frames, strict=False)]
                silent += len(found) == FRAMES and not all(same)
            print(
                f"{name}: {speeds[0]:.0f} frames/s in, {speeds[1]:.0f} out, "
                f"{len(data) / frames[0].nbytes / FRAMES:.2f} of the size, "
                f"{silent} of {FLIPS} flipped bits give wrong frames unnoticed"
            )
    try:
        with av.open(os.devnull, "w", format="matroska") as container:
            container.add_stream("huffyuv", rate=RATE)
    except ValueError as error:
        print(f"Matroska (HuffYUV): {error}")


if __name__ == "__main__":
    main()
