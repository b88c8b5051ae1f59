"""The lowest versions of the hub's libraries that pyproject.toml allows do their work."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WANTED = (ROOT / "pyproject.toml").read_text()
RENDERING = "tests/unit/rendering"
LEGS = {
    "dependencies": (
        ("huggingface-hub", "transformers", "diffusers"),
        (
            "tests/unit/weights/test_hub.py",
            f"{RENDERING}/test_animate_anyone.py::"  # CLIP's pictures
            "test_a_clip_of_several_windows_is_rendered",
            f"{RENDERING}/test_cinemo.py::test_a_picture_moves",  # CLIP's words
            f"{RENDERING}/test_cinemo.py::"
            "test_a_prompt_that_clip_cannot_read_to_its_end_is_refused",
        ),
    ),
    "newest": (
        ("diffusers",),
        (
            f"{RENDERING}/newest/test_ip_adapter.py::"
            "test_a_frame_alone_equals_the_pipelines_own_call",
            f"{RENDERING}/newest/test_wan_animate.py::"
            "test_two_segments_equal_the_pipelines_own_call",
        ),
    ),
}
"""List of pyproject.toml -> libraries in it, and tests of all that is called of them."""


def lowest(listed: str, libraries: tuple[str, ...]) -> dict[str, str]:
    """Library -> the lowest version that a list allows."""
    (there,) = re.findall(rf"^{listed} = \[(.*?)\]$", WANTED, re.MULTILINE | re.DOTALL)
    found = dict(re.findall(r'"([\w-]+)>=([\d.]+)', there))
    return {name: found[name] for name in libraries}


def run(*words: str | Path, **environment: str) -> str:
    ran = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow  # an index of packages, 20 MB and minutes
@pytest.mark.parametrize("listed", LEGS)
def test_the_lowest_allowed_versions_agree_and_do_all_that_is_asked_of_them(
    listed: str, tmp_path: Path
) -> None:
    libraries, tests = LEGS[listed]
    versions = lowest(listed, libraries)
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    python = tmp_path / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'), end='')"
    behind = Path(run(python, "-c", where), "behind.pth")
    behind.write_text(sysconfig.get_path("purelib"))  # all else as it is installed here
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, *(f"{name}=={version}" for name, version in versions.items()))
    for name, version in versions.items():
        module = name.replace("-", "_")
        found = run(python, "-c", f"import {module}; print({module}.__version__)")
        assert found.startswith(f"{version}.")
    pytest_there = (python, "-m", "pytest", "-p", "no:cacheprovider", "-W", "default")
    basetemp = f"--basetemp={tmp_path / 'tests'}"
    run(*pytest_there, basetemp, *tests, PYTHONPATH=str(ROOT))
