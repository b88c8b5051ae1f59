"""`anim batch`: a job file read, checked, and worked off, looked at, or handed to Slurm."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from animcli.batch.driver import BatchOptions, Driver
from animcli.batch.engine import Engine, Here, seats, seats_on
from animcli.batch.jobfile import SEPARATOR, JobFile, Row, parse_words, read_job_file
from animcli.batch.jobs import Job, Problem, in_slice, read_jobs
from animcli.batch.journal import (
    BATCH_FOLDER,
    JOURNAL_SUFFIX,
    Journal,
    Standing,
    journals_of,
    read_journal,
    standings,
)
from animcli.batch.schema import JobCommand
from animcli.cli.batch.keys import batch_commands
from animcli.cli.batch.live_queue import LiveQueue
from animcli.cli.batch.view import BatchView, show_forecast, tell_status
from animcli.cli.console import Console
from animcli.cli.plan import Context, Split
from animcli.cli.signals import Stop, Stopped
from animcli.errors import BatchError, OutputError, ProjectError, UsageError
from animcli.files import (
    disk_errors,
    locked,
    parts_beside,
    remove_abandoned,
    temp_name,
)
from animcli.pipeline.project import Project, find_project
from animcli.pipeline.stage import CheckCancelled
from animcli.settings import suggest

BATCH_RUNNER: Final = "animcli.cli.batch.job:run_request"
_SHOWN: Final = 50
"""Mistakes of a job file that are shown; of the rest only how many."""
STDIN: Final = "-"
LOW_MEMORY: Final = {"ANIM_CFG_BATCH": "off", "ANIM_OFFLOAD": "networks"}
"""Variables rather than flags: a renderer that knows neither isn't refused for them, and a
job's own flags go first."""


@dataclass(frozen=True)
class BatchCommand:
    """`anim batch`; the fields are its flags."""

    words: tuple[str, ...]
    engine: str = "here"
    slots: int | None = None
    gpus_per_job: float = 1.0
    address: str | None = None
    insecure: bool = False
    _: KW_ONLY
    only: str | None = None
    retries: int = 3
    max_failures: int | None = None
    lower_memory: bool = False
    grace: int = 120
    name: str | None = None
    status: bool = False
    slice: str | None = None
    slurm: str = ""
    submit: bool = False

    def run(self, context: Context, console: Console, stop: Stop) -> int:
        """Do what the flags ask for; the exit code."""
        template, file = self.read()
        project = find_project(
            context.options.project or file.folder, context.options.cache
        )
        jobs, problems = self.jobs(file, template, project)
        if problems:
            return tell_problems(problems, file.name, console)
        work = BatchWork(self, context, console, stop, project, file, jobs=tuple(jobs))
        if self.status:
            return work.tell_status()
        if context.options.dry_run:
            return work.foresee()
        if self.engine == "slurm":
            return work.write_slurm()
        return work.run()

    def read(self) -> tuple[list[str], JobFile]:
        """The template, if words were given, and the file or what stands for one."""
        if SEPARATOR in self.words:
            return parse_words(self.words, Path.cwd())
        if len(self.words) > 1:
            raise UsageError(
                f"one job file, or a command line with {SEPARATOR} behind a --",
                "anim batch -- render {reference} ::: reference cast/*.png",
            )
        if self.words[0] == STDIN:
            return [], JobFile("stdin", Path.cwd(), Row({}, 0))
        return [], read_job_file(Path(self.words[0]))

    def jobs(
        self, file: JobFile, template: Sequence[str], project: Project
    ) -> tuple[list[Job], list[Problem]]:
        """Jobs of the file that are asked for, and all that is wrong with it."""
        if self.is_queue:
            return [], []
        reading = read_jobs(file, commands(project.root), template)
        overrides = reading.jobs
        if not reading.problems and self.slice is not None:
            number, of = read_slice(self.slice)
            overrides = in_slice(overrides, number, of)
        return overrides, reading.problems

    @property
    def is_queue(self) -> bool:
        """True if jobs come from standard input while others run."""
        return self.words == (STDIN,)


@dataclass(frozen=True)
class BatchWork:
    """A batch that was read, and what is done with it."""

    batch: BatchCommand
    context: Context
    console: Console
    stop: Stop
    project: Project
    file: JobFile
    _: KW_ONLY
    jobs: tuple[Job, ...]

    @cached_property
    def name(self) -> str:
        """Of the journal, without the slice."""
        if self.batch.name is not None:
            if not re.fullmatch(r"[\w.-]{1,100}", self.batch.name):
                raise UsageError(f"--name {self.batch.name}: letters, digits, - and _")
            return self.batch.name
        if SEPARATOR in self.batch.words:
            digest = hashlib.sha256("\0".join(self.batch.words).encode()).hexdigest()
            return f"words-{digest[:8]}"
        if self.batch.is_queue:
            return "stdin"
        path = os.path.relpath(self.batch.words[0], self.project.root)
        return re.sub(r"[^\w.-]+", "-", str(Path(path).with_suffix(""))).strip("-.")

    @cached_property
    def journal_path(self) -> Path:
        """Of this run's journal; each slice has its own."""
        name = self.name
        if self.batch.slice is not None:
            number, of = read_slice(self.batch.slice)
            name = f"{name}.{number}of{of}"
        return self.project.cache / BATCH_FOLDER / f"{name}{JOURNAL_SUFFIX}"

    @property
    def places(self) -> Mapping[str, str]:
        """Variables that tell a job where project and cache are."""
        return places_of(self.project)

    @property
    def line(self) -> tuple[str, ...]:
        """Global options of the line, for each job's line."""
        said = self.context.options
        words = ["--force"] if said.force else []
        words += [] if said.wait else ["--no-wait"]
        words += [] if said.max_pixels is None else ["--max-pixels", str(said.max_pixels)]
        return tuple(words)

    def run(self) -> int:
        """Work the batch off; the exit code. Raises BatchError where jobs failed."""
        events = [x for path in self.journals() for x in read_journal(path)]
        known = standings(events)
        jobs = jobs_wanted(self.jobs, self.batch.only, known)
        if not jobs and not self.batch.is_queue:
            self.console.say("no job is left to do")
            return 0
        self.make_folders(jobs)
        with self.alone(), self.stop.between_segments():
            journal = Journal(self.journal_path)
            view = BatchView(self.console, self.file.folder)
            more = self.more() if self.batch.is_queue else None
            driver = Driver(
                self.make_engine(),
                journal,
                view,
                self.file.folder,
                self.project.cache,
                self.line,
                places=self.places,
                options=BatchOptions(
                    self.batch.retries,
                    self.batch.max_failures,
                    LOW_MEMORY if self.batch.lower_memory else {},
                    float(self.batch.grace),
                ),
                recorded=frozenset(
                    name for name, at in known.items() if at.state == "done"
                ),
                stopping=lambda: self.stop.exit_code,
                more=more,
            )
            try:
                code = driver.run(jobs)
            finally:
                view.close()
                journal.close()
        view.finish(driver)
        if self.stop.exit_code:
            raise Stopped(self.stop.exit_code)
        bad = 0 if more is None else more.bad
        if code or bad:
            failed, left = len(driver.failed) + bad, driver.counts.left
            rest = f", {left} weren't begun" if left else ""
            raise BatchError(
                f"{failed} of {driver.counts.jobs + bad} jobs failed{rest}",
                f"the reasons again: {self.shown_command} --status",
            )
        return 0

    @property
    def shown_command(self) -> str:
        """The command, as a hint shows it."""
        what = self.batch.words[0] if len(self.batch.words) == 1 else f"--name {self.name}"
        return f"anim batch {what}"

    def make_engine(self) -> Engine:
        """The engine that was asked for."""
        logs = self.journal_path.with_suffix("")
        if self.batch.engine == "ray":
            from animcli.batch.ray_engine import RayEngine, check_address

            check_address(self.batch.address, insecure=self.batch.insecure)
            return RayEngine(
                BATCH_RUNNER,
                logs,
                self.batch.slots,
                self.batch.gpus_per_job,
                self.batch.address,
            )
        share = self.batch.gpus_per_job
        per_gpu = 1 if share <= 0 else max(1, int(1 / share))
        found = seats(self.batch.slots, per_gpu)
        if share <= 0:
            found = [replace(seat, gpu="-1") for seat in found]
        return Here(BATCH_RUNNER, found, logs)

    def make_folders(self, jobs: Sequence[Job]) -> None:
        """Make the folders that results go to."""
        folders = {self.file.folder / Path(x).parent for job in jobs for x in job.results}
        for folder in sorted(folders):
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the batch; raises OutputError where another process runs it."""
        with locked(self.lock_path) as free:
            if not free:
                raise OutputError(
                    f"another anim batch is busy with {self.name}",
                    f"{self.shown_command} --status shows how far it is",
                )
            yield

    @property
    def lock_path(self) -> Path:
        """A file that whoever runs the batch has locked."""
        return self.journal_path.with_suffix(".lock")

    def journals(self) -> list[Path]:
        """Journals of all slices, or of this one."""
        if self.batch.slice is not None:
            return [self.journal_path]
        return journals_of(self.project.cache, self.name)

    def more(self) -> LiveQueue:
        """Jobs from standard input."""

        return LiveQueue(sys.stdin, self.file, commands(self.project.root), self.console)

    def tell_status(self) -> int:
        """Say how far the batch is, by its journals."""
        known: dict[str, Standing] = {}
        for path in self.journals():
            at = standings(read_journal(path))
            lock = path.with_suffix(".lock")
            if lock.exists():
                with locked(lock) as free:
                    for each in at.values():
                        if free and each.state == "running":
                            each.state = "stopped"
            for job, standing in at.items():
                if job not in known or known[job].state != "done":
                    known[job] = standing
        tell_status(self.console, [job.name for job in self.jobs] or list(known), known)
        return 0

    def foresee(self) -> int:
        """Show what is done and what would run."""
        if self.batch.is_queue:
            raise UsageError("--dry-run wants to see all jobs", "write them to a file")
        known = standings(x for path in self.journals() for x in read_journal(path))
        jobs = jobs_wanted(self.jobs, self.batch.only, known)
        seat = seats(1)[0]
        return show_forecast(
            self.console, jobs, BATCH_RUNNER, seat.environment(), self.line, self.places,
            self.file.folder,
        )  # fmt: skip

    def write_slurm(self) -> int:
        """Write the script for sbatch, and hand it over if that is wanted."""
        from animcli.batch.slurm import submit, write_script

        if SEPARATOR in self.batch.words or self.batch.is_queue:
            raise UsageError("Slurm's tasks read a job file", "write the jobs to one")
        self.make_folders(self.jobs)
        path = write_script(
            self.journal_path, Path(self.batch.words[0]).absolute(), self.slurm_flags(),
            self.batch.slurm, self.batch.slots or 1, len(self.jobs),
        )  # fmt: skip
        self.console.result([str(path)], [{"path": str(path)}])
        if self.batch.submit:
            number = submit(path)
            self.console.say(f"submitted as {number}")
        return 0

    def slurm_flags(self) -> list[str]:
        """Flags of this command that its tasks get, too."""
        flags = [*self.line, "--project", str(self.project.root)]
        if self.context.options.cache is not None:
            flags += ["--cache-dir", str(self.project.cache)]
        if self.project.checkpoints is not None:
            flags += ["--checkpoint-to", str(self.project.checkpoints)]
        flags += ["--retries", str(self.batch.retries), "--grace", str(self.batch.grace)]
        if self.batch.lower_memory:
            flags.append("--lower-memory")
        return [*flags, "--name", self.name]


@contextmanager
def helpers(
    split: Split, project: Project, words: Sequence[str], check_cancelled: CheckCancelled
) -> Iterator[None]:
    """A stretch in which slots predict the windows of renders, and decode frames."""
    from animcli.batch.pool import Pool
    from animcli.rendering.split import predicting  # torch

    logs = project.cache / BATCH_FOLDER / "split"
    found = seats_on(split.devices) if split.devices else seats(split.slots)
    engine: Engine = Here(BATCH_RUNNER, found, logs)
    if split.engine == "ray":
        from animcli.batch.ray_engine import RayEngine

        engine = RayEngine(BATCH_RUNNER, logs, split.slots)
    request = {
        "do": "help", "words": list(words), "folder": str(Path.cwd()),
        "places": places_of(project),
    }  # fmt: skip
    with disk_errors(logs):
        logs.mkdir(parents=True, exist_ok=True)
    exchange = logs / "exchange"
    remove_abandoned(parts_beside(exchange))  # of renders that were killed
    pool = Pool(engine, request, temp_name(exchange), check_cancelled)
    try:
        with predicting(pool):
            yield
    finally:
        pool.close()


def places_of(project: Project) -> dict[str, str]:
    """Variables that tell a job where project and cache are."""
    places = {"ANIM_PROJECT": str(project.root), "ANIM_CACHE_DIR": str(project.cache)}
    if project.checkpoints is not None:
        places["ANIM_CHECKPOINT_TO"] = str(project.checkpoints)
    return places


def commands(project: Path) -> Mapping[str, JobCommand]:
    """Commands that jobs may ask for."""
    from animcli.cli.main import COMMANDS

    return batch_commands(COMMANDS, project)


def tell_problems(problems: Sequence[Problem], file: str, console: Console) -> int:
    """Show all mistakes of a job file; the exit code."""
    for problem in problems[:_SHOWN]:
        console.failure(ProjectError(problem.told(file), problem.hint))
    if len(problems) > _SHOWN:
        console.failure(ProjectError(f"{file}: and {len(problems) - _SHOWN} more mistakes"))
    return ProjectError.exit_code


def read_slice(word: str) -> tuple[int, int]:
    """Part and number of parts from `0/8`. Raises UsageError."""
    match = re.fullmatch(r"(\d+)/(\d+)", word)
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 <= number < of <= 100_000:
        raise UsageError(f"--slice {word}: it is I/N, with I from 0 to N - 1")
    return number, of


def jobs_wanted(
    jobs: Sequence[Job], only: str | None, known: Mapping[str, Standing]
) -> list[Job]:
    """The jobs that `--only` names. Raises UsageError for a name that there isn't."""
    if only is None:
        return list(jobs)
    if only == "failed":
        failed = {name for name, at in known.items() if at.state == "failed"}
        return [job for job in jobs if job.name in failed]
    names = {name.strip() for name in only.split(",") if name.strip()}
    there = {job.name for job in jobs}
    for name in sorted(names - there):
        raise UsageError(f"--only {name}: no such job", suggest(name, there))
    return [job for job in jobs if job.name in names]
