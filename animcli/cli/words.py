"""The words of a line: cut at `then`, and with the options of the whole line in front.

People write `anim render ref.png --json` as well as `anim --json render ref.png`. What is
about the whole line may stand anywhere in it, up to a `--`.
"""

import os
from collections.abc import MutableMapping, Sequence
from typing import Final

from animcli.errors import UsageError

THEN: Final = "then"

LINE_FLAGS: Final = frozenset(
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
    }
)
LINE_VALUES: Final = {
    "--project": "folder",
    "-p": "folder",
    "--cache-dir": "folder",
    "--max-pixels": "number",
}
LINE_JOINED: Final = tuple(f"{each}=" for each in LINE_VALUES if each.startswith("--"))


def split(words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The options of the whole line, and the words of each command.

    Raises UsageError for an option of the line that lacks its value.
    """
    line: list[str] = []
    parts: list[list[str]] = [[]]
    rest = iter(words)
    literal = False  # after `--`, where words that look like options are names of files
    for word in rest:
        if word == THEN:
            parts.append([])
            literal = False
        elif literal:
            parts[-1].append(word)
        elif word in LINE_FLAGS or word.startswith(LINE_JOINED):
            line.append(word)
        elif word in LINE_VALUES:
            value = next(rest, THEN)
            if value == THEN:
                raise UsageError(f"{word} lacks its {LINE_VALUES[word]}")
            line += [word, value]
        else:
            literal = word == "--"
            parts[-1].append(word)
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
