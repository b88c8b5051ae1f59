"""Limb maps: the same code for the same place of a body, wherever it is."""

import functools

import pytest
import torch
from torch import Tensor

from animcli.networks.limb_maps import LIMB_MAP_CHANNELS, limb_map
from animcli.training.drawn import TRAINING_SEEDS, DrawnPeople

LIMBS = 4 * 12
"""Channels of the segments; after them come the face, the position and its waves."""
FACE = slice(LIMBS, LIMBS + 3)

MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
"""Keypoints, each left one where the right one is."""


@functools.cache
def person() -> tuple[Tensor, Tensor]:
    """Keypoints of a drawn person (1, 18, 2), and which are visible (1, 18)."""
    sample = DrawnPeople(TRAINING_SEEDS, (64, 64), 1)(3)
    keypoints = torch.from_numpy(sample.keypoints[1:])
    return keypoints[..., :2], keypoints[..., 2] > 0


def test_maps_have_their_channels_and_the_size_of_the_latents() -> None:
    points, visible = person()
    assert limb_map(points, visible, (6, 9)).shape == (1, LIMB_MAP_CHANNELS, 6, 9)


def test_limbs_move_with_the_figure() -> None:
    points, visible = person()[0] / 2 + 0.1, torch.ones(1, 18, dtype=torch.bool)
    here = limb_map(points, visible, (16, 16))[:, : FACE.stop]
    there = limb_map(points + 4 / 16, visible, (16, 16))[:, : FACE.stop]
    torch.testing.assert_close(there[..., 4:, 4:], here[..., :-4, :-4], rtol=0, atol=1e-4)


def test_without_keypoints_only_positions_are_known() -> None:
    nobody = torch.zeros(1, 18, dtype=torch.bool)
    empty = limb_map(torch.rand(1, 18, 2), nobody, (8, 8))
    assert not empty[:, : FACE.stop].any()
    other = limb_map(*person(), (8, 8))
    torch.testing.assert_close(other[:, FACE.stop :], empty[:, FACE.stop :])


@pytest.mark.parametrize("hidden", range(18))
def test_a_keypoint_that_is_not_visible_does_not_matter(hidden: int) -> None:
    points, visible = person()
    visible = visible.clone()
    visible[:, hidden] = False
    moved = points.clone()
    moved[:, hidden] += 0.3
    torch.testing.assert_close(
        limb_map(points, visible, (8, 8)), limb_map(moved, visible, (8, 8))
    )


def test_a_map_tells_a_face_from_the_back_of_a_head() -> None:
    points, visible = person()
    turned = FACE.stop - 1
    front = limb_map(points, visible, (32, 32))[:, turned]
    back = limb_map(points[:, MIRRORED], visible[:, MIRRORED], (32, 32))[:, turned]
    assert front.abs().max() > 0.1
    torch.testing.assert_close(back, -front)


def test_every_position_of_a_grid_differs_from_its_neighbours() -> None:
    nobody = torch.zeros(1, 18, dtype=torch.bool)
    places = limb_map(torch.zeros(1, 18, 2), nobody, (32, 32))[0, FACE.stop :]
    across = (places[:, :, 1:] - places[:, :, :-1]).norm(dim=0)
    down = (places[:, 1:] - places[:, :-1]).norm(dim=0)
    assert min(across.min(), down.min()) > 0.5
