"""BlazePose on a clip of two dancers: both are followed, and either one can be taken."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders import two_dancers
from builders.two_dancers import NEAR, Pair, typical_error

from animcli.pipeline.executor import Executor
from animcli.pipeline.project import find_project
from animcli.pose.detectors.blazepose.tracker import BLAZEPOSE_DETECT_EVERY
from animcli.pose.io_pose import read_pose
from animcli.pose.keypoints import BODY
from animcli.pose.sequence import PoseSequence
from animcli.stages.extract import ExtractStage
from animcli.stages.inspect import tracks_in
from animcli.video.images import write_picture
from animcli.weights.store import WeightsStore, default_root

pytestmark = [pytest.mark.blazepose, pytest.mark.usefixtures("blazepose_models")]

FRAMES = 2 * BLAZEPOSE_DETECT_EVERY + 4
JOINS_AT = 4  # between the first look of the person detector and the second, at EVERY


@pytest.fixture(scope="module")
def pair() -> Pair:
    return two_dancers.dance(FRAMES, JOINS_AT)


@pytest.fixture(scope="module")
def taken(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PoseSequence]:
    """What is found for each person that may be asked for."""
    video = tmp_path_factory.mktemp("frames")
    for index, picture in enumerate(pair.pictures):
        write_picture(video / f"{index:03d}.png", picture)
    folder = tmp_path_factory.mktemp("project")
    at = Executor(find_project(folder), WeightsStore(default_root(os.environ)))
    return {person: read_pose(at.make(stage(video, person)).path) for person in ("1", "2")}


def stage(video: Path, person: str) -> ExtractStage:
    return ExtractStage(
        video, hands=False, face=False, clean=False, picture_rate=Fraction(12),
        person=person,
    )  # fmt: skip


def test_either_of_two_can_be_taken(pair: Pair, taken: dict[str, PoseSequence]) -> None:
    for person, truth in (("1", pair.left), ("2", pair.right)):
        found = taken[person]
        there = np.flatnonzero(found.scores[:, BODY].any(axis=1))
        errors = [typical_error(found.points[frame], truth[frame]) for frame in there]
        assert max(errors) < NEAR


def test_who_joins_later_is_followed_from_the_next_look_on(
    taken: dict[str, PoseSequence],
) -> None:
    there = {person: one.scores[:, BODY].any(axis=1) for person, one in taken.items()}
    assert there["1"].all()
    np.testing.assert_array_equal(there["2"], np.arange(FRAMES) >= BLAZEPOSE_DETECT_EVERY)


def test_the_file_lists_two_people_by_number(taken: dict[str, PoseSequence]) -> None:
    for person, found in taken.items():
        assert found.origin.person["track"] == int(person)
        tracks = tracks_in(found.origin)
        assert [track["number"] for track in tracks] == [1, 2]
        assert [track["frames"] for track in tracks] == [
            FRAMES,
            FRAMES - BLAZEPOSE_DETECT_EVERY,
        ]
