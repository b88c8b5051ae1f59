"""JSON for scripts and functions for Python are what docs/reference/json.md says."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from builders.poses import random_pose
from builders.stages import register, spot_pictures
from builders.videos import tiny_clip

import animcli
from animcli import api
from animcli.cli.main import main
from animcli.errors import InputError, UsageError
from animcli.pose.detectors import registry
from animcli.pose.io_pose import write_pose
from animcli.registry import RENDERERS
from animcli.video.images import write_picture

register()
Capture: TypeAlias = "pytest.CaptureFixture[str]"
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text()
DOCUMENTED = set(re.findall(r"`(\w+)`", PAGE))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    spot, ramp = registry.DETECTORS["bright-spot"], RENDERERS["gradient"]
    monkeypatch.setitem(registry.DETECTORS, "blazepose", spot)
    monkeypatch.setitem(RENDERERS, "cutout", ramp)
    pictures = list(spot_pictures(12))
    tiny_clip(
        tmp_path / "dance.mp4", 12, width=64, height=96, picture=lambda t, *_: pictures[t]
    )
    write_picture(tmp_path / "ref.png", pictures[0])
    return tmp_path


def answer(capsys: Capture, line: str, exit_code: int = 0) -> dict[str, Any]:
    assert main(["--json", *line.split()]) == exit_code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def keys(value: object) -> Iterator[str]:
    """All keys in it, those of the user's own names aside."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield str(key)
            if key not in ("values", "origins", "licences", "stages", "retargeted"):
                yield from keys(inside)
    elif isinstance(value, list):
        for each in value:
            yield from keys(each)


@pytest.mark.parametrize(
    "line",
    [
        "inspect dance.mp4",
        "inspect",
        "doctor",
        "presets list",
        "presets show cutout",
        "weights list",
        "weights show dwpose",
        "cache list",
        "cache clear",
        "init new",
        "--dry-run extract-pose dance.mp4",
        "extract-pose dance.mp4",
    ],
)
def test_every_key_is_one_word_and_documented(
    here: Path, capsys: Capture, line: str
) -> None:
    main(["--json", *line.split()])
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 2
    assert {"results", "stages", "warnings"} <= told.keys()
    found = {key for each in told["results"] for key in keys(each)}
    assert [key for key in found if not re.fullmatch(r"\w+", key)] == []
    assert found - DOCUMENTED == set()


@pytest.mark.parametrize("line", ["--version", "--help", "render --help", "cache --help"])
def test_help_and_version_are_told_in_json(here: Path, capsys: Capture, line: str) -> None:
    assert main(line.split()) == 0
    printed = capsys.readouterr().out
    [told] = answer(capsys, line)["results"]
    assert told == {"version": animcli.__version__, "text": printed}


def test_facts_that_there_are_none_of_are_null_or_empty(
    here: Path, capsys: Capture
) -> None:
    ticks = np.array([0, 1, 2, 7])  # of an uneven motion
    write_pose(Path("plain.pose"), replace(random_pose(4, Fraction(24)), ticks=ticks))
    told = answer(capsys, "inspect plain.pose")["results"][0]
    assert (told["rate"], told["uneven"]) == (None, True)
    assert told["person"] is None
    assert (told["people"], told["frames_without_anybody"]) == ([], [])
    assert (told["retargeted"], told["ratios"], told["warnings"]) == (False, {}, [])
    main(["inspect", "plain.pose"])
    lines = capsys.readouterr().out.splitlines()
    assert "rate:                   uneven" in lines
    assert "retargeted:             no" in lines
    assert not any(line.startswith(("person", "ratios", "warnings")) for line in lines)


def test_frames_without_anybody_are_told_by_their_numbers(
    here: Path, capsys: Capture
) -> None:
    pose = random_pose(8, Fraction(24))
    scores = np.full_like(pose.scores, 0.9)
    scores[[2, 5, 6]] = 0
    write_pose(Path("gaps.pose"), replace(pose, scores=scores))
    told = answer(capsys, "inspect gaps.pose")["results"][0]
    assert told["frames_without_anybody"] == [[2, 2], [5, 6]]
    assert told["body_seen"] == told["hands_seen"] == 0.625
    main(["inspect", "gaps.pose"])
    printed = capsys.readouterr().out
    assert "frames without anybody: 2, 5-6\n" in printed
    assert "body seen:              62.5 %\n" in printed


def test_numbers_are_numbers_and_shares_are_shares(here: Path, capsys: Capture) -> None:
    told = [x for x in answer(capsys, "inspect dance.mp4")["results"] if "codec" in x]
    assert told[0]["size"] == [64, 96]
    assert told[0]["sound"] is False
    assert isinstance(told[0]["motion_strength"], int)
    answer(capsys, "extract-pose dance.mp4")
    pose = next(
        x for x in answer(capsys, "inspect dance.pose")["results"] if "body_seen" in x
    )
    assert 0 <= pose["body_seen"] <= 1
    assert isinstance(pose["people"], list)
    assert {"number", "frames", "first", "last"} <= pose["people"][0].keys()


def test_checks_of_the_doctor_have_an_id_of_their_own(here: Path, capsys: Capture) -> None:
    main(["--json", "doctor"])
    found = [each["id"] for each in json.loads(capsys.readouterr().out)["results"]]
    assert len(set(found)) == len(found)
    assert any(each.startswith("weights/") for each in found)


def test_of_several_inputs_each_that_failed_is_told(here: Path, capsys: Capture) -> None:
    (here / "text.mp4").write_text("no video")
    told = answer(capsys, "extract-pose dance.mp4 text.mp4 gone.mp4", 9)
    by_input = {Path(each["input"]).name: each for each in told["results"]}
    assert by_input["dance.mp4"]["path"].endswith("dance.pose")
    assert by_input["text.mp4"]["error"]["exit_code"] == 3
    assert "no such file" in by_input["gone.mp4"]["error"]["message"]


def test_python_does_what_the_command_line_does(here: Path, capsys: Capture) -> None:
    notes: list[str] = []
    [pose] = animcli.extract_pose("dance.mp4", output=here / "a.pose", clean=False)
    assert pose.path == here / "a.pose"
    [video] = animcli.render(
        "ref.png", motion=pose.path, preset="cutout", output="a.mkv", size="64x96",
        notes=notes.append,
    )  # fmt: skip
    assert video.path is not None
    assert video.path.is_file()
    assert Path(str(video.record["manifest"])).is_file()
    again = answer(
        capsys, "render ref.png --motion a.pose --preset cutout -o a.mkv --size 64x96"
    )
    assert again["results"][0]["sha256"] == video.record["sha256"]
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_python_is_told_of_mistakes_by_exceptions(here: Path) -> None:
    with pytest.raises(UsageError, match="--sed"):
        api.render("ref.png", motion="dance.mp4", sed=3)
    with pytest.raises(InputError, match="no such file"):
        api.extract_pose("gone.mp4")
    with pytest.raises(UsageError):
        api.run_command("--version")


def test_options_are_spelled_as_flags() -> None:
    words = api.option_words(
        {"no_retarget": True, "audio": False, "fps": 24, "output": Path("a b"), "x": None}
    )
    assert words == ["--no-retarget", "--no-audio", "--fps=24", "--output=a b"]
