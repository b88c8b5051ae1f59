"""Drawn samples: the same for a number, and keypoints where the picture has them."""

import pickle

import numpy as np

from animcli.training.drawn import TRAINING_SEEDS, VALIDATION_SEEDS, DrawnPeople
from animcli.training.samples import Sample

SIDE = 64


def sample(number: int, frames: int = 2, *, consecutive: bool = False) -> Sample:
    people = DrawnPeople(TRAINING_SEEDS, (SIDE, SIDE), frames, consecutive)
    return people(number)


def test_a_sample_is_a_function_of_its_number_and_its_people_are_masked() -> None:
    drawn = sample(3)
    assert drawn.frames.shape == (2, SIDE, SIDE, 3)
    assert drawn.keypoints.shape == (3, 18, 3)
    people = pickle.loads(pickle.dumps(DrawnPeople(TRAINING_SEEDS, (SIDE, SIDE), 2)))
    for name, each in vars(people(3)).items():
        np.testing.assert_equal(each, getattr(drawn, name))
    np.testing.assert_array_equal(drawn.whole, drawn.reference)
    for mask, keypoints in zip(drawn.masks, drawn.keypoints[1:], strict=True):
        visible = keypoints[:, 2] > 0
        x, y = (SIDE * keypoints[visible, :2]).clip(0, SIDE - 1).astype(int).T
        assert (mask[y, x] > 0).mean() > 0.8  # wrists and ears may lie on an edge
    assert not np.array_equal(sample(4).reference, drawn.reference)


def test_keypoints_outside_of_the_picture_are_not_visible() -> None:
    keypoints = np.concatenate([sample(number).keypoints for number in range(12)])
    outside = ((keypoints[..., :2] < -0.02) | (keypoints[..., :2] > 1.02)).any(axis=-1)
    assert outside.any()
    assert not keypoints[..., 2][outside].any()


def test_consecutive_frames_go_on_from_one_another() -> None:
    clip = sample(5, 6, consecutive=True)
    assert clip.frames.shape == (6, SIDE, SIDE, 3)
    clips = [sample(n, 6, consecutive=True).keypoints[..., :2] for n in range(5)]
    steps = np.mean([np.abs(np.diff(each[1:], axis=0)).mean() for each in clips])
    away = np.mean([np.abs(each[:1] - each[1:]).mean() for each in clips])
    assert 3 * steps < away  # the reference is of another moment


def test_nobody_is_trained_on_whom_others_are_measured_with() -> None:
    assert TRAINING_SEEDS.stop <= VALIDATION_SEEDS.start
    assert VALIDATION_SEEDS.stop <= 900_000
    # After the last seed comes the first again, and not a seed of validation.
    few = DrawnPeople(range(3, 6), (32, 32), 1)
    np.testing.assert_array_equal(few(4).frames, few(1).frames)
    assert not np.array_equal(few(2).frames, few(1).frames)
