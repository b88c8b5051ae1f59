"""Results go to standard output, all else to standard error, plain where no one looks."""

import io
import json
import sys
import threading
from pathlib import Path

import pytest

from animcli.cli.console import (
    Console,
    ProgressBar,
    ProgressLines,
    duration,
    one_line,
    shown,
)
from animcli.errors import InputError


def test_an_error_is_one_plain_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    Console(quiet=True).failure(InputError("dance.mp4: no such file", "give another"))
    assert capsys.readouterr() == (
        "",
        "error: dance.mp4: no such file\n hint: give another\n",
    )


def test_a_name_with_a_line_break_stays_on_one_line() -> None:
    assert one_line("a\nb\x1b[31m") == "a\\nb\\x1b[31m"


def test_quiet_leaves_results_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.progress("rendering", 1, 2)
    console.warn("rotated")
    console.stage_done("render", cached=False, seconds=1)
    console.result(["a.mp4"], [{"path": "a.mp4"}])
    console.close()
    assert capsys.readouterr() == ("a.mp4\n", "")


def test_the_json_object_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True, as_json=True)
    console.warn("rotated")
    console.stage_done("render", cached=True, seconds=0)
    console.result(["a.mp4"], [{"path": "a.mp4"}])
    console.failure(InputError("b.mp4: 0 bytes"))
    console.close()
    assert json.loads(capsys.readouterr().out) == {
        "schema": 2,
        "results": [{"path": "a.mp4"}],
        "stages": [{"stage": "render", "outcome": "cached", "seconds": 0}],
        "warnings": ["rotated"],
        "error": {"message": "b.mp4: 0 bytes", "hint": "", "exit_code": 3},
    }


def test_a_note_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.warn("rotated")
    console.warn("rotated")
    assert capsys.readouterr().err == "note: rotated\n"


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_and_those_who_ask(
    variables: dict[str, str],
    coloured: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Console().failure(InputError("x"))
    assert ("\x1b[" in capsys.readouterr().err) == coloured


def test_more_words_only_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    Console().stage_done("render", cached=True, seconds=0)
    assert capsys.readouterr().err == ""
    Console(verbosity=1).stage_done("render", cached=True, seconds=0)
    assert capsys.readouterr().err == "render: done already\n"


def test_paths_below_the_working_folder_are_shown_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "a" / "b.png") == str(Path("a", "b.png"))
    assert shown(tmp_path.parent) == str(tmp_path.parent)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_for_each_tenth_with_rate_and_time_left() -> None:
    said: list[str] = []
    clock = Clock()
    lines = ProgressLines(said.append, clock)
    for frame in range(101):
        clock.now = frame * 0.5
        lines.show("rendering", frame, 100)
    assert len(said) == 10
    assert said[0] == "rendering: 10 of 100 (10 %), 2.0/s, 45 s left"
    assert said[-1] == "rendering: 100 of 100 (100 %), 2.0/s"


def test_fast_work_does_not_fill_a_log() -> None:
    said: list[str] = []
    clock = Clock()
    lines = ProgressLines(said.append, clock)
    for frame in range(101):
        clock.now = frame * 0.01
        lines.show("rendering", frame, 100)
    assert said == []


def test_slow_work_shows_that_it_lives() -> None:
    said: list[str] = []
    clock = Clock()
    lines = ProgressLines(said.append, clock)
    for frame in range(4):
        clock.now = frame * 31.0
        lines.show("denoising", frame, 1000)
    assert said == [
        "denoising: 1 of 1000 (0 %), 31 s each, 8 h 36 min left",
        "denoising: 2 of 1000 (0 %), 31 s each, 8 h 36 min left",
        "denoising: 3 of 1000 (0 %), 31 s each, 8 h 35 min left",
    ]


def test_work_that_goes_on_counts_its_rate_from_where_it_went_on() -> None:
    said: list[str] = []
    clock = Clock()
    lines = ProgressLines(said.append, clock)
    lines.show("rendering", 90, 100)
    clock.now = 5.0
    lines.show("rendering", 100, 100)
    assert said == ["rendering: 100 of 100 (100 %), 2.0/s"]


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal, as far as rich can tell."""
    made = io.StringIO()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    return made


def test_the_bar_shows_count_rate_and_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch)
    clock = Clock()
    bar = ProgressBar(clock)
    bar.show("denoising", 0, 12)
    clock.now = 90.0
    bar.show("denoising", 1, 12)  # the time left is known from the first step on
    bar.end()
    assert "denoising" in screen.getvalue()
    assert "0:00:00" in screen.getvalue()  # spent, by rich's own clock
    assert "1/12" in screen.getvalue()
    assert "90 s each, 16 min left" in screen.getvalue()


def wait_for_timers() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(30)


def test_where_nothing_is_counted_a_spinner_shows_that_work_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch)
    bar = ProgressBar()
    bar.rest()
    wait_for_timers()  # 0.7 s
    bar.end()
    assert "working" in screen.getvalue()
    assert "0:00:00" in screen.getvalue()
    assert "/?" not in screen.getvalue()


def test_a_spinner_does_not_come_over_what_was_shown_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch)
    bar = ProgressBar()
    bar.rest()
    bar.show("denoising", 0, 12)
    wait_for_timers()
    assert bar.what == "denoising"
    bar.rest()
    bar.end()
    wait_for_timers()
    assert "working" not in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (42, "42 s"), (100, "2 min"), (7260, "2 h 1 min")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words
