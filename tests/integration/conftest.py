"""One small chain of work, and how it ends unbroken, for those who break it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.resume import Runner, decoded, runner
from builders.resume_runner import prepare


@pytest.fixture(scope="module")
def runs() -> Iterator[Runner]:
    """Runs the chain in fresh processes."""
    with runner() as started:
        yield started


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing was done yet; tests copy it."""
    folder = tmp_path_factory.mktemp("material")
    prepare(folder / "project")
    return folder / "project"


@pytest.fixture(scope="module")
def unbroken(runs: Runner, material: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the frames that a run ends with that nobody stopped."""
    folder = tmp_path_factory.mktemp("unbroken") / "project"
    shutil.copytree(material, folder)
    assert runs.run(folder) == 0
    return decoded(folder / "out.mp4")


@pytest.fixture
def project(material: Path, tmp_path: Path) -> Path:
    """A copy of the material to work in."""
    return Path(shutil.copytree(material, tmp_path / "project"))
