"""One job of a batch, in the process of a slot: the same as the line typed by itself.

`animcli.batch.worker` calls `run_request` with requests:

    {"do": "run", "words": [...], "folder": ...}                a whole line
    {"do": "make", "words": [...], "stage": key, ...}           one stage of it
    {"do": "help", "words": [...], ...}    get a render as far as being able to do a part
    {"do": "predict", "step": 3, "window": 0, "half": None, ...}    then predict
    {"do": "decode", "start": 0, "stop": 4, ...}    or decode frames
    {"do": "ask", "lines": [[...], ...], "folder": ...}         what lines would do

`places` are variables for all requests of a process, `variables` those of one.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from animcli.batch.worker import TellProgress
from animcli.cli.console import Console
from animcli.cli.main import guarded, obey, parse_line
from animcli.cli.runner import Runner, open_context, plan_commands, steps_of
from animcli.cli.signals import Stop
from animcli.errors import AnimError, UsageError
from animcli.pipeline.executor import DryRun, Executor, StageState
from animcli.pipeline.output import Step
from animcli.pipeline.stage import Outcome, Stage
from animcli.rendering.kept import keep_weights
from animcli.stages.render import RenderStage
from animcli.video.limits import allowing

RAN: Final = "ran"
FRESH: Final = "fresh"


@dataclass
class JobConsole(Console):
    """Console of a job: kept for the driver; lines for people go to the slot's log."""

    tell: TellProgress = lambda what, done, of, **facts: None
    ran: list[str] = field(default_factory=list)

    def progress(self, what: str, done: int, of: int) -> None:
        """Hand progress on."""
        self.tell(what, done, of)

    def stage_done(self, name: str, fresh: bool, seconds: float) -> None:
        """Take note of what was really made."""
        super().stage_done(name, fresh, seconds)
        outcome = FRESH if fresh else RAN
        self.tell("", 0, 0, stage=name, outcome=outcome, seconds=round(seconds, 3))
        if not fresh:
            self.ran.append(name)

    def note(self, line: str) -> None:
        """Hand it on at once as well."""
        if line not in self.warnings:
            self.tell("", 0, 0, note=line)
        super().warn(line)


def run_request(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
    """Do a request; the answer, with its exit code."""
    keep_weights()
    os.chdir(request["folder"])
    os.environ.update(request.get("places", {}))
    with variables(request.get("variables", {})):
        return _do(request, tell)


@contextmanager
def variables(said: Mapping[str, str]) -> Iterator[None]:
    """A stretch in which variables have these values."""
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _do(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
    if request["do"] == "ask":
        return {"exit_code": 0, "jobs": [forecast_line(line) for line in request["lines"]]}
    console = JobConsole(as_json=True, tell=tell)
    if request["do"] == "make":
        code = guarded(lambda stop: make_stage(request, console, stop), console)
    elif request["do"] in ("help", "predict", "decode"):
        code = guarded(lambda stop: help(request, console), console)
    else:
        line = parse_line(request["words"])
        code = obey(line, request["words"], console)
    error = console.error or {}
    return {
        "exit_code": code,
        "error": error.get("message", ""),
        "hint": error.get("hint", ""),
        "outcome": RAN if console.ran else FRESH,
        "ran": console.ran,
        "results": console.results,
        "warnings": console.warnings,
    }


def help(request: Mapping[str, Any], console: Console) -> int:
    """Get ready to do parts of a render, or do one; the exit code."""
    from animcli.cli.batch import predict  # torch

    if request["do"] == "help":
        predict.prepare(request, console.progress)
    elif request["do"] == "predict":
        predict.predict(request)
    else:
        predict.decode_part(request)
    return 0


def make_stage(request: Mapping[str, Any], console: Console, stop: Stop) -> int:
    """Make one stage of a line, unless it is there; the exit code."""
    line = parse_line(request["words"])
    for mistake in line.mistakes:
        raise mistake
    context = open_context(line.options, console.progress)
    said = line.options.max_pixels
    overrides = {} if said is None else {"max_pixels": said}

    def done(stage: Stage, outcome: Outcome, seconds: float) -> None:
        console.stage_done(stage.name, outcome is Outcome.CACHED, seconds)

    with allowing(context.config.options(overrides).max_pixels), stop.between_segments():
        plans = plan_commands(line.commands, context)
        executor = Executor(
            context.project,
            context.weights,
            console.progress,
            console.warn,
            stop.check_cancelled,
            done,
        )
        runner = Runner(context, executor, console, stop, tuple(request["words"]))
        for step in (step for plan in plans for step in steps_of(plan)):
            for each in executor.dry_run(step.stage):
                if each.key == request["stage"]:
                    for name in each.stage.weights:
                        runner.get_weights(name)
                    executor.make(each.stage)
                    return 0
    return 0


def forecast_line(words: Sequence[str]) -> dict[str, Any]:
    """Dry run of a line: whether it is done, its stages, its cost, or its error."""
    try:
        return _asked(words)
    except AnimError as error:
        return {
            "error": error.message, "hint": error.hint, "exit_code": error.exit_code
        }  # fmt: skip


def _asked(words: Sequence[str]) -> dict[str, Any]:
    line = parse_line(words)
    for mistake in line.mistakes:
        raise mistake
    if not line.commands:
        raise UsageError("this makes nothing", "a job is a command that makes a file")
    console = JobConsole(quiet=True, as_json=True)
    context = open_context(line.options, console.progress)
    said = line.options.max_pixels
    overrides = {} if said is None else {"max_pixels": said}
    with allowing(context.config.options(overrides).max_pixels):
        plans = plan_commands(line.commands, context)
        if any(plan.split for plan in plans):
            raise UsageError("a job isn't split over devices", "leave their names out")
        executor = Executor(context.project, context.weights)
        runner = Runner(context, executor, console, Stop(), tuple(words))
        steps = [step for plan in plans for step in steps_of(plan)]
        for step in steps:
            executor.check_files(step.stage)
        lines = [executor.dry_run(step.stage) for step in steps]
        stages = [each for forecasts in lines for each in forecasts]
        delivered = [_delivered(executor, *x) for x in zip(steps, lines, strict=True)]
        cost, outlook = 0.0, []
        for each in stages:
            ahead = runner.look_ahead(each)
            if ahead is not None:
                known = ahead.data()
                cost += float(ahead.seconds or 0) or _work_of(known)
                outlook.append(ahead.summary())
        states = {each.state for each in stages}
        return {
            "done": bool(steps) and all(delivered),
            "state": _state(all(delivered), states),
            "stages": [
                {
                    "name": each.stage.name,
                    "key": each.key,
                    "done": each.state is StageState.DONE,
                }
                for each in stages
            ],
            "key": lines[-1][-1].key if lines else None,
            "lacks": sorted({name for each in stages for name in each.lacks}),
            "cost": cost or _frames(steps),
            "outlook": outlook,
        }


def _state(delivered: bool, states: set[StageState]) -> str:
    if delivered:
        return StageState.DONE.value
    return (
        StageState.CONTINUES.value
        if StageState.CONTINUES in states
        else StageState.RUNS.value
    )


def _delivered(executor: Executor, step: Step, forecasts: Sequence[DryRun]) -> bool:
    """True if a step's result is in the cache, and where the user wants it."""
    last = forecasts[-1]
    if last.state is not StageState.DONE or last.key is None:
        return False
    if step.out is None:
        return True
    made = executor.store.find(last.key)
    if made is None or not step.out.exists():
        return False
    if made.path.is_dir() or step.out.is_dir():
        return made.path.is_dir() and step.out.is_dir()
    return made.path.stat().st_size == step.out.stat().st_size


def _work_of(known: Mapping[str, object]) -> float:
    """Windows times steps, where the time isn't known yet."""
    windows, steps = known.get("windows", 1), known.get("steps", 1)
    numbers = [x if isinstance(x, int | float) else 1 for x in (windows, steps)]
    return float(numbers[0] * numbers[1])


def _frames(steps: Sequence[Step]) -> float:
    """Frames that renders were asked for, in millions of pixels; 0 where unknown."""
    total = 0.0
    for step in steps:
        for source in step.stage.inputs().values():
            if isinstance(source, RenderStage) and source.frames:
                if source.preset.entry.denoises:
                    continue
                width, height = source.size
                total += source.frames * width * height / 1e6
    return total
