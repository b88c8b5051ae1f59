"""The child that answers the page's questions: whose turn it is, and what if it ends."""

import asyncio
import os
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from builders.stages import spot_pictures
from web_server import HERE

from animcli.stages.frames import SEGMENT
from animcli.video.lossless import write_lossless
from animcli.web.look import video_so_far
from animcli.web.looker import Looker, LookError


def work(request: Mapping[str, Any], tell: Any) -> dict[str, Any]:
    """In the child: wait for a file, end at once, or say how many were asked before."""
    if request["do"] == "die":
        os._exit(9)
    while request["do"] == "wait" and not Path(request["path"]).exists():
        time.sleep(0.01)
    work.count += 1  # type: ignore[attr-defined]
    return {"place": work.count, "exit_code": 0}  # type: ignore[attr-defined]


work.count = 0  # type: ignore[attr-defined]


@pytest.fixture
def looker(tmp_path: Path) -> Looker:
    path = os.pathsep.join([str(HERE), str(HERE / "tests"), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    return Looker(f"{Path(__file__).stem}:work", environment, tmp_path / "log")


def test_what_nobody_waits_for_is_asked_last(looker: Looker, tmp_path: Path) -> None:
    async def ask() -> list[int]:
        gate = tmp_path / "gate"
        first = asyncio.ensure_future(looker.ask(do="wait", path=str(gate)))
        await asyncio.sleep(0)  # it is with the child
        patient = [asyncio.ensure_future(looker.ask(do="x", patient=True)) for _ in "ab"]
        others = [asyncio.ensure_future(looker.ask(do="x")) for _ in "ab"]
        await asyncio.sleep(0)
        gate.touch()
        said = await asyncio.gather(first, *others, *patient)
        looker.close()
        return [each["place"] for each in said]

    assert asyncio.run(ask()) == [1, 2, 3, 4, 5]


def test_a_question_that_ends_the_child_harms_no_other(looker: Looker) -> None:
    async def ask() -> list[Any]:
        questions = (looker.ask(do=what) for what in ("x", "die", "x"))
        said = await asyncio.gather(*questions, return_exceptions=True)
        looker.close()
        return list(said)

    before, died, after = asyncio.run(ask())
    assert before["place"] == 1
    assert isinstance(died, LookError)
    assert "the process that looks at files ended" in str(died)
    assert after["place"] == 1  # of another child


def test_of_the_videos_of_a_render_in_progress_the_longest_is_kept(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "decoded"
    (work / "entry" / "render").mkdir(parents=True)
    frames = list(spot_pictures(SEGMENT))
    for number in range(2):
        segment = work / "entry" / "render" / f"frames-{number:06d}.frames"
        write_lossless(segment, frames, Fraction(24))
        said = video_so_far(work, folder, number * SEGMENT)
        assert said["frames"] == (number + 1) * SEGMENT
        assert [str(path) for path in folder.glob("[0-9]*.mp4")] == [said["path"]]
    assert video_so_far(work, folder, 2 * SEGMENT) == {}
