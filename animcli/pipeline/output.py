"""From the cache to where the user wants it: whole, and never over something else.

What anim has put outside its cache is remembered there, as the reason why it may replace
it. A manifest beside each video says how to make it again.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import animcli
from animcli.errors import InputError, StorageError, UsageError
from animcli.files import (
    AtomicFile,
    disk_errors,
    make_folder,
    parts_beside,
    put_folder_in_place,
    remove_abandoned,
    taken,
    temp_name,
    write_file,
)
from animcli.pipeline.executor import Executor
from animcli.pipeline.project import Project
from animcli.pipeline.record import (
    Artifact,
    CacheKey,
    canonical,
    digest_of,
    files_of,
    go_on,
)
from animcli.pipeline.stage import Source, Stage

KEPT: Final = 8
"""Digests remembered per file: after a kill, an older one than the last may be there."""


@dataclass(frozen=True)
class OutputRecord:
    """Record of what was put at one place.

    name: the place, relative to the project.
    plan: digest of what the user asked for.
    key: of the artifact that was put there last.
    digests: of what this plan has put there, the last one first.
    """

    name: str
    plan: str
    key: str
    digests: tuple[str, ...]


def read_output_record(cache: Path, name: str) -> OutputRecord | None:
    """Record of what anim put at `name` last, as far as the cache knows."""
    try:
        table = json.loads(_path(cache, name).read_bytes())
        digests = tuple(table.pop("digests"))
        return OutputRecord(digests=digests, **table)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # damaged: then nothing is known, and nothing gets replaced
    except OSError as error:
        with disk_errors(_path(cache, name)):
            raise error


def write_output_record(
    cache: Path, name: str, plan: str, artifact: Artifact, *, replaces: bool = False
) -> None:
    """Say that an artifact is about to be put at `name`; see `Step.replaces`."""
    known = read_output_record(cache, name)
    earlier = known.digests if known and (replaces or known.plan == plan) else ()
    digests = (artifact.digest, *(d for d in earlier if d != artifact.digest))[:KEPT]
    record = OutputRecord(name, plan, artifact.record.cache_key.digest, digests)
    path = _path(cache, name)
    make_folder(path.parent)
    write_file(path, canonical(asdict(record)))


def output_records(cache: Path) -> Iterator[OutputRecord]:
    """All of them that can be read."""
    for path in sorted((cache / "delivered").glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            table = json.loads(path.read_bytes())
            yield OutputRecord(digests=tuple(table.pop("digests")), **table)


def _path(cache: Path, name: str) -> Path:
    return cache / "delivered" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"


MANIFEST_SCHEMA: Final = 1


def manifest_path(video: Path) -> Path:
    """Path of a video's manifest: `dance.mp4.json` beside `dance.mp4`."""
    return video.with_name(f"{video.name}.json")


def is_manifest(path: Path) -> bool:
    """Tell if a file is one of `write_manifest`."""
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and "animcli" in table


def write_manifest(
    video: Path,
    artifact: Artifact,
    stage: Stage,
    executor: Executor,
    command: Sequence[str],
    *,
    exclusive: bool = False,
) -> None:
    """Write the manifest of a delivered video; if `exclusive`, only where nothing is.

    It names the command, the digest of the result, and for every stage on the way its
    settings (seed and preset values among them), the digests of inputs and weights, what
    licences these are under, the versions of libraries, and how long it took.
    """
    manifest = {
        "schema": MANIFEST_SCHEMA,
        "animcli": animcli.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "command": list(command),
        "result": {"name": video.name, "sha256": artifact.digest},
        "stages": [
            {
                **asdict(made.record.cache_key),
                "made": made.digest,
                "seconds": round(made.record.seconds, 3),
                "licences": licences_of(made.record.cache_key, executor),
            }
            for made in executor.chain(stage)
        ],
    }
    text = json.dumps(manifest, indent=2)  # in ASCII: names may hold what UTF-8 can't
    write_file(manifest_path(video), f"{text}\n".encode(), exclusive=exclusive)


def licences_of(cache_key: CacheKey, executor: Executor) -> dict[str, str]:
    """Weights entry -> its licence, for all that a stage was made with."""
    names = dict.fromkeys(file.partition("/")[0] for file in cache_key.weights)
    catalog = executor.weights.catalog
    return {name: catalog[name].licence for name in names if name in catalog}


@dataclass(frozen=True)
class Manifest:
    """Contents of the manifest beside a delivered video.

    command: the words that made it. version: of animcli. sha256: of the video.
    made: SHA-256 of what each stage on the way made -> its cache key.
    """

    command: tuple[str, ...]
    version: str
    sha256: str
    made: Mapping[str, CacheKey]


def read_manifest(video: Path) -> Manifest | None:
    """The manifest beside a video, None where there is none.

    Raises InputError where a file of that name is something else.
    """
    path = manifest_path(video)
    try:
        table = json.loads(path.read_bytes())
        made = {
            stage["made"]: CacheKey(
                **{each.name: stage[each.name] for each in fields(CacheKey)}
            )
            for stage in table["stages"]
        }
        command, version = tuple(table["command"]), str(table["animcli"])
        return Manifest(command, version, str(table["result"]["sha256"]), made)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no manifest of animcli: {error}") from error


@dataclass(frozen=True)
class Step:
    """A stage, and the visible file or folder that it ends in, if any.

    manifest: whether a JSON file beside the result says how to make it again.
    replaces: whether it takes the place of what anim put there for another command, as long
        as nobody changed that.
    """

    stage: Stage
    out: Path | None = None
    manifest: bool = False
    replaces: bool = False


@dataclass(frozen=True)
class Published:
    """Result of a step.

    path: the visible result, or where the cache keeps it.
    seconds: of this run.
    """

    step: Step
    artifact: Artifact
    path: Path
    seconds: float


def check_steps(steps: Sequence[Step]) -> None:
    """Refuse results that could never be delivered, before anything is read.

    Raises UsageError where one would replace its own input, two would have one name, or
    the folder isn't there, StorageError where that can't be written.
    """
    outs = [step.out for step in steps if step.out is not None]
    for number, out in enumerate(outs):
        reading = [step for step in steps if _reads(step, out)]
        if any(step.out == out for step in reading):
            raise UsageError(f"{out} would replace its own input", "give another -o")
        if reading:
            raise UsageError(
                f"{out} is made by this line, and is an input of another command in it",
                "leave that out: `then` hands on what was made",
            )
        if any(out.absolute() == other.absolute() for other in outs[:number]):
            raise UsageError(f"two results would be written to {out}")
        _check_folder(out)


def check_places(executor: Executor, steps: Sequence[Step], *, force: bool) -> None:
    """Raise OutputError where something else is in the place of a result, before work.

    Comes after all other checks: `--force` is no way round a mistake of another kind.
    """
    for step in steps:
        if step.out is None or force:
            continue
        if _is_taken(step.out) and not _is_there(executor, step.stage, step.out):
            _check_ours(executor, step, step.out)
        if step.manifest:
            _check_manifest(step.out)


def holds_another(project: Project, stage: Stage, out: Path) -> bool:
    """Tell if anim put something there that was made from another plan."""
    record = read_output_record(project.cache, _name(project, out))
    return record is not None and _is_taken(out) and record.plan != _plan(project, stage)


def is_published(project: Project, path: Path) -> bool:
    """Tell if anim has put something at `path`, as far as the cache knows."""
    return read_output_record(project.cache, _name(project, path)) is not None


def publish(
    executor: Executor, step: Step, *, force: bool, command: Sequence[str]
) -> Published:
    """Make a step's stage and put it where it belongs.

    force: replace what is there, whatever it is.
    command: the words of the command line, for the manifest.
    """
    started = time.perf_counter()
    out = step.out
    if out is None:
        artifact = executor.make(step.stage)
        return Published(step, artifact, artifact.path, time.perf_counter() - started)

    def put(artifact: Artifact) -> None:
        """In this project, one process at a time; what others do is met by `exclusive`."""
        executor.check_home()
        name = f"result-{hashlib.sha256(os.fsencode(out.name)).hexdigest()}"
        with executor.store.locked(name, executor.check_cancelled):
            if step.manifest and not force:
                _check_manifest(out)
            _put(executor, artifact, step, out, force=force)
            if step.manifest:
                new = not force and not _is_taken(manifest_path(out))
                write_manifest(out, artifact, step.stage, executor, command, exclusive=new)

    artifact = executor.used(step.stage, put)
    return Published(step, artifact, out, time.perf_counter() - started)


def _put(
    executor: Executor, artifact: Artifact, step: Step, out: Path, *, force: bool
) -> None:
    """Copy an artifact to its place, over what this plan put there and nothing else.

    What the user puts there in the microseconds between the last look at our own file and
    the rename over it is lost; where nothing was, not even that can happen.
    """
    for path in (out, manifest_path(out)):
        remove_abandoned(parts_beside(path))
    is_taken = _is_taken(out)
    if is_taken and _digest(out) == artifact.digest:
        return
    seen = _stamp(out)
    if is_taken and not force:
        _check_ours(executor, step, out)
    # Said before it is done: after a kill in between, the same command may finish it.
    cache = executor.project.cache
    plan = _plan(executor.project, step.stage)
    name = _name(executor.project, out)
    write_output_record(cache, name, plan, artifact, replaces=step.replaces)

    def check() -> None:
        if not force and _stamp(out) != seen:
            raise taken(out)

    if artifact.path.is_dir():
        _copy_folder(artifact.path, out, check)
    else:
        _copy_file(artifact.path, out, check, exclusive=not is_taken and not force)


def _stamp(out: Path) -> tuple[int, int, int, int] | None:
    """Marks by which the system knows a file or folder; None where there is none."""
    try:
        held = out.lstat()
    except FileNotFoundError:
        return None
    return held.st_ino, held.st_size, held.st_mtime_ns, held.st_ctime_ns


def _is_taken(out: Path) -> bool:
    """Tell if there is anything at a path, a link that leads nowhere among it."""
    with disk_errors(out):
        return _stamp(out) is not None


def _check_manifest(out: Path) -> None:
    """Raise OutputError where something else is in the place of a result's manifest."""
    beside = manifest_path(out)
    if _is_taken(beside) and (beside.is_symlink() or not is_manifest(beside)):
        raise taken(beside)


def _copy_file(
    source: Path, out: Path, check: Callable[[], None] = go_on, *, exclusive: bool = False
) -> None:
    """A copy of a file; `check` is asked right before it takes its place."""
    with source.open("rb") as file, AtomicFile(out, exclusive=exclusive) as copy:
        while piece := file.read(1 << 20):
            copy.write(piece)
        check()


def _copy_folder(source: Path, out: Path, check: Callable[[], None]) -> None:
    part, old = temp_name(out), temp_name(out)
    try:
        make_folder(part)
        part.chmod(0o755)
        for file in sorted(source.rglob("*")):
            target = part / file.relative_to(source)
            if file.is_dir():
                make_folder(target)
            else:
                _copy_file(file, target)
        check()
        if out.is_dir() and not out.is_symlink():
            with disk_errors(out):
                out.replace(old)  # a folder takes the place of an empty one only
        put_folder_in_place(part, out)
    finally:
        if old.exists() and not out.exists():
            old.replace(out)
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True)


def _check_folder(out: Path) -> None:
    folder = out.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", "make it, or give another -o")
    if not os.access(folder, os.W_OK):
        raise StorageError(f"{folder} can't be written", "give another -o")


def _check_ours(executor: Executor, step: Step, out: Path) -> None:
    """Raise OutputError unless `out` is what this plan put there, unchanged since; where
    the step `replaces`, what any plan put there.
    """
    record = read_output_record(executor.project.cache, _name(executor.project, out))
    if (
        record is None
        or not (step.replaces or record.plan == _plan(executor.project, step.stage))
        or _digest(out) not in record.digests
    ):
        raise taken(out)


def _is_there(executor: Executor, stage: Stage, out: Path) -> bool:
    """Compare `out` byte by byte with what the cache holds as the stage's result."""
    last = executor.dry_run(stage)[-1]
    made = executor.store.find(last.key) if last.key else None
    return made is not None and _digest(out) == made.digest


def _plan(project: Project, stage: Stage) -> str:
    """Digest of what the user asked for, whatever the inputs hold today."""

    def describe(source: Source) -> object:
        if isinstance(source, Path):
            return _name(project, source)
        inputs = {name: describe(item) for name, item in source.inputs().items()}
        return [source.name, dict(source.settings()), inputs]

    return hashlib.sha256(canonical(describe(stage))).hexdigest()


def _name(project: Project, path: Path) -> str:
    """A path as the project sees it, so that the project may be moved."""
    return Path(os.path.relpath(path.absolute(), project.root)).as_posix()


def _digest(path: Path) -> str:
    with disk_errors(path):
        return digest_of(files_of(path))


def _reads(step: Step, out: Path) -> bool:
    return any(_is_same(out, source) for source in _files_of(step.stage))


def _files_of(stage: Stage) -> Iterator[Path]:
    for source in stage.inputs().values():
        if isinstance(source, Path):
            yield source
        else:
            yield from _files_of(source)


def _is_same(out: Path, source: Path) -> bool:
    with suppress(OSError):
        return out.samefile(source)
    return out.absolute() == source.absolute()
