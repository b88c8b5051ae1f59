"""The training script of a borrowed card, tried on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("train_tiny.sh")
TINY = """
updates = {updates}
batch = 2
frames = 2
evaluated = 2
steps = 2
first_samples = 2
warmup = 2

[data]
width = 64
height = 64
samples = 4
targets = 2
frames = 4
validation = 2

[autoencoder]
crop = 64
"""
AUTOENCODER = """
[data]
width = 64
height = 64

[autoencoder]
updates = 2
crop = 64
samples = 1
evaluated = 2
"""


def run(folder: Path, out: Path, updates: int) -> str:
    """What the script says."""
    root = Path(__file__).parents[2]
    settings = {
        "DEVICE": "cpu", "PYTHON": sys.executable, "OUT": str(out), "PYTHONPATH": str(root),
        "SETTINGS": TINY.format(updates=updates),
    }  # fmt: skip
    ran = subprocess.run(
        ["bash", str(SCRIPT), str(folder), "1"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow  # three processes that load torch, and train
def test_parts_that_come_back_are_gone_on_from(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "vae.toml").write_text(AUTOENCODER)
    subprocess.run(
        [sys.executable, "-m", "animcli", "train", str(tmp_path / "run"), "--settings",
         str(tmp_path / "vae.toml"), "--stage", "autoencoder"],
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        capture_output=True,
    )  # fmt: skip
    assert "updates 2" in run(tmp_path / "run", tmp_path / "out", updates=2)
    parts = sorted((tmp_path / "out").glob("checkpoint.part-*"))
    assert parts
    assert all(part.stat().st_size <= 15 << 20 for part in parts)
    home = tmp_path / "run" / "1"
    (home / "checkpoint.pt").unlink()
    for part in parts:
        part.rename(home / part.name)
    assert "updates 3" in run(tmp_path / "run", tmp_path / "out", updates=3)
