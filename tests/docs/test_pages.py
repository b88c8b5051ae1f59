"""Every line that a page shows can be typed, and what it names is there."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders.reference import variables

from animcli.cli.config import HOMES, OTHER_VARIABLES, PREFIX
from animcli.cli.main import parse_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
HANDWRITTEN = [page for page in PAGES if page.name not in ("changelog.md", "commands.md")]
ENVIRONMENT = (DOCS / "reference" / "environment.md").read_text()
DOCKERFILE = (DOCS / "guide" / "container" / "Dockerfile").read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINE = re.compile(
    r"^(?: {4}|\S*?\$ )?(?:[A-Z_]+=\S+ )*(?:for .*; do )?(?:\.venv[/\\]\w+[/\\])?"
    r"(anim (?!train FOLDER|batch --).*?)(?:;.*done)?(?:  +#.*)?$",
    re.M,
)
"""A line of a block of code that begins with `anim`, without the comment at its end."""


def blocks(text: str) -> str:
    """What stands in blocks of code, indented or fenced as `sh`; the rest is blank."""
    fenced = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    indented = "\n".join(re.findall(r"^ {4}\S.*$", prose, re.M))
    return f"{fenced}\n{indented}"


def lines_of(page: Path) -> list[str]:
    return LINE.findall(blocks(page.read_text()))


TYPED = [
    pytest.param(line, id=f"{page.stem}: {line}")
    for page in HANDWRITTEN
    for line in dict.fromkeys(lines_of(page))
]


def test_the_pages_show_what_to_type() -> None:
    assert len(TYPED) >= 100
    guide = [
        page
        for page in HANDWRITTEN
        if page.parent.name in ("guide", "models") and page.name != "README.md"
    ]
    assert [page.name for page in guide if "anim " not in page.read_text()] == []


@pytest.mark.parametrize("line", TYPED)
def test_a_line_of_a_page_is_understood(line: str) -> None:
    words = [word.replace("$v", "v.mp4") for word in shlex.split(line)[1:]]
    read = parse_line(words)
    assert read.mistakes == ()
    assert read.commands


def test_every_variable_of_the_code_is_documented() -> None:
    places = ["animcli", ".ci", "Makefile", "tests/conftest.py", "tests/gpu"]
    found = subprocess.run(
        ["git", "grep", "--no-index", "-hoIE", "ANIM_[A-Z_]*[A-Z]", "--", *places],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    named = set(re.findall(r"`(ANIM_\w+)`", ENVIRONMENT))
    named |= {f"{PREFIX}{name.upper()}" for name in HOMES}  # "every key of anim.toml"
    assert set(found.stdout.split()) - named == set()


def test_every_variable_that_is_documented_exists() -> None:
    keys = {f"{PREFIX}{name.upper()}" for name in HOMES}
    end = ENVIRONMENT.index("## For tests of animcli")
    named = set(re.findall(r"\b(ANIM_\w+)", ENVIRONMENT[:end]))
    named |= set(re.findall(r"\b(ANIM_\w+)", variables()))
    assert named - keys - OTHER_VARIABLES == {"ANIM_"} & named


def test_the_table_of_variables_is_up_to_date() -> None:
    assert ENVIRONMENT.endswith(variables())


@pytest.mark.parametrize("page", HANDWRITTEN, ids=lambda page: page.stem)
def test_extras_that_a_page_installs_exist(page: Path) -> None:
    text = page.read_text() + (DOCKERFILE if page.stem == "containers" else "")
    asked = re.findall(r"(?:animcli|'\.| \.)\[([\w,-]+)\]", text)
    extras = {name for group in asked for name in group.split(",")}
    assert extras - PROJECT["optional-dependencies"].keys() == set()


def test_the_dockerfile_copies_what_the_build_needs() -> None:
    steps = re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.M)
    assert {step for step, _ in steps} <= {
        "FROM", "RUN", "WORKDIR", "COPY", "ENV", "VOLUME", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    copies = [words.split()[:-1] for step, words in steps if step == "COPY"]
    copied = [word for words in copies for word in words]
    assert all((ROOT / name).exists() for name in copied)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wanted = {*build["targets"]["wheel"]["packages"], PROJECT["readme"]}
    wanted |= {*build["targets"]["wheel"]["force-include"], *PROJECT["license-files"]}
    assert wanted <= set(copied)


def test_the_dockerfile_has_a_python_that_is_supported() -> None:
    version = re.search(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, re.M)
    assert version
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]


def test_variables_of_the_dockerfile_are_documented() -> None:
    set_there = re.findall(r"\b([A-Z_]+)=", re.search(r"^ENV (.*)$", DOCKERFILE, re.M)[1])
    assert {name for name in set_there if name != "HOME"} <= set(
        re.findall(r"`([A-Z_]+)`", ENVIRONMENT)
    )


def test_the_pinned_models_of_the_page_without_a_network_are_the_catalogs() -> None:
    from animcli.weights.catalog import Wheel, load_catalog

    wheel = load_catalog()["blazepose"].source
    assert isinstance(wheel, Wheel)
    page = (DOCS / "guide" / "air-gapped.md").read_text()
    assert f"{wheel.package}=={wheel.version}" in page
    assert f"--python-version {wheel.python}" in page
    assert f"--platform {wheel.platform}" in page


@pytest.mark.skipif(find_spec("material") is None, reason="wants the extra docs")
def test_the_site_is_built_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet",
         "--config-file", ROOT / ".ci" / "mkdocs.yml", "--site-dir", tmp_path / "site"],
        capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "guide" / "first-render.html").is_file()


@pytest.mark.parametrize("page", HANDWRITTEN, ids=lambda page: page.stem)
def test_no_command_stands_outside_a_block(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    assert re.findall(r"^anim [a-z].*", prose, re.M) == []


def test_the_guide_shows_every_way_to_say_who_dances_before_what() -> None:
    guide = "\n".join(blocks(page.read_text()) for page in (DOCS / "guide").glob("*.md"))
    flags = {"--cast", "--background", "--alpha", "--person", "--reference-person"}
    assert {flag for flag in flags if f"{flag} " not in guide} == set()
