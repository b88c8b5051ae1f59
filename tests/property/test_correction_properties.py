"""An edit changes its own frame and its reach, keeps bones, and changes no more."""

import numpy as np
from builders.poses import random_pose
from hypothesis import given
from hypothesis import strategies as st

from animcli.pose import keypoints as s
from animcli.pose.bones import KEYPOINT_PARENTS
from animcli.pose.corrections import (
    ORDER,
    Corrections,
    Edit,
    MoveJoint,
    ShowJoint,
    SwapSides,
    as_json,
    correct,
    followers,
    parse_corrections,
    reach_of,
)

FRAMES = 24
frames = st.integers(0, FRAMES - 1)
keypoints = st.integers(0, s.KEYPOINTS - 1)
places = st.floats(-100, 900, width=32)
reaches = st.none() | st.integers(0, 8)
moves = st.builds(MoveJoint, frames, keypoints, places, places, reaches, st.booleans())


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    first, last = sorted((draw(frames), draw(frames)))
    return first, last


shows = st.builds(
    lambda span, joint, hidden: ShowJoint(*span, joint, hidden),
    spans(),
    keypoints,
    st.booleans(),
)
swaps = st.builds(
    lambda span, side: SwapSides(*span, side),
    spans(),
    st.sampled_from(["all", "arms", "legs"]),
)


@given(moves, st.integers(0, 5))
def test_an_edit_changes_nothing_outside_its_reach(move: MoveJoint, seed: int) -> None:
    pose = random_pose(FRAMES, seed=seed)
    made, _ = correct(pose, Corrections((move,)))
    before, behind = reach_of(pose, move)
    near = np.arange(FRAMES)
    near = (near >= move.frame - before) & (near <= move.frame + behind)
    assert made.points[~near].tobytes() == pose.points[~near].tobytes()
    assert made.scores[~near].tobytes() == pose.scores[~near].tobytes()
    others = [
        joint
        for joint in range(s.KEYPOINTS)
        if joint != move.joint and joint not in followers(move.joint, free=move.free)
    ]
    assert made.points[:, others].tobytes() == pose.points[:, others].tobytes()
    assert made.scores[:, others].tobytes() == pose.scores[:, others].tobytes()


@given(st.lists(moves, max_size=6), st.integers(0, 5))
def test_many_edits_change_nothing_outside_all_of_their_reaches(
    many: list[MoveJoint], seed: int
) -> None:
    pose = random_pose(FRAMES, seed=seed)
    made, _ = correct(pose, Corrections(tuple(many)))
    near = np.zeros((FRAMES, s.KEYPOINTS), bool)
    for move in many:
        before, behind = reach_of(pose, move)
        span = slice(max(0, move.frame - before), move.frame + behind + 1)
        near[span, [move.joint, *followers(move.joint, free=False)]] = True
    assert made.points[~near].tobytes() == pose.points[~near].tobytes()


@given(moves, st.integers(0, 5))
def test_a_free_joint_is_where_it_was_put(move: MoveJoint, seed: int) -> None:
    pose = random_pose(FRAMES, seed=seed)
    free = MoveJoint(move.frame, move.joint, move.x, move.y, move.reach, free=True)
    made, _ = correct(pose, Corrections((free,)))
    np.testing.assert_allclose(
        made.points[free.frame, free.joint], (free.x, free.y), atol=1e-3
    )  # px: float32
    assert made.scores[free.frame, free.joint] == 1


@given(moves, st.integers(0, 5))
def test_bones_keep_their_lengths_where_they_are_not_freed(
    move: MoveJoint, seed: int
) -> None:
    pose = random_pose(FRAMES, seed=seed)
    kept = MoveJoint(move.frame, move.joint, move.x, move.y, move.reach)
    made, _ = correct(pose, Corrections((kept,)))
    for joint in ORDER:
        parent = KEYPOINT_PARENTS[joint]
        if joint >= s.KEYPOINTS or parent >= s.KEYPOINTS:
            continue
        # A joint that wasn't seen has no bone that could keep its length.
        moved_unseen = (pose.scores[:, [kept.joint]] == 0).repeat(s.KEYPOINTS, axis=1)
        both = (pose.scores[:, joint] > 0) & (pose.scores[:, parent] > 0)
        both &= ~moved_unseen[:, joint]
        if (
            parent in (kept.joint, *followers(kept.joint, free=False))
            or joint == kept.joint
        ):
            before = np.linalg.norm(pose.points[:, joint] - pose.points[:, parent], axis=1)
            after = np.linalg.norm(made.points[:, joint] - made.points[:, parent], axis=1)
            np.testing.assert_allclose(after[both], before[both], atol=0.02)  # px: float32


@given(st.lists(moves | shows | swaps, max_size=8))
def test_edits_go_through_a_file_unchanged(edits: list[Edit]) -> None:
    corrections = Corrections(tuple(edits), "a" * 64, (512, 768))
    assert parse_corrections(as_json(corrections)) == corrections


@given(swaps, st.integers(0, 5))
def test_swapping_twice_is_not_swapping(swap: SwapSides, seed: int) -> None:
    pose = random_pose(FRAMES, seed=seed)
    once, _ = correct(pose, Corrections((swap,)))
    twice, _ = correct(pose, Corrections((swap, swap)))
    assert once.points.tobytes() != pose.points.tobytes()
    assert twice.points.tobytes() == pose.points.tobytes()
