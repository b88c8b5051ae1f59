"""Limb maps: coordinates on the body at every position, made from the keypoints alone.

A thin drawn skeleton says little about a position beside it. Here each body segment spreads
its own coordinates over the positions around it: how near the segment is, how far along it
and how far across it the position lies. A position of the target frame and the one of the
reference that it should look like then carry almost the same code, so reference attention
finds its match from the first updates. It is the idea of DensePose (Gueler et al.,
arXiv:1802.00434), made from a skeleton.

Shapes: b pictures, 18 keypoints in OpenPose's order, h by w positions, `LIMB_MAP_CHANNELS`
channels.
"""

import math
from typing import Final

import torch
from torch import Tensor

_NOSE = 0
_HIPS = (8, 11)
_HEAD = (0, 14, 15, 16, 17)  # nose, eyes, ears
_LEFTS, _RIGHTS = (15, 17), (14, 16)  # eyes, ears

# (from, to, width in torso lengths); 18 is the middle of the hips, 19 that of the head.
_SEGMENTS = (
    (2, 3, 0.16), (3, 4, 0.14), (5, 6, 0.16), (6, 7, 0.14),  # arms
    (8, 9, 0.22), (9, 10, 0.18), (11, 12, 0.22), (12, 13, 0.18),  # legs
    (1, 18, 0.45), (1, 19, 0.40), (2, 5, 0.25), (8, 11, 0.25),  # trunk
)  # fmt: skip
_PERIODS = (1, 2, 4, 8)
"""Of the sines of the position, over the picture; with 8 a position of a 32 by 32 grid
differs from its neighbours, so that a background is found where it was."""

LIMB_MAP_CHANNELS: Final = 4 * len(_SEGMENTS) + 3 + 2 + 4 * len(_PERIODS)
"""12 segments x (near, along, across, sine along), the direction of the face and whether it
is turned away, the position, and its sines and cosines."""


def limb_map(keypoints: Tensor, visible: Tensor, cells: tuple[int, int]) -> Tensor:
    """Limb maps `(b, CHANNELS, h, w)`.

    keypoints: `(b, 18, 2)` with x and y in 0..1 over the picture.
    visible: `(b, 18)` bool. A segment with an invisible end is absent: zeros.
    cells: `(h, w)`.
    """
    height, width = cells
    # Distances have to be the same across and down: measure both in picture heights.
    shape = keypoints.new_tensor([width / height, 1.0])
    points, known = append_midpoints(keypoints * shape, visible)
    torso = body_size(points, known)  # (b, 1)

    start, stop = points[:, _STARTS], points[:, _STOPS]  # (b, s, 2)
    here = known[:, _STARTS] & known[:, _STOPS]  # (b, s)
    wide = keypoints.new_tensor([segment[2] for segment in _SEGMENTS]) * torso  # (b, s)
    bone = stop - start
    long = bone.norm(dim=-1).clamp_min(1e-4)
    along = bone / long[..., None]
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)

    x, y = cell_centres(keypoints, cells)
    from_x, from_y = (
        x - start[..., 0, None, None],
        y - start[..., 1, None, None],
    )  # (b, s, h, w)
    u = from_x * along[..., 0, None, None] + from_y * along[..., 1, None, None]
    v = from_x * across[..., 0, None, None] + from_y * across[..., 1, None, None]
    beyond = (u - u.clamp_min(0).minimum(long[..., None, None])).abs()
    near = torch.exp(-(beyond.square() + v.square()) / wide[..., None, None].square())
    near = near * here[..., None, None]
    u = (2 * u / long[..., None, None] - 1).clamp(-2, 2)
    v = (v / wide[..., None, None]).clamp(-2, 2)
    limbs = torch.stack([near, near * u, near * v, near * torch.sin(math.pi * u)], dim=2)

    turned = (facing(points, known)[:, None] / (0.2 * torso)).clamp(-2, 2)
    looks = torch.cat([_look(points, known, torso), turned], dim=1)  # (b, 3)
    head = near[:, 9:10]  # (b, 1, h, w)
    return torch.cat(
        [limbs.flatten(1, 2), head * looks[..., None, None], _position(x, y, keypoints)],
        dim=1,
    )


_STARTS = [segment[0] for segment in _SEGMENTS]
_STOPS = [segment[1] for segment in _SEGMENTS]


def append_midpoints(points: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Keypoints, then the middles of the hips and of the head: `(b, 20, 2)`, `(b, 20)`.

    A middle is that of the visible keypoints; without any it isn't visible either.
    """
    middles, known = [], []
    for group in (_HIPS, _HEAD):
        weight = visible[:, group, None].to(points)
        total = (points[:, group] * weight).sum(dim=1, keepdim=True)
        middles.append(total / weight.sum(dim=1, keepdim=True).clamp_min(1))
        known.append(visible[:, group].any(dim=1, keepdim=True))
    return torch.cat([points, *middles], dim=1), torch.cat([visible, *known], dim=1)


def body_size(points: Tensor, known: Tensor) -> Tensor:
    """Length of the torso (b, 1), about: the longest of what can stand for it."""
    stand_ins = ((1, 18, 1.0), (2, 5, 1.3), (9, 8, 1.1), (12, 11, 1.1), (1, 19, 1.6))
    lengths = [
        (points[:, a] - points[:, b]).norm(dim=-1) * factor * (known[:, a] & known[:, b])
        for a, b, factor in stand_ins
    ]
    return torch.stack(lengths, dim=1).amax(dim=1, keepdim=True).clamp_min(0.02)


def facing(points: Tensor, known: Tensor) -> Tensor:
    """Distance of the left eye and ear from the right ones across the head, (b,).

    More than 0 where the face is visible, less where the back of the head is, 0 where
    nobody knows; in the unit of `points`. Arguments are what `append_midpoints` gives.
    """
    neck = points[:, 19] - points[:, 1]
    across = torch.stack([-neck[:, 1], neck[:, 0]], dim=-1)
    across = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    pairs = known[:, _LEFTS] & known[:, _RIGHTS] & known[:, 1:2]
    apart = ((points[:, _LEFTS] - points[:, _RIGHTS]) * across[:, None]).sum(dim=-1)
    return (apart * pairs).sum(dim=1) / pairs.sum(dim=1).clamp_min(1)


def _look(points: Tensor, known: Tensor, torso: Tensor) -> Tensor:
    """Direction of the face (b, 2): from the head's middle to the nose, in head sizes."""
    there = (known[:, _NOSE] & known[:, 19])[:, None]
    return (points[:, _NOSE] - points[:, 19]) / (0.2 * torso) * there


def cell_centres(like: Tensor, cells: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Middles of the positions, x (w,) and y (h, 1), in picture heights."""
    height, width = cells
    steps = torch.arange(max(cells), device=like.device, dtype=like.dtype) + 0.5
    return steps[:width] / height, (steps[:height] / height)[:, None]


def _position(x: Tensor, y: Tensor, like: Tensor) -> Tensor:
    """Positions in the picture and their waves (b, 2 + 4 x periods, h, w)."""
    height, width = y.shape[-2], x.shape[-1]
    x, y = x / x[..., -1:] * 2 - 1, y / y[..., -1:, :] * 2 - 1
    plane = [axis.expand(len(like), 1, height, width) for axis in (x, y)]
    waves = [
        wave(math.pi * period * axis)
        for axis in plane
        for period in _PERIODS
        for wave in (torch.sin, torch.cos)
    ]
    return torch.cat(plane + waves, dim=1)
