"""Kills batches at random moments until there were enough, and counts what went wrong.

    python tests/benchmarks/batch_kills.py [KILLS [SEED [MINUTES]]]

A batch of eight small jobs with two slots (stand-ins for detector and renderer, real
command line, cache and journal) is given again and again until it ends well. At random
moments its driver gets SIGKILL, or the child of a slot SIGKILL, SIGSEGV or SIGTERM. Then
frames are compared with those of single commands, bit for bit, and the journal must hold
the end of each job exactly once. Prints a line for each batch, and a table.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from batch_stand_ins import digests, environment, prepare  # noqa: E402

from animcli.batch.journal import read_journal  # noqa: E402

PROGRAM = [sys.executable, str(TESTS / "batch_stand_ins.py")]
BATCH = [*PROGRAM, "batch", "jobs.toml", "--slots", "2", "--quiet"]
SEEDS, FRAMES = 4, 6
CHILD_SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
MOST_RUNS = 200  # of one batch; one that isn't done by then never ends


def main() -> int:
    """Kill, compare, count; 1 if anything was wrong."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    until = time.monotonic() + 60 * float(sys.argv[3] if len(sys.argv) > 3 else 1e6)
    kills: Counter[str] = Counter()
    wrong = lost = twice = batches = 0
    with tempfile.TemporaryDirectory() as scratch:
        expected = single_commands(Path(scratch) / "single")
        usual = unbroken(Path(scratch) / "unbroken", expected)
        while kills.total() < wanted and time.monotonic() < until:
            folder = Path(scratch) / f"batch-{batches}"
            prepare(folder, SEEDS, FRAMES)
            runs = run_until_done(folder, chance, kills, usual)
            found = digests(folder)
            wrong += sum(found.get(name) != digest for name, digest in expected.items())
            journal = folder / ".anim" / "batch" / "jobs.jsonl"
            ends = Counter(
                event["job"]
                for event in read_journal(journal)
                if event["event"] == "end" and event["exit_code"] == 0
            )
            lost += sum(ends[name] == 0 for name in expected)
            twice += sum(ends[name] > 1 for name in expected)
            batches += 1
            counted = ", ".join(f"{n} {what}" for what, n in sorted(kills.items()))
            print(f"batch {batches}: {runs} runs; {counted}", flush=True)
    print(f"\n| batches | jobs | {' | '.join(sorted(kills))} | wrong | lost | twice |")
    print(
        f"| {batches} | {batches * len(expected)} "
        f"| {' | '.join(str(kills[what]) for what in sorted(kills))} "
        f"| {wrong} | {lost} | {twice} |"
    )
    return int(wrong + lost + twice > 0)


def single_commands(folder: Path) -> dict[str, str]:
    """The digests of what single commands make."""
    prepare(folder, SEEDS, FRAMES)
    (folder / "out").mkdir()
    for motion in ("first", "second"):
        for seed in range(SEEDS):
            words = (
                f"render ref.png --motion {motion} --preset cutout --size 64x96 "
                f"--codec png --no-retarget --frames {FRAMES} --seed {seed} "
                f"--output out/ref-{motion}-{seed} --quiet"
            )
            subprocess.run(
                [*PROGRAM, *words.split()], cwd=folder, env=environment(), check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
    return digests(folder)


def unbroken(folder: Path, expected: dict[str, str]) -> float:
    """The seconds of a batch that nobody kills."""
    prepare(folder, SEEDS, FRAMES)
    started = time.perf_counter()
    subprocess.run(BATCH, cwd=folder, env=environment(), check=True, capture_output=True)
    assert digests(folder) == expected
    return time.perf_counter() - started


def run_until_done(
    folder: Path, chance: random.Random, kills: Counter[str], usual: float
) -> int:
    """Give the command until it ends well; how often that took.

    usual: seconds that it takes unbroken; kills come up to so much later, and later still
    if it never seems to end.
    """
    for runs in range(1, MOST_RUNS):
        driver = subprocess.Popen(
            BATCH, cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                if driver.wait(chance.uniform(0.1, usual * (0.6 + runs / 10))) == 0:
                    return runs
                break
            except subprocess.TimeoutExpired:
                pass
            if chance.random() < 0.4:
                driver.kill()
                driver.wait()
                kills["driver SIGKILL"] += 1
                break
            if children := workers(driver.pid):
                number = chance.choice(CHILD_SIGNALS)
                kill(chance.choice(children), number)
                kills[f"child {number.name}"] += 1
    raise AssertionError("the batch never ended")


def kill(process: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def workers(driver: int) -> list[int]:
    """Process ids of the children of slots."""
    try:
        return [
            child.pid
            for child in psutil.Process(driver).children()
            if "animcli.batch.worker" in child.cmdline()
        ]
    except psutil.Error:
        return []


if __name__ == "__main__":
    sys.exit(main())
