"""A line of requests, planned and done."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from animcli.cli.cache import keep_within, megabytes, read_amount
from animcli.cli.config import read_sources
from animcli.cli.console import Console, duration, shown
from animcli.cli.plan import (
    Action,
    Command,
    Context,
    GlobalOptions,
    PipelineState,
    Plan,
    Session,
    Survey,
    Tell,
)
from animcli.cli.signals import Stop
from animcli.errors import (
    AnimError,
    BatchError,
    DeviceError,
    InputError,
    OutputError,
    UsageError,
    WeightsError,
)
from animcli.files import disk_errors
from animcli.pipeline.executor import DryRun, Executor, StageState
from animcli.pipeline.output import (
    Step,
    check_places,
    check_steps,
    manifest_path,
    publish,
)
from animcli.pipeline.project import find_project
from animcli.pipeline.stage import Outcome, Progress, Stage, display_name
from animcli.video.limits import allowing
from animcli.weights.store import WeightsStore, amount, default_root

if TYPE_CHECKING:  # torch
    from animcli.stages.remaining import Remaining


LONG: Final = 3600.0
"""Seconds of a render, beyond which the user is asked first."""


def run_commands(
    commands: Sequence[Command],
    options: GlobalOptions,
    words: Sequence[str],
    console: Console,
    stop: Stop,
) -> int:
    """Plan all requests, then do them in turn; the exit code."""
    context = open_context(options, console.progress)
    if len(commands) == 1 and isinstance(commands[0], Session):
        return commands[0].run(context, console, stop)
    console.meter.rest()
    said = {} if options.max_pixels is None else {"max_pixels": options.max_pixels}
    with allowing(context.config.options(said).max_pixels):
        return _do_at(context, commands, words, console, stop)


def _do_at(
    context: Context,
    commands: Sequence[Command],
    words: Sequence[str],
    console: Console,
    stop: Stop,
) -> int:
    for warning in context.config.warnings:
        console.warn(warning)
    plans = plan_commands(commands, context)

    def done(stage: Stage, outcome: Outcome, seconds: float) -> None:
        console.stage_done(stage.name, outcome is Outcome.CACHED, seconds)

    executor = Executor(
        context.project, context.weights, console.progress, console.warn,
        stop.check_cancelled, done, wait=context.options.wait,
    )  # fmt: skip
    runner = Runner(context, executor, console, stop, tuple(words))
    try:
        runner.prepare(plans)
        exit_code = max([runner.run(plan) for plan in plans], default=0)
        runner.limit_cache()
        return exit_code
    finally:
        runner.remove_empty()


def open_context(options: GlobalOptions, progress: Progress) -> Context:
    """The project, its settings and the weights; nothing is written.

    Raises UsageError for a project whose folder isn't there.
    """
    if options.project is not None and not options.project.is_dir():
        raise UsageError(f"--project {options.project}: no such folder", "make it first")
    project = find_project(
        options.project or Path.cwd(), options.cache, options.checkpoint_to
    )
    sources = read_sources(project.root, project.settings, os.environ)
    weights = WeightsStore(default_root(os.environ))
    return Context(project, weights, sources, options, progress)


def plan_commands(commands: Sequence[Command], context: Context) -> list[Plan]:
    """Plan each command, given those before it."""
    state, plans = PipelineState(), []
    for command in commands:
        plan = command.plan(context, state)
        plans.append(plan)
        state = plan.state
    return plans


@dataclass(frozen=True)
class Runner:
    """The doing of a planned line.

    words: the command line, for the manifests.
    """

    context: Context
    executor: Executor
    console: Console
    stop: Stop
    words: tuple[str, ...]
    _listed: list[Stage] = field(default_factory=list, init=False)
    _made: list[Path] = field(default_factory=list, init=False)

    def prepare(self, plans: Sequence[Plan]) -> None:
        """Refuse what can't end well, and get what all of it needs, before any work."""
        steps = [step for plan in plans for step in steps_of(plan)]
        folders = [plan.folder for plan in plans if plan.folder is not None]
        if self.context.options.dry_run:
            absent = {folder for folder in folders if not folder.exists()}
            steps = [
                step for step in steps if step.out is None or step.out.parent not in absent
            ]
        else:
            for folder in folders:
                self.make_folder(folder)
        check_steps(steps)
        looks_only = self.context.options.dry_run
        needed = dict.fromkeys(x for step in steps for x in weights_needed(step.stage))
        if not looks_only:
            self.check_weights(needed)
        for plan in plans:
            if not plan.independent:  # there, the others are done all the same
                for step in steps_of(plan):
                    self.executor.check_files(step.stage)
                    self.check_length(step.stage)
        try:
            check_places(self.executor, steps, force=self.context.options.force)
        except OutputError:
            for plan in plans:  # facts, which the pictures beside them don't hold up
                if len(plan.tasks) > 1 and isinstance(plan.tasks[0], Action):
                    self._do(plan.tasks[0])
            raise
        for note in (plan.note for plan in plans if plan.note):
            self.console.warn(note)
        if not looks_only:
            for name in needed:
                self.get_weights(name)

    def check_length(self, stage: Stage) -> None:
        """Raise UsageError where a render wants more frames than its motion has."""
        from animcli.stages.render import RenderStage  # numpy, which a Session does without

        if isinstance(stage, RenderStage):
            from animcli.stages.remaining import check_length

            check_length(stage, self.executor)
        for source in stage.inputs().values():
            if not isinstance(source, Path):
                self.check_length(source)

    def limit_cache(self) -> None:
        """Remove the oldest from the cache, where a setting says how large it may be."""
        limit, used = self.context.config.values.get("cache_max"), self.executor.used_keys
        if limit is not None and used:
            most = read_amount(str(limit))
            if line := keep_within(self.context.project.store, most, used):
                self.console.warn(line)

    def make_folder(self, folder: Path) -> None:
        """Make a folder for results, and remember which ones weren't there."""
        absent = [each for each in (folder, *folder.parents) if not each.exists()]
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._made.extend(absent)

    def remove_empty(self) -> None:
        """Take away the folders that were made for results, where none came."""
        for folder in self._made:
            with suppress(OSError):  # there is something in it
                folder.rmdir()

    def check_weights(self, names: Iterable[str]) -> None:
        """Raise WeightsError where some must be asked for: once for all of them."""
        weights = self.context.weights
        entries = [weights.entry(name) for name in names if not weights.has(name)]
        lacking = [entry for entry in entries if not entry.on_first_use]
        if len(lacking) > 1:
            each = ", ".join(f"{x.name} ({amount(x.bytes)})" for x in lacking)
            raise WeightsError(
                f"weights aren't here: {each}",
                f"get them with: anim weights pull {' '.join(x.name for x in lacking)}",
            )
        for entry in lacking:
            weights.ensure(entry.name, self.console.progress)  # says how to get it

    def get_weights(self, name: str) -> None:
        """Have the weights here; WeightsError where they must be asked for."""
        weights = self.context.weights
        entry = weights.entry(name)
        if entry.on_first_use and not weights.has(name):
            size = megabytes(entry.bytes).strip()
            self.console.warn(
                f"getting {name} from {entry.source}: {size}, {entry.licence}"
            )
        weights.ensure(name, self.console.progress)

    def run(self, plan: Plan) -> int:
        """Do what one command asks for; the exit code of what it found.

        Raises BatchError where some of its independent jobs failed.
        """
        with self.helped(plan):
            return self._answer(plan)

    def helped(self, plan: Plan) -> AbstractContextManager[object]:
        """A stretch in which others predict for the render, if that was asked for."""
        if plan.split is None or self.context.options.dry_run:
            return nullcontext()
        from animcli.cli.batch.run import helpers

        return helpers(
            plan.split, self.context.project, self.words, self.stop.check_cancelled
        )

    def _answer(self, plan: Plan) -> int:
        exit_code = failed = 0
        for entry in plan.tasks:
            if isinstance(entry, Survey):
                exit_code = max(exit_code, self.survey(entry))
                continue
            try:
                exit_code = max(exit_code, self._do(entry))
            except InputError as error:
                if not plan.independent:
                    raise
                self.console.failure(error)
                step = entry.step if isinstance(entry, Tell) else entry
                name = None if isinstance(step, Action) else display_name(step.stage)
                self.console.result([], [failed_input(name, error)])
                failed += 1
        if failed:
            raise BatchError(f"{failed} of {len(plan.tasks)} failed; the others are done")
        return exit_code

    def _do(self, task: Step | Action | Tell) -> int:
        if isinstance(task, Action):
            answer = task.run(self.context)
        elif self.context.options.dry_run:
            self.dry_run(task.step if isinstance(task, Tell) else task)
            return 0
        elif isinstance(task, Tell):
            with self.stop.between_segments():
                made = self.executor.make(task.step.stage)
            answer = task.read(made.path)
        else:
            self.make(task)
            return 0
        self.console.result(answer.lines, answer.data)
        return answer.exit_code

    def survey(self, survey: Survey) -> int:
        """Do the work on what can be read; the exit code.

        Raises BatchError where something was left out, the error itself where all was.
        """
        if self.context.options.dry_run:
            return self._do(survey.whole())
        left, errors = [], []
        for place, stages in enumerate(survey.parts):
            try:
                with self.stop.between_segments():
                    for stage in stages:
                        self.executor.make(stage)
                left.append(place)
            except InputError as error:
                self.console.result([], [failed_input(display_name(stages[0]), error)])
                errors.append(error)
        if not left:
            raise errors[0]
        exit_code = self._do(survey.task(tuple(left)))
        for problem in errors:
            self.console.failure(problem)
        if errors:
            of = len(survey.parts)
            raise BatchError(f"{len(errors)} of {of} failed; the others are done")
        return exit_code

    def make(self, step: Step) -> None:
        """Do a step and say where the result is."""
        self.agree_on_time(step.stage)
        force, command = self.context.options.force, ["anim", *self.words]
        with self.stop.between_segments():
            published = publish(self.executor, step, force=force, command=command)
        self.console.detail(f"in the cache as {published.artifact.path}", level=2)
        data = {
            "stage": step.stage.name,
            "path": str(published.path),
            "sha256": published.artifact.digest,
            "seconds": round(published.seconds, 3),
            "input": display_name(step.stage),
            "manifest": str(manifest_path(published.path)) if step.manifest else None,
        }
        self.console.result([str(published.path)], [data])

    def agree_on_time(self, stage: Stage) -> None:
        """Ask before a render that takes hours on a CPU.

        What it needs is made first, where its length isn't known otherwise.
        Raises DeviceError where the user doesn't want it, or can't be asked.
        """
        for line in self.executor.dry_run(stage):
            ahead = self.look_ahead(line)
            if ahead is None or ahead.seconds is None or self.context.options.yes:
                continue
            if ahead.seconds <= LONG and not ahead.length_known:
                with self.stop.between_segments():
                    for source in line.stage.inputs().values():
                        if not isinstance(source, Path):
                            self.executor.make(source)
                self.agree_on_time(line.stage)
                continue
            if ahead.seconds <= LONG:
                continue
            least = "" if ahead.length_known else "at least "
            takes = f"this render takes {least}about {duration(ahead.seconds)}"
            if not self.console.consents(f"{takes} on this CPU. Start it?"):
                raise DeviceError(
                    f"{takes} on this CPU, so it wasn't started",
                    "--yes starts it; --preset cutout takes seconds; anim doctor says why "
                    "there is no GPU",
                )

    def dry_run(self, step: Step) -> None:
        """Say what a step would do, and leave out what was said before."""
        for line in self.executor.dry_run(step.stage):
            out = step.out if line.stage == step.stage else None
            if out is None and line.stage in self._listed:
                continue
            self._listed.append(line.stage)
            ahead = self.look_ahead(line)
            text = f"{line.stage.name:<13} {line.state.value}"
            if line.state is not StageState.DONE and line.lacks:
                text += f"; lacks weights (anim weights pull {' '.join(line.lacks)})"
            if out is not None:
                text += f" -> {shown(out)}"
            licences = {
                name: entry.licence
                for name in line.stage.weights
                if (entry := self.executor.weights.catalog.get(name)) is not None
            }
            data: dict[str, object] = {
                "stage": line.stage.name,
                "state": line.state.value,
                "key": line.key,
                "lacks": list(line.lacks),
                "licences": licences,
                "path": None if out is None else str(out),
            }
            lines = [text]
            if ahead is not None:
                time = f", {duration(ahead.seconds)} left" if ahead.seconds else ""
                lines.append(f"{'':<13} {ahead.summary()}{time}")
            if ahead is not None and licences:
                under = dict.fromkeys(licences.values())
                lines.append(f"{'':<13} weights under {'; '.join(under)}")
                data["cost"] = ahead.data()
            self.console.result(lines, [data])

    def look_ahead(self, line: DryRun) -> "Remaining | None":
        """Cost of a render that would run."""
        from animcli.stages.render import RenderStage  # numpy, which a Session does without

        if not isinstance(line.stage, RenderStage) or line.state is StageState.DONE:
            return None
        if not line.stage.preset.entry.denoises:  # known without loading torch
            return None
        from animcli.stages.remaining import remaining

        return remaining(line.stage, self.executor, line.key)


def failed_input(name: str | None, error: AnimError) -> dict[str, object]:
    """One of several independent inputs that couldn't be done, for the JSON object."""
    return {
        "input": name,
        "error": {
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        },
    }


def steps_of(plan: Plan) -> list[Step]:
    """Steps among the tasks of a plan."""
    steps = []
    for task in plan.tasks:
        work = task.whole() if isinstance(task, Survey) else task
        if not isinstance(work, Action):
            steps.append(work.step if isinstance(work, Tell) else work)
    return steps


def weights_needed(stage: Stage) -> Iterator[str]:
    """Names of all weights that a stage and those before it run."""
    yield from stage.weights
    for source in stage.inputs().values():
        if not isinstance(source, Path):
            yield from weights_needed(source)
