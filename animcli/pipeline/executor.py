"""Executor of stages: inputs first, and nothing twice."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from animcli.errors import AnimError, InputError, OutputError, StorageError
from animcli.pipeline.cache import Store
from animcli.pipeline.project import Project
from animcli.pipeline.record import Artifact, CacheKey, Inputs, code_of
from animcli.pipeline.stage import (
    CheckCancelled,
    Outcome,
    Progress,
    RunContext,
    Source,
    Stage,
    Warn,
)
from animcli.pipeline.work_copy import WorkCopy
from animcli.video.limits import check_video
from animcli.weights.store import WeightsStore

PACKAGE_PREFIX: Final = "animcli."
LARGE: Final = 1 << 26
"""Bytes, beyond which a file is looked at before all of it is read."""
CLEARINGS: Final = 5
"""Times that work is done again because another process cleared what it needs."""


class ClearedError(Exception):
    """An input of a stage left the store while the stage was reading it."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def folder_id(folder: Path) -> tuple[int, int] | None:
    """Identity of a folder among all others on this machine; None where there is none."""
    try:
        held = folder.stat()
    except OSError:
        return None
    return held.st_dev, held.st_ino


class StageState(Enum):
    """State of a stage in a dry run."""

    DONE = "done"
    RUNS = "would run"
    CONTINUES = "would go on"
    WAITS = "pending"


@dataclass(frozen=True)
class DryRun:
    """A line of `--dry-run`.

    key: of the artifact, or None while it depends on something that isn't there yet.
    lacks: weights entries that would have to be got first.
    """

    stage: Stage
    state: StageState
    key: str | None
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class Executor:
    """Makes what stages describe, in one project.

    done: called whenever a stage was made or found (inputs come before what needs them).
    wait: whether to wait for another process that is making the same artifact.
    """

    project: Project
    weights: WeightsStore
    progress: Progress = lambda what, done, of: None
    warn: Warn = lambda line: None
    check_cancelled: CheckCancelled = lambda: None
    done: Callable[[Stage, Outcome, float], None] = lambda stage, outcome, seconds: None
    _: KW_ONLY
    wait: bool = True
    _inputs: Inputs = field(default_factory=Inputs, init=False)
    _whole: set[str] = field(default_factory=set, init=False)
    _reported: set[str] = field(default_factory=set, init=False)

    @property
    def store(self) -> Store:
        """The project's artifacts; damaged ones are told to the user."""
        return Store(self.project.cache, self.warn, self.check_cancelled)

    @cached_property
    def _home(self) -> tuple[int, int] | None:
        """Identity of the project's folder, whatever it is called."""
        return folder_id(self.project.root)

    @property
    def used_keys(self) -> frozenset[str]:
        """Keys of all that was made or found so far."""
        return frozenset(self._reported)

    def check_home(self) -> None:
        """Raise StorageError once the project isn't where it was at the first call."""
        if self._home != folder_id(self.project.root):
            raise StorageError(
                f"{self.project.root} was moved or replaced while anim was at work in it",
                "give the same command again where it is now",
            )

    def make(self, stage: Stage) -> Artifact:
        """Artifact of a stage, whole and checked; made now if it isn't there.

        Raises OutputError where another process holds it and `wait` is off.
        """
        self.check_home()
        while not self._is_whole(artifact := self._found_or_made(stage)):
            self.store.quarantine(artifact.record.cache_key.digest)
        self._report_cached(stage, artifact)
        return artifact

    def used(self, stage: Stage, use: Callable[[Artifact], None]) -> Artifact:
        """Record of the stage, after `use` had its files.

        It is made again where another process clears the cache at that moment.
        """
        for _ in range(CLEARINGS):
            artifact = self.make(stage)
            try:
                use(artifact)
            except (OSError, AnimError):
                if artifact.path.exists():
                    raise
                self._whole.discard(artifact.record.cache_key.digest)
                continue
            return artifact
        raise self._cleared()

    def _cleared(self) -> StorageError:
        return StorageError(
            f"{self.project.cache} is being cleared by another process all the time",
            "give the same command again once that has ended",
        )

    def dry_run(self, stage: Stage) -> list[DryRun]:
        """Steps of `make`, inputs first, without doing them."""
        lines: list[DryRun] = []
        self._dry_run(stage, lines)
        return lines

    def check_files(self, stage: Stage) -> None:
        """Raise InputError where a file of the user's that goes into it isn't there."""
        for source in stage.inputs().values():
            if isinstance(source, Path):
                self._inputs.check_there(source)
            else:
                self.check_files(source)

    def chain(self, stage: Stage) -> Iterator[Artifact]:
        """Artifacts that went into a stage that was made, inputs first, itself last."""
        for line in self.dry_run(stage):
            if line.key and (artifact := self.store.find(line.key)):
                yield artifact

    def _found_or_made(self, stage: Stage) -> Artifact:
        """The artifact, its bytes not yet checked: it may not be read at all."""
        digests = {}
        for name, source in stage.inputs().items():
            if isinstance(source, Path):
                digests[name] = self._digest(stage, name, source)
            else:
                made = self._found_or_made(source)
                digests[name] = made.digest
                self._report_cached(source, made)
        for name in stage.weights:
            self._weights(name)
        cache_key = self._cache_key(stage, digests)
        found = self.store.find(cache_key.digest)
        if found is None:
            return self._made(stage)
        if self.store.is_started(cache_key.digest):  # a kill came right after the commit
            self.store.drop_work(cache_key.digest)
        return found

    def _made(self, stage: Stage) -> Artifact:
        """The artifact, made now from inputs that are whole, or by another process.

        Inputs that another process clears away meanwhile are made again.
        """
        for _ in range(CLEARINGS):
            try:
                return self._made_once(stage)
            except ClearedError as gone:
                self._whole.discard(gone.key)
        raise self._cleared()

    def _made_once(self, stage: Stage) -> Artifact:
        sources = {
            name: self._source(stage, name, source)
            for name, source in stage.inputs().items()
        }
        digests = {name: digest for name, (_, digest) in sources.items()}
        cache_key = self._cache_key(stage, digests)
        wait = self._while_waiting(stage) if self.wait else None
        self.check_home()
        with self.store.locked(cache_key.digest, wait) as free:
            if not free:
                raise OutputError(
                    f"another anim process is busy with the same {stage.name}",
                    "without --no-wait, this one waits for it",
                )
            found = self.store.find(cache_key.digest)
            if found is None:
                paths = {name: path for name, (path, _) in sources.items()}
                try:
                    return self._run(stage, cache_key, paths)
                except StorageError:
                    # On a file system without locks, another process may just have moved
                    # the finished work away from under this one.
                    found = self.store.find(cache_key.digest)
                    if found is None:
                        raise
        return found

    def _run(
        self, stage: Stage, cache_key: CacheKey, paths: Mapping[str, Path]
    ) -> Artifact:
        copy = self._work_copy(cache_key.digest)

        def between_units() -> None:
            self.check_home()
            self._check_inputs(stage, cache_key)
            if copy is not None:
                copy.update()
            self.check_cancelled()

        started = time.perf_counter()
        context = RunContext(
            inputs=paths,
            cache_key=cache_key,
            out=self.store.output_path(cache_key, stage.suffix),
            work=self.store.work_folder(cache_key.digest),
            weights={name: self._weights(name) for name in stage.weights},
            progress=self.progress,
            warn=self.warn,
            check_cancelled=between_units,
        )
        if copy is not None:
            copy.restore()
        try:
            stage.run(context)
        except (OSError, AnimError):
            self.check_home()
            self._check_inputs(
                stage, cache_key
            )  # a file that changes reads as a damaged one
            for path in paths.values():
                if path.is_relative_to(self.store.root) and not path.exists():
                    raise ClearedError(path.parent.name) from None
            raise
        finally:
            self.store.drop_empty_work(cache_key.digest)
        self.check_home()
        self._check_inputs(stage, cache_key)
        for name in stage.weights:
            self.weights.check_unchanged(name)
        seconds = time.perf_counter() - started
        artifact = self.store.commit(cache_key, stage.suffix, seconds)
        if copy is not None:
            copy.drop()
        self._whole.add(cache_key.digest)  # its digests have just been taken
        self._reported.add(cache_key.digest)
        self.done(stage, Outcome.RAN, seconds)
        self.check_cancelled()
        return artifact

    def _check_inputs(self, stage: Stage, cache_key: CacheKey) -> None:
        """Raise InputError, and forget what was done, if the user's files have changed."""
        try:
            for source in stage.inputs().values():
                if isinstance(source, Path):
                    self._inputs.check_unchanged(source)
        except InputError:
            self.store.drop_work(cache_key.digest)  # some of it is of the file as it is now
            if (copy := self._work_copy(cache_key.digest)) is not None:
                copy.drop()
            raise

    def _work_copy(self, key: str) -> WorkCopy | None:
        """The copy of a work folder, where copies are wanted."""
        folder = self.project.checkpoints
        if folder is None:
            return None
        return WorkCopy(self.store.work_of(key), folder / key, self.warn)

    def _weights(self, name: str) -> Path:
        """The folder of a weights entry; one that is wanted on first use is got now."""
        if not self.weights.has(name) and self.weights.entry(name).on_first_use:
            self.warn(f"getting the weights {name}, once")
        return self.weights.ensure(name, self.progress)

    def _source(self, stage: Stage, name: str, source: Source) -> tuple[Path, str]:
        if isinstance(source, Path):
            return source.absolute(), self._digest(stage, name, source)
        artifact = self.make(source)
        return artifact.path, artifact.digest

    def _digest(self, stage: Stage, name: str, source: Path) -> str:
        """Digest of a file of the user's.

        A large one that should be a video is looked at first: reading a disk image takes
        minutes, and that it is none is known from its first bytes. Raises InputError.
        """
        if name in stage.videos:
            with suppress(OSError):
                if source.is_file() and source.stat().st_size > LARGE:
                    check_video(source)
        return self._inputs.digest(source, self.check_cancelled)

    def _cache_key(self, stage: Stage, digests: Mapping[str, str]) -> CacheKey:
        weights = {
            f"{name}/{file}": digest
            for name in stage.weights
            for file, digest in self.weights.digests(name).items()
        }
        versions = {library: _version(library) for library in stage.libraries}
        settings = dict(stage.settings())
        return CacheKey(stage.name, stage.revision, settings, digests, weights, versions)

    def _is_whole(self, artifact: Artifact) -> bool:
        key = artifact.record.cache_key.digest
        if key not in self._whole and self.store.is_whole(artifact):
            self._whole.add(key)
        return key in self._whole

    def _while_waiting(self, stage: Stage) -> Callable[[], None]:
        told: list[str] = []

        def wait() -> None:
            if not told:
                told.append(stage.name)
                self.warn(
                    f"waiting for another anim process, busy with the same {stage.name}"
                )
            self.check_cancelled()

        return wait

    def _report_cached(self, stage: Stage, artifact: Artifact) -> None:
        key = artifact.record.cache_key.digest
        if key not in self._reported:
            self._reported.add(key)
            self.done(stage, Outcome.CACHED, 0.0)

    def _dry_run(self, stage: Stage, lines: list[DryRun]) -> str | None:
        """Add the lines of a stage; the digest of its artifact where that is known."""
        digests: dict[str, str] = {}
        waits = False
        for name, source in stage.inputs().items():
            if isinstance(source, Path):
                digests[name] = self._digest(stage, name, source)
            elif digest := self._dry_run(source, lines):
                digests[name] = digest
            else:
                waits = True
        lacks = tuple(name for name in stage.weights if not self.weights.has(name))
        key = None if waits or lacks else self._cache_key(stage, digests).digest
        found = self.store.find(key) if key else None
        if found:
            state = StageState.DONE
        elif waits:
            state = StageState.WAITS
        elif key and self.store.is_started(key):
            state = StageState.CONTINUES
        else:
            state = StageState.RUNS
        line = DryRun(stage, state, key, lacks)
        if line not in lines:
            lines.append(line)
        return found.digest if found else None


def _version(library: str) -> str:
    if library.startswith(PACKAGE_PREFIX):
        return code_of(library)
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
