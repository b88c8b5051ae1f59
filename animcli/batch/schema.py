"""Keys that a job may have: those of a command, as plain data.

`animcli.cli.batch.keys` fills it from the commands themselves, so that a flag is declared
once; nothing here knows a command by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum


class KeyKind(Enum):
    """Meaning of a key's value."""

    VALUE = "value"
    SWITCH = "switch"
    INPUT = "input"
    """File or folder to read; a pattern in it is expanded."""
    OUTPUT = "output"


@dataclass(frozen=True)
class JobKey:
    """One flag or argument of a command.

    spelled: `--motion`; empty for an argument. negative: `--no-audio`, where there is one.
    many: takes several values.
    read: (value, whether it is text) -> the word for the command line; for a switch "true"
        or "false". Raises ValueError, saying what the key may be.
    """

    spelled: str
    kind: KeyKind
    read: Callable[[object, bool], str]
    negative: str = ""
    many: bool = False


@dataclass(frozen=True)
class JobCommand:
    """A command that jobs may ask for.

    keys: by name with underscores, arguments first, in their order.
    required: keys that every job must have.
    result: values as words -> the name of what is made where no output is said, or None.
    check: (preset or None, names of the keys said) -> what is wrong with them together, or
        nothing.
    """

    name: str
    keys: Mapping[str, JobKey]
    required: tuple[str, ...]
    result: Callable[[Mapping[str, str]], str | None]
    check: Callable[[str | None, frozenset[str]], str]
