"""Kills the chain at random moments until there were enough, and counts wrong frames.

    python tests/benchmarks/kills.py [KILLS]

Extraction, rendering and encoding of 110 small frames, killed by SIGKILL after a random
time and started again until done; then the decoded frames are compared with those of an
unbroken run. Prints a line for each finished video, and the counts.
"""

import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration")]

from resume_builders import Runner, decoded, runner  # noqa: E402
from resume_runner import prepare  # noqa: E402

from animcli.project.store import Store  # noqa: E402


def main() -> int:
    """Kill, compare, count; 1 if any frame was wrong."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as scratch, runner() as runs:
        folder = Path(scratch)
        prepare(folder / "material")
        shutil.copytree(folder / "material", folder / "unbroken")
        runs.run(folder / "unbroken")
        truth = decoded(folder / "unbroken" / "out.mp4")
        made = digests(folder / "unbroken")
        kills = videos = wrong = 0
        while kills < wanted:
            copy = folder / f"{videos}"
            shutil.copytree(folder / "material", copy)
            here = killed_until_done(runs, copy, chance)
            same = decoded(copy / "out.mp4") == truth
            others = [
                name for name, digest in digests(copy).items() if made[name] != digest
            ]
            print(f"video {videos}: {here} kills, {'equal' if same else 'WRONG'}", *others)
            kills, videos, wrong = kills + here, videos + 1, wrong + (not same)
            shutil.rmtree(copy)
    print(f"{kills} kills, {videos} videos finished, {wrong} with wrong frames")
    return int(wrong > 0)


def killed_until_done(runs: Runner, folder: Path, chance: random.Random) -> int:
    """Give the same command until it ends by itself; how often it was killed."""
    kills = 0
    while status := runs.run(folder, kill_after=chance.uniform(0.02, 1.2)):
        if status != signal.SIGKILL:
            raise RuntimeError(f"a run ended with status {status}")
        kills += 1
    return kills


def digests(folder: Path) -> dict[str, str]:
    """What each stage made."""
    store = Store(folder / ".anim")
    found = (store.find(line.key) for line in store.listing())
    return {made.record.recipe.stage: made.digest for made in found if made}


if __name__ == "__main__":
    sys.exit(main())
