"""`anim batch` as users meet it: real jobs with small stand-ins, killed and given again."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from batch_stand_ins import digests, environment, listening, prepare

from animcli.batch.journal import read_journal
from animcli.cli.batch.job import variables
from animcli.cli.batch.run import LOW_MEMORY
from animcli.cli.config import read_sources

TESTS = Path(__file__).resolve().parents[1]
PROGRAM = [sys.executable, str(TESTS / "batch_stand_ins.py")]
BATCH = ["batch", "jobs.toml"]
LIMIT_S = 300


def anim(folder: Path, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, *words], cwd=folder, env=environment(), input=given,
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip


def journal(folder: Path, name: str = "jobs") -> list[dict[str, object]]:
    return list(read_journal(folder / ".anim" / "batch" / f"{name}.jsonl"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What single commands make of the jobs, in one process with `then`."""
    folder = tmp_path_factory.mktemp("single")
    prepare(folder)
    (folder / "out").mkdir()
    words = " then ".join(
        f"render ref.png --motion {motion} --preset cutout --size 64x96 --codec png "
        f"--no-retarget --frames 20 --seed {seed} --output out/ref-{motion}-{seed}"
        for motion in ("first", "second")
        for seed in range(2)
    )
    made = anim(folder, *words.split())
    assert made.returncode == 0, made.stderr
    return digests(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path)
    return tmp_path


def test_a_batch_makes_the_frames_of_single_commands_and_extracts_once(
    folder: Path, expected: dict[str, str]
) -> None:
    before = anim(folder, *BATCH, "--dry-run")
    assert before.stdout.count("would run") == 4
    assert not (folder / ".anim").exists()
    made = anim(folder, *BATCH, "--slots", "2")
    assert made.returncode == 0, made.stderr
    assert sorted(made.stdout.splitlines()) == [f"out/{name}" for name in sorted(expected)]
    assert digests(folder) == expected
    logs = "".join(
        path.read_text() for path in (folder / ".anim" / "batch" / "jobs").glob("*.log")
    )
    assert logs.count("extract-pose: ") == 2  # one for each motion, of four jobs
    after = anim(folder, *BATCH, "--dry-run", "--json")
    assert {json.loads(line)["state"] for line in after.stdout.splitlines()} == {"done"}
    status = anim(folder, *BATCH, "--status")
    assert status.stdout == "4 done\n"


def test_a_batch_whose_driver_and_children_are_killed_ends_with_the_same_frames(
    folder: Path, expected: dict[str, str]
) -> None:
    chance = random.Random(3)
    for longer in range(60):  # so that it ends on a machine that is busy, too
        driver = subprocess.Popen(
            [*PROGRAM, *BATCH, "--slots", "2", "--quiet"], cwd=folder, env=environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            code = driver.wait(chance.uniform(2, 10 + 4 * longer))
        except subprocess.TimeoutExpired:
            children = psutil.Process(driver.pid).children()
            if children and chance.random() < 0.5:
                os.kill(chance.choice(children).pid, signal.SIGSEGV)
                time.sleep(chance.uniform(0, 2))
            driver.kill()
            driver.wait()
        else:
            assert code == 0
            break
    assert digests(folder) == expected
    ends = [
        x["job"] for x in journal(folder) if x["event"] == "end" and x["exit_code"] == 0
    ]
    assert sorted(ends) == sorted(expected)  # each once


def test_a_signal_stops_a_batch_where_it_goes_on(
    folder: Path, expected: dict[str, str]
) -> None:
    driver = subprocess.Popen(
        [*PROGRAM, *BATCH, "--quiet"], cwd=folder, env=environment(), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + LIMIT_S
    while not any(x["event"] == "start" for x in journal(folder)):
        assert time.monotonic() < until
        time.sleep(0.05)
    second = anim(folder, *BATCH)
    driver.send_signal(signal.SIGTERM)
    _, said = driver.communicate(timeout=LIMIT_S)
    assert second.returncode == 8  # the journal is the first one's
    assert "busy with jobs" in second.stderr
    assert (driver.returncode, "goes on from here" in said) == (143, True)
    assert anim(folder, *BATCH).returncode == 0
    assert digests(folder) == expected


def test_a_batch_on_this_machine_listens_to_nobody(folder: Path) -> None:
    driver = subprocess.Popen(
        [*PROGRAM, *BATCH, "--slots", "2", "--quiet"], cwd=folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seen, most = set(), 0
    while driver.poll() is None:
        seen |= listening(driver.pid)
        with suppress(psutil.Error):
            most = max(most, len(psutil.Process(driver.pid).children()))
        time.sleep(0.05)
    assert (driver.returncode, most, seen) == (0, 2, set())


def test_a_socket_that_listens_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        assert listening(os.getpid()) == {"127.0.0.1"}


def test_a_bad_job_fails_alone_and_only_it_is_tried_again(folder: Path) -> None:
    (folder / "bad.pose").write_text("no pose")
    more = '\n[[job]]\nname = "bad"\nreference = "ref.png"\nmotion = "bad.pose"\nseed = 0\n'
    path = folder / "jobs.toml"
    path.write_text(path.read_text() + more)
    made = anim(folder, *BATCH, "--json")
    assert made.returncode == 9
    told = [json.loads(line) for line in made.stdout.splitlines()]
    assert told[-1] == {"done": 4, "fresh": 0, "failed": 1, "left": 0}
    (failed,) = [each for each in told[:-1] if each["state"] == "failed"]
    assert (failed["job"], failed["exit_code"]) == ("bad", 3)
    again = anim(folder, *BATCH, "--only", "failed", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["failed"] == 1
    assert len(again.stdout.splitlines()) == 2
    status = anim(folder, *BATCH, "--status")
    assert "bad  failed: " in status.stdout
    assert status.stdout.endswith("4 done, 1 failed\n")


@pytest.mark.parametrize("preset", ["animate-anyone", "cinemo", "wan-animate", "cutout"])
def test_a_second_attempt_in_less_memory_is_one_that_the_renderer_understands(
    tmp_path: Path, preset: str
) -> None:
    with variables(LOW_MEMORY):
        settings = read_sources(tmp_path, None).resolve({}, preset)
    assert settings.options.offload == "networks"
    if settings.preset.supports("cfg_batch"):
        assert settings.preset.cfg_batch == "off"
    assert not LOW_MEMORY.keys() & os.environ.keys()


def test_jobs_come_from_standard_input_while_others_run(folder: Path) -> None:
    job = {
        "preset": "cutout", "size": "64x96", "codec": "png", "no_retarget": True,
        "frames": 5, "reference": "ref.png", "motion": "first",
    }  # fmt: skip
    lines = [json.dumps({**job, "seed": seed, "output": f"s{seed}"}) for seed in (1, 2)]
    made = anim(folder, "batch", "-", given="\n".join([lines[0], "{", lines[1]]))
    assert (folder / "s1").is_dir()
    assert (folder / "s2").is_dir()
    assert "stdin:2: not JSON" in made.stderr
    assert made.returncode == 9


def test_mistakes_in_a_job_file_are_told_before_any_work(folder: Path) -> None:
    path = folder / "jobs.toml"
    path.write_text(path.read_text().replace("frames = 20", "frame = 20\nseed = -1"))
    made = anim(folder, *BATCH)
    assert made.returncode == 4
    assert "jobs.toml:5: frame: render has no such key" in made.stderr
    assert "did you mean 'frames'?" in made.stderr
    assert not (folder / ".anim").exists()


def test_slices_together_are_the_batch(folder: Path, expected: dict[str, str]) -> None:
    for number in range(2):
        assert anim(folder, *BATCH, "--slice", f"{number}/2").returncode == 0
    assert digests(folder) == expected
    assert anim(folder, *BATCH, "--status").stdout == "4 done\n"


@pytest.mark.parametrize("words", ["batch --help", "batch jobs.toml --dry-run"])
def test_neither_ray_nor_torch_is_needed_to_ask_about_a_batch(
    folder: Path, words: str
) -> None:
    blocked = folder / "blocked"
    blocked.mkdir()
    for name in ("torch", "ray"):
        (blocked / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    own = environment()
    own["PYTHONPATH"] = os.pathsep.join([str(blocked), own["PYTHONPATH"]])
    said = subprocess.run(
        [*PROGRAM, *words.split()], cwd=folder, env=own, capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "Usage" in said.stdout or said.stdout.count("would run") == 4
