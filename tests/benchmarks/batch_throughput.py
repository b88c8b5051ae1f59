"""Seconds for 32 small jobs: a shell loop of single commands, and batches of 1 and 2 slots.

    python tests/benchmarks/batch_throughput.py [JOBS]

Jobs are the stand-ins of tests/batch_stand_ins.py: the command line, the cache and the
encoder are real, detector and renderer take milliseconds, so that what is compared is what
a job costs beside its networks. Prints wall-clock and CPU seconds, the latter of all
processes, since a machine may be busy with other things; and of the batches the seconds of
a slot's first job beside those of its later ones, for which everything is loaded already.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from batch_stand_ins import digests, environment, prepare  # noqa: E402

from animcli.batch.journal import read_journal  # noqa: E402

PROGRAM = [sys.executable, str(TESTS / "batch_stand_ins.py")]
FRAMES = 6


def main() -> None:
    """Measure and print a table."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    print(f"{jobs} jobs, {os.cpu_count()} CPUs\n")
    print("| | seconds | CPU seconds | a job | first of a slot | later |")
    print("|---|---|---|---|---|---|")
    expected = None
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("shell loop", "1 slot", "2 slots"):
            folder = Path(scratch) / name.replace(" ", "-")
            prepare(folder, jobs // 2, FRAMES)
            (folder / "out").mkdir()
            wall, cpu = time.perf_counter(), children_seconds()
            if name == "shell loop":
                shell_loop(folder, jobs // 2)
            else:
                run(folder, "batch", "jobs.toml", "--slots", name[0], "--quiet")
            wall, cpu = time.perf_counter() - wall, children_seconds() - cpu
            first, later = first_and_later(folder / ".anim" / "batch" / "jobs.jsonl")
            told = f"{wall:.1f} | {cpu:.1f} | {cpu / jobs:.2f} | {first} | {later}"
            print(f"| {name} | {told} |", flush=True)
            expected = expected or digests(folder)
            assert digests(folder) == expected


def shell_loop(folder: Path, seeds: int) -> None:
    """Give the single commands, one after another."""
    for motion in ("first", "second"):
        for seed in range(seeds):
            words = (
                f"render ref.png --motion {motion} --preset cutout --size 64x96 "
                f"--codec png --no-retarget --frames {FRAMES} --seed {seed} "
                f"--output out/ref-{motion}-{seed} --quiet"
            )
            run(folder, *words.split())


def first_and_later(journal: Path) -> tuple[str, str]:
    """Mean seconds of the first job of each slot, and of the others; empty without any."""
    slots: defaultdict[str, list[float]] = defaultdict(list)
    for event in read_journal(journal):
        if event["event"] == "end" and event["exit_code"] == 0:
            slots[event["slot"]].append(event["seconds"])
    firsts = [seconds[0] for seconds in slots.values()]
    later = [each for seconds in slots.values() for each in seconds[1:]]
    return tuple(f"{sum(x) / len(x):.2f}" if x else "" for x in (firsts, later))


def run(folder: Path, *words: str) -> None:
    """Run the program once."""
    subprocess.run(
        [*PROGRAM, *words], cwd=folder, env=environment(), check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def children_seconds() -> float:
    """CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
