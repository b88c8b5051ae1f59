"""What a command asks for, before anything is looked at or done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # so that `--help` loads neither stages nor project
    from animcli.cli.plan import Desk, Planned, Thread


@dataclass(frozen=True)
class LineOptions:
    """What is said once for the whole line.

    cache: another place for the cache than the project.
    verbosity: how often -v was said.
    wait: for another process that is making the same thing.
    max_pixels: of a picture, where the line says it.
    """

    project: Path | None = None
    cache: Path | None = None
    as_json: bool = False
    quiet: bool = False
    verbosity: int = 0
    dry_run: bool = False
    force: bool = False
    wait: bool = True
    max_pixels: int | None = None


class Request(Protocol):
    """One command of the line."""

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """What it comes to. Reads settings and looks for files; makes nothing."""


@dataclass(frozen=True)
class Answer:
    """What a command says that makes no file.

    lines: for people.
    data: the same for the JSON object.
    exit_code: other than 0 where the answer is bad news.
    """

    lines: tuple[str, ...]
    data: tuple[object, ...]
    exit_code: int = 0


@dataclass(frozen=True)
class Act:
    """A command that answers at once instead of making a file."""

    run: Callable[[Desk], Answer]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Itself, in its turn."""
        from animcli.cli.plan import Planned

        return Planned((self,), thread)
