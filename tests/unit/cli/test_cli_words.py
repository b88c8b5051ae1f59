"""Words are cut at `then`, and options of the whole line may stand anywhere."""

import pytest

from animcli.cli.words import complete_last_command, split
from animcli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("", [], [[]]),
        ("render a.png", [], [["render", "a.png"]]),
        ("render a.png --json -v", ["--json", "-v"], [["render", "a.png"]]),
        ("-p x a then b", ["-p", "x"], [["a"], ["b"]]),
        ("a then b --project=x --force", ["--project=x", "--force"], [["a"], ["b"]]),
        ("a --cache-dir y then b", ["--cache-dir", "y"], [["a"], ["b"]]),
        ("a --max-pixels 9000 then b", ["--max-pixels", "9000"], [["a"], ["b"]]),
        ("a -- --json then b --json", ["--json"], [["a", "--", "--json"], ["b"]]),
        ("then then", [], [[], [], []]),
    ],
)
def test_a_line_is_cut(text: str, line: list[str], parts: list[list[str]]) -> None:
    assert split(text.split()) == (line, parts)


@pytest.mark.parametrize("text", ["a -p", "a --cache-dir then b"])
def test_a_place_that_is_not_said_is_missed(text: str) -> None:
    with pytest.raises(UsageError, match="lacks its folder"):
        split(text.split())


def test_a_number_that_is_not_said_is_missed() -> None:
    with pytest.raises(UsageError, match="--max-pixels lacks its number"):
        split(["a", "--max-pixels"])


def test_bash_completes_the_command_behind_the_last_then() -> None:
    environment = {
        "COMP_WORDS": "anim retarget --to a then render --pre",
        "COMP_CWORD": "6",
    }
    complete_last_command(environment)
    assert environment == {"COMP_WORDS": "anim render --pre", "COMP_CWORD": "2"}


def test_zsh_completes_the_command_behind_the_last_then() -> None:
    environment = {"_TYPER_COMPLETE_ARGS": "anim retarget --to a then render --pre"}
    complete_last_command(environment)
    assert environment == {"_TYPER_COMPLETE_ARGS": "anim render --pre"}


def test_without_completion_nothing_is_touched() -> None:
    environment = {"HOME": "/home/me"}
    complete_last_command(environment)
    assert environment == {"HOME": "/home/me"}
