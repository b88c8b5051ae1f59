"""Kills the chain at random moments until there were enough, and counts wrong frames.

    python tests/benchmarks/kills.py [KILLS [VIDEO PICTURE]]

Extraction, rendering and encoding are killed by SIGKILL after a random time and started
again until done; then the decoded frames are compared with those of an unbroken run. That
is 110 small frames by small stand-ins for detector and renderer, or `anim render PICTURE
--motion VIDEO --preset cutout` where both are given. Prints a line for each finished video,
and the counts.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.resume import Runner, decoded, runner
from builders.resume_runner import prepare

from animcli.pipeline.cache import Store

Run = Callable[[Path, float | None], int]
"""(project folder, seconds until the kill) -> 0, or what waitpid says."""


def main() -> int:
    """Kill, compare, count; 1 if any frame was wrong."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if len(sys.argv) == 4:
            material = folder / "material"
            material.mkdir()
            for path, name in zip(sys.argv[2:], ("dance.mp4", "ref.png"), strict=True):
                shutil.copy(path, material / name)
            return count_wrong(folder, command_line, wanted)
        prepare(folder / "material")
        with runner() as runs:
            return count_wrong(folder, partial(small, runs), wanted)


def small(runs: Runner, folder: Path, kill_after: float | None) -> int:
    """One run of the stand-ins."""
    return runs.run(folder, kill_after=kill_after)


def command_line(folder: Path, kill_after: float | None) -> int:
    """One run of the program as a user starts it."""
    words = "render ref.png --motion dance.mp4 --preset cutout --output out.mp4 --quiet"
    command = [sys.executable, "-m", "animcli", *words.split()]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
    return abs(process.wait())


def count_wrong(folder: Path, run: Run, wanted: int) -> int:
    """Kill until there were enough; 1 if a video had wrong frames."""
    chance = random.Random(7)
    shutil.copytree(folder / "material", folder / "unbroken")
    started = time.perf_counter()
    run(folder / "unbroken", None)
    longest = 0.6 * (time.perf_counter() - started)
    truth, made = decoded(folder / "unbroken" / "out.mp4"), digests(folder / "unbroken")
    kills = videos = wrong = 0
    while kills < wanted:
        copy = folder / f"{videos}"
        shutil.copytree(folder / "material", copy)
        here = 0
        while status := run(copy, chance.uniform(longest / 60, longest)):
            if status != signal.SIGKILL:
                raise RuntimeError(f"a run ended with status {status}")
            here += 1
        same = decoded(copy / "out.mp4") == truth
        others = [name for name, digest in digests(copy).items() if made[name] != digest]
        print(
            f"video {videos}: {here} kills, {'equal' if same else 'WRONG'}",
            *others,
            flush=True,
        )
        kills, videos, wrong = kills + here, videos + 1, wrong + (not same)
        shutil.rmtree(copy)
    print(f"{kills} kills, {videos} videos finished, {wrong} with wrong frames")
    return int(wrong > 0)


def digests(folder: Path) -> dict[str, str]:
    """What each stage made."""
    store = Store(folder / ".anim")
    found = (store.find(line.key) for line in store.ls())
    return {made.record.cache_key.stage: made.digest for made in found if made}


if __name__ == "__main__":
    sys.exit(main())
