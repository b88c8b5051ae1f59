"""Flags for keys: each is spelled, described and checked as its key is."""

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args, get_origin

import typer

from animcli.cli.config import HOMES, flag
from animcli.errors import UsageError
from animcli.presets import find_presets
from animcli.settings import closed_choices, constraint_of, parse, settings_in, type_of

Word: TypeAlias = str | bool | None
CommandFunction: TypeAlias = Callable[..., object]

Overrides: TypeAlias = Mapping[str, object]
"""Key -> value of the flags that were used, checked."""


def read_output(word: str) -> Path:
    """Path of a result; a slash at the end says that it is a folder.

    A `Path` forgets the slash, and a name without a suffix that isn't there is one to make.
    Raises UsageError where there is no such folder, and for `-`.
    """
    if word == "-":
        raise UsageError(
            "-o -: results are files, and don't go to the standard output",
            "-o NAME, or -o ./- for a file that is called so",
        )
    if word.endswith(("/", os.sep)) and not Path(word).is_dir():
        raise UsageError(f"{word}: no such folder", "make it, or leave out the slash")
    return Path(word)


def filled_in(out: Path | None, fields: Mapping[str, object]) -> Path | None:
    """A name of a result with its fields in braces, such as `{reference}`, filled in.

    Raises UsageError for a field that there isn't.
    """
    if out is None or "{" not in out.name:
        return out

    def value(found: re.Match[str]) -> str:
        if found[1] not in fields:
            raise UsageError(
                f"-o {out}: there is no {{{found[1]}}}",
                "there are " + ", ".join(f"{{{name}}}" for name in fields),
            )
        return str(fields[found[1]])

    return out.with_name(re.sub(r"\{(\w+)\}", value, out.name))


MotionArgument = Annotated[
    Path | None,
    typer.Argument(metavar="MOTION", help="A .pose or a video; after `then` none."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        parser=read_output,
        help="The file to make, or its folder.",
    ),
]


def options(*names: str) -> Callable[[CommandFunction], CommandFunction]:
    """Give a command a flag for each key; it gets those used, checked, as `overrides`.

    Typer reads a function's signature, so the flags are written into it.
    """

    def add(command: CommandFunction) -> CommandFunction:
        def run(**words: Word) -> object:
            overrides = {name: words.pop(name) for name in names}
            return command(**words, overrides=read_flags(overrides))

        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.name != "overrides"]
        flags = [_parameter(name) for name in names]
        run.__signature__ = signature.replace(parameters=own + flags)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in own + flags}
        run.__doc__, run.__name__ = command.__doc__, command.__name__
        return run

    return add


def read_flags(words: Mapping[str, Word]) -> dict[str, object]:
    """Key -> value of the flags that were used. Raises UsageError."""
    overrides: dict[str, object] = {}
    for name, word in words.items():
        if isinstance(word, str):
            try:
                overrides[name] = parse(HOMES[name], name, word)
            except ValueError as error:
                raise UsageError(f"{flag(name)} {word}: {error}") from error
        elif word is not None:
            overrides[name] = word
    return overrides


def read_size(word: str | None) -> dict[str, int]:
    """Width and height from `512x768`. Raises UsageError that names the nearest size."""
    if word is None:
        return {}
    sides = word.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise UsageError(f"--size {word}: a size is WIDTHxHEIGHT, such as 512x768")
    overrides: dict[str, int] = {}
    nearest = []
    for name, side in zip(("width", "height"), sides, strict=True):
        constraint = constraint_of(settings_in(HOMES[name])[name])
        low, high = int(constraint.low or 0), int(constraint.high or 0)
        steps = round(min(max(int(side), low), high) / constraint.multiple)
        nearest.append(steps * constraint.multiple)
        overrides[name] = int(side)
    if nearest != list(overrides.values()):
        raise UsageError(
            f"--size {word}: both sides are multiples of {constraint.multiple}, "
            f"{low} to {high} pixels",
            f"the nearest size is {nearest[0]}x{nearest[1]}",
        )
    return overrides


def read_canvas(word: str | None) -> tuple[int, int] | None:
    """Width and height of any picture from `1280x720`, or none. Raises UsageError."""
    sides = [] if word is None else word.lower().split("x")
    if len(sides) == 2 and all(side.isascii() and side.isdigit() for side in sides):
        width, height = int(sides[0]), int(sides[1])
        if min(width, height) > 0 and max(width, height) <= LARGEST_CANVAS:
            return width, height
    if word is None:
        return None
    raise UsageError(
        f"--size {word}: it is WIDTHxHEIGHT in pixels, up to {LARGEST_CANVAS}",
        "such as --size 1280x720",
    )


LARGEST_CANVAS: Final = 65535
"""Pixels: what a `.pose` can say."""


def _parameter(name: str) -> inspect.Parameter:
    kind, constraint = (
        type_of(HOMES[name], name),
        constraint_of(settings_in(HOMES[name])[name]),
    )
    spelled = f"{flag(name)}/--no-{name.replace('_', '-')}" if kind is bool else flag(name)
    option = typer.Option(
        spelled,
        help=constraint.help,
        metavar=None if kind is bool else metavar(name, kind, constraint.form),
        autocompletion=None if kind is bool else _completion(name),
        show_default=False,
    )
    python = bool if kind is bool else str
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[python | None, option],
    )


def metavar(name: str, kind: object, form: tuple[str, str] | None = None) -> str:
    """Placeholder of a value in help: the choices, or the kind of word."""
    if form is not None:
        return form[1].replace(", ", "|")
    if get_origin(kind) is Literal:
        return "|".join(str(choice) for choice in get_args(kind))
    text = "NAME" if name == "preset" else "TEXT"
    words: dict[object, str] = {int: "N", float: "NUMBER", Fraction: "RATE", str: text}
    return words[kind]


def _completion(name: str) -> Callable[[str], list[str]] | None:
    if name == "preset":
        return complete_preset
    choices = closed_choices(HOMES[name], name)
    return (lambda incomplete: choices) if choices else None


def complete_preset(incomplete: str) -> list[str]:
    """The presets whose names begin like that."""
    return [name for name in find_presets() if name.startswith(incomplete)]


def read_view(word: str | None) -> tuple[float, float] | None:
    """Degrees around the dancer and above the ground, from `30` or `30,5`."""
    if word is None:
        return None
    try:
        around, above = (float(part) for part in f"{word},5".split(",")[:2])
    except ValueError:
        around, above = math.nan, math.nan
    if word.count(",") > 1 or not (-360 <= around <= 360 and -89 <= above <= 89):
        raise UsageError(
            f"--view {word}: it is AROUND or AROUND,ABOVE in degrees",
            "such as --view 30,5: from the dancer's left, a little from above",
        )
    return around, above


def read_time(spelled: str, word: str | None) -> Fraction | None:
    """Seconds from `12.5`, `1:02.5` or `1:00:02`. Raises UsageError."""
    if word is None:
        return None
    parts = word.split(":")
    if len(parts) > 3 or not all(
        re.fullmatch(r"[0-9]{1,9}([.][0-9]{1,9})?", p) for p in parts
    ):
        raise UsageError(
            f"{spelled} {word}: a time is in seconds, or HOURS:MINUTES:SECONDS",
            f"such as {spelled} 62.5, or {spelled} 1:02.5",
        )
    return sum(
        (Fraction(part) * 60**place for place, part in enumerate(reversed(parts))),
        Fraction(0),
    )


VideoPart: TypeAlias = Mapping[str, Fraction | int]
"""Options about the part of a video, by the names of `ExtractStage`."""


def read_part(start: str | None, end: str | None, every: int | None) -> VideoPart:
    """The part of a video that is meant. Raises UsageError."""
    begin, until = read_time("--start", start), read_time("--end", end)
    if until is not None and until <= (begin or 0):
        raise UsageError(f"--end {end} is not after --start {start or 0}")
    step = read_count("--every", every, 1000)
    said = {"start": begin, "end": until, "step": step}
    return {name: value for name, value in said.items() if value is not None}


StartAt = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="Of the motion: from here, as 1:02.5."),
]
End = Annotated[
    str | None, typer.Option("--end", metavar="TIME", help="Of the motion: up to here.")
]
EachNth = Annotated[
    int | None,
    typer.Option("--every", metavar="N", help="Of the motion: each Nth frame only."),
]


def read_count(spelled: str, value: int | None, high: int, *, low: int = 1) -> int | None:
    """A whole number within bounds, or none. Raises UsageError."""
    if value is not None and not low <= value <= high:
        raise UsageError(f"{spelled} {value}: it is {low} to {high}")
    return value
