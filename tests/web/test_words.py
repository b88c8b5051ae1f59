"""Words of the page become jobs of a batch file, and are the command line's own."""

import json
from pathlib import Path

import pytest

from animcli.batch.jobfile import JobFile, Row
from animcli.batch.jobs import Reading
from animcli.cli.main import parse_line
from animcli.cli.plan import GlobalOptions
from animcli.cli.runner import open_context
from animcli.cli.studio_words import Words
from animcli.errors import UsageError

PICTURE, VIDEO, EDITS, POSE = "a" * 64, "b" * 64, "c" * 64, "d" * 64
FILES = {
    PICTURE: ("ref.png", "My picture.png"),
    VIDEO: ("dance.mp4", "dance.mp4"),
    EDITS: ("edits.json", "edits.json"),
    POSE: ("walk.pose", "walk.pose"),
}

LINES = [
    ["render", PICTURE, "--motion", VIDEO, "--preset", "cutout", "--seed", "7"],
    ["render", PICTURE, "--motion", POSE, "--fps", "30000/1001", "--size", "256x384"],
    ["render", PICTURE, "--motion", VIDEO, "--frames", "12", "--loop", "--no-audio"],
    ["render", PICTURE, "--preset", "animate-anyone", "--guidance", "2.5", "--steps", "9"],
    ["extract-pose", VIDEO, "--person", "2", "--no-hands"],
    ["retarget", POSE, "--to", PICTURE, "--camera", "zoom"],
    ["correct-pose", EDITS, VIDEO, "then", "render", PICTURE, "--preset", "cutout"],
    ["extract-pose", VIDEO, "--no-clean", "then", "correct-pose", EDITS, "then", "render",
     PICTURE],
]  # fmt: skip


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    monkeypatch.chdir(tmp_path)
    for name, _ in FILES.values():
        (tmp_path / name).write_bytes(b"x")
    desk = open_context(GlobalOptions(project=tmp_path), lambda what, done, of: None)
    return Words(desk.project, desk.weights)


def path_of(digest: str) -> tuple[Path, str] | None:
    found = FILES.get(digest)
    return None if found is None else (Path(found[0]), found[1])


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_row_of_the_batch_file_asks_for_the_same_as_the_words(
    words: Words, line: list[str], tmp_path: Path
) -> None:
    read = words.read(line, path_of)
    assert read.row is not None
    row = json.loads(json.dumps(read.row))  # as it comes back from the file
    reading = Reading(JobFile("queue.jsonl", tmp_path, Row({}, 0)), words.commands())
    reading.add(Row(row, 1))
    assert reading.problems == []
    (job,) = reading.jobs
    assert parse_line(job.words).commands == parse_line(read.words).commands
    assert parse_line(job.words).mistakes == ()


def test_the_user_sees_the_names_that_the_files_had(words: Words) -> None:
    read = words.read(LINES[0], path_of)
    assert read.shown[:5] == ("anim", "render", "My picture.png", "--motion", "dance.mp4")
    assert read.stem == "My_picture-dance"


def test_each_part_of_a_line_gets_a_place_of_its_own(words: Words) -> None:
    line, places = words.outputs(words.read(LINES[-1], path_of), "x")
    assert places == ["x-1.pose", "x-2.pose", "x.mp4"]
    assert [line[n + 1] for n, word in enumerate(line) if word == "--output"] == places


def test_options_that_the_page_shows_are_the_commands_own(words: Words) -> None:
    told = words.presets()
    render = {each["name"]: each for each in told["commands"]["render"]}
    assert render["steps"] == {
        "name": "steps", "flag": "--steps", "help": "Denoising steps.", "kind": "number",
        "low": 1, "high": 1000, "multiple": 1, "default": None,
    }  # fmt: skip
    assert render["sampler"]["choices"][0] == "ddim"
    assert render["audio"]["negative"] == "--no-audio"
    assert "output" not in render
    assert {each["name"] for each in told["presets"]} >= {"cutout", "animate-anyone"}
    assert told["usual"] == "cutout"


def test_a_mistake_is_told_in_the_parsers_words(words: Words) -> None:
    with pytest.raises(UsageError, match=r"no such option: --stepz"):
        words.read(["render", PICTURE, "--stepz", "3"], path_of)
    with pytest.raises(UsageError, match=r"--seed -1"):
        words.read(["render", PICTURE, "--seed", "-1"], path_of)


def test_a_lora_can_t_be_named_by_its_path(words: Words, tmp_path: Path) -> None:
    secret = tmp_path / "secret.safetensors"
    secret.write_bytes(b"x")
    line = ["render", PICTURE, "--preset", "animate-anyone", "--lora", f"{secret}:0.5"]
    with pytest.raises(UsageError, match="--lora isn't for the page to say"):
        words.read(line, path_of)
