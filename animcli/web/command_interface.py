"""Interface to the command line, which is above the page and hands it down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from animcli.batch.schema import JobCommand

PathOf = Callable[[str], tuple[Path, str] | None]
"""Digest -> the file, and the name that it is shown by; None for one that isn't here."""


@dataclass(frozen=True)
class Line:
    """A command line that was checked.

    command: of its first part. words: with files in the place of digests.
    shown: with the names that the user knows. row: the same as a row of a job file; None
    for what isn't a job. stem: what a result is called after.
    """

    command: str
    words: tuple[str, ...]
    shown: tuple[str, ...]
    row: Mapping[str, object] | None
    stem: str


class CommandInterface(Protocol):
    """The command line, as the page sees it."""

    @property
    def runner(self) -> str:
        """`module:function` that a child process works by."""

    def read(self, words: Sequence[str], path_of: PathOf) -> Line:
        """Check words of the page by the real parser. Raises UsageError."""

    def commands(self) -> Mapping[str, JobCommand]:
        """Commands that jobs of a job file may ask for."""

    def outputs(self, line: Line, name: str) -> tuple[tuple[str, ...], list[str]]:
        """The line with places for what its parts make, and the places."""

    def presets(self) -> dict[str, Any]:
        """Presets, and every option of every command with its help."""

    def weights(self) -> list[dict[str, Any]]:
        """Entries of the weights catalog, and whether they are here."""
