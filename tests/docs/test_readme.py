"""What the README and the pages about contributing say can be typed, found and made."""

import re
import shlex
from pathlib import Path

import pytest

from animcli.cli.main import parse_line
from animcli.presets import find_presets

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text()

COMMANDS = re.findall(
    r"^    (?:for .*; do )?(anim .*?)(?:;.*done)?(?:  +#.*)?$", README, re.M
)


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_understood(command: str) -> None:
    line = parse_line(shlex.split(command)[1:])
    assert line.mistakes == ()
    assert line.commands


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.M))
def test_make_knows_what_the_readme_asks_of_it(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_the_first_screen_holds_a_picture_and_two_commands() -> None:
    screen = "\n".join(README.splitlines()[:20])
    assert "](docs/" in screen
    assert re.findall(r"^    make (\w+)", screen, re.M) == ["demo", "test"]


def test_the_presets_of_the_readme_are_shipped() -> None:
    named = set(re.findall(r"^\| `([a-z0-9-]+)` \|", README, re.M))
    assert named
    assert named <= set(find_presets())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
