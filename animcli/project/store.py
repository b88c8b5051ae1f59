"""The finished artifacts of a project, by key, and what is unfinished."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from animcli.project.record import Artifact


@dataclass(frozen=True)
class Listing:
    """A line of `anim cache list`.

    stage: name of the stage, empty where the record can't be read.
    state: `whole` (as far as the record tells), `unfinished` or `damaged`.
    bytes: on disk.
    """

    key: str
    stage: str
    state: str
    bytes: int


@dataclass(frozen=True)
class Store:
    """Artifacts by key in a folder, whole or absent."""

    root: Path

    def listing(self) -> Iterator[Listing]:
        """Everything there is, the oldest first."""

    def verify(self) -> Iterator[tuple[Artifact, bool]]:
        """Each artifact, and whether its bytes are what its record says.

        A damaged one is set aside, so that it is made again.
        """

    def clear(self, *, unfinished_only: bool = False) -> int:
        """Remove everything that can be made again; the bytes that became free."""
