"""The examples of the guide to many videos can be used as they are."""

import re
import shlex
from pathlib import Path

import pytest
from batch_stand_ins import environment, program
from builders.stages import spot_pictures

import animcli.cli.batch.run
from animcli.cli.main import parse_line
from animcli.pose.detectors.registry import DETECTORS
from animcli.registry import RENDERERS
from animcli.video.images import write_picture

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
PAGE = (GUIDE / "many-videos.md").read_text()
COMMANDS = re.findall(r"^    (?:for .*; do )?(anim .*?)(?:;.*done)?$", PAGE, re.M)
FILES = sorted(path for path in (GUIDE / "batch").iterdir())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples take for granted, and the examples."""
    picture = next(spot_pictures(1))
    for name in ("anna", "ben"):
        (tmp_path / "cast").mkdir(exist_ok=True)
        write_picture(tmp_path / "cast" / f"{name}.png", picture)
    for name in ("waltz.mp4", "jig.mp4"):  # folders of pictures are as good as videos
        (tmp_path / "dances" / name).mkdir(parents=True)
        write_picture(tmp_path / "dances" / name / "0.png", picture)
    for path in FILES:
        (tmp_path / path.name).write_text(path.read_text())
    for table, name in ((RENDERERS, "cutout"), (DETECTORS, "blazepose")):
        monkeypatch.setitem(table, name, table[name])  # put back at the end
    monkeypatch.setattr(
        animcli.cli.batch.run, "BATCH_RUNNER", animcli.cli.batch.run.BATCH_RUNNER
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # of the child processes
    return tmp_path


def expanded(command: str) -> list[str]:
    """The words of a command as a shell gives them."""
    words = shlex.split(command.replace("$p", "cast/anna.png"))[1:]
    return [
        str(found) if literal else word
        for word in words
        for literal, found in (
            [(True, path) for path in sorted(Path().glob(word))]
            if "*" in word
            else [(False, word)]
        )
    ]


def test_the_guide_shows_commands() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_is_understood(folder: Path, command: str) -> None:
    line = parse_line(expanded(command))
    assert line.mistakes == ()
    assert line.commands


@pytest.mark.parametrize("file", [path.name for path in FILES if "jobs" in path.name])
def test_a_dry_run_knows_every_job_of_an_example(
    folder: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(["batch", file, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == {"jobs.toml": 9, "jobs.csv": 2, "jobs.jsonl": 2}[file]
    assert all("would run" in line for line in lines)


@pytest.mark.parametrize(
    "file", [path.name for path in FILES if path.suffix in (".sh", ".yaml")]
)
def test_a_command_in_a_script_for_a_cluster_is_understood(folder: Path, file: str) -> None:
    text = (folder / file).read_text().replace("\\\n", " ")
    commands = re.findall(r"(?:^|exec |&& )(anim batch [^'\n]*)", text, re.M)
    assert commands
    for command in commands:
        line = parse_line(shlex.split(command)[1:])
        assert line.mistakes == ()
