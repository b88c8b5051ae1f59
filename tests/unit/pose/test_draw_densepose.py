"""DensePose's parts: their colours, and bodies drawn over keypoints."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import dancer

from animcli.pose import keypoints as s
from animcli.pose.draw import ControlKind, recognise
from animcli.pose.draw_densepose import PART_COLOURS, PARTS, draw_parts, paint, read_parts
from animcli.pose.lifting import lift
from animcli.pose.sequence import PoseSequence

ALL = np.arange(25, dtype=np.uint8)[None]


def parts_of(motion: PoseSequence, frame: int = 0) -> np.ndarray:
    return draw_parts(lift(motion), frame, motion.size)


def turned(degrees: float, frames: int = 24) -> PoseSequence:
    """A body that stands still, turned so far towards its own left."""
    angles = replace(dancer.stand(frames), yaw=np.full(frames, np.radians(degrees)))
    return dancer.film(dancer.perform(dancer.Body(), angles), dancer.STAGE)


def share(parts: np.ndarray, index: int) -> float:
    return float((parts == index).sum() / (parts > 0).sum())


def test_colours_are_opencvs_viridis_at_even_steps() -> None:
    steps = (np.arange(25) * np.float32(255 / 24)).astype(np.uint8)
    viridis = cv2.applyColorMap(steps, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    assert len(PARTS) == 25
    np.testing.assert_array_equal(PART_COLOURS, viridis)


def test_painted_parts_read_back() -> None:
    np.testing.assert_array_equal(paint(ALL)[0], PART_COLOURS)
    np.testing.assert_array_equal(read_parts(paint(ALL)), ALL)


@pytest.mark.parametrize("shift", [-3, 3])
def test_parts_are_read_from_colours_that_compression_shifted(shift: int) -> None:
    off = np.clip(paint(ALL).astype(int) + shift, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(read_parts(off), ALL)


@pytest.mark.parametrize("name", ["densepose_dancing.mp4", "densepose_running.mp4"])
def test_real_clips_have_these_colours(media: Path, name: str) -> None:
    capture = cv2.VideoCapture(str(media / name))
    picture = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
    off = np.abs(picture.astype(int) - paint(read_parts(picture))).max(axis=2)
    # Flat areas are off by 3 or so, neighbouring colours 5 and more apart; the rest is
    # edges, blurred by half-size colour planes.
    assert (off <= 5).mean() > 0.9


def test_somebody_who_looks_at_us_shows_the_front() -> None:
    parts = parts_of(turned(0))
    shown = set(np.unique(parts).tolist())
    assert {2, 9, 10, 13, 14, 23, 24} <= shown
    assert share(parts, 2) > 50 * share(parts, 1)
    right, left = (np.nonzero(parts == index)[1].mean() for index in (23, 24))
    assert right < left  # in the picture, the other way round for them


def test_somebody_who_looks_away_shows_the_back() -> None:
    parts = parts_of(turned(180))
    assert share(parts, 1) > 50 * share(parts, 2)
    assert share(parts, 7) > 20 * share(parts, 9)
    columns = [np.nonzero(parts == index)[1].mean() for index in (7, 8)]
    assert columns[0] > columns[1]


@pytest.mark.parametrize(("degrees", "near"), [(90, "right"), (-90, "left")])
def test_from_the_side_the_near_arm_lies_over_the_trunk(degrees: float, near: str) -> None:
    parts = parts_of(turned(degrees))
    right, left = share(parts, 18) + share(parts, 16), share(parts, 17) + share(parts, 15)
    assert right > 2 * left if near == "right" else left > 2 * right
    head = {"right": 23, "left": 24}[near]
    assert share(parts, head) > 5 * share(parts, 47 - head)
    assert min(share(parts, 1), share(parts, 2)) > 0.02  # both halves of the trunk


def test_hands_before_the_body_are_seen_and_behind_it_are_not() -> None:
    facing = turned(0)
    for way, sign in ((facing, 1), (turned(180), -1)):
        points, scores = way.points.copy(), way.scores.copy()
        scores[:, s.LEFT_HAND] = scores[:, s.RIGHT_HAND] = 0
        belly = points[:, [s.RIGHT_HIP, s.LEFT_HIP, s.NECK]].mean(axis=1)
        points[:12, s.RIGHT_WRIST] = belly[
            :12
        ]  # later it hangs, so that its length is known
        points[:12, s.RIGHT_ELBOW] = (points[:12, s.RIGHT_SHOULDER] + belly[:12]) / 2
        moved = PoseSequence(points, scores, way.ticks, way.time_base, way.size)
        parts = parts_of(moved, 4)
        assert (parts == 3).any() == (sign > 0)


def test_what_is_unseen_is_not_drawn() -> None:
    motion = turned(0)
    no_arm = dancer.without(motion, [s.RIGHT_ELBOW, s.RIGHT_WRIST])
    missing = set(np.unique(parts_of(motion))) - set(np.unique(parts_of(no_arm)))
    assert missing >= {22} or missing >= {20}
    assert not {16, 18, 20, 22} & set(np.unique(parts_of(no_arm)))
    nobody = dancer.without(motion, list(range(s.KEYPOINTS)))
    assert not parts_of(nobody).any()


def test_a_body_twice_as_large_is_drawn_twice_as_large() -> None:
    small = turned(20)
    size = (small.size[0] * 2, small.size[1] * 2)
    large = PoseSequence(small.points * 2, small.scores, small.ticks, small.time_base, size)
    ours, theirs = parts_of(small), parts_of(large)[::2, ::2]
    # Edges fall elsewhere between pixels, over about 1 % of them.
    assert (ours == theirs).mean() > 0.99


def test_a_still_body_does_not_flicker() -> None:
    motion = turned(80, 48)
    noise = np.random.default_rng(0).normal(0, 1.0, motion.points.shape)
    trembling = PoseSequence(
        (motion.points + noise).astype(np.float32),
        motion.scores,
        motion.ticks,
        motion.time_base,
        motion.size,
    )
    bodies = lift(trembling)
    drawn = [draw_parts(bodies, frame, motion.size) for frame in range(48)]
    sides = np.sign(bodies.turn[:, 0])
    assert (sides == sides[0]).all()
    # A pixel of noise moves outlines; no part as large as a limb may come and go.
    changes = [(a != b).sum() / (b > 0).sum() for a, b in pairwise(drawn)]
    assert max(changes) < 0.15


def test_drawings_are_known_for_densepose() -> None:
    motion = turned(30)
    bodies = lift(motion)
    pictures = [paint(draw_parts(bodies, frame, motion.size)) for frame in (0, 12)]
    assert recognise(pictures) is ControlKind.DENSEPOSE


def test_a_single_frame_is_enough() -> None:
    motion = turned(0, 1)
    assert share(parts_of(motion), 2) > 0.2
