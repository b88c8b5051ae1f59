"""From the cache to where the user wants it: whole, and never over something else."""

import glob
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from animcli.errors import OutputError, StorageError, UsageError
from animcli.project.delivery import read_delivery, write_delivery
from animcli.project.project import Project
from animcli.project.record import Artifact, canonical, digest_of, parts_of
from animcli.project.writing import (
    PART,
    PartFile,
    make_folder,
    part_beside,
    put_folder_in_place,
    remove_abandoned,
    storing,
)
from animcli.stages.manifest import is_manifest, manifest_path, write_manifest
from animcli.stages.stage import Source, Stage
from animcli.stages.workshop import Workshop


@dataclass(frozen=True)
class Step:
    """A stage, and the visible file or folder that it ends in, if any.

    manifest: whether a JSON file beside the result says how to make it again.
    """

    stage: Stage
    out: Path | None = None
    manifest: bool = False


@dataclass(frozen=True)
class Delivered:
    """What a step came to.

    path: the visible result, or where the cache keeps it.
    seconds: of this run.
    """

    step: Step
    artifact: Artifact
    path: Path
    seconds: float


def check_steps(workshop: Workshop, steps: Sequence[Step], *, force: bool) -> None:
    """Refuse what can't be delivered, before any work.

    Raises UsageError where a result would replace its own input or two results would have
    one name, OutputError where something else is in its place, StorageError where its
    folder isn't there or can't be written.
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
    for step in steps:
        if step.out is not None:
            _check_folder(step.out)
            taken = not force and os.path.lexists(step.out)
            if taken and not _is_there(workshop, step.stage, step.out):
                _check_ours(workshop, step.stage, step.out)
            beside = manifest_path(step.out)
            if step.manifest and not force and beside.exists() and not is_manifest(beside):
                raise OutputError(f"{beside} exists already", "--force replaces it")


def is_delivered(project: Project, path: Path) -> bool:
    """Whether anim has put something at `path`, as far as the cache knows."""
    return read_delivery(project.cache, _name(project, path)) is not None


def deliver(
    workshop: Workshop, step: Step, *, force: bool, command: Sequence[str]
) -> Delivered:
    """Make a step's stage and put it where it belongs.

    force: replace what is there, whatever it is.
    command: the words of the command line, for the manifest.
    """
    started = time.perf_counter()
    artifact = workshop.make(step.stage)
    path = artifact.path
    if step.out is not None:
        path = step.out
        _put(workshop, artifact, step.stage, path, force=force)
        if step.manifest:
            write_manifest(path, artifact, step.stage, workshop, command)
    return Delivered(step, artifact, path, time.perf_counter() - started)


def _put(
    workshop: Workshop, artifact: Artifact, stage: Stage, out: Path, *, force: bool
) -> None:
    for name in (out.name, manifest_path(out).name):
        remove_abandoned(out.parent.glob(f"{PART}*.{glob.escape(name)}"))
    taken = os.path.lexists(out)
    if taken and _digest(out) == artifact.digest:
        return
    if taken and not force:
        _check_ours(workshop, stage, out)
    # Said before it is done: after a kill in between, the same command may finish it.
    cache = workshop.project.cache
    write_delivery(cache, _name(workshop.project, out), _plan(workshop, stage), artifact)
    if artifact.path.is_dir():
        _copy_folder(artifact.path, out)
    else:
        _copy_file(artifact.path, out)


def _copy_file(source: Path, out: Path) -> None:
    with source.open("rb") as file, PartFile(out) as copy:
        while piece := file.read(1 << 20):
            copy.write(piece)


def _copy_folder(source: Path, out: Path) -> None:
    part, old = part_beside(out), part_beside(out)
    try:
        make_folder(part)
        part.chmod(0o755)
        for file in sorted(source.rglob("*")):
            target = part / file.relative_to(source)
            if file.is_dir():
                make_folder(target)
            else:
                _copy_file(file, target)
        if out.is_dir() and not out.is_symlink():
            with storing(out):
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
        raise StorageError(f"{folder}: no such folder", "make it, or give another -o")
    if not os.access(folder, os.W_OK):
        raise StorageError(f"{folder} can't be written", "give another -o")


def _check_ours(workshop: Workshop, stage: Stage, out: Path) -> None:
    """Raise OutputError unless `out` is what this plan put there, unchanged since."""
    delivery = read_delivery(workshop.project.cache, _name(workshop.project, out))
    if (
        delivery is None
        or delivery.plan != _plan(workshop, stage)
        or _digest(out) not in delivery.digests
    ):
        raise OutputError(f"{out} exists already", "--force replaces it")


def _is_there(workshop: Workshop, stage: Stage, out: Path) -> bool:
    """Whether `out` is byte by byte what the cache already holds as the stage's result."""
    last = workshop.forecast(stage)[-1]
    made = workshop.store.find(last.key) if last.key else None
    return made is not None and _digest(out) == made.digest


def _plan(workshop: Workshop, stage: Stage) -> str:
    """What the user asked for, whatever the inputs hold today."""

    def describe(source: Source) -> object:
        if isinstance(source, Path):
            return _name(workshop.project, source)
        inputs = {name: describe(item) for name, item in source.inputs().items()}
        return [source.name, dict(source.settings()), inputs]

    return hashlib.sha256(canonical(describe(stage))).hexdigest()


def _name(project: Project, path: Path) -> str:
    """A path as the project sees it, so that the project may be moved."""
    return Path(os.path.relpath(path.absolute(), project.root)).as_posix()


def _digest(path: Path) -> str:
    with storing(path):
        return digest_of(parts_of(path))


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
