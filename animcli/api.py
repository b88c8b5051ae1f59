"""Functions for Python: what the commands of the same names do, without a terminal.

    import animcli

    pose = animcli.extract_pose("dance.mp4", detector="dwpose")[0].path
    for made in animcli.render("ref.png", motion=pose, preset="cutout", seed=7):
        print(made.path, made.record["seconds"])

Options are called as the flags are, with underscores; `True` and `False` are `--flag` and
`--no-flag`, several values a list. Those of the whole line (`project`, `force`, `dry_run`,
`cache_dir`, ...) are among them. What the commands print is kept to the results; notes are
given to `notes`. Errors are raised as they are (`animcli.errors`), and signals are left to
the program.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

from animcli.cli.console import Console
from animcli.cli.main import parse_line
from animcli.cli.runner import run_commands
from animcli.cli.signals import Stop
from animcli.errors import AnimError, UsageError

OptionValue: TypeAlias = (
    "str | bool | int | float | PathLike[str] | Sequence[str | PathLike[str]] | None"
)


@dataclass(frozen=True)
class Product:
    """One result. path: the file or folder; None in a dry run that makes none.

    record: what the JSON object of the command says of it; see docs/reference/json.md.
    """

    path: Path | None
    record: Mapping[str, object]


def extract_pose(
    *videos: str | PathLike[str],
    notes: Callable[[str], None] = lambda line: None,
    **options: OptionValue,
) -> list[Product]:
    """Find the pose in every frame of videos: `anim extract-pose`."""
    return run_command("extract-pose", *videos, notes=notes, **options)


def retarget(
    motion: str | PathLike[str],
    *,
    notes: Callable[[str], None] = lambda line: None,
    **options: OptionValue,
) -> list[Product]:
    """Fit a motion to the character in the picture `to`: `anim retarget`."""
    return run_command("retarget", motion, notes=notes, **options)


def render(
    picture: str | PathLike[str],
    *,
    notes: Callable[[str], None] = lambda line: None,
    **options: OptionValue,
) -> list[Product]:
    """Let the character of a picture follow a `motion`: `anim render`."""
    return run_command("render", picture, notes=notes, **options)


def run_command(
    command: str,
    *arguments: str | PathLike[str],
    notes: Callable[[str], None] = lambda line: None,
    **options: OptionValue,
) -> list[Product]:
    """Do any command, such as `encode` or `inspect`; its results, in order.

    Raises UsageError for an option that there isn't or a value that it doesn't take, and
    what the command raises.
    """
    words = [
        *command.split(),
        *option_words(options),
        "--",
        *(fspath(each) for each in arguments),
    ]
    line = parse_line(words)
    for mistake in line.mistakes:
        raise mistake
    if line.shown is not None:
        raise UsageError(f"{command} is no command that makes something")
    console = Console(quiet=True, as_json=True)
    try:
        run_commands(line.commands, line.options, words, console, Stop(lambda code: None))
    finally:
        for note in console.warnings:
            notes(note)
    return [product_of(each) for each in console.results]


def option_words(options: Mapping[str, OptionValue]) -> list[str]:
    """Options as they are typed."""
    words: list[str] = []
    for name, value in options.items():
        flag = name.strip("_").replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, str | PathLike | int | float):
            words.append(
                f"--{flag}={fspath(value) if isinstance(value, PathLike) else value}"
            )
        else:
            words += [f"--{flag}={fspath(each)}" for each in value]
    return words


def product_of(record: object) -> Product:
    """One entry of a command's results."""
    told = record if isinstance(record, Mapping) else {"value": record}
    path = told.get("path")
    return Product(Path(path) if isinstance(path, str) else None, told)


__all__ = ["AnimError", "Product", "extract_pose", "render", "retarget", "run_command"]
