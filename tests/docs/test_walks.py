"""Walks through the code that the page on contributing shows, and that work takes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "contributing.md").read_text()
WALKS = PAGE.split("## Three walks")[1].split("\n## ")[0]
EXTRACTION, RENDER, PRESET = (
    re.findall(r"`((?:[a-z_]+\.)+(?:[A-Z]\w+\.)?[a-z_]+)`", part.split(":\n", 1)[1])
    for part in WALKS.split("\nA ")[1:]
)

TRACE = """
import json, sys
called = {}
def trace(frame, event, _):
    if event == "call" and frame.f_globals.get("__name__", "").startswith("animcli."):
        code = frame.f_code
        qualified = getattr(code, "co_qualname", None)
        if qualified is None:  # before Python 3.11
            owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
            kind = owner if isinstance(owner, type) else type(owner)
            within = next((k for k in kind.__mro__ if code.co_name in vars(k)), None)
            plain = owner is None or within is None
            qualified = code.co_name if plain else f"{within.__name__}.{code.co_name}"
        name = frame.f_globals["__name__"].removeprefix("animcli.") + "." + qualified
        called.setdefault(name, len(called))
from animcli.cli.main import main
sys.settrace(trace)
code = main(sys.argv[1:])
sys.settrace(None)
print(json.dumps(list(called)))
sys.exit(code)
"""

pytestmark = pytest.mark.blazepose


def run(folder: Path, models: Path, *words: str) -> str:
    """What Python says, given some words, where the models are at hand."""
    env = {name: value for name, value in os.environ.items() if "ANIM_" not in name}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**env, "ANIM_WEIGHTS": str(models.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def walked(folder: Path, line: str, models: Path) -> list[str]:
    """Functions that a line calls, by when they were called first."""
    said = run(folder, models, "-c", TRACE, *line.split())
    return list(json.loads(said.splitlines()[-1]))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, blazepose_models: Path) -> Path:
    """A folder with a drawn dance and a drawn character."""
    folder = tmp_path_factory.mktemp("walks")
    (folder / "anim.toml").write_text("width = 128\nheight = 192\n")
    demo = "-m animcli demo -o . --frames 4 --preset cutout --quiet"
    run(folder, blazepose_models, *demo.split())
    return folder


def test_extraction_walks_as_the_page_says(here: Path, blazepose_models: Path) -> None:
    line = "extract-pose dance.mp4 --no-hands -o again.pose --quiet"
    called = walked(here, line, blazepose_models)
    assert len(EXTRACTION) > 10
    assert [name for name in EXTRACTION if name not in called] == []


def test_a_render_walks_as_the_page_says(here: Path, blazepose_models: Path) -> None:
    line = "render ref.png --motion dance.pose --preset tiny --steps 1 --frames 2 --quiet"
    line += " --size 64x64 -o tiny.mp4"
    called = walked(here, line, blazepose_models)
    assert len(RENDER) > 14
    assert [name for name in RENDER if name not in called] == []
    assert len(PRESET) > 7
    assert [name for name in PRESET if name not in called] == []
