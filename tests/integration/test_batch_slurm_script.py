"""The script for Slurm does its part where Slurm's programs are pretended ones.

What is pretended is told by files: the script that `sbatch` was given, the state of each
task that `squeue` says, and the tasks that `scontrol requeue` was asked to begin again.
"""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from batch_stand_ins import digests, environment, prepare

from animcli.batch.journal import read_journal
from animcli.batch.slurm import submit
from animcli.errors import DeviceError

TESTS = Path(__file__).resolve().parents[1]
PROGRAM = str(TESTS / "batch_stand_ins.py")
ARRAY = 7  # number of the job
LIMIT_S = 300
STUBS = {
    "sbatch": '[ "$1" = --parsable ] || exit 2\ncp "$2" {at}/script && echo {array}',
    "squeue": 'cat {at}/"${{2#--jobs=}}"',
    "scontrol": '[ "$1" = requeue ] && touch {at}/requeued-"$2"',
}


@dataclass
class PretendedSlurm:
    """Programs of Slurm in a folder, and the tasks of one array."""

    at: Path

    def __post_init__(self) -> None:
        self.at.mkdir()
        for name, text in STUBS.items():
            stub = self.at / name
            stub.write_text("#!/bin/bash\n" + text.format(at=self.at, array=ARRAY) + "\n")
            stub.chmod(0o755)
        own = environment()
        self.environment = {**own, "PATH": f"{self.at}{os.pathsep}{own['PATH']}"}

    def begin(self, task: int) -> "subprocess.Popen[bytes]":
        """Start a task of the array that was submitted, as a node would."""
        script = (self.at / "script").read_text()
        copy = self.at / f"script-{task}"
        copy.write_text(script.replace("-m animcli", PROGRAM))  # the one with stand-ins
        (output,) = re.findall("#SBATCH --output=(.*)", script)
        log = Path(output.replace("%A", str(ARRAY)).replace("%a", str(task)))
        self.say(task, "RUNNING")
        with log.open("ab") as file:
            return subprocess.Popen(
                ["bash", str(copy)], cwd=self.at, stdout=file, stderr=file,
                env={**self.environment, "SLURM_ARRAY_JOB_ID": str(ARRAY),
                     "SLURM_ARRAY_TASK_ID": str(task)},
            )  # fmt: skip

    def say(self, task: int, state: str) -> None:
        (self.at / f"{ARRAY}_{task}").write_text(f"{state}\n")

    def requeued(self) -> set[int]:
        """Tasks that were to be begun again."""
        return {int(path.name.rpartition("_")[2]) for path in self.at.glob("requeued-*")}


@pytest.mark.slow  # twenty seconds: a batch here and one there, each task begun twice
def test_a_task_that_is_warned_is_begun_again_and_a_cancelled_one_is_not(
    tmp_path: Path,
) -> None:
    slurm = PretendedSlurm(tmp_path / "slurm")
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        prepare(folder)
    line = [sys.executable, PROGRAM, "batch", "jobs.toml"]
    subprocess.run(
        [*line, "--quiet"], cwd=here, env=slurm.environment, check=True, timeout=LIMIT_S,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    made = subprocess.run(
        [*line, "--engine", "slurm", "--slots", "2", "--slurm", "time=1:00", "--submit"],
        cwd=there, env=slurm.environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert made.stdout.endswith(".anim/batch/jobs.sbatch\n")
    assert f"submitted as {ARRAY}" in made.stderr
    tasks = [slurm.begin(task) for task in range(2)]
    journals = [there / f".anim/batch/jobs.{task}of2.jsonl" for task in range(2)]
    until = time.monotonic() + LIMIT_S
    for task, journal in enumerate(journals):
        while not any(event["event"] == "start" for event in read_journal(journal)):
            assert time.monotonic() < until
            time.sleep(0.02)
        if task == 1:
            slurm.say(task, "CANCELLED")
        tasks[task].send_signal(signal.SIGTERM)
    assert [task.wait(LIMIT_S) for task in tasks] == [143, 143]
    assert slurm.requeued() == {0}
    for task in range(2):  # the cancelled one, because somebody submits it again
        assert slurm.begin(task).wait(LIMIT_S) == 0
    assert digests(there) == digests(here)
    ends = [
        event["job"]
        for journal in journals
        for event in read_journal(journal)
        if event["event"] == "end" and event["exit_code"] == 0
    ]
    assert sorted(ends) == sorted(digests(here))  # each once


def test_what_sbatch_refuses_is_told_in_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = tmp_path / "sbatch"
    stub.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: gpu' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="invalid partition: gpu"):
        submit(tmp_path / "jobs.sbatch")
    stub.unlink()
    with pytest.raises(DeviceError, match="sbatch isn't here"):
        submit(tmp_path / "jobs.sbatch")
