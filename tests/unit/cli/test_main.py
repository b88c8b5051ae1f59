"""A line becomes requests; all that is wrong with its words is found at once."""

import shlex
from pathlib import Path

import pytest

from animcli.cli.extract import ExtractPose
from animcli.cli.main import complete_last_command, main, parse_line, split_commands
from animcli.cli.plan import GlobalOptions
from animcli.cli.render import Render
from animcli.cli.retarget import Retarget
from animcli.errors import UsageError


def test_a_line_becomes_requests() -> None:
    words = shlex.split(
        "-p dance extract-pose a.mp4 --no-hands then retarget --to b.png "
        "then render b.png --size 64x96 --frames 12 --fps 24 --force"
    )
    line = parse_line(words)
    assert line.mistakes == ()
    assert line.options == GlobalOptions(project=Path("dance"), force=True)
    extract, retarget, render = line.commands
    assert extract == ExtractPose((Path("a.mp4"),), None, False, {"hands": False})
    assert retarget == Retarget(Path("b.png"), None, None, {})
    assert isinstance(render, Render)
    assert render.frames == 12
    assert render.overrides == {"fps": 24, "width": 64, "height": 96}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("render a.png -m b.pose --frames ten", "'--frames': it is a whole number", ""),
        ("render a.png -m b.pose --speed fast", "'--speed': it is a number", ""),
        ("render a.png -m b.pose --only nose", "'--only': 'nose' is not one of", ""),
        (
            "extract-pose a.mp4 --person bob",
            "person is one of largest, center, N, not 'bob'",
            "",
        ),
        ("a.png --motion b.mp4", "no such command", "anim render a.png --motion b.mp4"),
        ("render a.png b.mp4", "unexpected extra", "anim render a.png --motion b.mp4"),
        ("weights rm sd15", "no such command 'rm'", "did you mean 'remove'?"),
        ("extract-pose -x.mp4", "no such option: -x", "./-x.mp4"),
    ],
)
def test_a_mistake_says_what_was_meant(
    line: str, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-x.mp4").touch()
    (mistake,) = parse_line(line.split()).mistakes
    assert message in mistake.message
    assert hint in mistake.hint


def test_every_mistake_of_the_line_is_found() -> None:
    words = shlex.split("extract-pose then retarget --too b then render r.png --fps 0")
    line = parse_line(words)
    assert line.commands == ()
    messages = [mistake.message for mistake in line.mistakes]
    assert messages[0] == "missing argument 'VIDEO'"
    assert messages[1].startswith("no such option: --too")
    assert messages[2] == "--fps 0: fps is above 0 and at most 1000, not 0"
    assert line.mistakes[0].hint == "`anim extract-pose --help` shows how"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("weights", "`anim weights --help` lists them"),
        ("weights verfy", "did you mean 'verify'?"),
        ("weights import dwpose", "`anim weights import --help` shows how"),
        ("-v", "`anim --help` lists them"),
    ],
)
def test_a_mistake_points_to_the_help_of_its_command(line: str, hint: str) -> None:
    assert [mistake.hint for mistake in parse_line(line.split()).mistakes] == [hint]


def test_a_command_that_is_nearly_one_is_told_the_right_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["rendr", "a.png"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: no such command 'rendr'\n hint: did you mean 'render'?\n",
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("then", "there is no command before `then`"),
        ("render a.png then", "there is no command behind `then`"),
        ("weights", "missing command"),
    ],
)
def test_a_part_without_a_command_is_a_mistake(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    told = capsys.readouterr().err
    assert f"error: {said}" in told
    assert told.count("error: ") == 1


def test_no_words_show_the_help_and_count_as_a_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("Usage: anim ")
    assert err == ""


def test_help_anywhere_in_the_line_is_all_that_is_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["init", "never", "then", "render", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: anim render")
    assert not Path("never").exists()


def test_places_may_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIM_PROJECT", "there")
    monkeypatch.setenv("ANIM_CACHE_DIR", "here")
    assert parse_line(["doctor"]).options == GlobalOptions(Path("there"), Path("here"))


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
    ],
)
def test_a_line_is_cut(text: str, line: list[str], parts: list[list[str]]) -> None:
    assert split_commands(text.split()) == (line, parts)


@pytest.mark.parametrize("text", ["a -p", "a --cache-dir then b"])
def test_a_place_that_is_not_said_is_missed(text: str) -> None:
    with pytest.raises(UsageError, match="lacks its folder"):
        split_commands(text.split())


def test_a_number_that_is_not_said_is_missed() -> None:
    with pytest.raises(UsageError, match="--max-pixels lacks its number"):
        split_commands(["a", "--max-pixels"])


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
