"""Stages: settings, inputs, and one thing made from them.

A stage is a frozen dataclass. What it makes depends on its settings, on the bytes of its
inputs and weights, and on the versions of the libraries it names, and on nothing else; so
equal stages on equal inputs are made once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Final, TypeAlias

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
    _: KW_ONLY
    warn: Warn
    check_cancelled: CheckCancelled


NO_SETTING: Final = {"no_setting": True}
"""Metadata of a stage's field that changes no bit of the result, or is told otherwise."""


@dataclass(frozen=True)
class Stage(ABC):
    """Settings from which, with some inputs, one file or folder is made.

    A stage is a frozen dataclass. Its fields are what it depends on: those that hold a
    source are its inputs, by the field's name, all others its settings.
    """

    name: ClassVar[str]
    revision: ClassVar[int]
    """Raised whenever the same settings and inputs give other bits than before."""
    videos: ClassVar[tuple[str, ...]] = ()
    """Inputs that have to be footage."""

    @property
    def suffix(self) -> str:
        """Of the file that it makes, such as `.pose`; empty where it makes a folder."""
        return ""

    @property
    def weights(self) -> tuple[str, ...]:
        """Names in the weights catalog of the models that it runs."""
        return ()

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages whose version may change the bits of the result. Of our own, such as
        `animcli.pose`, the code itself counts.
        """
        return ()

    def inputs(self) -> "Mapping[str, Source]":
        """Inputs that it reads, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: it for name, it in values.items() if isinstance(it, Path | Stage)}

    def settings(self) -> Mapping[str, object]:
        """Everything else that the result depends on, ready for JSON.

        Of a `device` it is the kind, not which of several.
        """
        told: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Path | Stage) or each.metadata == NO_SETTING:
                continue
            is_device = each.name == "device"
            told[each.name] = value.partition(":")[0] if is_device else to_json(value)
        return told

    @abstractmethod
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
