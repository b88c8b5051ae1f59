"""The documents say what the program does."""

import re
from pathlib import Path

import pytest
from builders.reference import (
    REFERENCE,
    commands,
    help_of,
    reference,
    tables,
    training_tables,
)

import animcli.errors
from animcli.cli.config import HOMES
from animcli.cli.signals import EXIT_CODES
from animcli.errors import AnimError
from animcli.presets import Preset, find_presets
from animcli.settings import settings_in

ROW = re.compile(r"^\| (\d+) \|(?: (\w+))? \| (.*) \|$", re.MULTILINE)

NAMED_TEST = re.compile(r"`(?:tests/)?([\w/]*test_\w+\.py)`(?:: \*([^*]+)\*)?")
"""A file of tests, and names of some of them, as a decision tells them."""


def failures(kind: type[AnimError] = AnimError) -> set[type[AnimError]]:
    return {kind}.union(*(failures(each) for each in kind.__subclasses__()))


def test_the_command_reference_is_the_help_of_the_commands() -> None:
    assert (REFERENCE / "commands.md").read_text() == reference()


def test_every_command_is_in_the_reference() -> None:
    page = (REFERENCE / "commands.md").read_text()
    names = re.findall(r"^## anim (.*)$", page, re.MULTILINE)
    assert names == list(commands())
    assert {"init", "render", "weights pull", "cache clear", "doctor"} <= set(names)


@pytest.mark.parametrize("command", ["render", "extract-pose"])
def test_every_option_of_a_long_help_stands_in_a_group(command: str) -> None:
    lines = help_of(command).split("\n")
    rest = lines[lines.index("Options:") + 1 :] if "Options:" in lines else []
    assert [line.split()[0] for line in rest] == ["-h,"]
    groups = [line for line in lines if re.fullmatch(r"[A-Z][a-z]+:", line)]
    assert {"Arguments:", "Motion:", "Render:", "Result:"} <= set(groups)


def test_every_test_that_a_decision_rests_on_is_there() -> None:
    tests = Path(__file__).resolve().parents[1]
    named = [
        (name, sentence.strip())
        for page in (REFERENCE.parent / "decisions").glob("*.md")
        for name, called in NAMED_TEST.findall(page.read_text())
        for sentence in (called.split(";") if called else [""])
    ]
    assert len([sentence for _, sentence in named if sentence]) > 40
    for name, sentence in named:
        path = next(at / name for at in (tests, tests / "unit") if (at / name).exists())
        wanted = f"def test_{sentence.replace(' ', '_')}(" if sentence else ""
        assert wanted in path.read_text(), (name, sentence)


def test_every_error_is_documented_with_its_exit_code() -> None:
    rows = {(name, int(code)) for code, name, _ in ROW.findall(errors_page()) if name}
    own = {each for each in failures() if each.__module__ == AnimError.__module__}
    assert rows == {(each.__name__, each.exit_code) for each in own - {AnimError}}


def test_the_words_about_errors_are_those_of_the_code() -> None:
    tree = animcli.errors.__doc__ or ""
    in_code = dict(re.findall(r"[|`]- (\w+) +\d +(.*)$", tree, re.MULTILINE))
    on_page = {name: words for _, name, words in ROW.findall(errors_page()) if name}
    assert on_page == in_code


def test_signals_and_bugs_are_documented() -> None:
    codes = {int(code) for code, name, _ in ROW.findall(errors_page()) if not name}
    assert codes == {0, AnimError.exit_code, *EXIT_CODES.values()}


def test_the_tables_of_presets_and_keys_are_up_to_date() -> None:
    assert (REFERENCE / "presets.md").read_text().endswith(tables())


def test_the_tables_of_training_are_up_to_date() -> None:
    assert (REFERENCE / "training.md").read_text() == training_tables()


@pytest.mark.parametrize("name", [*find_presets(), *settings_in(Preset)])
def test_every_preset_and_key_is_documented(name: str) -> None:
    assert f"| `{name}`" in (REFERENCE / "presets.md").read_text()


def test_a_flag_and_a_key_have_one_name() -> None:
    page = (REFERENCE / "commands.md").read_text()
    spelled = {name for name in HOMES if f"--{name.replace('_', '-')} " in page}
    assert HOMES.keys() - spelled == {"width", "height", "cache_max"}
    assert {"--size WxH", "--max-size SIZE"} <= set(re.findall(r"--[\w-]+ \w+", page))


def errors_page() -> str:
    return (REFERENCE / "errors.md").read_text()


@pytest.mark.parametrize(
    "words",
    [
        "Classifier-free guidance scale (1 = off).",
        "Run both halves of guidance as one batch",
        "detect people every N frames",
        "For motion capture: direction of the camera in degrees.",
        "Denoising steps.",
        "Sampler (diffusion scheduler).",
        "Context window: frames denoised together.",
    ],
)
def test_help_says_it_in_the_fields_words(words: str) -> None:
    page = " ".join((REFERENCE / "commands.md").read_text().split())
    assert words in page


def test_help_has_no_words_for_what_the_field_calls_otherwise() -> None:
    page = (REFERENCE / "commands.md").read_text().lower()
    homemade = (
        "processor",
        "thousand million",
        "milliard",
        "outlook",
        "descent",
        "limb map",
    )
    assert [word for word in homemade if word in page] == []
