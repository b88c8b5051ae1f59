"""Stages: settings, inputs, and one thing made from them.

A stage is a frozen dataclass. What it makes depends on its settings, on the bytes of its
inputs and weights, and on the versions of the libraries it names, and on nothing else; so
equal stages on equal inputs are made once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from animcli.pipeline.record import CacheKey

Progress: TypeAlias = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, of how much; 0 where that isn't known)."""

Warn: TypeAlias = Callable[[str], None]
"""One line that the user should read."""

CheckCancelled: TypeAlias = Callable[[], None]
"""Called between two units of work, where stopping loses nothing. It returns, or raises
what ends the run (KeyboardInterrupt, SystemExit)."""


class Outcome(Enum):
    """Outcome of asking for a stage."""

    RAN = "ran"
    CACHED = "cached"


@dataclass(frozen=True)
class RunContext:
    """Inputs, paths and callbacks of one run of a stage.

    inputs: name of each input -> the file or folder, whole and checked.
    cache_key: what decides the result, digests of inputs and weights among it.
    out: the file or folder to make. A folder may hold finished parts of a run that was
        stopped; each part must be whole or absent.
    work: a folder for what helps the next run to go on; gone when this one is done.
    weights: name of each weights entry -> its folder.
    """

    inputs: Mapping[str, Path]
    cache_key: CacheKey
    out: Path
    work: Path
    weights: Mapping[str, Path]
    progress: Progress
    warn: Warn
    check_cancelled: CheckCancelled


@runtime_checkable
class Stage(Protocol):
    """Settings from which, with some inputs, one file or folder is made."""

    name: ClassVar[str]
    revision: ClassVar[int]
    """Raised whenever the same settings and inputs give other bits than before."""

    @property
    def suffix(self) -> str:
        """Of the file that it makes, such as `.pose`; empty where it makes a folder."""

    @property
    def weights(self) -> tuple[str, ...]:
        """Names in the weights catalog of the models that it runs."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages whose version may change the bits of the result. Of our own, such as
        `animcli.pose`, the code itself counts.
        """

    def inputs(self) -> "Mapping[str, Source]":
        """Inputs that it reads, by name."""

    def settings(self) -> Mapping[str, object]:
        """Everything else that the result depends on, ready for JSON."""

    def run(self, context: RunContext) -> None:
        """Make `context.out`, going on from what `context.work` and `context.out` hold."""


Source: TypeAlias = Path | Stage
"""A file or folder of the user's, or what another stage makes."""


def to_json(value: object) -> object:
    """A setting as JSON knows it: fractions as text, values as objects, enums as values."""
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, Fraction):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} can't be a setting of a stage")


def settings_of(stage: object) -> dict[str, object]:
    """The fields of a stage that are no sources, ready for JSON."""
    if not is_dataclass(stage):
        raise TypeError(f"{stage!r} is no dataclass")
    values = {field.name: getattr(stage, field.name) for field in fields(stage)}
    return {
        name: to_json(value)
        for name, value in values.items()
        if not isinstance(value, Path | Stage)
    }


def display_name(source: Source) -> str:
    """Name that the user knows a source by: the path of the first file that goes into
    it.
    """
    while not isinstance(source, Path):
        inputs = tuple(source.inputs().values())
        if not inputs:
            return source.name
        source = inputs[0]
    return str(source)
