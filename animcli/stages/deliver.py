"""From the cache to where the user wants it: whole, and never over something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from animcli.project.record import Artifact
from animcli.stages.stage import Stage
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

    Raises UsageError where a result would replace its own input, OutputError where
    something else is in its place, StorageError where its folder can't be written.
    """


def deliver(
    workshop: Workshop, step: Step, *, force: bool, command: Sequence[str]
) -> Delivered:
    """Make a step's stage and put it where it belongs.

    force: replace what is there, whatever it is.
    command: the words of the command line, for the manifest.
    """
