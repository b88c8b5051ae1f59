"""Every few frames are denoised, and the others lie between them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_networks import write_tiny_weights
from tiny_renders import PRESET, render, request

from animcli.rendering.key_frames import fill_between, key_frames, only_frames

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.mark.parametrize(
    ("frames", "spacing", "chosen"),
    [
        (1, 3, [0]),
        (2, 3, [0, 1]),
        (7, 3, [0, 3, 6]),
        (9, 3, [0, 3, 6, 8]),
        (4, 1, [0, 1, 2, 3]),
    ],
)
def test_the_first_and_the_last_frame_are_always_denoised(
    frames: int, spacing: int, chosen: list[int]
) -> None:
    assert key_frames(frames, spacing) == chosen


def test_filling_keeps_what_is_there_and_goes_evenly_from_one_to_the_next() -> None:
    there = torch.tensor([0.0, 3.0, 4.0]).reshape(3, 1, 1, 1)
    filled = fill_between(there, [0, 3, 5], "linear").flatten()
    torch.testing.assert_close(filled, torch.tensor([0, 1, 2, 3, 3.5, 4]))


def test_an_arc_keeps_the_length_where_a_line_cuts_the_corner() -> None:
    there = torch.eye(2).reshape(2, 2, 1, 1) * 5
    arc, line = (
        fill_between(there, [0, 4], filling).flatten(1).norm(dim=1)
        for filling in ("spherical", "linear")
    )
    torch.testing.assert_close(arc, torch.full((5,), 5.0))
    assert line[2] < 3.6  # half of the square's diagonal


def test_a_render_denoises_those_frames_as_if_there_were_no_others(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path)
    asked = request(weights, 9, replace(PRESET, latent_spacing=3))
    chosen = key_frames(9, 3)
    alone = render(only_frames(replace(asked, preset=PRESET), chosen))
    filled = render(asked)
    assert len(filled) == 9
    assert np.array_equal(filled[chosen], alone)
    assert len({frame.tobytes() for frame in filled}) == 9
