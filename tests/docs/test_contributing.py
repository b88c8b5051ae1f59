"""The changes that the page on contributing shows can be made, and do what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "contributing.md").read_text()
PROMISED = {
    name.capitalize(): int(files)
    for name, files in re.findall(r"^\| (an?(?:other)? [a-z ]+) \| (\d+) \|$", PAGE, re.M)
}
CHANGES = dict(
    re.findall(r"^### (.*?)\n(?:(?!###).)*?^```diff\n(.*?)^```", PAGE, re.M | re.S)
)

TRY = """
import json, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from animcli.cli.config import Options
from animcli.cli.main import COMMANDS, main, parse_line
from animcli.pose.detectors.registry import DetectorOptions, draw_threshold, open_detector
from animcli.presets import Preset, find_presets, load_preset
from animcli.registry import DEFAULT_RATE
from animcli.rendering.renderer import RenderRequest, load_renderer
from animcli.video.codecs import Codec, encoding_for, usual_suffix
from animcli.video.encode import encode_segment, join_segments
from animcli.video.lossless import write_lossless
from animcli.video.reader import open_footage
from animcli.weights.catalog import load_catalog

here = Path(sys.argv[1])
grey = np.full((48, 64, 3), 90, np.uint8)
write_lossless(here / "frames", [grey] * 4, DEFAULT_RATE)
encoding = encoding_for(here / "a.mkv", DEFAULT_RATE, "ffv1", None)
encode_segment([here / "frames"], encoding, here / "segment")
join_segments([here / "segment"], encoding, here / "a.mkv", None)
with open_footage(here / "a.mkv") as reader:
    clip = [reader.info.codec, len(list(reader.frames())), str(reader.info.rate)]
seconds = main(["seconds", str(here / "a.mkv")])
(person,) = open_detector("middle", None, DetectorOptions()).people(grey)
mix = np.eye(3, dtype=np.float32)[::-1].reshape(3, 3, 1, 1).copy()
save_file({"mix.weight": mix}, here / "tint.safetensors")
blue = grey * np.array([1, 0, 0], np.uint8)
request = RenderRequest(
    blue, None, None, None, None, 2, size=(64, 48), preset=load_preset("tint"),
    weights={"tint": here}, device="cpu",
)
frames = list(load_renderer("tint").prepare(request, None, print)(range(2)))
flags = [each.opts for each in COMMANDS.commands["render"].params]
print(json.dumps({
    "rate": str(DEFAULT_RATE),
    "detector": Options().detector,
    "clip": clip,
    "suffix": usual_suffix("ffv1"),
    "commands": list(COMMANDS.commands),
    "seconds": seconds,
    "person": person.points[:18, 0].tolist(),
    "threshold": draw_threshold("middle"),
    "frames": [frame[0, 0].tolist() for frame in frames],
    "preset": "tint" in find_presets(),
    "weights": load_catalog()["tint"].about,
    "heard": [load_preset(name).supports("mirror") for name in ("cutout", "tint")],
    "mirror": ["--mirror"] in flags,
    "mistakes": [str(each) for each in parse_line(
        ["render", "a.png", "-m", "b.mp4", "--detector", "middle", "--codec", "ffv1"]
    ).mistakes],
}))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code that the changes are about."""
    for name in ("animcli", "presets"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def patch(tree: Path, change: str) -> None:
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    subprocess.run(
        ["git", "apply", "-"], cwd=tree, input=change, text=True, check=True, env=outside
    )


def test_the_page_has_a_change_for_each_promise() -> None:
    assert len(PROMISED) == 7
    assert CHANGES.keys() == PROMISED.keys()


@pytest.mark.parametrize("name", PROMISED)
def test_a_change_opens_as_many_files_as_the_page_says(name: str) -> None:
    assert len(re.findall(r"^diff --git ", CHANGES[name], re.M)) == PROMISED[name]


def test_all_changes_together_do_what_they_say(tree: Path) -> None:
    for change in CHANGES.values():
        patch(tree, change)
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(tree)], cwd=tree, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert "0.16" in done.stdout.splitlines()
    assert said.pop("person") == [32.0] * 18
    assert {"render", "seconds"} <= set(said.pop("commands"))
    assert said == {
        "rate": "25",
        "detector": "dwpose",
        "clip": ["ffv1", 4, "25"],
        "suffix": ".mkv",
        "seconds": 0,
        "threshold": 0.5,
        "frames": [[0, 0, 90]] * 2,
        "preset": True,
        "weights": "mixes colours",
        "heard": [True, False],
        "mirror": True,
        "mistakes": [],
    }
