"""Drawn clips: the same for a seed, and joints where the picture has them."""

import numpy as np

from animcli.training.drawn import draw_clip, draw_footage


def test_drawn_moments_are_always_the_same_and_their_people_are_masked() -> None:
    footage = draw_footage(3, 2, 64)
    assert footage.pictures.shape == (3, 64, 64, 3)
    assert footage.seen.shape == (3, 18)
    np.testing.assert_array_equal(footage.pictures, draw_footage(3, 2, 64).pictures)
    for mask, joints, seen in zip(footage.masks, footage.joints, footage.seen, strict=True):
        x, y = (64 * joints[seen]).clip(0, 63).astype(int).T
        assert (mask[y, x] > 0).mean() > 0.8  # wrists and ears may lie on an edge


def test_joints_outside_of_the_picture_are_not_seen() -> None:
    drawn = [draw_footage(seed, 2, 64) for seed in range(12)]
    joints = np.concatenate([each.joints for each in drawn])
    outside = ((joints < -0.02) | (joints > 1.02)).any(axis=-1)
    assert outside.any()
    assert not np.concatenate([each.seen for each in drawn])[outside].any()


def test_a_drawn_clip_goes_on_from_frame_to_frame() -> None:
    clip = draw_clip(5, 6, 64)
    assert clip.pictures.shape == (7, 64, 64, 3)
    np.testing.assert_array_equal(clip.pictures, draw_clip(5, 6, 64).pictures)
    joints = [draw_clip(seed, 6, 64).joints for seed in range(5)]
    steps = np.mean([np.abs(np.diff(each[1:], axis=0)).mean() for each in joints])
    away = np.mean([np.abs(each[:1] - each[1:]).mean() for each in joints])
    assert 3 * steps < away  # the reference is of another moment
