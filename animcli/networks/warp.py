"""A rough guess of a frame: each body part of the reference moved to where it is asked for.

A drawn figure is cut along its joints. Every segment between two joints carries the pixels
around it, turned, stretched and moved from where it lies in the reference to where it lies
in the frame; the parts are laid over a background in which the reference's figure is filled
up with the colours around it. The guess knows no sleeves, skirts or hidden sides: the
network gets it, and the single parts, as a clue, has to know better, and may mix the parts
in another way.

Shapes: b pictures, 18 joints in OpenPose's order, h and w pixels, s segments.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from animcli.networks.background import background, fill_figure
from animcli.networks.heads import Person, Tones, turned_heads
from animcli.networks.limbs import body_size, with_middles

# (from, to, reach, width in torso lengths, part, how near the viewer it usually is); 18 is
# the middle of the hips, 19 that of the head. Reach goes on to fingertips, toes and crown.
_SEGMENTS: Final = (
    (2, 3, 1.0, 0.18, 0, 1.6), (3, 4, 1.35, 0.16, 0, 1.8),
    (5, 6, 1.0, 0.18, 1, 1.6), (6, 7, 1.35, 0.16, 1, 1.8),
    (8, 9, 1.0, 0.24, 2, 1.0), (9, 10, 1.15, 0.20, 2, 1.0),
    (11, 12, 1.0, 0.24, 3, 1.0), (12, 13, 1.15, 0.20, 3, 1.0),
    (1, 18, 1.0, 0.45, 4, 0.8), (1, 19, 1.5, 0.42, 5, 1.2),
)  # fmt: skip
_STARTS = [segment[0] for segment in _SEGMENTS]
_STOPS = [segment[1] for segment in _SEGMENTS]
_PARTS = [[n for n, s in enumerate(_SEGMENTS) if s[4] == part] for part in range(6)]
_TRUNK, _R_SHOULDER, _L_SHOULDER = 8, 2, 5
_HEAD = 5  # of the parts

PARTS: Final = len(_PARTS)
"""Right and left arm, right and left leg, trunk, head."""

_BACKGROUND: Final = 0.02
"""The nearness below which a pixel belongs to no part: about one width from the bone."""

LAYERS: Final = 1 + PARTS
"""What a pixel can be taken from: the filled background, and each part."""

OFFSET: Final = 0.05
"""What an offset of 1 is, in halves of a picture."""

_UNLIKELY: Final = 0.02
"""The least share that a layer begins with when layers are mixed anew: with less, nothing
is learnt of skirts, which lie beyond the capsules of the limbs."""


@dataclass(frozen=True, eq=False)
class Moved:
    """What a guess is made of, so that a network can also make a better one of it.

    picture, behind: `(b, 3, h, w)`, the reference, and its background with the figure
    filled up. nearness: `(b, PARTS, h, w)`, how near each part is, 0 where there is none.
    places: `(b, PARTS, h, w, 2)`, x and y in -1..1 of where it is taken from. turned:
    `(b, 4, h, w)`, what `turned_heads` paints over the head.
    """

    picture: Tensor
    behind: Tensor
    nearness: Tensor
    places: Tensor
    turned: Tensor

    @cached_property
    def shares(self) -> Tensor:
        """How much the background and each part are in the guess, (b, 1 + PARTS, h, w)."""
        # Sharp enough that the nearest part hides the others, soft enough for smooth edges.
        share = F.pad(self.nearness, (0, 0, 0, 0, 1, 0), value=_BACKGROUND).pow(3)
        return share / share.sum(dim=1, keepdim=True)

    @cached_property
    def whole(self) -> Tensor:
        """The guess, (b, 3, h, w)."""
        share = self.shares[:, :, None]
        return share[:, 0] * self.behind + (share[:, 1:] * self._moved).sum(dim=1)

    @property
    def parts(self) -> Tensor:
        """Each part moved, and zero where it isn't, (b, PARTS, 3, h, w)."""
        shown = (self.nearness / _BACKGROUND**2).clamp(max=1)
        return self._moved * shown[:, :, None]

    @cached_property
    def _moved(self) -> Tensor:
        return self._taken(self.places)

    def _taken(self, places: Tensor) -> Tensor:
        """The parts from the `places`, (b, PARTS, 3, h, w)."""
        parts = _sample(self.picture, places)
        colour, cover = self.turned.split((3, 1), dim=1)
        parts[:, _HEAD] = torch.lerp(parts[:, _HEAD], colour, cover)
        return parts

    def mix(
        self, offsets: Tensor, leanings: Tensor, decided: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The layers taken from elsewhere and mixed otherwise, (b, 3, h, w), and how much
        of that is figure, (b, 1, h, w).

        offsets: `(b, 2 PARTS, h / 2, w / 2)`, x and y to be added to the places, times
            `OFFSET`. leanings: `(b, LAYERS, h, w)`, added to the logarithms of the shares.
            Zeros give the guess, nearly. decided: what these logarithms are multiplied by:
            with more than 1 a pixel is taken from fewer layers.
        """
        shift = _double(offsets).unflatten(1, (PARTS, 2)).permute(0, 1, 3, 4, 2)
        parts = self._taken(self.places + OFFSET * shift)
        likely = self.shares.clamp_min(_UNLIKELY).log() + leanings
        share = (decided * likely).softmax(dim=1)
        figure = (share[:, 1:, None] * parts).sum(dim=1)
        return share[:, :1] * self.behind + figure, 1 - share[:, :1]

    def enlarged(self, picture: Tensor, behind: Tensor, turned: Tensor) -> "Moved":
        """The same of pictures (b, 3, 2 h, 2 w), with what is painted over their heads."""
        places = self.places.movedim(-1, 2).flatten(1, 2)
        places = _double(places).unflatten(1, (PARTS, 2)).movedim(2, -1)
        return Moved(picture, behind, _double(self.nearness), places, turned)

    def rows(self, chosen: Tensor) -> "Moved":
        """That of the pictures with the numbers `chosen` (n,), in that order."""
        parts = self.picture, self.behind, self.nearness, self.places, self.turned
        return Moved(*(part[chosen] for part in parts))


def _sample(pictures: Tensor, places: Tensor) -> Tensor:
    """`pictures` (b, 3, h, w) at `places` (b, n, h, w, 2): (b, n, 3, h, w)."""
    b, n, height, width, _ = places.shape
    taken = F.grid_sample(
        pictures, places.reshape(b, n * height, width, 2), padding_mode="border",
        align_corners=False,
    )  # fmt: skip
    return taken.view(b, -1, n, height, width).transpose(1, 2)


def move_parts(
    pictures: Tensor,
    reference: Person,
    target: Person,
    hidden: Tensor | None = None,
    figure: Tensor | None = None,
    behind: Tensor | None = None,
    tones: Tones | None = None,
) -> Moved:
    """What `pictures` (b, 3, h, w) of the person `reference` say of the frame `target`.

    hidden: `(b, PARTS)` bool, parts that aren't moved, as if their joints weren't seen.
    figure: `(b, 1, h, w)` in 0..1, how much of each pixel is the figure. Without it every
        part carries along what is about it, and the figure is taken for capsules.
    behind: what `background` makes of both, where that is known already.
    tones: the person's, to paint heads with that look elsewhere than the reference's.
    """
    height, width = pictures.shape[-2:]
    # Places and nearness change slowly: every other pixel is enough.
    cells = (height // 2, width // 2)
    shape = pictures.new_tensor([width / height, 1.0])
    there, here = (_Bones.of(joints * shape, seen) for joints, seen in (reference, target))
    near, u, v = here.coordinates(cells)
    shown = here.known & there.known
    if hidden is not None:
        shown = shown & ~hidden[:, [segment[4] for segment in _SEGMENTS]]
    near = near * shown[..., None, None]
    places = there.place(u, v, here)  # (b, s, 2, h / 2, w / 2)

    flows = []
    for part in _PARTS:
        share = near[:, part] + 1e-9  # (b, 1 or 2, h / 2, w / 2)
        share = share / share.sum(dim=1, keepdim=True)
        flows.append((share[:, :, None] * places[:, part]).sum(dim=1))
    flow = _double(torch.cat(flows, dim=1))
    weight = _nearness(near)
    grid = flow.unflatten(1, (PARTS, 2)).permute(0, 1, 3, 4, 2) / shape * 2 - 1
    if tones is None:
        turned = pictures.new_zeros(len(grid), 4, height, width)
    else:
        turned = turned_heads(tones, reference, target, (height, width))
    if figure is None:
        filled = fill_figure(pictures, there.cover((height, width)))
        return Moved(pictures, filled, weight, grid, turned)
    # What is figure in the reference belongs to the part that it is nearest to.
    owner = _nearness(there.coordinates(cells)[0] * there.known[..., None, None])
    owner = owner.pow(3) + 1e-12
    own = figure * owner / owner.sum(dim=1, keepdim=True)
    carried = _sample(own.flatten(0, 1)[:, None], grid.flatten(0, 1)[:, None])
    if behind is None:
        behind = background(pictures, figure)
    near = weight * carried[:, 0, 0].view_as(weight)
    return Moved(pictures, behind, near, grid, turned)


def _nearness(near: Tensor) -> Tensor:
    """How near the segments are (b, s, h / 2, w / 2), to how near the parts are,
    (b, PARTS, h, w); arms count for more than what they usually hide.
    """
    front = near.new_tensor([segment[5] for segment in _SEGMENTS])[:, None, None]
    parts = [(near[:, part] * front[part]).amax(dim=1) for part in _PARTS]
    return _double(torch.stack(parts, dim=1))


def _double(planes: Tensor) -> Tensor:
    return F.interpolate(planes, scale_factor=2, mode="bilinear")


@dataclass(frozen=True, eq=False)
class _Bones:
    """The segments of people. Lengths are in picture heights.

    starts, along, across: `(b, s, 2)`; the latter two of length 1. lengths, widths,
    known: `(b, s)`. shoulders: `(b,)`, how far the left one lies across the trunk's axis
    from the right one.
    """

    starts: Tensor
    along: Tensor
    across: Tensor
    lengths: Tensor
    widths: Tensor
    known: Tensor
    shoulders: Tensor

    @classmethod
    def of(cls, joints: Tensor, seen: Tensor) -> "_Bones":
        points, known = with_middles(joints, seen)
        starts, bones = points[:, _STARTS], points[:, _STOPS] - points[:, _STARTS]
        along = bones / bones.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)
        reach, wide = points.new_tensor([segment[2:4] for segment in _SEGMENTS]).T
        between = points[:, _L_SHOULDER] - points[:, _R_SHOULDER]
        return cls(
            starts,
            along,
            across,
            (reach * bones.norm(dim=-1)).clamp_min(1e-2),
            wide * body_size(points, known),
            known[:, _STARTS] & known[:, _STOPS],
            (between * across[:, _TRUNK]).sum(dim=-1),
        )

    def cover(self, size: tuple[int, int]) -> Tensor:
        """Capsules about the segments, (b, 1, h, w) in 0..1."""
        near, _, _ = self.coordinates((size[0] // 2, size[1] // 2))
        near = (near * self.known[..., None, None]).amax(dim=1, keepdim=True)
        return (_double(near) / _BACKGROUND).clamp(max=1)

    def coordinates(self, cells: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each pixel on each segment, `(b, s, h, w)`: how near, 0..1; how far along and
        how far across, in picture heights.
        """
        height, width = cells
        like = self.starts
        steps = torch.arange(max(cells), device=like.device, dtype=like.dtype)
        y = ((steps[:height] + 0.5) / height)[:, None]
        x = ((steps[:width] + 0.5) / height)[None]

        def axis(direction: Tensor) -> Tensor:
            at = (self.starts * direction).sum(dim=-1)[..., None, None]
            dx, dy = (direction[..., n, None, None] for n in (0, 1))
            return dx * x + (dy * y - at)

        u, v = axis(self.along), axis(self.across)
        past = u - u.clamp_min(0).minimum(self.lengths[..., None, None])
        squared = past.square() + v.square()
        near = torch.exp(squared * (-4 / self.widths.square())[..., None, None])
        return near, u, v

    def place(self, u: Tensor, v: Tensor, here: "_Bones") -> Tensor:
        """Where the pixels at `u` along and `v` across the segments of `here` lie on these,
        `(b, s, 2, h, w)`.

        A segment is stretched between its joints, but neither across nor beyond them: a
        foreshortened arm stays as thick. The trunk is as wide as its shoulders are, and
        mirrored where these have changed sides.
        """
        ratio = self.widths / here.widths  # (b, s)
        least = 0.4 * here.lengths[:, _TRUNK]
        mirrored = torch.where(self.shoulders * here.shoulders < 0, -1.0, 1.0)
        turned = (self.shoulders.abs().maximum(least * ratio[:, _TRUNK])) / (
            here.shoulders.abs().maximum(least)
        )
        across = ratio.clone()
        across[:, _TRUNK] = turned * mirrored
        inside = u.clamp_min(0).minimum(here.lengths[..., None, None])
        far = (self.lengths / here.lengths)[..., None, None] * inside
        far = far + ratio[..., None, None] * (u - inside)
        wide = across[..., None, None] * v
        return (
            self.starts[..., None, None]
            + self.along[..., None, None] * far[:, :, None]
            + self.across[..., None, None] * wide[:, :, None]
        )
