"""Where stages are run: inputs first, and nothing twice."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from animcli.project.project import Project
from animcli.project.record import Artifact
from animcli.stages.stage import MayStop, Note, Outcome, Report, Stage
from animcli.weights.store import WeightsStore


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

    def make(self, stage: Stage) -> Artifact:
        """What the stage describes, whole and checked; made now if it isn't there.

        Raises OutputError where another process holds it and `wait` is off.
        """

    def forecast(self, stage: Stage) -> list[Forecast]:
        """What `make` would do, inputs first, without doing it."""
