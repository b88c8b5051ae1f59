"""Drawing is fast enough to make training data while training."""

import time

import pytest

from animcli.synthetic.scene import clip


@pytest.mark.slow  # ten seconds, and it wants the machine for itself
def test_a_core_draws_a_hundred_frames_a_second() -> None:
    seconds, frames = 0.0, 0
    for seed in range(12):
        drawings = clip(seed, 61)
        next(drawings)  # the backdrop and the cloths are painted
        begun = time.process_time()
        frames += sum(1 for _ in drawings)
        seconds += time.process_time() - begun
    assert frames / seconds >= 100
