"""Script for Slurm: an array of tasks, each of which works off one slice of the batch.

A task is the same command with `--slice`; what it takes to stop, go on and share a cache is
there already, so Slurm needs to know nothing of jobs, and nothing of Slurm is needed here.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from animcli.errors import DeviceError, UsageError
from animcli.files import make_folder, write_file

WARNING_S: Final = 120
"""Seconds before the time limit at which a task is told to stop: one denoising step."""
OPTION: Final = re.compile(r"[a-z][a-z-]*")

SCRIPT: Final = """\
#!/bin/bash
# Made by `anim batch --engine slurm`: {jobs} jobs in {slices} slices.
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{most}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@{warning}
#SBATCH --output={logs}/%A_%a.log
{options}
cd {folder}
{command} --slice "$SLURM_ARRAY_TASK_ID/{slices}" &
anim=$!
trap 'kill -TERM $anim' TERM
wait $anim
code=$?
while kill -0 $anim 2> /dev/null; do wait $anim; code=$?; done
# Told to stop, before a preemption or the time limit: Slurm itself begins a task again only
# if it had to end it. One that was cancelled isn't RUNNING any more, and stays ended.
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
if [ $code = 143 ] && [ "$(squeue --noheader --jobs=$task --format=%T)" = RUNNING ]; then
    scontrol requeue "$task"
fi
exit $code
"""


def read_options(said: str) -> list[str]:
    """Lines for sbatch from `partition=gpu,time=04:00:00,exclusive`.

    Raises UsageError for what can't be an option, and for those that the script sets.
    """
    lines = []
    for part in (part.strip() for part in said.split(",") if part.strip()):
        name, joined, value = part.partition("=")
        if not OPTION.fullmatch(name) or re.search(r"\s", value):
            raise UsageError(f"--slurm {part}: it is NAME=VALUE, as sbatch knows them")
        if name in ("array", "requeue", "open-mode", "signal", "output", "job-name"):
            raise UsageError(f"--slurm {part}: the script says that itself")
        lines.append(f"#SBATCH --{name}{joined}{value}")
    return lines


def script(
    name: str,
    file: Path,
    logs: Path,
    flags: Sequence[str],
    options: str,
    slices: int,
    jobs: int,
    most: int | None = None,
) -> str:
    """The script.

    file: of the jobs. logs: folder for what tasks print. flags: more words of the command.
    slices: tasks of the array; most: how many of them run at a time.
    """
    anim = [sys.executable, "-m", "animcli"]
    words = [*anim, "batch", str(file), "--engine", "here", *flags]
    return SCRIPT.format(
        name=f"anim-{name}", jobs=jobs, slices=slices, last=slices - 1,
        most="" if most is None else f"%{most}", warning=WARNING_S, logs=logs,
        options="\n".join(read_options(options)), folder=shlex.quote(str(file.parent)),
        command=shlex.join(words),
    )  # fmt: skip


def write_script(
    journal: Path, file: Path, flags: Sequence[str], options: str, slices: int, jobs: int
) -> Path:
    """Write the script beside the journal; its place."""
    logs = make_folder(journal.with_suffix(""))
    path = journal.with_suffix(".sbatch")
    slices = max(1, min(slices, jobs))
    text = script(journal.stem, file, logs, flags, options, slices, jobs)
    write_file(path, text.encode())
    return path


def submit(path: Path) -> str:
    """Give the script to sbatch; the number of the job. Raises DeviceError."""
    if shutil.which("sbatch") is None:
        raise DeviceError("sbatch isn't here", f"where it is: sbatch {path}")
    told = subprocess.run(
        ["sbatch", "--parsable", str(path)], capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        said = told.stderr.strip().splitlines() or ["it says nothing"]
        raise DeviceError(f"sbatch: {said[-1]}")
    return told.stdout.strip()
