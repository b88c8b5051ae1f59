"""Kills batches at random moments until there were enough, and counts what went wrong.

    python tests/benchmarks/batch_kills.py [renders|files [KILLS [SEED [MINUTES]]]]

`renders`: eight small jobs (stand-ins for detector and renderer; real command line, cache,
journal and encoder), whose frames are compared with those of single commands, bit for bit.
`files`: sixteen jobs that write a file, with a real driver, real slots and a real journal:
for many kills in little time. Either batch has two slots, and is given again and again
until it ends well. At random moments its driver gets SIGKILL, SIGSEGV or SIGTERM, or the
worker of a slot does, or what a worker has started itself (an encoder) gets SIGKILL. The
journal must hold the end of each job exactly once. Prints a line for each batch, with what
there was so far, and a table.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import psutil

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from batch_stand_ins import digests, environment, prepare  # noqa: E402

from animcli.batch.journal import read_journal  # noqa: E402

PROGRAM = [sys.executable, str(TESTS / "batch_stand_ins.py")]
SEEDS, FRAMES, FILES = 4, 6, 16
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
MOST_RUNS = 200  # of one batch; one that isn't done by then never ends


class Jobs(Protocol):
    """A batch that can be given again, and what it makes."""

    @abstractmethod
    def prepare(self, folder: Path) -> list[str]:
        """Make a folder ready; the command."""

    @abstractmethod
    def expected(self, folder: Path) -> Mapping[str, str]:
        """Job -> digest of what it is to make."""

    @abstractmethod
    def made(self, folder: Path) -> Mapping[str, str]:
        """Job -> digest of what it made."""

    @abstractmethod
    def journal(self, folder: Path) -> Path:
        """The journal of the batch."""


@dataclass(frozen=True)
class Renders:
    """Small renders through the command line."""

    def prepare(self, folder: Path) -> list[str]:
        prepare(folder, SEEDS, FRAMES)
        return [*PROGRAM, "batch", "jobs.toml", "--slots", "2", "--quiet"]

    def expected(self, folder: Path) -> Mapping[str, str]:
        self.prepare(folder)
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

    def made(self, folder: Path) -> Mapping[str, str]:
        return digests(folder)

    def journal(self, folder: Path) -> Path:
        return folder / ".anim" / "batch" / "jobs.jsonl"


@dataclass(frozen=True)
class Files:
    """Jobs that write a file each; some share a stage."""

    def prepare(self, folder: Path) -> list[str]:
        folder.mkdir()
        return [sys.executable, str(TESTS / "batch_fakes.py"), ".", str(FILES)]

    def expected(self, folder: Path) -> Mapping[str, str]:
        return {
            f"job-{n}": sha256(f"made-{n}".encode() * 1000).hexdigest()
            for n in range(FILES)
        }

    def made(self, folder: Path) -> Mapping[str, str]:
        return {
            f"job-{n}": sha256((folder / f"made-{n}").read_bytes()).hexdigest()
            for n in range(FILES)
        }

    def journal(self, folder: Path) -> Path:
        return folder / "batch.jsonl"


def main() -> int:
    """Kill, compare, count; 1 if anything was wrong."""
    said = dict(enumerate(sys.argv[1:]))
    jobs: Jobs = Files() if said.get(0) == "files" else Renders()
    wanted = int(said.get(1, 50))
    chance = random.Random(int(said.get(2, 7)))
    until = time.monotonic() + 60 * float(said.get(3, 1e6))
    kills: Counter[str] = Counter()
    wrong = lost = twice = batches = 0
    with tempfile.TemporaryDirectory() as scratch:
        expected = jobs.expected(Path(scratch) / "single")
        usual = unbroken(jobs, Path(scratch) / "unbroken", expected)
        while kills.total() < wanted and time.monotonic() < until:
            folder = Path(scratch) / f"batch-{batches}"
            before = kills.total()
            began = time.monotonic()
            runs = run_until_done(jobs.prepare(folder), folder, chance, kills, usual)
            if kills.total() == before:  # the machine has become less busy
                usual = min(usual, time.monotonic() - began)
            found = jobs.made(folder)
            wrong += sum(found.get(name) != digest for name, digest in expected.items())
            ends = Counter(
                event["job"]
                for event in read_journal(jobs.journal(folder))
                if event["event"] == "end" and event["exit_code"] == 0
            )
            lost += sum(ends[name] == 0 for name in expected)
            twice += sum(ends[name] > 1 for name in expected)
            batches += 1
            counted = ", ".join(f"{n} {what}" for what, n in sorted(kills.items()))
            print(
                f"batch {batches}: {runs} runs; {kills.total()} kills so far: {counted}; "
                f"{wrong} wrong, {lost} lost, {twice} twice",
                flush=True,
            )
            shutil.rmtree(folder, ignore_errors=True)  # an orphan may still write
    names = sorted(kills)
    print(f"\n| batches | jobs | kills | {' | '.join(names)} | wrong | lost | twice |")
    print("|---" * (6 + len(names)) + "|")
    print(
        f"| {batches} | {batches * len(expected)} | {kills.total()} "
        f"| {' | '.join(str(kills[what]) for what in names)} "
        f"| {wrong} | {lost} | {twice} |"
    )
    return int(wrong + lost + twice > 0)


def unbroken(jobs: Jobs, folder: Path, expected: Mapping[str, str]) -> float:
    """The seconds of a batch that nobody kills."""
    command = jobs.prepare(folder)
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL
    )
    assert jobs.made(folder) == expected
    return time.perf_counter() - started


def run_until_done(
    command: list[str],
    folder: Path,
    chance: random.Random,
    kills: Counter[str],
    usual: float,
) -> int:
    """Give the command until it ends well; how often that took.

    usual: seconds that it takes unbroken; kills come up to a fifth of it later, and later
    still if it never seems to end.
    """
    for runs in range(1, MOST_RUNS):
        driver = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            with suppress(subprocess.TimeoutExpired):
                if driver.wait(chance.uniform(0.1, usual * (0.2 + runs / 10))) == 0:
                    return runs
                break
            if chance.random() < 0.4:
                number = chance.choice(SIGNALS)
                driver.send_signal(number)
                driver.wait()
                kills[f"driver {number.name}"] += 1
                break
            kill_below(driver.pid, chance, kills)
    raise AssertionError("the batch never ended")


def kill_below(driver: int, chance: random.Random, kills: Counter[str]) -> None:
    """Kill a worker of the driver, or what a worker has started, if there is any."""
    with suppress(psutil.Error):
        family = psutil.Process(driver).children(recursive=True)
        workers = [x for x in family if x.ppid() == driver and is_worker(x)]
        below = [x for x in family if x.ppid() in {each.pid for each in workers}]
        if below and chance.random() < 0.7:
            chance.choice(below).kill()
            kills["below worker SIGKILL"] += 1
        elif workers:
            number = chance.choice(SIGNALS)
            os.kill(chance.choice(workers).pid, number)
            kills[f"worker {number.name}"] += 1


def is_worker(process: psutil.Process) -> bool:
    """True for the child of a slot."""
    return "animcli.batch.worker" in process.cmdline()


if __name__ == "__main__":
    sys.exit(main())
