"""A camera that moves is told from a dancer who does, and doesn't move the figure."""

from dataclasses import replace

import numpy as np
import pytest
from builders import dancer

from animcli.pose import keypoints as s
from animcli.pose.retarget.camera import Camera
from animcli.pose.retarget.retarget import retarget
from animcli.pose.sequence import PoseSequence

USUAL = dancer.Body()
REFERENCE = dancer.portrait(USUAL)
FEET = [s.RIGHT_ANKLE, s.LEFT_ANKLE]
TALL = dancer.PORTRAIT.height_px(USUAL)


def filmed(angles: dancer.Angles) -> PoseSequence:
    return dancer.film(dancer.perform(USUAL, angles), dancer.STAGE)


def panned(motion: PoseSequence, across: float, down: float) -> PoseSequence:
    """The camera swings by so many heights, once to and fro in three and four seconds."""
    t = np.arange(len(motion)) / float(dancer.RATE)
    tall = dancer.STAGE.height_px(USUAL)
    shift = np.stack(
        [across * np.sin(2 * np.pi * t / 3), down * np.sin(2 * np.pi * t / 4)], axis=1
    )
    points = motion.points + tall * shift[:, None]
    return replace(motion, points=points.astype(np.float32))


def grown(motion: PoseSequence) -> PoseSequence:
    """The camera comes nearer, the dancer half as large again at the end."""
    scale = np.linspace(1, 1.5, len(motion))[:, None, None]
    middle = np.array(motion.size) / 2
    points = middle + (motion.points - middle) * scale
    return replace(motion, points=points.astype(np.float32))


def read_as(motion: PoseSequence) -> object:
    return retarget(motion, REFERENCE).origin.retarget["camera"]


@pytest.mark.parametrize("seed", range(40, 45))
def test_a_camera_that_pans_is_seen_by_feet_that_move_aside_together(seed: int) -> None:
    assert read_as(panned(filmed(dancer.dance(seed)), 0.3, 0.2)) == "moving"


@pytest.mark.parametrize("seed", range(40, 45))
@pytest.mark.parametrize("aside", [0.0, 0.8, 1.57])
def test_a_dancer_who_walks_does_not_move_the_camera(seed: int, aside: float) -> None:
    angles = dancer.dance(seed, walk=0.8)
    assert read_as(filmed(replace(angles, yaw=angles.yaw + aside))) in ("still", "walk")


def test_a_dancer_who_hops_on_and_on_does_not_move_the_camera() -> None:
    flight = np.arange(12)
    hop = np.concatenate([0.1 * 4 * flight * (11 - flight) / 121, np.zeros(10)])
    angles = dancer.dance(40)
    hopping = replace(angles, jump=np.resize(hop, len(angles.jump)))
    assert read_as(filmed(hopping)) == "still"


def test_before_a_moving_camera_the_lower_foot_stays_on_the_ground() -> None:
    moved = panned(grown(filmed(dancer.dance(41))), 0.3, 0.3)
    result = retarget(moved, REFERENCE)
    ground = REFERENCE.points[0, FEET, 1].max()
    lowest = result.points[:, FEET, 1].max(axis=1)
    assert np.abs(lowest - ground).max() / TALL < 0.001  # 0.48 if it is read as a walk
    trunk = np.linalg.norm(
        result.points[:, s.NECK] - result.points[:, [s.RIGHT_HIP, s.LEFT_HIP]].mean(axis=1),
        axis=1,
    )
    first, last = np.median(trunk[:60]), np.median(trunk[-60:])
    assert last / first == pytest.approx(1, abs=0.1)  # 1.33 if read as a walk
    assert any("camera moves" in note for note in result.origin.retarget["notes"])


def test_a_foot_does_not_slide_while_the_camera_pans() -> None:
    take = dancer.perform(USUAL, dancer.dance(42))
    moved = panned(dancer.film(take, dancer.STAGE), 0.3, 0.0)
    rests = (take.stance[1:] == take.stance[:-1]) & (take.stance[1:] >= 0)

    def slide(result: PoseSequence) -> float:
        steps = np.abs(np.diff(result.points[:, FEET, 0], axis=0))
        return float(steps[np.arange(len(steps)), take.stance[1:]][rests].mean()) / TALL

    assert slide(retarget(moved, REFERENCE)) < 0.002
    assert slide(retarget(moved, REFERENCE, camera=Camera.WALK)) > 0.005
