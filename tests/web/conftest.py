"""Files that are brought in, a server with small stand-ins, and a tab of its page."""

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.paper_doll import STANDING
from builders.stages import spot_pictures
from builders.videos import tiny_clip
from page_tab import EVIL, FRAMES, Tab
from web_server import STAND_INS, Served, serving

from animcli.pose import keypoints as s
from animcli.pose.io_pose import write_pose
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.video.images import write_picture


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, a clip, and a motion of a doll that sways."""
    folder = tmp_path_factory.mktemp("files")
    pictures = list(spot_pictures(FRAMES))
    write_picture(folder / "ref.png", pictures[0])
    tiny_clip(
        folder / "spot.mp4", FRAMES, width=64, height=96,
        picture=lambda index, width, height: pictures[index],
    )  # fmt: skip
    points = np.zeros((FRAMES, s.KEYPOINTS, 2), np.float32)
    scores = np.zeros((FRAMES, s.KEYPOINTS), np.float32)
    for joint, place in STANDING.items():
        points[:, joint] = place
        scores[:, joint] = 0.9
    points[..., 0] += np.arange(FRAMES)[:, None] * 2
    ticks, base = even_ticks(FRAMES, Fraction(24))
    write_pose(folder / "doll.pose", PoseSequence(points, scores, ticks, base, (256, 384)))
    shutil.copy(folder / "spot.mp4", folder / EVIL)
    (folder / "page.mp4").write_bytes(b"<!doctype html><p>not found")
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gate = tmp_path / "gate"
    with serving(
        tmp_path / "project", program=STAND_INS, env={"ANIM_TEST_GATE": str(gate)}
    ) as server:
        yield server


@pytest.fixture
def tab(browser: Any, served: Served) -> Iterator[Tab]:
    tab = Tab(browser, served)
    yield tab
    tab.close()
