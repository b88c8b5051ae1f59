"""Job files become checked jobs, and every mistake in them is told with its line."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.batch.jobfile import (
    JobFile,
    Row,
    parse_json_lines,
    parse_table,
    parse_toml,
    parse_words,
    read_job_file,
)
from animcli.batch.jobs import Job, Reading, in_slice, read_jobs
from animcli.cli.batch.keys import batch_commands
from animcli.cli.main import COMMANDS
from animcli.errors import ProjectError, UsageError

GRID = """\
preset = "cutout"
output = "out/{reference}-{motion}-{seed}.mp4"

[grid]
reference = ["cast/*.png"]
motion = ["dances/*.pose"]
seed = [1, 2]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cast/anna.png", "cast/ben.png", "dances/waltz.pose", "dances/jig.pose"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read(file: JobFile, template: Sequence[str] = ()) -> Reading:
    return read_jobs(file, batch_commands(COMMANDS, file.folder), template)


def told(reading: Reading) -> list[str]:
    return [problem.told(reading.file.name) for problem in reading.problems]


def test_a_grid_makes_all_combinations(folder: Path) -> None:
    reading = read(parse_toml(GRID, "jobs.toml", folder))
    assert told(reading) == []
    names = [job.name for job in reading.jobs]
    assert names[0] == "anna-jig-1"
    assert len(set(names)) == len(names) == 8
    assert reading.jobs[0].results == ("out/anna-jig-1.mp4",)


def test_a_job_has_the_words_of_the_command_line(folder: Path) -> None:
    job = read(parse_toml(GRID, "jobs.toml", folder)).jobs[7]
    assert " ".join(job.words) == (
        "render cast/ben.png --motion dances/waltz.pose --preset cutout --seed 2 "
        "--output out/ben-waltz-2.mp4"
    )


def test_a_job_overrides_what_all_have_in_common(folder: Path) -> None:
    text = 'seed = 3\nsize = "64x64"\n[[job]]\nreference = "cast/anna.png"\n'
    text += 'motion = "dances/jig.pose"\nseed = 4\nname = "finale"\naudio = false\n'
    (job,) = read(parse_toml(text, "jobs.toml", folder)).jobs
    assert job.name == "finale"
    assert job.words[job.words.index("--seed") :][:2] == ("--seed", "4")
    assert "--no-audio" in job.words
    assert job.results == ("anna-jig.mp4",)  # as the command itself would call it


def test_all_mistakes_are_told_at_once_with_their_lines(folder: Path) -> None:
    text = """\
preset = "cutout"
bogus = 3

[grid]
reference = ["cast/*.jpg"]
motion = ["dances/*.pose"]

[[job]]
reference = "cast/nobody.png"
motion = "dances/jig.pose"
seed = "many"

[[job]]
reference = "cast/anna.png"
steps = 30
size = "63x64"
after = ["nothing"]
"""
    lines = told(read(parse_toml(text, "jobs.toml", folder)))
    for start in (
        "jobs.toml:5: reference: cast/*.jpg matches nothing",
        "jobs.toml:2: bogus: render has no such key",
        "jobs.toml:9: reference: cast/nobody.png: no such file",
        "jobs.toml:11: seed: seed is a whole number, not 'many'",
        "jobs.toml:13: steps: has no effect with the preset cutout",
        "jobs.toml:16: size: ",
        "jobs.toml:13: after: no job 'nothing'",
    ):
        assert any(line.startswith(start) for line in lines), (start, lines)
    assert len(lines) == 7


def test_two_jobs_may_not_make_one_file(folder: Path) -> None:
    text = GRID.replace("-{seed}", "")
    lines = told(read(parse_toml(text, "jobs.toml", folder)))
    assert "out/anna-jig.mp4 is made by 'anna-jig-1' too" in lines[0]
    assert len(lines) == 4


def test_a_template_with_an_unknown_field_is_a_mistake(folder: Path) -> None:
    text = GRID.replace("{seed}", "{sede}")
    lines = told(read(parse_toml(text, "jobs.toml", folder)))
    assert lines[0] == "jobs.toml:2: output: {sede} isn't known"


def test_jobs_that_wait_for_one_another_are_a_mistake(folder: Path) -> None:
    rows = [
        Row({"name": name, "reference": "cast/anna.png", "motion": "dances/jig.pose",
             "output": f"{name}.mp4", "after": after}, 1)
        for name, after in (("a", ["b"]), ("b", ["a"]))
    ]  # fmt: skip
    lines = told(read(JobFile("jobs", folder, Row({}, 0), rows=tuple(rows))))
    assert lines == ["jobs: after: a circle: a after b after a"]


def test_a_job_may_read_what_another_makes(folder: Path) -> None:
    text = """\
[[job]]
command = "extract-pose"
name = "pose"
videos = "dances/jig.pose"
output = "jig2.pose"

[[job]]
reference = "cast/anna.png"
motion = "jig2.pose"
after = ["pose"]
"""
    reading = read(parse_toml(text, "jobs.toml", folder))
    assert told(reading) == []
    assert reading.jobs[1].after == ("pose",)


def test_cells_are_read_as_their_keys_want_them(folder: Path) -> None:
    text = "reference,motion,seed,audio,frames\n"
    text += "cast/anna.png,dances/jig.pose,7,false,12\n"
    text += "cast/ben.png,dances/jig.pose,,,\n"
    text += "cast/ben.png,dances/waltz.pose,x,maybe,1.5\n"
    reading = read(parse_table(text, "jobs.csv", folder, ","))
    assert reading.jobs[0].words[-5:] == ("--frames", "12", "--seed", "7", "--no-audio")
    assert reading.jobs[1].words == (
        "render", "cast/ben.png", "--motion", "dances/jig.pose",
    )  # fmt: skip
    assert [line.split(": ")[:2] for line in told(reading)] == [
        ["jobs.csv:4", "seed"], ["jobs.csv:4", "audio"], ["jobs.csv:4", "frames"],
    ]  # fmt: skip


def test_tabs_and_quoted_cells_of_several_lines_keep_their_line_numbers(
    folder: Path,
) -> None:
    text = 'name\treference\tmotion\n"a\nb"\tcast/anna.png\tdances/jig.pose\nc\tnone\tx\n'
    lines = told(read(parse_table(text, "jobs.tsv", folder, "\t")))
    assert lines[0].startswith("jobs.tsv:2: name: 'a\nb' can't be a name")
    assert lines[1] == "jobs.tsv:4: reference: none: no such file"


def test_json_lines_are_jobs(folder: Path) -> None:
    lines = [
        "# a comment",
        "",
        json.dumps({"reference": "cast/*.png", "motion": "dances/jig.pose"}),
    ]
    rows = tuple(parse_json_lines(lines, "jobs.jsonl"))
    reading = read(JobFile("jobs.jsonl", folder, Row({}, 0), rows=rows))
    assert [job.name for job in reading.jobs] == ["anna-jig", "ben-jig"]
    assert reading.jobs[0].line == 3


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jobs.yaml", "a: 1", "YAML isn't read"),
        ("jobs.txt", "", "a job file is"),
        ("jobs.toml", "a = 1\nb = ", "jobs.toml:2"),
        ("jobs.csv", "a,a\n1,2\n", "jobs.csv:1"),
        ("jobs.csv", "a,b\n1,2,3\n", "jobs.csv:2: 3 cells under 2 heads"),
        ("jobs.jsonl", '{"a": 1}\n[1]\n', "jobs.jsonl:2: a job is an object"),
        ("jobs.jsonl", '{"a"', "jobs.jsonl:1: not JSON"),
    ],
)
def test_a_file_that_can_t_be_read_is_one_mistake(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ProjectError, match=said):
        read_job_file(tmp_path / name)


def test_words_with_values_behind_colons_are_a_grid(folder: Path) -> None:
    words = "render {who} --motion {motion} --seed=5 -o out/{who}-{motion}.mp4 then encode"
    words += " --codec vp9 -o {name}.webm ::: who cast/anna.png cast/ben.png ::: motion"
    template, file = parse_words([*words.split(), "dances/jig.pose"], folder)
    reading = read(file, template)
    assert told(reading) == []
    assert " ".join(reading.jobs[0].words) == (
        "render cast/anna.png --motion dances/jig.pose --seed 5 --output out/anna-jig.mp4 "
        "then encode --codec vp9 -o anna-jig-5.webm"
    )
    assert reading.jobs[0].results == ("out/anna-jig.mp4", "anna-jig-5.webm")


@pytest.mark.parametrize("words", ["::: a b", "render x :::", "render x ::: a"])
def test_colons_without_key_or_values_are_a_usage_error(folder: Path, words: str) -> None:
    with pytest.raises(UsageError):
        parse_words(words.split(), folder)


def test_a_hundred_thousand_jobs_plan_in_seconds_without_torch(folder: Path) -> None:
    seeds = ", ".join(str(seed) for seed in range(25_000))
    text = GRID.replace("[1, 2]", f"[{seeds}]")
    started = time.process_time()  # the machine may be busy with other things
    reading = read(parse_toml(text, "jobs.toml", folder))
    assert len(reading.jobs) == 100_000
    assert told(reading) == []
    assert time.process_time() - started < 20


def test_planning_loads_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from animcli.cli.main import COMMANDS\n"
        "from animcli.cli.batch.run import commands; commands(Path())\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'ray', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.integers(1, 12), st.lists(st.integers(0, 30), max_size=31), st.integers(0, 10))
def test_slices_cover_all_jobs_once_and_keep_those_that_wait_together(
    of: int, links: list[int], extra: int
) -> None:
    jobs = [
        Job(
            n,
            str(n),
            (),
            (),
            after=(str(links[n]),) if n < len(links) and links[n] < n else (),
        )
        for n in range(len(links) + extra)
    ]
    parts = [in_slice(jobs, number, of) for number in range(of)]
    assert sorted(job.index for part in parts for job in part) == list(range(len(jobs)))
    for part in parts:
        names = {job.name for job in part}
        assert all(set(job.after) <= names for job in part)
