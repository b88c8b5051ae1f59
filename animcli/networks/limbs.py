"""Limb coordinates: where every pixel lies on the body, made from the joints alone.

A thin drawn skeleton says little about a pixel beside it. Here each body segment spreads
its own coordinates over the pixels around it: how near the segment is, how far along it and
how far across it the pixel lies. A pixel of the target frame and the pixel of the reference
that it should look like then carry almost the same code, so reference attention finds its
match from the first updates. It is the idea of DensePose (Gueler et al.,
arXiv:1802.00434), made from a skeleton.

Shapes: b pictures, 18 joints in OpenPose's order, h and w cells, CODE channels.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_NOSE, _NECK, _R_SHOULDER, _L_SHOULDER, _R_HIP, _L_HIP = 0, 1, 2, 5, 8, 11
_HEAD = (0, 14, 15, 16, 17)  # nose, eyes, ears

# (from, to, width in torso lengths); 18 is the middle of the hips, 19 that of the head.
_SEGMENTS = (
    (2, 3, 0.16), (3, 4, 0.14), (5, 6, 0.16), (6, 7, 0.14),  # arms
    (8, 9, 0.22), (9, 10, 0.18), (11, 12, 0.22), (12, 13, 0.18),  # legs
    (1, 18, 0.45), (1, 19, 0.40), (2, 5, 0.25), (8, 11, 0.25),  # trunk
)  # fmt: skip
_PERIODS = (1, 2, 4)  # of the sines of the position, over the picture

CODE = 4 * len(_SEGMENTS) + 2 + 2 + 4 * len(_PERIODS)
"""Channels of a code: 12 segments x (near, along, across, waves), the way the face looks,
the position, and its sines and cosines."""


def limb_code(joints: Tensor, seen: Tensor, cells: tuple[int, int]) -> Tensor:
    """The code of every cell, `(b, CODE, h, w)`.

    joints: `(b, 18, 2)` with x and y in 0..1 over the picture.
    seen: `(b, 18)` bool. A segment with an unseen end is absent: zeros.
    cells: `(h, w)`.
    """
    height, width = cells
    # Distances have to be the same across and down: measure both in picture heights.
    shape = joints.new_tensor([width / height, 1.0])
    points, known = _with_middles(joints * shape, seen)
    torso = _body_size(points, known)  # (b, 1)

    start, stop = points[:, _STARTS], points[:, _STOPS]  # (b, s, 2)
    here = known[:, _STARTS] & known[:, _STOPS]  # (b, s)
    wide = joints.new_tensor([segment[2] for segment in _SEGMENTS]) * torso  # (b, s)
    bone = stop - start
    long = bone.norm(dim=-1).clamp_min(1e-4)
    along = bone / long[..., None]
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)

    rows = (torch.arange(height, device=joints.device, dtype=joints.dtype) + 0.5) / height
    columns = (torch.arange(width, device=joints.device, dtype=joints.dtype) + 0.5) / height
    x, y = columns[None, None, None, :], rows[None, None, :, None]
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

    looks = _look(points, known, torso)  # (b, 2)
    head = near[:, 9:10]  # (b, 1, h, w)
    return torch.cat(
        [limbs.flatten(1, 2), head * looks[..., None, None], _position(x, y, joints)], dim=1
    )


_STARTS = [segment[0] for segment in _SEGMENTS]
_STOPS = [segment[1] for segment in _SEGMENTS]


def _with_middles(points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The joints, then the middles of the hips and of the head (b, 20, 2)."""
    hips = points[:, [_R_HIP, _L_HIP]].mean(dim=1)
    weight = seen[:, _HEAD, None].to(points)
    head = (points[:, _HEAD] * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
    known = torch.stack(
        [seen[:, _R_HIP] & seen[:, _L_HIP], seen[:, _HEAD].any(dim=1)], dim=1
    )
    return (
        torch.cat([points, hips[:, None], head[:, None]], dim=1),
        torch.cat([seen, known], dim=1),
    )


def _body_size(points: Tensor, known: Tensor) -> Tensor:
    """About the length of the torso (b, 1): the longest of what can stand for it."""
    stand_ins = ((1, 18, 1.0), (2, 5, 1.3), (9, 8, 1.1), (12, 11, 1.1), (1, 19, 1.6))
    lengths = [
        (points[:, a] - points[:, b]).norm(dim=-1) * factor * (known[:, a] & known[:, b])
        for a, b, factor in stand_ins
    ]
    return torch.stack(lengths, dim=1).amax(dim=1, keepdim=True).clamp_min(0.02)


def _look(points: Tensor, known: Tensor, torso: Tensor) -> Tensor:
    """Where the face looks (b, 2): from the head's middle to the nose, in head sizes."""
    there = (known[:, _NOSE] & known[:, 19])[:, None]
    return (points[:, _NOSE] - points[:, 19]) / (0.2 * torso) * there


def _position(x: Tensor, y: Tensor, like: Tensor) -> Tensor:
    """The place in the picture and its waves (b, 2 + 4 x periods, h, w)."""
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


def warp_reference(
    pictures: Tensor, reference: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]
) -> Tensor:
    """A rough guess of the target: each segment of the reference moved to where it is
    asked for.

    pictures: `(b, 3, h, w)`. reference, target: joints `(b, 18, 2)` in 0..1 and whether
    they are seen `(b, 18)`. Pixels away from the body stay; where the reference's body
    was and the target's isn't, the reference's body is still seen: the network has to
    know better.
    """
    cells = (pictures.shape[-2], pictures.shape[-1])
    grid = _flow(reference, target, cells)  # (b, h, w, 2)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _flow(
    reference: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], cells: tuple[int, int]
) -> Tensor:
    """For each cell of the target, where in the reference to look, in -1..1."""
    height, width = cells
    joints = target[0]
    shape = joints.new_tensor([width / height, 1.0])
    here, here_seen = _with_middles(joints * shape, target[1])
    there, there_seen = _with_middles(reference[0] * shape, reference[1])
    both = here_seen & there_seen
    wide = joints.new_tensor([segment[2] for segment in _SEGMENTS])
    wide_here = wide * _body_size(here, here_seen)
    wide_there = wide * _body_size(there, there_seen)

    rows = (torch.arange(height, dtype=joints.dtype) + 0.5) / height
    columns = (torch.arange(width, dtype=joints.dtype) + 0.5) / height
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    plane = torch.stack([x, y], dim=-1)  # (h, w, 2)
    total = plane[None] * 0.02
    weight = plane.new_full((len(joints), height, width, 1), 0.02)  # the background's
    for index, (a, b, _) in enumerate(_SEGMENTS):
        bone = here[:, b] - here[:, a]
        long = bone.norm(dim=-1, keepdim=True).clamp_min(1e-4)
        along = bone / long
        across = torch.stack([-along[:, 1], along[:, 0]], dim=-1)
        off = plane[None] - here[:, a][:, None, None]
        u = (off * along[:, None, None]).sum(-1, keepdim=True)
        v = (off * across[:, None, None]).sum(-1, keepdim=True)
        beyond = u - u.clamp_min(0).minimum(long[:, None, None])
        size = wide_here[:, index, None, None, None]
        near = torch.exp(-(beyond.square() + v.square()) / (0.5 * size.square()))
        near = near.pow(2) * (both[:, a] & both[:, b])[:, None, None, None]
        goal = there[:, b] - there[:, a]
        far = goal.norm(dim=-1, keepdim=True).clamp_min(1e-4)
        goal_along = goal / far
        goal_across = torch.stack([-goal_along[:, 1], goal_along[:, 0]], dim=-1)
        stretch = far / long
        inside = u.clamp_min(0).minimum(long[:, None, None])
        past = u - inside
        ratio = (wide_there / wide_here)[:, index, None, None, None]
        place = (
            there[:, a][:, None, None]
            + goal_along[:, None, None] * (inside * stretch[:, None, None] + past * ratio)
            + goal_across[:, None, None] * (v * ratio)
        )
        total = total + near * place
        weight = weight + near
    return total / weight / shape * 2 - 1
