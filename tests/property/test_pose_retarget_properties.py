"""Whatever the dance and the dancers, retargeting keeps angles, ratios and frames."""

from dataclasses import replace

import numpy as np
from builders import dancer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.retarget.retarget import retarget

LIMBS = np.array([(2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13)]).T


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(2, 60))
def test_limbs_keep_their_directions(dance: int, body: int, frames: int) -> None:
    take = dancer.perform(dancer.Body(), dancer.dance(dance, frames=frames))
    motion = dancer.film(take, dancer.STAGE)
    result = retarget(motion, dancer.portrait(dancer.Body.from_seed(body)))
    before = motion.points[:, LIMBS[1]] - motion.points[:, LIMBS[0]]
    after = result.points[:, LIMBS[1]] - result.points[:, LIMBS[0]]
    cross = before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]
    length = np.linalg.norm(after, axis=2) * np.linalg.norm(before, axis=2)
    # Coordinates near 1000 in float32 are good to 6e-5 px at either end of a limb.
    tolerance = 1e-3 * (np.linalg.norm(before, axis=2) + np.linalg.norm(after, axis=2) + 1)
    assert (np.abs(cross) <= tolerance).all()
    assert ((before * after).sum(axis=2) >= -1e-3 * (length + 1)).all()


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0, 0.9), st.integers(1, 30))
@example(3, 0.875, 3)  # feet were seen often enough to tell a length, and nothing else was
def test_any_drop_outs_leave_finite_places_and_the_scores(
    seed: int, share: float, frames: int
) -> None:
    take = dancer.perform(dancer.Body(), dancer.dance(seed, frames=frames))
    motion = dancer.film(take, dancer.STAGE)
    random = np.random.default_rng(seed)
    scores = np.where(random.random((frames, KEYPOINTS)) < share, 0, motion.scores)
    scores[0, :18] = motion.scores[0, :18]  # someone is there
    points = np.where(scores[..., None] == 0, np.nan, motion.points)
    holes = replace(motion, points=np.nan_to_num(points), scores=scores)
    result = retarget(holes, dancer.portrait(dancer.Body.from_seed(seed)))
    assert np.isfinite(result.points).all()
    np.testing.assert_array_equal(result.scores, scores)
