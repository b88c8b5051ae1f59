"""A figure: everything about a character that doesn't move, from a seed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from animcli.characters.palette import (
    BRIGHT_HAIRS,
    EYES,
    HAIRS,
    SKINS,
    Colour,
    apart,
    cloth_colour,
    from_hsv,
    one_of,
)
from animcli.characters.proportions import Proportions, draw_proportions

Pattern = Literal[
    "plain", "stripes", "pinstripes", "bars", "checks", "dots", "noise", "camouflage"
]
Top = Literal["tank", "t-shirt", "sweater", "shirt", "hoodie", "jacket", "coat"]
Bottom = Literal["trousers", "wide", "leggings", "shorts", "skirt", "long-skirt", "dress"]
HairCut = Literal[
    "bald", "crop", "short", "side", "spikes", "bob", "long", "ponytail", "pigtails", "bun",
    "afro", "curls",
]  # fmt: skip
Hat = Literal["none", "cap", "beanie", "brim", "band"]
Print = Literal["none", "star", "disc", "letter", "stripe", "heart"]
Shading = Literal["flat", "cel", "soft"]


@dataclass(frozen=True)
class Cloth:
    """What a garment is made of. scale: size of the pattern, 1 is about 10 cm."""

    pattern: Pattern
    colour: Colour
    second: Colour
    scale: float
    folds: float


@dataclass(frozen=True)
class Outfit:
    """What the figure wears. Lengths are shares of the limb that a garment covers.

    looseness: how far cloth stands off the body, in limb radii.
    """

    top: Top
    bottom: Bottom
    upper: Cloth
    lower: Cloth
    inner: Cloth
    sleeve: float
    leg: float
    looseness: float
    print: Print
    print_colour: Colour
    shoe: Colour
    sole: Colour
    sock: Colour
    socks: float
    belt: bool
    scarf: bool
    gloves: bool


@dataclass(frozen=True)
class Looks:
    """Skin, face and hair."""

    skin: Colour
    hair: Colour
    cut: HairCut
    volume: float
    fringe: float
    hat: Hat
    hat_colour: Colour
    eye: Colour
    eye_size: float
    eye_height: float
    brow: float
    nose: float
    mouth: float
    smile: float
    lips: Colour
    beard: float
    moustache: bool
    glasses: float
    freckles: bool
    blush: float
    fingers: bool


@dataclass(frozen=True)
class Style:
    """How the figure is drawn. outline: width in 1/256 of the picture, 0 for none."""

    shading: Shading
    outline: float
    outline_darkness: float
    contrast: float


@dataclass(frozen=True)
class Figure:
    """A character: bones, clothes, face, and the manner in which it is drawn."""

    seed: int
    proportions: Proportions
    outfit: Outfit
    looks: Looks
    style: Style

    @classmethod
    def from_seed(cls, seed: int) -> "Figure":
        """The character of this seed."""
        chance = np.random.default_rng([seed, 1])
        bones = draw_proportions(chance)
        outfit = _draw_outfit(chance, bones)
        return cls(seed, bones, outfit, _draw_looks(chance, bones), _draw_style(chance))


def _draw_cloth(chance: np.random.Generator, colour: Colour, plain: float) -> Cloth:
    patterns: tuple[Pattern, ...] = (
        "stripes", "pinstripes", "bars", "checks", "dots", "noise", "camouflage",
    )  # fmt: skip
    pattern: Pattern = "plain"
    if chance.random() > plain:
        pattern = patterns[chance.integers(len(patterns))]
    second = apart(chance, colour)
    return Cloth(
        pattern,
        colour,
        second,
        float(chance.uniform(0.5, 1.5)),
        float(chance.uniform(0, 1)),
    )


def _draw_outfit(chance: np.random.Generator, bones: Proportions) -> Outfit:
    tops: tuple[Top, ...] = (
        "tank", "t-shirt", "t-shirt", "sweater", "sweater", "shirt", "hoodie", "jacket",
        "coat",
    )  # fmt: skip
    top = tops[chance.integers(len(tops))]
    skirted = chance.random() < 0.75 * max(bones.femininity - 0.25, 0)
    legs: tuple[Bottom, ...] = ("trousers", "trousers", "wide", "leggings", "shorts")
    skirts: tuple[Bottom, ...] = ("skirt", "long-skirt", "dress", "dress")
    pool = skirts if skirted else legs
    bottom = pool[chance.integers(len(pool))]
    first = cloth_colour(chance)
    second = apart(chance, first)
    upper = _draw_cloth(chance, first, 0.5)
    lower = upper if bottom == "dress" else _draw_cloth(chance, second, 0.7)
    if bottom == "dress" and top in ("jacket", "coat", "hoodie", "shirt"):
        top = "t-shirt"
    sleeves = {"tank": 0.0, "t-shirt": chance.uniform(0.2, 0.48)}
    lengths = {
        "shorts": chance.uniform(0.2, 0.5),
        "skirt": chance.uniform(0.22, 0.5),
        "dress": chance.uniform(0.3, 0.85),
        "long-skirt": chance.uniform(0.6, 0.9),
    }
    return Outfit(
        top=top,
        bottom=bottom,
        upper=upper,
        lower=lower,
        inner=_draw_cloth(chance, apart(chance, first), 0.7),
        sleeve=float(sleeves.get(top, 1.0 if chance.random() < 0.8 else 0.6)),
        leg=float(lengths.get(bottom, 1.0 if chance.random() < 0.8 else 0.85)),
        looseness=float(chance.uniform(0.0, 0.45)),
        print=("none", "none", "star", "disc", "letter", "stripe", "heart")[
            chance.integers(7)
        ],
        print_colour=apart(chance, first),
        shoe=cloth_colour(chance),
        sole=(236, 234, 228) if chance.random() < 0.6 else (52, 48, 46),
        sock=cloth_colour(chance),
        socks=float(chance.choice([0.0, 0.12, 0.25, 0.6])),
        belt=bool(chance.random() < 0.35),
        scarf=bool(chance.random() < 0.1),
        gloves=bool(chance.random() < 0.06),
    )


def _draw_looks(chance: np.random.Generator, bones: Proportions) -> Looks:
    skin = one_of(chance, SKINS)
    if chance.random() < 0.02:  # somebody from elsewhere
        skin = from_hsv(chance.random(), 0.35, 0.8)
    hair = one_of(chance, BRIGHT_HAIRS if chance.random() < 0.12 else HAIRS)
    men: tuple[HairCut, ...] = (
        "bald",
        "crop",
        "short",
        "short",
        "side",
        "curls",
        "spikes",
        "afro",
    )
    women: tuple[HairCut, ...] = (
        "bob", "long", "long", "ponytail", "bun", "side", "curls", "afro", "pigtails",
    )  # fmt: skip
    cuts = women if chance.random() < bones.femininity else men
    hats: tuple[Hat, ...] = ("cap", "beanie", "brim", "band")
    bearded = bones.age == 1 and bones.femininity < 0.45 and chance.random() < 0.4
    return Looks(
        skin=skin,
        hair=hair,
        cut=cuts[chance.integers(len(cuts))],
        volume=float(chance.uniform(0, 1)),
        fringe=float(chance.uniform(0, 1)),
        hat=hats[chance.integers(len(hats))] if chance.random() < 0.22 else "none",
        hat_colour=cloth_colour(chance),
        eye=one_of(chance, EYES),
        eye_size=float(chance.uniform(0.75, 1.25) * (1.25 - 0.25 * bones.age)),
        eye_height=float(chance.uniform(0.44, 0.5)),
        brow=float(chance.uniform(-1, 1)),
        nose=float(chance.uniform(0.7, 1.3)),
        mouth=float(chance.uniform(0.7, 1.25)),
        smile=float(chance.uniform(-0.2, 1)),
        lips=(196, 70, 78) if chance.random() < 0.5 * bones.femininity else (0, 0, 0),
        beard=float(chance.uniform(0.4, 1)) if bearded else 0.0,
        moustache=bool(bearded and chance.random() < 0.7),
        glasses=float(chance.uniform(0.8, 1.3)) if chance.random() < 0.18 else 0.0,
        freckles=bool(chance.random() < 0.12),
        blush=float(chance.uniform(0, 1)) * 0.6,
        fingers=bool(chance.random() < 0.5),
    )


def _draw_style(chance: np.random.Generator) -> Style:
    shadings: tuple[Shading, ...] = ("flat", "cel", "cel", "soft", "soft")
    return Style(
        shading=shadings[chance.integers(len(shadings))],
        outline=float(chance.uniform(0.5, 1.4)) if chance.random() < 0.6 else 0.0,
        outline_darkness=float(chance.uniform(0.3, 0.9)),
        contrast=float(chance.uniform(0.6, 1.1)),
    )
