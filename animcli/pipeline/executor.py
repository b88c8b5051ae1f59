"""Where stages are run: inputs first, and nothing twice."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from animcli.errors import InputError, OutputError, StorageError
from animcli.files import locked
from animcli.pipeline.cache import Store
from animcli.pipeline.project import Project
from animcli.pipeline.record import Artifact, Inputs, Recipe, code_of
from animcli.pipeline.stage import Bench, MayStop, Note, Outcome, Report, Source, Stage
from animcli.weights.store import WeightsStore

OURS: Final = "animcli."


class State(Enum):
    """What would happen to a stage."""

    DONE = "done"
    RUNS = "would run"
    CONTINUES = "would go on"
    WAITS = "waits for an input"


@dataclass(frozen=True)
class Forecast:
    """A line of `--dry-run`.

    key: of the artifact, or None while it depends on something that isn't there yet.
    lacks: weights entries that would have to be got first.
    """

    stage: Stage
    state: State
    key: str | None
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class Workshop:
    """Makes what stages describe, in one project.

    done: called whenever a stage was made or found (inputs come before what needs them).
    wait: whether to wait for another process that is making the same artifact.
    """

    project: Project
    weights: WeightsStore
    report: Report = lambda what, done, of: None
    note: Note = lambda line: None
    may_stop: MayStop = lambda: None
    done: Callable[[Stage, Outcome, float], None] = lambda stage, outcome, seconds: None
    wait: bool = True
    _inputs: Inputs = field(default_factory=Inputs, init=False)
    _whole: set[str] = field(default_factory=set, init=False)
    _told: set[str] = field(default_factory=set, init=False)

    @property
    def store(self) -> Store:
        """The project's artifacts; damaged ones are told to the user."""
        return Store(self.project.cache, self.note)

    def make(self, stage: Stage) -> Artifact:
        """What the stage describes, whole and checked; made now if it isn't there.

        Raises OutputError where another process holds it and `wait` is off.
        """
        while not self._is_whole(artifact := self._found_or_made(stage)):
            self.store.set_aside(artifact.record.recipe.key)
        self._tell_fresh(stage, artifact)
        return artifact

    def forecast(self, stage: Stage) -> list[Forecast]:
        """What `make` would do, inputs first, without doing it."""
        lines: list[Forecast] = []
        self._foresee(stage, lines)
        return lines

    def check_files(self, stage: Stage) -> None:
        """Raise InputError where a file of the user's that goes into it isn't there."""
        for source in stage.inputs().values():
            if isinstance(source, Path):
                self._inputs.check_there(source)
            else:
                self.check_files(source)

    def chain(self, stage: Stage) -> Iterator[Artifact]:
        """What went into a stage that was made, inputs first, itself last."""
        for line in self.forecast(stage):
            if line.key and (artifact := self.store.find(line.key)):
                yield artifact

    def _found_or_made(self, stage: Stage) -> Artifact:
        """The artifact, its bytes not yet checked: it may not be read at all."""
        digests = {}
        for name, source in stage.inputs().items():
            if isinstance(source, Path):
                digests[name] = self._inputs.digest(source)
            else:
                made = self._found_or_made(source)
                digests[name] = made.digest
                self._tell_fresh(source, made)
        for name in stage.weights:
            self._weights(name)
        recipe = self._recipe(stage, digests)
        found = self.store.find(recipe.key)
        if found is None:
            return self._made(stage)
        if self.store.is_started(recipe.key):  # a kill came right after the commit
            self.store.drop_work(recipe.key)
        return found

    def _made(self, stage: Stage) -> Artifact:
        """The artifact, made now from inputs that are whole, or by another process."""
        sources = {name: self._source(source) for name, source in stage.inputs().items()}
        digests = {name: digest for name, (_, digest) in sources.items()}
        recipe = self._recipe(stage, digests)
        wait = self._while_waiting(stage) if self.wait else None
        with locked(self.store.lock_of(recipe.key), wait) as free:
            if not free:
                raise OutputError(
                    f"another anim process is busy with the same {stage.name}",
                    "without --no-wait, this one waits for it",
                )
            found = self.store.find(recipe.key)
            if found is None:
                paths = {name: path for name, (path, _) in sources.items()}
                try:
                    return self._run(stage, recipe, paths)
                except StorageError:
                    # On a file system without locks, another process may just have moved
                    # the finished work away from under this one.
                    found = self.store.find(recipe.key)
                    if found is None:
                        raise
        return found

    def _run(self, stage: Stage, recipe: Recipe, paths: Mapping[str, Path]) -> Artifact:
        def between_units() -> None:
            self._check_inputs(stage, recipe)
            self.may_stop()

        started = time.perf_counter()
        bench = Bench(
            inputs=paths,
            recipe=recipe,
            out=self.store.place_for(recipe, stage.suffix),
            work=self.store.work_folder(recipe.key),
            weights={name: self._weights(name) for name in stage.weights},
            report=self.report,
            note=self.note,
            may_stop=between_units,
        )
        stage.run(bench)
        self._check_inputs(stage, recipe)
        seconds = time.perf_counter() - started
        artifact = self.store.commit(recipe, stage.suffix, seconds)
        self._whole.add(recipe.key)  # its digests have just been taken
        self._told.add(recipe.key)
        self.done(stage, Outcome.RAN, seconds)
        self.may_stop()
        return artifact

    def _check_inputs(self, stage: Stage, recipe: Recipe) -> None:
        """Raise InputError, and forget what was done, if the user's files have changed."""
        try:
            for source in stage.inputs().values():
                if isinstance(source, Path):
                    self._inputs.check_unchanged(source)
        except InputError:
            self.store.drop_work(recipe.key)  # some of it is of the file as it is now
            raise

    def _weights(self, name: str) -> Path:
        """The folder of a weights entry; one that is wanted on first use is got now."""
        if not self.weights.has(name) and self.weights.entry(name).on_first_use:
            self.note(f"getting the weights {name}, once")
        return self.weights.ensure(name, self.report)

    def _source(self, source: Source) -> tuple[Path, str]:
        if isinstance(source, Path):
            return source.absolute(), self._inputs.digest(source)
        artifact = self.make(source)
        return artifact.path, artifact.digest

    def _recipe(self, stage: Stage, digests: Mapping[str, str]) -> Recipe:
        weights = {
            f"{name}/{file}": digest
            for name in stage.weights
            for file, digest in self.weights.digests(name).items()
        }
        versions = {library: _version(library) for library in stage.libraries}
        settings = dict(stage.settings())
        return Recipe(stage.name, stage.revision, settings, digests, weights, versions)

    def _is_whole(self, artifact: Artifact) -> bool:
        key = artifact.record.recipe.key
        if key not in self._whole and self.store.is_whole(artifact):
            self._whole.add(key)
        return key in self._whole

    def _while_waiting(self, stage: Stage) -> Callable[[], None]:
        told: list[str] = []

        def wait() -> None:
            if not told:
                told.append(stage.name)
                self.note(
                    f"waiting for another anim process, busy with the same {stage.name}"
                )
            self.may_stop()

        return wait

    def _tell_fresh(self, stage: Stage, artifact: Artifact) -> None:
        key = artifact.record.recipe.key
        if key not in self._told:
            self._told.add(key)
            self.done(stage, Outcome.FRESH, 0.0)

    def _foresee(self, stage: Stage, lines: list[Forecast]) -> str | None:
        """Add the lines of a stage; the digest of its artifact where that is known."""
        digests: dict[str, str] = {}
        waits = False
        for name, source in stage.inputs().items():
            if isinstance(source, Path):
                digests[name] = self._inputs.digest(source)
            elif digest := self._foresee(source, lines):
                digests[name] = digest
            else:
                waits = True
        lacks = tuple(name for name in stage.weights if not self.weights.has(name))
        key = None if waits or lacks else self._recipe(stage, digests).key
        found = self.store.find(key) if key else None
        if found:
            state = State.DONE
        elif waits:
            state = State.WAITS
        elif key and self.store.is_started(key):
            state = State.CONTINUES
        else:
            state = State.RUNS
        line = Forecast(stage, state, key, lacks)
        if line not in lines:
            lines.append(line)
        return found.digest if found else None


def _version(library: str) -> str:
    if library.startswith(OURS):
        return code_of(library)
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
