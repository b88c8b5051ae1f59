"""Whatever the motion, it comes back from its file."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from animcli.pose.io_pose import read_pose, write_pose
from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.sequence import Origin, PoseSequence

SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9)
SAYINGS = st.dictionaries(st.text(), SCALARS | st.lists(SCALARS, max_size=3), max_size=4)


@st.composite
def motions(draw: st.DrawFn) -> PoseSequence:
    frames = draw(st.integers(1, 4))
    steps = draw(st.lists(st.integers(-5, 90_000), min_size=frames, max_size=frames))
    seed = draw(st.integers(0, 2**32 - 1))
    scores = np.random.default_rng(seed).random((frames, KEYPOINTS), np.float32)
    scores[0, 0] = 1  # someone is there
    points = draw(
        arrays.arrays(
            np.float32, (frames, KEYPOINTS, 2), elements=st.floats(-1e5, 1e5, width=32)
        )
    )
    return PoseSequence(
        points,
        scores,
        np.cumsum(steps, dtype=np.int64),
        draw(st.fractions(Fraction(1, 10**6), 10)),
        draw(st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))),
        draw(st.floats(0, 1)),
        origin=Origin(source=draw(SAYINGS), retarget=draw(SAYINGS)),
    )


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example overwrites
)
@given(motions())
def test_a_motion_comes_back(tmp_path: Path, motion: PoseSequence) -> None:
    write_pose(tmp_path / "a.pose", motion)
    back = read_pose(tmp_path / "a.pose")
    expected = np.where(motion.scores[..., None] == 0, 0, motion.points)
    np.testing.assert_array_equal(back.points, expected)
    np.testing.assert_array_equal(back.scores, motion.scores)
    np.testing.assert_array_equal(back.ticks, motion.ticks)
    assert back.time_base == motion.time_base
    assert back.size == motion.size
    assert back.draw_threshold == motion.draw_threshold
    assert back.origin == motion.origin
