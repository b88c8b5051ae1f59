"""Damaged inputs end in a result or one clear error, and leave nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


def fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own: it forks, and pytest has threads."""
    root = SCRIPT.parents[2]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )


def test_forty_damaged_inputs_harm_nobody() -> None:
    done = fuzz("--quick", "--cases", "40", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 cases, 0 failed" in done.stdout


@pytest.mark.slow  # a quarter of an hour
def test_a_thousand_damaged_inputs_harm_nobody() -> None:
    done = fuzz("--cases", "1000", "--seed", "0")
    assert done.returncode == 0, done.stdout + done.stderr
