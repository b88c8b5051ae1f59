"""A line of requests, planned and done."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from animcli.cli.cache import megabytes
from animcli.cli.config import read_layers
from animcli.cli.console import Console, duration, shown
from animcli.cli.plan import Act, Desk, LineOptions, Planned, Request, Session, Thread
from animcli.cli.signals import Stop
from animcli.errors import BatchError, DeviceError, InputError, WeightsError
from animcli.files import storing
from animcli.pipeline.executor import Forecast, State, Workshop
from animcli.pipeline.output import Step, check_steps, deliver
from animcli.pipeline.project import find_project
from animcli.pipeline.stage import Outcome, Report, Stage
from animcli.presets import DIFFUSION
from animcli.stages.render import RenderStage
from animcli.video.limits import allowing
from animcli.weights.store import WeightsStore, amount, default_root

if TYPE_CHECKING:  # torch
    from animcli.stages.render import Outlook


LONG: Final = 3600.0
"""Seconds of a render, beyond which the user is asked first."""


def do(
    requests: Sequence[Request],
    options: LineOptions,
    words: Sequence[str],
    console: Console,
    stop: Stop,
) -> int:
    """Plan all requests, then do them in turn; the exit code."""
    desk = set_up(options, console.report)
    if len(requests) == 1 and isinstance(requests[0], Session):
        return requests[0].run(desk, console, stop)
    said = {} if options.max_pixels is None else {"max_pixels": options.max_pixels}
    with allowing(desk.layers.options(said).max_pixels):
        return _do_at(desk, requests, words, console, stop)


def _do_at(
    desk: Desk,
    requests: Sequence[Request],
    words: Sequence[str],
    console: Console,
    stop: Stop,
) -> int:
    for doubt in desk.layers.doubts:
        console.note(doubt)
    plans = plan(requests, desk)

    def done(stage: Stage, outcome: Outcome, seconds: float) -> None:
        console.stage_done(stage.name, outcome is Outcome.FRESH, seconds)

    workshop = Workshop(
        desk.project, desk.weights, console.report, console.note, stop.may_stop, done,
        desk.line.wait,
    )  # fmt: skip
    work = Work(desk, workshop, console, stop, tuple(words))
    work.prepare(plans)
    return max([work.answer(planned) for planned in plans], default=0)


def set_up(options: LineOptions, report: Report) -> Desk:
    """The project, its settings and the weights; nothing is written."""
    project = find_project(options.project or Path.cwd(), options.cache)
    layers = read_layers(project.root, project.settings, os.environ)
    weights = WeightsStore(default_root(os.environ))
    return Desk(project, weights, layers, options, report)


def plan(requests: Sequence[Request], desk: Desk) -> list[Planned]:
    """What each request comes to, given those before it."""
    thread, plans = Thread(), []
    for request in requests:
        planned = request.plan(desk, thread)
        plans.append(planned)
        thread = planned.thread
    return plans


@dataclass(frozen=True)
class Work:
    """The doing of a planned line.

    words: the command line, for the manifests.
    """

    desk: Desk
    workshop: Workshop
    console: Console
    stop: Stop
    words: tuple[str, ...]
    _told: list[Stage] = field(default_factory=list, init=False)

    def prepare(self, plans: Sequence[Planned]) -> None:
        """Refuse what can't end well, and get what all of it needs, before any work."""
        steps = [step for planned in plans for step in steps_of(planned)]
        folders = [planned.folder for planned in plans if planned.folder is not None]
        if self.desk.line.dry_run:
            absent = {folder for folder in folders if not folder.exists()}
            steps = [
                step for step in steps if step.out is None or step.out.parent not in absent
            ]
        else:
            for folder in folders:
                with storing(folder):
                    folder.mkdir(parents=True, exist_ok=True)
        check_steps(self.workshop, steps, force=self.desk.line.force)
        for planned in plans:
            if not planned.independent:  # there, the others are done all the same
                for step in steps_of(planned):
                    self.workshop.check_files(step.stage)
        for note in (planned.note for planned in plans if planned.note):
            self.console.note(note)
        if not self.desk.line.dry_run:
            needed = [name for step in steps for name in weights_of(step.stage)]
            self.check_weights(dict.fromkeys(needed))
            for name in dict.fromkeys(needed):
                self.get_weights(name)

    def check_weights(self, names: Iterable[str]) -> None:
        """Raise WeightsError where several must be asked for: once for all of them."""
        weights = self.desk.weights
        entries = [weights.entry(name) for name in names if not weights.has(name)]
        lacking = [entry for entry in entries if not entry.on_first_use]
        if len(lacking) > 1:
            each = ", ".join(f"{x.name} ({amount(x.bytes)})" for x in lacking)
            raise WeightsError(
                f"weights aren't here: {each}",
                f"get them with: anim weights pull {' '.join(x.name for x in lacking)}",
            )

    def get_weights(self, name: str) -> None:
        """Have the weights here; WeightsError where they must be asked for."""
        weights = self.desk.weights
        entry = weights.entry(name)
        if entry.on_first_use and not weights.has(name):
            size = megabytes(entry.bytes).strip()
            self.console.note(
                f"getting {name} from {entry.source}: {size}, {entry.licence}"
            )
        weights.ensure(name, self.console.report)

    def answer(self, planned: Planned) -> int:
        """Do what one command asks for; the exit code of what it found.

        Raises BatchError where some of its independent jobs failed.
        """
        with self.helped(planned):
            return self._answer(planned)

    def helped(self, planned: Planned) -> AbstractContextManager[object]:
        """A stretch in which others predict for the render, if that was asked for."""
        if planned.split is None or self.desk.line.dry_run:
            return nullcontext()
        from animcli.cli.batch import helpers

        return helpers(planned.split, self.desk.project, self.words, self.stop.may_stop)

    def _answer(self, planned: Planned) -> int:
        exit_code = failed = 0
        for entry in planned.entries:
            try:
                if isinstance(entry, Act):
                    answer = entry.run(self.desk)
                    self.console.result(answer.lines, answer.data)
                    exit_code = max(exit_code, answer.exit_code)
                elif self.desk.line.dry_run:
                    self.foresee(entry)
                else:
                    self.make(entry)
            except InputError as error:
                if not planned.independent:
                    raise
                self.console.failure(error)
                failed += 1
        if failed:
            raise BatchError(
                f"{failed} of {len(planned.entries)} failed; the others are done"
            )
        return exit_code

    def make(self, step: Step) -> None:
        """Do a step and say where the result is."""
        self.agree_on_time(step.stage)
        force, command = self.desk.line.force, ["anim", *self.words]
        with self.stop.between_units():
            delivered = deliver(self.workshop, step, force=force, command=command)
        self.console.detail(f"in the cache as {delivered.artifact.path}", level=2)
        data = {
            "stage": step.stage.name,
            "path": str(delivered.path),
            "sha256": delivered.artifact.digest,
            "seconds": round(delivered.seconds, 3),
        }
        self.console.result([str(delivered.path)], [data])

    def agree_on_time(self, stage: Stage) -> None:
        """Ask before a render that takes hours on a processor.

        What it needs is made first, where its length isn't known otherwise.
        Raises DeviceError where the user doesn't want it, or can't be asked.
        """
        for line in self.workshop.forecast(stage):
            ahead = self.look_ahead(line)
            if ahead is None or ahead.seconds is None or self.desk.line.yes:
                continue
            if ahead.seconds <= LONG and not ahead.length_known:
                with self.stop.between_units():
                    for source in line.stage.inputs().values():
                        if not isinstance(source, Path):
                            self.workshop.make(source)
                self.agree_on_time(line.stage)
                continue
            if ahead.seconds <= LONG:
                continue
            least = "" if ahead.length_known else "at least "
            takes = f"this render takes {least}about {duration(ahead.seconds)}"
            if not self.console.consents(f"{takes} on this processor. Start it?"):
                raise DeviceError(
                    f"{takes} on this processor, so it wasn't started",
                    "--yes starts it; --preset cutout takes seconds; anim doctor says why "
                    "there is no GPU",
                )

    def foresee(self, step: Step) -> None:
        """Say what a step would do, and leave out what was said before."""
        for line in self.workshop.forecast(step.stage):
            out = step.out if line.stage == step.stage else None
            if out is None and line.stage in self._told:
                continue
            self._told.append(line.stage)
            ahead = self.look_ahead(line)
            text = f"{line.stage.name:<13} {line.state.value}"
            if line.state is not State.DONE and line.lacks:
                text += f"; lacks weights (anim weights pull {' '.join(line.lacks)})"
            if out is not None:
                text += f" -> {shown(out)}"
            data: dict[str, object] = {
                "stage": line.stage.name,
                "state": line.state.value,
                "key": line.key,
                "lacks": list(line.lacks),
                "path": None if out is None else str(out),
            }
            lines = [text]
            if ahead is not None:
                time = f", {duration(ahead.seconds)} left" if ahead.seconds else ""
                lines.append(f"{'':<13} {ahead.told()}{time}")
                data["cost"] = ahead.data()
            self.console.result(lines, [data])

    def look_ahead(self, line: Forecast) -> "Outlook | None":
        """What a render costs that would run."""
        if not isinstance(line.stage, RenderStage) or line.state is State.DONE:
            return None
        if line.stage.preset.renderer not in DIFFUSION:  # known without loading torch
            return None
        from animcli.stages.render import outlook

        return outlook(line.stage, self.workshop, line.key)


def steps_of(planned: Planned) -> list[Step]:
    """What a command makes."""
    return [entry for entry in planned.entries if isinstance(entry, Step)]


def weights_of(stage: Stage) -> Iterator[str]:
    """Names of all weights that a stage and those before it run."""
    yield from stage.weights
    for source in stage.inputs().values():
        if not isinstance(source, Path):
            yield from weights_of(source)
