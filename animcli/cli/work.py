"""A line of requests, planned and done."""

import os
from collections.abc import Sequence
from pathlib import Path

from animcli.cli.console import Console, shown
from animcli.cli.plan import Desk, Planned, Thread
from animcli.cli.request import Act, LineOptions, Request
from animcli.cli.settings import read_layers
from animcli.cli.stopping import Stop
from animcli.errors import BatchError, InputError
from animcli.project.project import find_project
from animcli.project.writing import storing
from animcli.stages.deliver import Step, check_steps, deliver
from animcli.stages.stage import Outcome, Report, Stage
from animcli.stages.workshop import State, Workshop
from animcli.weights.store import WeightsStore, default_root


def do(
    requests: Sequence[Request],
    options: LineOptions,
    words: Sequence[str],
    console: Console,
    stop: Stop,
) -> int:
    """Plan all requests, then do them in turn; the exit code."""
    desk = set_up(options, console.report)
    for doubt in desk.layers.doubts:
        console.note(doubt)
    plans = plan(requests, desk)

    def done(stage: Stage, outcome: Outcome, seconds: float) -> None:
        console.stage_done(stage.name, outcome is Outcome.FRESH, seconds)

    workshop = Workshop(
        desk.project, desk.weights, console.report, console.note, stop.may_stop, done,
        options.wait,
    )  # fmt: skip
    entries = [entry for planned in plans for entry in planned.entries]
    if not options.dry_run:
        for folder in (planned.folder for planned in plans if planned.folder):
            with storing(folder):
                folder.mkdir(parents=True, exist_ok=True)
    steps = [entry for entry in entries if isinstance(entry, Step)]
    absent = {planned.folder for planned in plans if planned.folder and options.dry_run}
    check_steps(
        workshop,
        [step for step in steps if step.out is None or step.out.parent not in absent],
        force=options.force,
    )
    exit_code = 0
    failed = 0
    foreseen: set[str] = set()
    for entry in entries:
        if isinstance(entry, Act):
            answer = entry.run(desk)
            console.result(answer.lines, answer.data)
            exit_code = exit_code or answer.exit_code
        elif options.dry_run:
            foresee(entry, workshop, console, foreseen)
        else:
            try:
                with stop.between_units():
                    make(entry, workshop, words, console, force=options.force)
            except InputError as error:
                if not plans[0].independent:
                    raise
                console.failure(error)
                failed += 1
    if failed:
        raise BatchError(f"{failed} of {len(entries)} videos failed; the others are done")
    return exit_code


def set_up(options: LineOptions, report: Report) -> Desk:
    """The project, its settings and the weights; nothing is written."""
    project = find_project(options.project or Path.cwd(), options.cache)
    layers = read_layers(project.root, project.settings, os.environ)
    return Desk(project, WeightsStore(default_root(os.environ)), layers, options, report)


def plan(requests: Sequence[Request], desk: Desk) -> list[Planned]:
    """What each request comes to, given those before it."""
    thread, plans = Thread(), []
    for request in requests:
        planned = request.plan(desk, thread)
        plans.append(planned)
        thread = planned.thread
    return plans


def make(
    step: Step, workshop: Workshop, words: Sequence[str], console: Console, *, force: bool
) -> None:
    """Do a step and say where the result is."""
    delivered = deliver(workshop, step, force=force, command=["anim", *words])
    console.detail(f"in the cache as {delivered.artifact.path}", level=2)
    data = {
        "stage": step.stage.name,
        "path": str(delivered.path),
        "sha256": delivered.artifact.digest,
        "seconds": round(delivered.seconds, 3),
    }
    console.result([str(delivered.path)], [data])


def foresee(step: Step, workshop: Workshop, console: Console, told: set[str]) -> None:
    """Say what a step would do, and leave out what was said before."""
    for line in workshop.forecast(step.stage):
        out = step.out if line.stage == step.stage else None
        text = f"{line.stage.name:<13} {line.state.value}"
        if line.state is not State.DONE and line.lacks:
            pulls = ", ".join(f"anim weights pull {name}" for name in line.lacks)
            text += f"; first fetches weights ({pulls})"
        if out is not None:
            text += f" -> {shown(out)}"
        if text in told:
            continue
        told.add(text)
        data = {
            "stage": line.stage.name,
            "state": line.state.value,
            "key": line.key,
            "lacks": list(line.lacks),
            "path": None if out is None else str(out),
        }
        console.result([text], [data])
