"""Keys: settings that a flag, a variable, `anim.toml` and a preset all spell the same.

A key is one field of a frozen dataclass, made with `setting`: its type, default, bounds and
help stand in one place, and every way in goes through `check`.
"""

import difflib
import math
import re
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, Field, dataclass, field, fields, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from animcli.errors import ProjectError, reason_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

LARGEST_TOML: Final = 1 << 20
"""Bytes. A preset is one kilobyte; more than this is not a preset."""


@dataclass(frozen=True)
class Constraint:
    """Constraints of a setting beyond its type, and its help.

    low, high: the smallest and largest number, both allowed.
    multiple: what a whole number must be a multiple of.
    form: what text must look like, as (regular expression, how help and errors show it).
    diffusion: only renderers that denoise listen to it.
    only: the renderers that alone listen to it; all others don't.
    """

    help: str
    low: float | None = None
    high: float | None = None
    multiple: int = 1
    diffusion: bool = False
    only: tuple[str, ...] = ()
    _: KW_ONLY
    form: tuple[str, str] | None = None


def setting(
    default: T,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    multiple: int = 1,
    diffusion: bool = False,
    only: tuple[str, ...] = (),
    form: tuple[str, str] | None = None,
) -> T:
    """A field of a dataclass of settings."""
    constraint = Constraint(help, low, high, multiple, diffusion, only, form=form)
    return field(default=default, metadata={"bounds": constraint})


def form_of(names: Iterable[str]) -> tuple[str, str]:
    """Form of a text that is one of these names, where no Literal can list them."""
    known = tuple(names)
    return "|".join(map(re.escape, known)), ", ".join(known)


def settings_in(settings: type) -> dict[str, "Field[object]"]:
    """The fields of a dataclass that were made with `setting`, by name."""
    return {each.name: each for each in fields(settings) if "bounds" in each.metadata}


def constraint_of(each: "Field[object]") -> Constraint:
    """Constraint that a field was declared with."""
    constraint: Constraint = each.metadata["bounds"]
    return constraint


def closed_choices(settings: type, name: str) -> list[str]:
    """Words of which a key is one; empty where its values can't be listed."""
    kind, form = type_of(settings, name), constraint_of(settings_in(settings)[name]).form
    if form is not None:
        words = form[1].split(", ")
        return words if form_of(words) == form else []
    return [str(choice) for choice in get_args(kind)]


@lru_cache(maxsize=1024)  # reading annotations takes 0.5 ms, and batches check 100,000 jobs
def type_of(settings: type, name: str) -> object:
    """The type of a key without its `| None`: a class, or a Literal."""
    kind: object = get_type_hints(settings)[name]
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    return kind


def check(settings: type, name: str, value: object) -> object:
    """`value` as the key `name` of `settings` holds it.

    Raises ValueError, saying what the key may be.
    """
    kind, constraint = type_of(settings, name), constraint_of(settings_in(settings)[name])
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
        return value
    if kind is Fraction:
        return _rate(name, value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        bool: isinstance(value, bool),
        int: number and isinstance(value, int),
        float: number and math.isfinite(float(str(value))),
        str: isinstance(value, str),
    }
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if not isinstance(kind, type):
        raise TypeError(f"{name} has a type that no flag can spell: {kind}")
    if not fits[kind]:
        raise ValueError(f"{name} is {words[kind]}, not {value!r}")
    if constraint.form is not None and not re.fullmatch(constraint.form[0], str(value)):
        raise ValueError(f"{name} is one of {constraint.form[1]}, not {value!r}")
    if isinstance(value, int | float) and number:
        return kind(_within(name, value, constraint))
    return value


def parse(settings: type, name: str, word: str) -> object:
    """A key from the text of a flag or a variable; raises ValueError like `check`."""
    kind = type_of(settings, name)
    if kind is bool:
        known = {"1": True, "true": True, "yes": True, "on": True}
        known |= {"0": False, "false": False, "no": False, "off": False}
        return check(settings, name, known.get(word.lower(), word))
    if kind is int or kind is float:
        try:
            return check(settings, name, kind(word))
        except (ValueError, OverflowError) as error:
            if str(error).startswith(name):
                raise
            return check(settings, name, word)  # which says what was wanted
    return check(settings, name, word)


def _within(name: str, value: float, constraint: Constraint) -> float:
    if constraint.low is not None and value < constraint.low:
        raise ValueError(f"{name} is at least {constraint.low}, not {value}")
    if constraint.high is not None and value > constraint.high:
        raise ValueError(f"{name} is at most {constraint.high}, not {value}")
    if constraint.multiple > 1 and value % constraint.multiple:
        nearest = max(round(value / constraint.multiple), 1) * constraint.multiple
        raise ValueError(
            f"{name} is a multiple of {constraint.multiple}, not {value}; "
            f"nearest is {nearest}"
        )
    return value


def _rate(name: str, value: object) -> Fraction:
    """Frames per second from 24, 23.976, "30000/1001"."""
    try:
        rate = Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"{name} is a number or a fraction such as 30000/1001, not {value!r}"
        ) from error
    if isinstance(value, bool) or not 0 < rate <= 1000:
        raise ValueError(f"{name} is above 0 and at most 1000, not {value}")
    return rate


def read_toml(path: Path, error: type[ProjectError]) -> tuple[dict[str, object], str]:
    """The table in a TOML file, and its text for `line_of`. Failures are an `error`."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_TOML + 1)
    except OSError as cause:
        raise error(f"{path}: {reason_of(cause)}") from cause
    if len(raw) > LARGEST_TOML:
        raise error(
            f"{path}: larger than {LARGEST_TOML} bytes", "give the file it belongs to"
        )
    try:
        text = raw.decode("utf-8-sig")
        return tomllib.loads(text), text
    except RecursionError as cause:
        raise error(f"{path}: arrays or tables nested too deeply") from cause
    except ValueError as cause:  # TOMLDecodeError, UnicodeDecodeError, endless numbers
        where = re.search(r"at line (\d+)", str(cause))
        place = f"{path}:{where[1]}" if where else str(path)
        raise error(f"{place}: not TOML: {cause}") from cause


def line_of(text: str, name: str) -> int:
    """The line, from 1, on which TOML `text` sets `name`, or begins a table of that name; 0
    if it can't be told."""
    key = rf"[\"']?{re.escape(name)}[\"']?[ \t]*"
    found = re.search(rf"^[ \t]*(\[\[?[ \t]*{key}[\].]|{key}[=.])", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint with the known word that looks like `word`, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{match[0]}'?" if match else ""


def changed(settings: T, values: Mapping[str, object]) -> T:
    """A dataclass of settings with other `values`, each of which went through `check`."""
    return replace(settings, **values)  # type: ignore[type-var]


def check_table(
    homes: Mapping[str, type],
    table: Mapping[str, object],
    path: Path,
    text: str,
    error: type[ProjectError],
) -> dict[str, object]:
    """Every key of the TOML table in `text` checked, or an `error` that names its line.

    homes: each key that the table may hold -> the dataclass that it is a field of.
    """
    values = {}
    for name, value in table.items():
        if name not in homes:
            raise error(
                f"{path}:{line_of(text, name)}: unknown key '{name}'",
                suggest(name, homes) or f"the keys are {', '.join(homes)}",
            )
        try:
            values[name] = check(homes[name], name, value)
        except ValueError as cause:
            raise error(f"{path}:{line_of(text, name)}: {cause}") from cause
    return values
