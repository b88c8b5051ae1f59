"""How an artifact was made, and the key that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """All that decides the bits of an artifact.

    There is no path, no time of a file and no clock in it, so a project may be moved, and
    the same work under another name is not done again.

    settings: ready for JSON.
    inputs: name of each input -> SHA-256 of its bytes, in hex.
    weights: `entry/file` -> SHA-256 of its bytes, in hex.
    versions: package -> version.
    """

    stage: str
    revision: int
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
    weights: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def key(self) -> str:
        """SHA-256 of the recipe, in hex."""


@dataclass(frozen=True)
class Part:
    """One file of an artifact: its name inside it, its length in bytes, its SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """How an artifact was made, and what it consists of.

    parts: its files; a single one named `""` where the artifact is a file.
    seconds: how long making it took, over all the runs that took part.
    """

    recipe: Recipe
    parts: tuple[Part, ...]
    seconds: float

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact's bytes; of a folder, of the list of its parts."""

    @property
    def bytes(self) -> int:
        """Length of all parts together."""


@dataclass(frozen=True)
class Artifact:
    """What a stage made: a file or a folder, and its record."""

    path: Path
    record: Record

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes, in hex."""
        return self.record.digest
