"""Heads that look where the reference's doesn't.

A reference seen from behind has no face to move to its place, and one that shows its face
none of the hair behind it. Here a ball between the ears, turned as the joints say, tells of
every pixel which place of the head it shows: plain skin with eyes, brows, nostrils and a
mouth in front, hair behind. Nobody's face, in the colours of this person; it says which way
the head looks, and so which hand is the right one.

Shapes: b pictures, 18 joints in OpenPose's order, h and w pixels. Places on a head are
measured in its radii, from the middle between the ears.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from animcli.networks.limbs import body_size, cell_centres, with_middles

_NOSE, _NECK = 0, 1
_EYES, _EARS = (14, 15), (16, 17)  # right, left
_FOREARMS = ((3, 4), (6, 7))  # elbow, wrist

_TURNED: Final = tuple(math.cos(math.radians(angle)) for angle in (65, 75))
"""A head that has turned less is shown as it is moved, one that has turned more is painted:
a face of the reference's own is better than a plain one, if it looks a little elsewhere."""

_TALL: Final = 1.5  # how much higher than wide a head is
_NOSE_OUT: Final = 1.1  # how far before the ears the tip of the nose is
_EYE_LINE: Final = 0.05  # how far above the ears eyes are that nobody has seen

# Of what is painted, measured from the line of the eyes upward.
_BROW, _CROWN, _NAPE = 0.32, 1.3, -0.75

# (across, up, half its width, half its height, shade of the skin), mirrored on both sides
_FEATURES: Final = (
    (0.37, 0.24, 0.22, 0.05, 0.4),  # brows
    (0.06, -0.42, 0.05, 0.035, 0.65),  # nostrils
    (0.0, -0.72, 0.22, 0.05, 0.55),  # mouth
)
_EYE_ASIDE: Final = 0.37
_EYE: Final = ((0.18, 0.11, (0.92, 0.90, 0.88)), (0.1, 0.11, (-0.76, -0.82, -0.84)))
"""Half the width and height of white and iris, and their colours in -1..1."""

_MANY: Final = 8  # pixels that a colour is told from
_LIT: Final = 0.65  # the share of them that is darker: outlines, shadows, lips
_UNLIKE: Final = 0.5  # how far from skin, in -1..1, what grows on a forehead is
_SKIN: Final = (0.5, 0.1, -0.1)  # where no skin is seen
_HAIR: Final = (-0.7, -0.75, -0.75)

Person = tuple[Tensor, Tensor]
"""Joints `(b, 18, 2)` with x and y in 0..1 of the picture, and which are seen `(b, 18)`."""


@dataclass(frozen=True, eq=False)
class Tones:
    """The colours of people's skin and hair (or hat), `(b, 3)` in -1..1."""

    skin: Tensor
    hair: Tensor

    @classmethod
    def of(cls, pictures: Tensor, figure: Tensor, person: Person) -> "Tones":
        """Those seen in `pictures` (b, 3, h, w), of which `figure` (b, 1, h, w) is people.

        Skin is looked for in the face, then the hands and the neck; hair at the crown,
        where it isn't forehead.
        """
        height, width = pictures.shape[-2:]
        joints, seen = _in_heights(person, height, width)
        head = _Head.of(joints, seen)
        x, y = cell_centres(joints, (height, width))
        across, up = head.places(x, y)
        on_head = (across / 1.2).square() + ((up - 0.3) / 1.7).square() < 1
        front, _ = head.around(across, up)
        above = up - _wide(head.eyes)
        face = on_head & (above < 0.3) & (above > -1.1) & (front > 0.4)
        hands = torch.zeros_like(face)
        for elbow, wrist in _FOREARMS:
            known = seen[:, elbow] & seen[:, wrist]
            palm = joints[:, wrist] + 0.2 * (joints[:, wrist] - joints[:, elbow])
            hands |= _disc(x, y, palm, 0.09 * head.body) & _wide(known)
        throat = head.neck + 0.3 * (head.centre - head.neck)
        neck = _disc(x, y, throat, 0.45 * head.radius)

        sure = figure[:, 0] > 0.7
        bare = sure & _skin_coloured(pictures)
        skin = _colour(pictures, [each & bare for each in (face, hands, neck)], _SKIN)
        crown = on_head & sure & (above > 0.45)
        unlike = (pictures - skin[:, :, None, None]).norm(dim=1) > _UNLIKE
        return cls(skin, _colour(pictures, [crown & unlike, crown], _HAIR))


def turned_heads(
    tones: Tones, reference: Person, target: Person, size: tuple[int, int]
) -> Tensor:
    """What is to be painted over moved heads, (b, 4, h, w): red, green and blue in -1..1,
    and how much of the head they cover, in 0..1. Nothing covers a head that looks where the
    reference's does, or of which one of both doesn't tell where.

    size: height and width.
    """
    height, width = size
    was, now = (_Head.of(*_in_heights(each, height, width)) for each in (reference, target))
    less, more = _TURNED
    alike = (was.look * now.look).sum(dim=-1)
    turned = ((less - alike) / (less - more)).clamp(0, 1) * (was.known & now.known)
    if not turned.any():
        return tones.skin.new_zeros(len(turned), 4, height, width)
    across, up = now.places(*cell_centres(tones.skin, size))
    front, side = now.around(across, up)
    above = up - _wide(now.eyes)
    sharp = _wide(now.radius * height / 1.5)  # edges are a pixel and a half wide

    def soft(inside: Tensor) -> Tensor:
        return (inside * sharp + 0.5).clamp(0, 1)

    bare = torch.maximum(soft(front - 0.1) * soft(_BROW - above), soft(_NAPE - above))
    skin, hair = (tone[:, :, None, None] for tone in (tones.skin, tones.hair))
    painted = torch.lerp(hair.expand(-1, -1, height, width), skin, bare[:, None])
    painted = _with_features(painted, skin, side, above, front, soft)
    chin = 1.05 - 0.35 * (-up - 0.2).clamp(0, 1)
    ball = 1 - (across / chin).square() - ((up - 0.1) / _TALL).square()
    # Above the brows hair and hat stay the reference's own; on the back of a head its
    # forehead doesn't.
    top = _CROWN + (_BROW - _CROWN) * soft(front)
    cover = soft(0.5 * ball) * soft(top - above) * _wide(turned)
    return torch.cat([painted, cover[:, None]], dim=1)


def _with_features(
    painted: Tensor, skin: Tensor, side: Tensor, above: Tensor, front: Tensor,
    soft: Callable[[Tensor], Tensor],
) -> Tensor:  # fmt: skip
    """`painted` (b, 3, h, w) with eyes, brows, nostrils and mouth where the face is."""
    before = soft(front - 0.05)
    aside = side.abs()  # both halves of a face at once

    def oval(x: float, y: float, wide: float, high: float) -> Tensor:
        away = torch.hypot((aside - x) / wide, (above - y) / high)
        return (soft((1 - away) * min(wide, high)) * before)[:, None]

    for wide, high, colour in _EYE:
        tint = skin.new_tensor(colour)[:, None, None]
        painted = torch.lerp(painted, tint, oval(_EYE_ASIDE, 0, wide, high))
    for x, y, wide, high, shade in _FEATURES:
        darker = (skin + 1) * shade - 1
        painted = torch.lerp(painted, darker, oval(x, y, wide, high))
    return painted


@dataclass(frozen=True, eq=False)
class _Head:
    """Where heads are and where they look; lengths in picture heights.

    centre, neck, up, across: `(b, 2)`, the latter two of length 1. look: `(b, 2)`, the sine
    and cosine of how far the head is turned from the viewer, to the right of the picture.
    radius, body, eyes, known: `(b,)`; eyes is how far above the ears they are, in radii.
    """

    centre: Tensor
    neck: Tensor
    up: Tensor
    across: Tensor
    look: Tensor
    radius: Tensor
    body: Tensor
    eyes: Tensor
    known: Tensor

    @classmethod
    def of(cls, joints: Tensor, seen: Tensor) -> "_Head":
        """That of joints (b, 18, 2) in picture heights. Both ears and the neck have to be
        seen; whose nose isn't is taken to look straight at the viewer, or straight away.
        """
        points, known = with_middles(joints, seen)
        neck = points[:, _NECK]
        up = points[:, -1] - neck
        up = up / up.norm(dim=-1, keepdim=True).clamp_min(1e-4)
        across = torch.stack([-up[:, 1], up[:, 0]], dim=-1)
        right, left = points[:, _EARS].unbind(dim=1)
        centre = (right + left) / 2
        aside = ((points[:, _NOSE] - centre) * across).sum(dim=-1) * seen[:, _NOSE]
        ears = ((left - right) * across).sum(dim=-1) / 2
        look = torch.stack([aside / _NOSE_OUT, ears], dim=-1)
        radius = look.norm(dim=-1).clamp_min(1e-3)
        eyes = ((points[:, _EYES].mean(dim=1) - centre) * up).sum(dim=-1) / radius
        return cls(
            centre,
            neck,
            up,
            across,
            look / radius[:, None],
            radius,
            body_size(points, known)[:, 0],
            torch.where(seen[:, _EYES].all(dim=1), eyes, _EYE_LINE),
            seen[:, (_NECK, *_EARS)].all(dim=1),
        )

    def places(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """How far across and up the pixels at `x` and `y` are, (b, h, w)."""
        right = x - _wide(self.centre[:, 0])
        down = y - _wide(self.centre[:, 1])
        across, up = (
            (right * _wide(axis[:, 0]) + down * _wide(axis[:, 1])) / _wide(self.radius)
            for axis in (self.across, self.up)
        )
        return across, up

    def around(self, across: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        """How far to the front of the head, and to its left, the places lie that are seen
        at `across` and `up`, (b, h, w) each, if it is a ball that is `_TALL` times as high.
        """
        depth = (1 - across.square() - (up / _TALL).square()).clamp_min(0).sqrt()
        sine, cosine = (_wide(each) for each in self.look.T)
        return across * sine + depth * cosine, across * cosine - depth * sine


def _in_heights(person: Person, height: int, width: int) -> Person:
    joints, seen = person
    return joints * joints.new_tensor([width / height, 1.0]), seen


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]


def _disc(x: Tensor, y: Tensor, middle: Tensor, radius: Tensor) -> Tensor:
    away = torch.hypot(x - _wide(middle[:, 0]), y - _wide(middle[:, 1]))
    return away < _wide(radius)


def _skin_coloured(pictures: Tensor) -> Tensor:
    """Which pixels (b, h, w) have a colour that skin of any tone may have: by the red and
    blue of BT.601, compared to the brightness, skins lie close together."""
    red, green, blue = ((pictures + 1) / 2).unbind(dim=1)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    redness = 0.713 * (red - bright) / bright.clamp_min(0.03)
    blueness = 0.564 * (blue - bright) / bright.clamp_min(0.03)
    return (
        (bright > 0.12) & (redness > 0.045) & (redness < 0.45)
        & (blueness < -0.03) & (blueness > -0.4)
    )  # fmt: skip


def _colour(
    pictures: Tensor, places: list[Tensor], otherwise: tuple[float, float, float]
) -> Tensor:
    """The colour (b, 3) of each picture at the first of the `places`, (b, h, w) bool each,
    that it has enough of. A single one, so that outlines, shadows and shine don't count."""
    colours = []
    for number, picture in enumerate(pictures):
        colour = picture.new_tensor(otherwise)
        for place in places:
            chosen = picture[:, place[number]]
            if chosen.shape[1] >= _MANY:
                colour = chosen.quantile(_LIT, dim=1)
                break
        colours.append(colour)
    return torch.stack(colours)
