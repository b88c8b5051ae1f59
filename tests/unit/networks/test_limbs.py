"""Limb maps: the same code for the same place of a body, wherever it is."""

import torch

from animcli.networks.limbs import CODE, limb_code
from animcli.training.drawn import draw_footage

LIMBS = CODE - 2 - 12
"""Channels of a code before the position and its waves."""

MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
"""Joints, each left one where the right one is."""


def test_codes_move_with_the_figure() -> None:
    joints = torch.from_numpy(draw_footage(3, 0, 64).joints) / 2 + 0.1
    seen = torch.ones(1, 18, dtype=torch.bool)
    here = limb_code(joints, seen, (16, 16))[:, :LIMBS]
    there = limb_code(joints + 4 / 16, seen, (16, 16))[:, :LIMBS]
    torch.testing.assert_close(there[..., 4:, 4:], here[..., :-4, :-4], rtol=0, atol=1e-4)


def test_nobody_seen_gives_no_limbs() -> None:
    code = limb_code(torch.rand(1, 18, 2), torch.zeros(1, 18, dtype=torch.bool), (8, 8))
    assert not code[:, :LIMBS].any()


def test_a_code_tells_a_face_from_the_back_of_a_head() -> None:
    clip = draw_footage(3, 0, 64)
    joints, seen = torch.from_numpy(clip.joints), torch.from_numpy(clip.seen)
    front = limb_code(joints, seen, (32, 32))[:, LIMBS - 1]
    back = limb_code(joints[:, MIRRORED], seen[:, MIRRORED], (32, 32))[:, LIMBS - 1]
    assert front.abs().max() > 0.1
    torch.testing.assert_close(back, -front)
