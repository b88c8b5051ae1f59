"""The way in: read the whole line first, then plan it, then do it.

The words are cut at `then`, with the options of the whole line in front. People write `anim
render ref.png --json` as well as `anim --json render ref.png`: what is about the whole line
may stand anywhere in it, up to a `--`. What goes wrong is caught here and nowhere else.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import typer.main
from typer.core import TyperGroup
from typer.exceptions import TyperException

from animcli import __version__
from animcli.cli.app import app
from animcli.cli.console import Console, answering, open_streams
from animcli.cli.plan import Command, GlobalOptions
from animcli.cli.signals import LastAct, Stop, Stopped, listening
from animcli.errors import AnimError, DeviceError, StorageError, UsageError
from animcli.settings import suggest

PROGRAM: Final = "anim"
COMMANDS = cast(TyperGroup, typer.main.get_command(app))  # which adds shell completion


@dataclass(frozen=True)
class CommandLine:
    """A command line that was read.

    mistakes: all that is wrong with its words; then nothing is to be done.
    shown: help or the version where that was asked for, so that nothing is left to do: as
        text with --json, empty where it was printed.
    """

    options: GlobalOptions
    commands: tuple[Command, ...] = ()
    mistakes: tuple[UsageError, ...] = ()
    shown: str | None = None


def run_console() -> None:
    """Do what the words of the process say, and end with the exit code, or by the signal
    that ended the work."""
    last_act = LastAct()
    open_streams()
    if hasattr(sys.stdout, "reconfigure"):  # names of files may hold bytes of any kind
        sys.stdout.reconfigure(errors="surrogateescape")
    complete_last_command()
    last_act.exit_code = main(sys.argv[1:])
    sys.exit(last_act.exit_code)


def main(argv: Sequence[str]) -> int:
    """Do what a line such as `extract-pose a.mp4 then render ref.png` says.

    Returns the exit code; `animcli.errors` says what each means. Every command of the line
    is read, and every mistake in it shown, before the first one does anything.
    """
    try:
        with answering():
            console = Console(quiet="-q" in argv or "--quiet" in argv)
            stop = Stop(lambda exit_code: console.stopping())
            try:
                with listening(stop):
                    line = parse_line(argv or ["--help"])
                    options = line.options
                    console = Console(options.quiet, options.verbosity, options.as_json)
                    if line.shown is not None:
                        console.result([], [{"version": __version__, "text": line.shown}])
                        exit_code = 0 if argv else UsageError.exit_code
                    else:
                        exit_code = _obey(line, argv, console, stop)
            except (Stopped, KeyboardInterrupt):  # the latter where nobody listens
                exit_code = stop.exit_code or 130
            if stop.exit_code:
                exit_code = stop.exit_code
                console.stopped(exit_code)
            console.close()
            return exit_code
    except BrokenPipeError:  # who read the answer went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except StorageError as error:
        Console().failure(error)
        return error.exit_code


def parse_line(argv: Sequence[str]) -> CommandLine:
    """Parse the words of a line, command by command."""
    try:
        about_line, parts = split_commands(argv)
    except UsageError as error:
        return CommandLine(GlobalOptions(as_json="--json" in argv), mistakes=(error,))
    said: list[GlobalOptions] = []
    commands: list[Command] = []
    mistakes: list[UsageError] = []
    as_json = "--json" in about_line
    shown = io.StringIO()
    for part in parts:
        try:
            with redirect_stdout(shown) if as_json else nullcontext():
                answer = COMMANDS.main(
                    [*about_line, *part], PROGRAM, standalone_mode=False, obj=said
                )
        except TyperException as error:
            mistakes.append(_mistake(error, part))
        except UsageError as error:
            mistakes.append(error)
        else:
            if isinstance(answer, int):  # an exit code: help or the version was shown
                return CommandLine(GlobalOptions(as_json=as_json), shown=shown.getvalue())
            commands.append(answer)
    options = said[0] if said else GlobalOptions(as_json=as_json)
    return CommandLine(options, tuple(commands), tuple(mistakes))


def _mistake(error: TyperException, part: Sequence[str]) -> UsageError:
    """Typer's complaint in our words: one line, and where to read on."""
    message, _, _ = " ".join(error.format_message().split()).partition(". Did you mean")
    message = message.rstrip(".")
    message = message[:1].lower() + message[1:]
    message = message.replace("Value error, ", "")
    whole = "it is a whole number", "it is a number"
    message = PARSER_VOICE.sub(lambda found: whole[found[1] != "integer"], message)
    names = [word for word in part if not word.startswith("-")]
    known, commands = PROGRAM, COMMANDS.commands
    while names and names[0] in commands:
        command = commands[names.pop(0)]
        known = f"{known} {command.name}"
        commands = command.commands if isinstance(command, TyperGroup) else {}
    meant = suggest(names[0], commands) if names else ""
    shows = "lists them" if commands else "shows how"
    return UsageError(message, meant or _meant(part, known) or f"`{known} --help` {shows}")


PARSER_VOICE: Final = re.compile(
    r"input should be a valid (\w+), unable to parse string as an? \w+( number)?", re.I
)
SYNONYMS: Final = {"rm": "remove", "delete": "remove", "ls": "list", "get": "pull"}


def _meant(part: Sequence[str], known: str) -> str:
    """A hint for a line that other programs would take; empty where none is known."""
    dashed = [word for word in part if word.startswith("-") and Path(word).is_file()]
    files = [word for word in part if Path(word).suffix and not word.startswith("-")]
    if dashed:
        return f"a file whose name begins so: ./{dashed[0]}"
    for word in part[1:2]:
        if word in SYNONYMS and known != PROGRAM:
            return f"did you mean '{SYNONYMS[word]}'?"
    if known == PROGRAM and files:
        return f"did you mean: anim render {' '.join(part)}"
    if (
        known == f"{PROGRAM} render"
        and len(files) == 2
        and not {"--motion", "-m"} & {*part}
    ):
        return f"anim render {files[0]} --motion {files[1]}"
    return ""


def obey(line: CommandLine, words: Sequence[str], console: Console) -> int:
    """Plan a line and do it, stopped by signals; failures go to the console."""
    return guarded(lambda stop: _obey(line, words, console, stop), console)


def guarded(work: Callable[[Stop], int], console: Console) -> int:
    """Exit code of some work, which signals may stop; failures go to the console."""
    stop = Stop(lambda exit_code: console.stopping())
    try:
        with listening(stop):
            exit_code = _caught(work, console, stop)
    except (Stopped, KeyboardInterrupt):  # the latter where nobody listens
        exit_code = stop.exit_code or 130
    if stop.exit_code:
        exit_code = stop.exit_code
        console.stopped(exit_code)
    return exit_code


def _obey(line: CommandLine, argv: Sequence[str], console: Console, stop: Stop) -> int:
    """Plan a line and do it; every failure becomes lines on the screen and an exit code."""
    for mistake in line.mistakes:
        console.failure(mistake)
    if line.mistakes:
        return UsageError.exit_code

    def work(stop: Stop) -> int:
        from animcli.cli.runner import (
            run_commands,  # which loads what `--help` doesn't need
        )

        return run_commands(line.commands, line.options, argv, console, stop)

    return _caught(work, console, stop)


def _caught(work: Callable[[Stop], int], console: Console, stop: Stop) -> int:
    """Exit code of some work; every failure becomes lines on the screen.

    Whatever goes wrong after a signal goes wrong because of it: a child process had it
    first, or a library made something else of what `Stop` raised.
    """
    try:
        return work(stop)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the very top: a bug is shown as a bug
        if stop.exit_code:
            return stop.exit_code
        failure = error if isinstance(error, AnimError) else as_failure(error)
        if failure is None:
            console.bug(error)
            return 1
        console.failure(failure)
        return failure.exit_code


NO_MEMORY: Final = (
    "cannot allocate memory",
    "can't allocate memory",
    "failed to map segment",
    "std::bad_alloc",
    "out of memory",
    "mmap",
)
"""Parts of what libraries say when memory ends, in small letters."""


REFUSALS: Final = {
    errno.EACCES: "it belongs to somebody else; its owner may let you in",
    errno.EPERM: "it belongs to somebody else; its owner may let you in",
    errno.EROFS: "write to another folder; --cache-dir moves the cache",
    errno.EIO: "the disk has a fault; keep what is on it elsewhere",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs",
}
"""Errors that the system may give for any file, where nobody said it better -> remedies."""


def as_failure(error: BaseException) -> AnimError | None:
    """Failure that an error of Python's or a library's is to the user; None for a bug.

    Memory ends anywhere, also while a library is being loaded, and the system may refuse
    any file at any time.
    """
    if isinstance(error, OSError) and error.errno in REFUSALS and error.filename:
        return StorageError(f"{error.filename}: {error.strerror}", REFUSALS[error.errno])
    cause: BaseException | None = error
    while cause is not None:
        said = str(cause).lower()
        if isinstance(cause, MemoryError) or (
            isinstance(cause, ImportError | OSError | RuntimeError | SystemError)
            and any(each in said for each in NO_MEMORY)
        ):
            return DeviceError("out of memory", "a smaller --size or --window takes less")
        cause = cause.__cause__ or cause.__context__
    return None


THEN: Final = "then"
BATCH: Final = "batch"
"""Its `--` is followed by a whole line, of which `then` is a part."""

GLOBAL_FLAGS: Final = frozenset(
    {
        "--json",
        "--quiet",
        "-q",
        "-v",
        "-vv",
        "--verbose",
        "--dry-run",
        "--force",
        "--no-wait",
        "--yes",
        "-y",
    }
)
GLOBAL_VALUES: Final = {
    "--project": "folder",
    "-p": "folder",
    "--cache-dir": "folder",
    "--checkpoint-to": "folder",
    "--max-pixels": "number",
}
GLOBAL_JOINED: Final = tuple(f"{each}=" for each in GLOBAL_VALUES if each.startswith("--"))


def split_commands(argv: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The options of the whole line, and the words of each command.

    Raises UsageError for an option of the line that lacks its value, and for a `then` that
    lacks a command.
    """
    line: list[str] = []
    parts: list[list[str]] = [[]]
    rest = iter(argv)
    literal = False  # after `--`, where words that look like options are names of files
    for word in rest:
        if word == THEN and not (literal and parts[-1][0] == BATCH):
            parts.append([])
            literal = False
        elif literal:
            parts[-1].append(word)
        elif word in GLOBAL_FLAGS or word.startswith(GLOBAL_JOINED):
            line.append(word)
        elif word in GLOBAL_VALUES:
            value = next(rest, THEN)
            if value == THEN:
                raise UsageError(f"{word} lacks its {GLOBAL_VALUES[word]}")
            line += [word, value]
        else:
            literal = word == "--"
            parts[-1].append(word)
    if len(parts) > 1 and not all(parts):
        side = "behind" if parts[0] else "before"
        raise UsageError(
            f"there is no command {side} `then`",
            "it joins two: anim extract-pose dance.mp4 then render ref.png",
        )
    return line, parts


def complete_last_command(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the shell complete the command behind the last `then`.

    The shell hands over the line as text; the commands before it are cut off.
    """
    words = environment.get("COMP_WORDS", "").split()
    at = int(environment.get("COMP_CWORD") or 0)
    before = [place for place, word in enumerate(words[:at]) if word == THEN]
    if before:
        environment["COMP_WORDS"] = " ".join([words[0], *words[before[-1] + 1 :]])
        environment["COMP_CWORD"] = str(at - before[-1])
    line = environment.get("_TYPER_COMPLETE_ARGS", "")  # how zsh and fish hand it over
    head, cut, tail = line.rpartition(f" {THEN} ")
    if cut:
        environment["_TYPER_COMPLETE_ARGS"] = f"{head.split()[0]} {tail}"
